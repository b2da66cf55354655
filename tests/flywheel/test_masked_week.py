import json

import duckdb
import pytest

from flywheel.enqueue import build_tasks
from flywheel.labels.draws import add_draw, draw_tasks
from flywheel.labels.store import open_labels
from flywheel.plan import draw_week
from flywheel.warehouse import draws
from tests.flywheel.made_traces import open_made, score_all, take
from tests.flywheel.masked_weeks import FRAGMENTS, SESSION, TYPED, found, outside, play

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("redact", [None, "store"])
def test_no_personal_data_of_a_week_leaves_the_warehouse(tmp_path, redact):
    workspace = play(tmp_path, redact)
    held = outside(workspace)
    assert all(held.values())
    assert {name: found((*FRAGMENTS, SESSION), said) for name, said in held.items()} == {
        name: set(TYPED) if name == "labels" else set() for name in held
    }
    with duckdb.connect(str(workspace.warehouse), read_only=True) as db:
        names = [name for (name,) in db.execute("select table_name from duckdb_tables()").fetchall()]
        rows = {name: str(db.execute(f'select * from "{name}"').fetchall()).encode() for name in names}
    assert bool(found(FRAGMENTS, rows["trace"])) is (redact is None)
    if redact == "store":
        assert {name for name, said in rows.items() if found(FRAGMENTS, said)} <= {"gold_label"}


@pytest.mark.realdata
def test_no_planted_text_reaches_the_label_store_and_every_lookalike_does(tmp_path, data_dir):
    key = json.loads((data_dir / "weeks" / "pii_key.json").read_text())
    week = "2026-W44"
    wanted = sorted({one["trace_id"] for one in (*key["planted"], *key["lookalikes"])})
    with open_made(tmp_path) as db:
        take(db, data_dir / "weeks" / f"{week}.jsonl.gz", group="metadata.source_id")
        score_all(db, {}, week)
        planned = draw_week(week, draws.candidates(db, week), 1, 1, 1)
        draws.freeze_draw(db, week, planned, "i", [(name, 1, "exemplar") for name in wanted])
        store = open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
        add_draw(store, *build_tasks(db, draws.find_draw(db, week)))
    shown = {task.trace_id: task.payload for task in draw_tasks(store, week)}
    for one in key["planted"]:
        question = shown[one["trace_id"]].user_input
        assert one["text"] not in str(shown[one["trace_id"]])
        assert "█" in question[one["start"] : one["end"]]
    for one in key["lookalikes"]:
        part = shown[one["trace_id"]].user_input[one["start"] : one["end"]]
        assert part == one["text"].replace("192.0.2.17", "█" * 10)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("labels.db*"))
    assert found((one["text"] for one in key["planted"]), held) == set()

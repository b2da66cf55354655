import gzip
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path

import duckdb
import pytest

from flywheel.settings import Warehouse
from flywheel.warehouse import open_warehouse
from tests.flywheel.cli.commands import run_flywheel
from tests.flywheel.made_otlp import make_spans, request
from tests.flywheel.made_traces import make_trace, open_made, write_lines

ROOT = Path(__file__).parents[3]
FLYWHEEL = [sys.executable, "-c", "from flywheel.cli.main import main; main()", "--workspace"]
DEEP = {"deep": [[[[["x"]]]]]}


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path)


def stored(folder):
    with open_made(folder) as db:
        return [name for (name,) in db.execute("select trace_id from trace order by 1").fetchall()]


def as_line(trace_id, **fields):
    return json.dumps(make_trace(trace_id, **fields)).encode() + b"\n"


def test_a_file_is_told_with_a_count_that_adds_up(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), make_trace("t1"), b"broken", b"")
    code, out, err = flywheel("ingest", path)
    assert (code, err) == (0, "")
    said, _, kept = out.strip().partition("; rejected records are in ")
    assert said == (
        "a.jsonl  4 lines = 1 added + 0 updated + 1 unchanged + 1 rejected + 1 blank "
        "(native: its first record has trace_id and timestamp and user_input)"
    )
    assert kept.startswith(str(tmp_path / "traces" / "quarantine"))


@pytest.mark.realdata
def test_each_of_the_200_lines_of_the_dirty_file_is_taken_as_its_key_says(flywheel, tmp_path, data_dir):
    code, out, _ = flywheel("ingest", data_dir / "weeks" / "2026-W45-dirty.jsonl.gz", "--output", "json")
    (file,) = json.loads(out)["files"]
    assert (code, file["lines"], file["added"], file["rejected"], file["blank"]) == (0, 200, 158, 40, 2)
    key = json.loads((data_dir / "weeks" / "dirty_key.json").read_text())["lines"]
    assert stored(tmp_path) == sorted(k["trace_id"] for k in key if k["expect"] == "accept")
    kept = [json.loads(line) for line in Path(file["quarantine"]).read_text().splitlines()]
    assert [one["line"] for one in kept] == [k["line"] for k in key if k["expect"] == "quarantine"]
    assert all(one["reason"] for one in kept)


def test_the_same_file_again_says_that_it_is_known(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    flywheel("ingest", path)
    code, out, err = flywheel("ingest", path)
    assert (code, err) == (0, "")
    assert "1 line = 0 added + 0 updated + 1 unchanged" in out
    assert "these bytes were ingested before)" in out


def test_again_reads_a_known_file(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), b"broken")
    flywheel("ingest", path)
    code, out, _ = flywheel("ingest", path, "--again")
    assert code == 0
    assert "2 lines = 0 added + 0 updated + 1 unchanged + 1 rejected" in out
    assert "before" not in out


def test_a_grown_file_says_where_it_goes_on(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), make_trace("t2"))
    flywheel("ingest", path)
    with path.open("ab") as file:
        file.write(as_line("t3"))
    _, out, _ = flywheel("ingest", path)
    assert "a.jsonl  1 line = 1 added" in out
    assert "goes on at line 3)" in out


def test_without_a_path_the_landing_folder_is_taken(flywheel, tmp_path):
    flywheel("init")
    write_lines(tmp_path / "traces" / "a.jsonl", make_trace("t1"))
    write_lines(tmp_path / "traces" / "deep.jsonl", make_trace("t2"), make_trace("t3"))
    code, out, _ = flywheel("ingest")
    assert code == 0
    total, weeks, after = out.splitlines()[-3:]
    assert total.startswith("total  3 records = 3 added + 0 updated + 0 unchanged + 0 rejected + 0 blank")
    assert (weeks, after) == ("new or changed traces by week: 2026-W45 (3)", "Next: flywheel run --week 2026-W45")


def test_spans_are_told_beside_the_traces_they_make(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", request(*make_spans("t1")), request(make_spans("t2")[1]))
    _, out, _ = flywheel("ingest", path)
    assert "4 spans = 4 added" in out
    assert "; 2 traces added, 0 updated" in out or "; 1 traces added, 0 updated, 1 without a question yet" in out


def test_patterns_and_folders_and_standard_input_are_taken_together(flywheel, tmp_path, monkeypatch):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_lines(tmp_path / "deep" / "er" / "a.jsonl", make_trace("t1"))
    write_lines(tmp_path / "b1.jsonl", make_trace("t2"))
    write_lines(tmp_path / "b2.jsonl", make_trace("t3"))
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(gzip.compress(as_line("t4")))))
    code, out, _ = flywheel("ingest", tmp_path / "deep", tmp_path / "b*.jsonl", "-")
    assert code == 0
    assert [said.split("  ")[0] for said in out.splitlines()[:-2]] == [
        "a.jsonl", "b1.jsonl", "b2.jsonl", "standard input", "total"
    ]  # fmt: skip
    assert stored(tmp_path) == ["t1", "t2", "t3", "t4"]


def test_a_link_out_of_a_folder_is_left_out_with_a_note(flywheel, tmp_path):
    (tmp_path / "in").mkdir()
    write_lines(tmp_path / "in" / "a.jsonl", make_trace("t1"))
    (tmp_path / "in" / "b.jsonl").symlink_to(write_lines(tmp_path / "secret.jsonl", make_trace("t2")))
    code, _, err = flywheel("ingest", tmp_path / "in")
    assert (code, stored(tmp_path)) == (0, ["t1"])
    assert err.startswith(f"note: {tmp_path / 'in' / 'b.jsonl'} leads out of")


def test_json_has_the_files_and_the_total(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    code, out, err = flywheel("ingest", path, "--output", "json")
    counted = {"lines": 1, "added": 1, "updated": 0, "unchanged": 0, "rejected": 0, "blank": 0}
    traces = {"added": 1, "updated": 0, "waiting": 0}
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["total"] == {**counted, "traces": traces, "completed_by_corpus": 0}
    (file,) = told["files"]
    assert file == {
        "file": str(path), "format": "native", "recognised_by": file["recognised_by"], "unit": "line",
        "was_known": False, "continued_at": None, "failure": None, "quarantine": None, "reasons": {},
        **counted, "traces": traces,
    }  # fmt: skip


def test_markdown_is_a_table_of_the_files(flywheel, tmp_path):
    write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    (tmp_path / "b|c.jsonl").write_bytes(b"\x1f\x8b rubbish")
    code, out, _ = flywheel("ingest", tmp_path, "--output", "markdown")
    lines = out.strip().splitlines()
    assert code == 2
    assert lines[2] == "| a.jsonl | native | line | 1 | 1 | 0 | 0 | 0 | 0 | 1 |"
    assert lines[3].startswith(r"| b\|c.jsonl | not taken: ")


@pytest.mark.parametrize("name", ["json", "text", "markdown"])
def test_format_is_that_of_the_files_and_whoever_means_the_output_is_told(flywheel, tmp_path, name):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    code, out, err = flywheel("ingest", path, "--format", name)
    assert (code, out) == (2, "")
    assert err == f"error: --format names the format of the files; for the output write --output {name}\n"


def test_a_format_can_be_named_and_an_unknown_one_is_answered_with_the_known(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.txt", make_trace("t1"))
    assert flywheel("ingest", path, "--format", "native")[0] == 0
    code, out, err = flywheel("ingest", write_lines(tmp_path / "b.txt", make_trace("t2")), "--format", "jsonl")
    assert code == 2
    assert "there is no format 'jsonl'; known: auto, native" in out + err


def test_a_missing_file_is_one_line_and_exit_2(flywheel, tmp_path):
    code, out, err = flywheel("ingest", tmp_path / "nothing.jsonl")
    assert (code, out) == (2, "")
    assert err == f"error: there is no file or folder {tmp_path / 'nothing.jsonl'}; check the path\n"


def test_an_empty_landing_folder_is_exit_4_because_nothing_was_ingested(flywheel):
    flywheel("init")
    code, _, err = flywheel("ingest")
    assert code == 4
    assert "there are no trace files in" in err


def test_a_damaged_archive_is_one_line_and_exit_2(flywheel, tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00rubbish")
    code, out, err = flywheel("ingest", tmp_path / "a.jsonl.gz")
    assert code == 2
    assert (out, err.count("\n")) == ("", 1)
    assert "nothing was added, deliver it again" in err


def test_a_failing_file_among_good_ones_is_exit_2_and_the_others_are_in(flywheel, tmp_path):
    write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(as_line("t2"))[:30])
    write_lines(tmp_path / "c.jsonl", make_trace("t3"))
    code, out, err = flywheel("ingest", tmp_path)
    assert (code, stored(tmp_path)) == (2, ["t1", "t3"])
    assert [said.split("  ")[0] for said in out.splitlines()[:-2]] == ["a.jsonl", "c.jsonl", "total"]
    assert err.startswith("error: b.jsonl")
    assert err.count("\n") == 1


def test_a_file_of_nothing_but_rejected_lines_is_exit_2(flywheel, tmp_path):
    code, out, _ = flywheel("ingest", write_lines(tmp_path / "a.jsonl", b"broken", b"too"))
    assert code == 2
    assert "2 rejected" in out


def test_strict_stops_at_the_first_bad_record(flywheel, tmp_path):
    write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    write_lines(tmp_path / "b.jsonl", make_trace("t2"), b"broken", make_trace("t3"))
    code, _, err = flywheel("ingest", tmp_path, "--strict")
    assert (code, stored(tmp_path)) == (2, ["t1"])
    assert err.startswith("error: b.jsonl, line 2: ")
    assert err.endswith("nothing of the file was added (--strict)\n")


def test_a_damaged_warehouse_is_one_line_and_exit_4(flywheel, tmp_path):
    (tmp_path / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    code, _, err = flywheel("ingest", path)
    assert code == 4
    assert err.count("\n") == 1
    assert "restore a backup" in err


def test_quarantined_records_are_tried_again_once_a_limit_is_raised(flywheel, tmp_path):
    (tmp_path / "flywheel.toml").write_text("[ingest]\nmax_nesting = 4\nmax_line_bytes = 2000\n")
    path = write_lines(
        tmp_path / "a.jsonl", make_trace("t1"), make_trace("t2", metadata=DEEP), make_trace("t3", response="x" * 3000)
    )
    assert flywheel("ingest", path)[0] == 0
    code, _, err = flywheel("ingest", "--retry-quarantine")
    assert (code, stored(tmp_path)) == (2, ["t1"])
    assert "none of its records can be read yet" in err
    (tmp_path / "flywheel.toml").write_text("")
    code, out, _ = flywheel("ingest", "--retry-quarantine")
    assert (code, stored(tmp_path)) == (0, ["t1", "t2"])
    assert "a.jsonl  2 records = 1 added + 0 updated + 0 unchanged + 1 rejected + 0 blank" in out
    (kept,) = (tmp_path / "traces" / "quarantine").iterdir()
    assert json.loads(kept.read_text())["line"] == 3


def test_an_empty_quarantine_is_exit_4(flywheel, tmp_path):
    code, _, err = flywheel("ingest", "--retry-quarantine")
    assert code == 4
    assert "no record was rejected" in err


@pytest.mark.parametrize("is_first", [True, False])
def test_a_corpus_gives_passages_their_texts_before_and_after_the_traces(flywheel, tmp_path, is_first):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1", retrieved_contexts=[{"id": "p1", "text": ""}]))
    corpus = write_lines(tmp_path / "corpus.txt", {"id": "p1", "text": "It is so."})
    if not is_first:
        assert flywheel("ingest", path)[0] == 0
    code, out, _ = flywheel("ingest", *([path] if is_first else [path, "--again"]), "--corpus", corpus)
    assert code == 0
    assert out.startswith(f"corpus.txt  1 passages; {0 if is_first else 1} traces gained their texts\n")
    with open_made(tmp_path) as db:
        told = db.execute("select retrieved_contexts[1].text, contexts_missing from trace").fetchall()
    assert told == [("It is so.", False)]


def test_a_corpus_alone_can_be_added(flywheel, tmp_path):
    corpus = write_lines(tmp_path / "corpus.txt", {"id": "p1", "text": "It is so."})
    flywheel("init")
    code, out, _ = flywheel("ingest", "--corpus", corpus)
    assert (code, out) == (0, "corpus.txt  1 passages; 0 traces gained their texts\n")


def test_a_mapping_reads_a_format_of_ones_own_and_can_be_suggested(flywheel, tmp_path):
    rows = [{"id": n, "at": "2026-11-03T10:00:00Z", "question": f"Question {n}?", "answer": "Yes."} for n in range(3)]
    path = write_lines(tmp_path / "own.jsonl", *rows)
    code, out, err = flywheel("ingest", path)
    assert code == 2
    assert f"flywheel ingest {path} --suggest-mapping" in out + err
    code, suggested, _ = flywheel("ingest", path, "--suggest-mapping")
    assert code == 0
    (tmp_path / "mapping.txt").write_text(suggested)
    assert flywheel("ingest", path, "--mapping", tmp_path / "mapping.txt")[0] == 0
    with open_made(tmp_path) as db:
        found = db.execute("select user_input, response from trace order by 1").fetchall()
    assert found == [(f"Question {n}?", "Yes.") for n in range(3)]


@pytest.mark.parametrize("paths", [[], ["a.jsonl", "b.jsonl"], ["nothing.jsonl"]])
def test_a_mapping_is_suggested_for_one_file(flywheel, tmp_path, paths):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).touch()
    code, out, err = flywheel("ingest", "--suggest-mapping", *(tmp_path / name for name in paths))
    assert (code, out) == (2, "")
    assert "--suggest-mapping looks at one file" in err or "there is no file" in err


class Watch:
    """A `flywheel ingest --watch` in a process of its own."""

    def __init__(self, folder):
        self.output = folder / "said.txt"
        self.folder = folder
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*FLYWHEEL, str(folder), "ingest", "--watch", "--poll", "0.05"],
                cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def wait_for(self, text):
        until = time.monotonic() + 120
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < until, self.output.read_text()
            time.sleep(0.02)
        return self.output.read_text()


@pytest.fixture
def watching(tmp_path):
    (tmp_path / "traces").mkdir()
    watch = Watch(tmp_path)
    yield watch
    watch.process.kill()
    watch.process.wait()


def test_a_watch_takes_what_lands_what_grows_and_what_was_unfinished_and_waits_for_a_locked_warehouse(
    watching, tmp_path
):
    traces = tmp_path / "traces"
    watching.wait_for("watching ")
    write_lines(traces / "a.jsonl", make_trace("t1"))
    watching.wait_for("a.jsonl  1 line = 1 added")
    with (traces / "a.jsonl").open("ab") as file:
        file.write(as_line("t2") + as_line("t3")[:30])
    watching.wait_for("goes on at line 2)")
    with (traces / "a.jsonl").open("ab") as file:
        file.write(as_line("t3")[30:])
    watching.wait_for("goes on at line 3)")
    (traces / "bad.jsonl").write_bytes(b"\x1f\x8b rubbish")
    watching.wait_for("error: bad.jsonl")
    with held(tmp_path / "warehouse.duckdb"):
        write_lines(traces / "b.jsonl", make_trace("t4"))
        assert "is locked by PID" in watching.wait_for("waiting: ")
    watching.wait_for("b.jsonl  1 line = 1 added")
    watching.process.send_signal(signal.SIGTERM)
    assert watching.process.wait(60) == 0
    assert stored(tmp_path) == ["t1", "t2", "t3", "t4"]
    assert watching.output.read_text().count("bad.jsonl") == 1
    assert "0 added" not in watching.output.read_text()


def held(path):
    """Hold the warehouse, as soon as nobody else does."""
    for _ in range(600):
        try:
            holding = open_warehouse(path, Warehouse(threads=1))
            holding.__enter__()
        except Exception:
            time.sleep(0.05)
        else:
            return Held(holding)
    raise AssertionError("the warehouse is never free")


class Held:
    """A warehouse that is held until the block ends."""

    def __init__(self, holding):
        self.holding = holding

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.holding.__exit__(None, None, None)


def test_a_run_that_is_killed_leaves_nothing_half_done(tmp_path):
    write_lines(tmp_path / "big.jsonl", *(make_trace(f"t{n}", response=f"{n} " * 300) for n in range(8_000)))
    process = subprocess.Popen([*FLYWHEEL, str(tmp_path), "ingest", str(tmp_path / "big.jsonl")], cwd=ROOT)
    while not (tmp_path / "warehouse.duckdb.wal").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    with open_made(tmp_path) as db:
        assert db.execute("select count(*) from trace").fetchone()[0] in (0, 8_000)
    again = subprocess.run([*FLYWHEEL, str(tmp_path), "ingest", str(tmp_path / "big.jsonl")], cwd=ROOT, check=True)
    assert again.returncode == 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        assert db.execute("select count(*), max(revision) from trace").fetchone() == (8_000, 1)


def test_files_without_a_record_are_no_success(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", b"", b"  ")
    code, out, err = flywheel("ingest", path)
    assert code == 4
    assert "2 lines = 0 added" in out
    assert "there is not one record in these files" in err


def test_the_reasons_stand_beside_the_count_the_commonest_first(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), b"{}", b"nope", b"{}")
    _, out, _ = flywheel("ingest", path)
    _, first, second, *_ = out.splitlines()
    assert first == "  2 x Object missing required field `trace_id`"
    assert second.startswith("  1 x JSON is malformed")

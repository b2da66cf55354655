import tempfile
from pathlib import Path

import pytest

from eval.errors import UserError
from flywheel.look import Export, look
from flywheel.look.output import check_folder, csv_row, render_json, write_look
from flywheel.settings import Governance, Ingest, Paths, Settings
from flywheel.warehouse import open_warehouse
from flywheel.warehouse.traces import as_one_week
from flywheel.workspace import Workspace
from tests.flywheel.look.exports import langfuse_score, langfuse_trace, small_export, trace, write_export


def look_at(tmp_path, *paths, label=20, settings=None, **how):
    """Look at files from an empty folder."""
    return look(Workspace(tmp_path, settings or Settings()), Export(tuple(paths), **how), label)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A look at the small export, with one line that is no trace."""
    folder = tmp_path_factory.mktemp("small")
    path = write_export(folder / "export.jsonl", [*small_export(), b'{"trace_id": 7}'])
    return look_at(folder, path)


def test_what_is_read_and_flagged_is_counted(found):
    assert (found.traces, found.ok, found.errors) == (8, 8, 0)
    assert found.ok_flagged == found.flagged == sum(count for _, count in found.by_type)
    assert found.flagged >= 3
    assert found.judged == 8


def test_the_records_of_a_file_add_up_and_rejected_ones_say_why(found):
    file = found.files[0]
    assert file.records == file.added + file.updated + file.unchanged + file.rejected + file.blank == 9
    assert file.rejected == 1
    assert "first at 9" in file.reasons[0][0]


def test_the_reasons_of_rejected_records_add_up_however_many_there_are(tmp_path):
    broken = [b'{"trace_id": "' + b"x" * n + b'", "timestamp": ' + str(n).encode() + b"}" for n in range(1, 5)]
    broken += [f'{{"trace_id": "t", "field-{n}'.encode() for n in range(3)] + [b"[" * n for n in range(1, 20)]
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", [small_export()[0], *broken]))
    file = found.files[0]
    assert sum(many for _, many in file.reasons) == file.rejected == len(broken)


def test_three_failures_give_a_list(found):
    listed = {one.trace_id for mode in found.modes for one in mode.exemplars} | {one.trace_id for one in found.loose}
    assert {"bad-0", "bad-1", "bad-2"} <= listed


def test_a_shown_answer_says_where_it_is_least_supported(found):
    shown = next(one.trace for one in found.to_label if one.trace.trace_id == "bad-1")
    assert shown.doubtful is not None
    assert "blacksmith" in shown.response[slice(*shown.doubtful)]


def test_each_trace_to_label_has_a_reason(found):
    assert len(found.to_label) == 8
    assert all(one.why for one in found.to_label)


def test_the_next_steps_are_commands_for_each_week(found):
    commands = [step.command for step in found.next_steps]
    assert commands[0] == "flywheel init"
    assert commands[1].startswith("cp -r ")
    assert "flywheel run --week 2026-W45" in commands
    assert commands[-1] == "flywheel annotate app"


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = write_export(tmp_path / "export.jsonl", small_export()[:2])
    look_at(tmp_path, path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["export.jsonl", "tmp"]
    assert list(scratch.iterdir()) == []


def test_stores_that_the_settings_name_are_not_touched(tmp_path):
    mine = tmp_path / "mine.duckdb"
    path = write_export(tmp_path / "export.jsonl", small_export()[:2])
    look_at(tmp_path, path, settings=Settings(paths=Paths(warehouse=mine)))
    assert not mine.exists()


def test_traces_of_several_weeks_are_one_period(tmp_path):
    lines = small_export()
    lines[0]["timestamp"] = "2026-10-20T10:00:00Z"
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", lines))
    assert found.weeks == (("2026-W43", 1), ("2026-W45", 7))
    assert found.traces == 8


def test_the_same_export_gives_the_same_list(tmp_path):
    path = write_export(tmp_path / "export.jsonl", small_export())
    one, two = look_at(tmp_path, path, label=5), look_at(tmp_path, path, label=5)
    assert one.to_label == two.to_label


def test_an_export_without_a_trace_says_why_and_what_to_do(tmp_path):
    path = write_export(tmp_path / "logs.jsonl", [{"ts": 1, "q": "?"}])
    with pytest.raises(UserError, match=r"(?s)no trace could be read.*suggest-mapping.*flywheel look"):
        look_at(tmp_path, path)


def test_an_empty_folder_says_what_is_looked_for(tmp_path):
    (tmp_path / "exports").mkdir()
    with pytest.raises(UserError, match="no trace files"):
        look_at(tmp_path, tmp_path / "exports")


def test_answers_without_passages_are_told_as_not_judged(tmp_path):
    lines = [trace(f"t{n}", f"Question {n}?", "An answer of some words.", None) for n in range(3)]
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", lines))
    assert found.judged == 0
    assert [(one.why, one.count) for one in found.unjudged] == [("the export says nothing of passages", 3)]


def test_texts_that_are_left_out_come_from_a_corpus(tmp_path):
    lines = [langfuse_trace("t1", "How long is the trial?", "The trial runs 14 days.", [{"id": "p1", "score": 0.9}])]
    path = write_export(tmp_path / "export.jsonl", lines)
    without = look_at(tmp_path, path)
    assert without.judged == 0
    assert "--corpus" in without.unjudged[0].command
    corpus = write_export(tmp_path / "corpus.jsonl", [{"id": "p1", "text": "The trial runs 14 days."}])
    assert look_at(tmp_path, path, corpus=corpus).judged == 1


def test_what_people_said_stands_beside_the_flags(tmp_path):
    documents = [{"id": "p1", "page_content": "Our newsletter appears every month."}]
    lines = [
        langfuse_trace("t1", "Who repairs kettles?", "Any blacksmith repairs kettles for forty crowns.", documents),
        langfuse_trace("t2", "How often does the newsletter appear?", "It appears every month.", documents),
    ]
    lines[0]["scores"] = [langfuse_score("t1", "good")]
    lines[1]["scores"] = [langfuse_score("t2", "bad", "too short")]
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", lines))
    assert (found.human[0].name, found.human[0].traces) == ("quality", 2)
    disliked = next(one for one in found.to_label if one.trace.trace_id == "t2")
    assert "too short" in " ".join((disliked.why, *disliked.also))


def test_personal_data_is_masked_in_all_that_is_written(tmp_path):
    lines = [trace("t1", "Who is ann@example.org?", "Write to ann@example.org, she is the captain.", ("Nothing.",))]
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", lines))
    write_look(found, tmp_path / "out")
    assert not any("ann@example.org" in path.read_text() for path in (tmp_path / "out").iterdir())


def test_names_of_files_and_traces_are_masked_too(tmp_path):
    passages = [{"id": "of ann@example.org", "text": "Nothing."}]
    lines = [
        trace("ann@example.org", "Who is she?", "She is the captain.", None, retrieved_contexts=passages),
        b'{"trace_id": 7}',
    ]
    broken = tmp_path / "of eva@example.org.jsonl"
    broken.write_bytes(b'{"x": 1}\n')
    found = look_at(tmp_path, write_export(tmp_path / "of ann@example.org.jsonl", lines), broken)
    assert "example" not in str((found.files, found.to_label, found.loose, found.modes, found.notes))
    assert any("first at 2" in reason for file in found.files for reason, _ in file.reasons)


def test_two_files_of_one_name_have_each_their_own_reasons(tmp_path):
    for folder, broken in (("one", [b"[", b"["]), ("two", [b'{"trace_id": 7}'])):
        (tmp_path / folder).mkdir()
        write_export(tmp_path / folder / "a.jsonl", [small_export()[0], *broken])
    found = look_at(tmp_path, tmp_path / "one", tmp_path / "two")
    assert [sum(many for _, many in file.reasons) for file in found.files] == [file.rejected for file in found.files]
    assert len({file.name for file in found.files}) == 2
    assert not {reason for reason, _ in found.files[0].reasons} & {reason for reason, _ in found.files[1].reasons}


def test_a_corpus_is_bounded_by_what_the_settings_allow(tmp_path):
    lines = [langfuse_trace("t1", "How long?", "The trial runs 14 days.", [{"id": "p1", "score": 0.9}])]
    path = write_export(tmp_path / "export.jsonl", lines)
    corpus = write_export(tmp_path / "corpus.jsonl", [{"id": "p1", "text": "14 days.", "more": [[[1]]]}])
    assert look_at(tmp_path, path, corpus=corpus).judged == 1
    corpus.write_text('{"id": "p1", "text": "14 days.", "more": ' + "[" * 80 + "]" * 80 + "}\n")
    with pytest.raises(UserError, match="nests deeper"):
        look_at(tmp_path, path, corpus=corpus)
    assert look_at(tmp_path, path, corpus=corpus, settings=Settings(ingest=Ingest(max_nesting=100))).judged == 1


def test_settings_may_switch_masks_off(tmp_path):
    lines = [trace("t1", "Who is ann@example.org?", "She is the captain.", ("Nothing.",))]
    path = write_export(tmp_path / "export.jsonl", lines)
    found = look_at(tmp_path, path, settings=Settings(governance=Governance(redact="off")))
    assert "ann@example.org" in found.to_label[0].trace.user_input


def test_json_names_its_schema_and_holds_no_verdict_of_failure(found):
    told = render_json(found)
    assert '"schema": "flywheel.first_look/1"' in told
    assert '"headline": "Flagged, unlabelled' in told


def test_a_csv_cell_is_no_formula(tmp_path):
    lines = [trace("t1", "=1+1", "=cmd|' /C calc'!A0 is the answer.", ("Nothing.",))]
    found = look_at(tmp_path, write_export(tmp_path / "export.jsonl", lines))
    files = write_look(found, tmp_path / "out")
    assert csv_row(found.to_label[0])["user_input"] == "=1+1"
    assert ",'=1+1," in files.labels.read_text()


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds other things"):
        check_folder(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        check_folder(tmp_path / "thesis.txt")


def test_a_second_look_takes_the_place_of_the_first(found, tmp_path):
    write_look(found, tmp_path / "out")
    check_folder(tmp_path / "out")
    write_look(found, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_all_traces_go_into_the_newest_week(tmp_path):
    with (
        open_warehouse(tmp_path / "w.duckdb", Settings().warehouse) as db,
        pytest.raises(ValueError, match="no traces"),
    ):
        as_one_week(db)


@pytest.mark.realdata
def test_a_real_export_of_mlflow_is_read(data_dir, tmp_path):
    path = Path(data_dir) / "traces" / "mlflow_replay" / "single_trace_0.json"
    found = look_at(tmp_path, path)
    assert found.traces == 1
    assert found.files[0].format == "mlflow"

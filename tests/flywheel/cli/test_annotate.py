import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace

import pytest
from click.testing import CliRunner

from eval.errors import OperationalError, UserError
from flywheel.cli.annotate import annotate, app_command
from flywheel.labels.queue import current_labels
from flywheel.settings import Settings
from flywheel.workspace import Workspace
from tests.flywheel.labels.queues import WEEK, make_payload, make_task, open_queue


@pytest.fixture
def flywheel(tmp_path):
    def call(*words, annotator="ann", **keywords):
        workspace = Workspace(tmp_path, Settings())
        return CliRunner().invoke(
            annotate,
            [str(word) for word in words],
            obj=workspace,
            env={"FLYWHEEL_ANNOTATOR": annotator},
            catch_exceptions=False,
            **keywords,
        )

    return call


def test_next_shows_the_task_in_words_and_what_to_do(flywheel, tmp_path):
    open_queue(tmp_path)
    said = flywheel("next").output
    assert "2026-W45 (2-8 Nov), 0 of 3 labelled" in said
    assert "  1  It ends after 30 days.\n     !!! very likely unsupported (83%, passage 1 comes closest)" in said
    assert "  1  billing/trial.md\n     Every trial runs 14 days." in said
    assert "why queued: random draw, stratum 'flagged'" in said
    assert f"Next: flywheel annotate submit {make_task(0).task_id} --verdict pass|fail|defer" in said


def test_text_of_a_trace_cannot_steer_the_terminal(flywheel, tmp_path):
    open_queue(tmp_path, tasks=0)
    from flywheel.labels.draws import add_draw
    from flywheel.labels.store import open_labels
    from tests.flywheel.labels.queues import make_draw

    hostile = replace(make_payload("\x1b[2Jcleared \u202eeslaf"), user_input="\x1b]0;title\x07?")
    store = open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
    add_draw(store, make_draw("2026-W46"), [make_task(0, "2026-W46", payload=hostile)])
    said = flywheel("next").output
    assert "cleared" in said
    assert not any(character in said for character in "\x1b\x07\u202e")


def test_long_passages_fold_unless_asked_for_whole(flywheel, tmp_path):
    from flywheel.labels.draws import add_draw
    from flywheel.labels.records import TaskPassage
    from flywheel.labels.store import open_labels
    from tests.flywheel.labels.queues import make_draw

    long = replace(make_payload(), passages=(TaskPassage("p1", "word " * 400 + "END", None),))
    add_draw(open_labels(f"sqlite:///{tmp_path / 'labels.db'}"), make_draw(), [make_task(0, payload=long)])
    folded = flywheel("next").output
    assert "more characters: --full" in folded
    assert "END" not in folded
    assert "END" in flywheel("next", "--full").output


def test_submit_stores_the_verdict_with_its_details(flywheel, tmp_path):
    store = open_queue(tmp_path)
    flywheel("next")
    task = make_task(0).task_id
    said = flywheel("submit", task, "--verdict", "fail", "--severity", "P1", "--correction", "14 days", "--note", "x")
    assert said.exit_code == 0
    assert "without a failure type" in said.output
    (label,) = current_labels(store, WEEK)
    assert (label.verdict, label.severity, label.corrected_response, label.note) == ("fail", "P1", "14 days", "x")
    assert (label.annotator, label.guideline_version) == ("ann", "1")
    assert label.started_at is not None


def test_skip_and_undo_change_what_comes_next(flywheel, tmp_path):
    open_queue(tmp_path)
    first, second = make_task(0).task_id, make_task(1).task_id
    flywheel("skip", first)
    assert json.loads(flywheel("next", "--format", "json").output)["task_id"] == second
    assert first in flywheel("undo").output
    assert json.loads(flywheel("next", "--format", "json").output)["task_id"] == first
    assert "ann has nothing to take back" in flywheel("undo").output


def test_status_counts_by_person(flywheel, tmp_path):
    open_queue(tmp_path)
    flywheel("submit", make_task(0).task_id, "--verdict", "pass", annotator="bob")
    said = flywheel("status").output
    assert said.startswith("2026-W45 (2-8 Nov): 1 of 3 labelled, 0 deferred")
    assert "2 wait: flywheel annotate app" in said
    assert json.loads(flywheel("status", "--format", "json").output)["per_annotator"] == {"bob": 1}


def test_an_export_comes_back_unchanged(flywheel, tmp_path):
    open_queue(tmp_path)
    flywheel("submit", make_task(0).task_id, "--verdict", "pass")
    path = tmp_path / "labels.csv"
    assert f"1 labels in {path}" in flywheel("export", path).output
    assert "0 labels added, 1 there already, 0 rejected" in flywheel("import", path).output
    assert "2 tasks in" in flywheel("export", "--tasks", tmp_path / "tasks.jsonl").output


def test_an_import_that_brings_nothing_is_a_user_error_that_names_each_line(flywheel, tmp_path):
    open_queue(tmp_path)
    path = tmp_path / "in.jsonl"
    path.write_text('{"trace_id": "never", "verdict": "pass"}\n')
    with pytest.raises(UserError, match="no label came in"):
        flywheel("import", path, "--week", WEEK)


def test_without_a_draw_the_error_says_how_to_get_one(flywheel):
    with pytest.raises(UserError, match="no week has tasks to label yet; draw some with: flywheel run"):
        flywheel("next")


def test_a_week_without_a_draw_is_a_user_error(flywheel, tmp_path):
    open_queue(tmp_path)
    with pytest.raises(UserError, match="nothing was drawn for 2026-W46"):
        flywheel("status", "--week", "2026-W46")


def test_when_all_is_labelled_next_points_to_the_second_phase(flywheel, tmp_path):
    open_queue(tmp_path, tasks=1)
    flywheel("submit", make_task(0).task_id, "--verdict", "pass")
    assert "Next: flywheel run --week 2026-W45 --continue" in flywheel("next").output


def test_a_busy_port_is_an_operational_error_that_names_it(flywheel):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(OperationalError, match=f"port {port} on 127.0.0.1 is busy"):
            flywheel("app", "--port", port)


def test_the_app_listens_on_this_machine_only_and_reports_to_nobody():
    command = app_command(8501)
    assert "--server.address=127.0.0.1" in command
    assert "--browser.gatherUsageStats=false" in command


def test_every_command_carries_an_example():
    for name, command in annotate.commands.items():
        assert f"Example: flywheel annotate {name}" in (command.help or "")


def test_the_app_answers_and_leaves_nothing_running_when_it_is_ended(tmp_path):
    open_queue(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    command = "from flywheel.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command, "--workspace", str(tmp_path), "annotate", "app", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FLYWHEEL_ANNOTATOR": "ann"},
    ) as started:
        try:
            assert f"labelling as ann at http://127.0.0.1:{port}" in started.stdout.readline()
            assert answers(port)
        finally:
            started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 0
    assert not listens(port)


def answers(port):
    for _ in range(100):
        if listens(port):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as reply:
                return reply.status == 200
        time.sleep(0.1)
    return False


def listens(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0

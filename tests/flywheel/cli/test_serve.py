import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from eval.errors import OperationalError, UserError
from flywheel.cli.corpus import corpus
from flywheel.cli.serve import serve
from flywheel.serving.listener import listen
from flywheel.settings import Serving, Settings
from flywheel.workspace import Workspace

ROOT = Path(__file__).parents[3]
SERVE = """
import sys
from pathlib import Path
from flywheel.cli.serve import serve
from flywheel.workspace import open_workspace
serve.main(sys.argv[2:], obj=open_workspace(Path(sys.argv[1])), standalone_mode=False)
"""


def run(command, workspace: Workspace, *arguments: str):
    return CliRunner().invoke(command, arguments, obj=workspace, catch_exceptions=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "knowledge_base"
    folder.mkdir()
    (folder / "refunds.md").write_text("# Refunds\n\nA refund takes five working days.\n")
    (folder / "trial.md").write_text("# Trial\n\nThe trial of the Plus plan ends after 14 days.\n")
    return Workspace(tmp_path, Settings())


def test_ingest_then_stats_tell_the_passages(workspace: Workspace):
    result = run(corpus, workspace, "ingest")
    assert result.exit_code == 0
    assert "2 passages of 2 documents indexed in" in result.stdout
    assert "index 2 of 2 passages" in result.stderr
    assert run(corpus, workspace, "stats").stdout.startswith("2 passages, built 20")


def test_ingest_and_stats_speak_json(workspace: Workspace):
    found = json.loads(
        run(corpus, workspace, "ingest", str(workspace.root / "knowledge_base"), "--format", "json").stdout
    )
    assert (found["passages"], found["documents"]) == (2, 2)
    assert json.loads(run(corpus, workspace, "stats", "--format", "json").stdout)["passages"] == 2


def test_stats_without_an_index_say_how_to_make_one(workspace: Workspace):
    with pytest.raises(UserError, match="flywheel corpus ingest"):
        run(corpus, workspace, "stats")


def test_ingest_sends_nothing_to_a_server_that_is_not_allowed(workspace: Workspace):
    elsewhere = Workspace(workspace.root, Settings(serving=Serving(qdrant_url="https://qdrant.example.org")))
    for command in ("ingest", "stats"):
        with pytest.raises(UserError, match="allow_egress"):
            run(corpus, elsewhere, command)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "example.org"])
def test_another_address_needs_authentication(workspace: Workspace, host: str):
    with pytest.raises(UserError, match="no authentication"):
        run(serve, workspace, "--host", host)


def test_a_port_in_use_is_told_before_the_model_is_loaded(workspace: Workspace):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OperationalError, match=rf"port {port}: .*--port 0"):
            run(serve, workspace, "--port", str(port))


def test_the_listening_socket_names_its_protocol_so_that_replies_are_not_held_back():
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_serving_without_an_index_says_how_to_make_one(workspace: Workspace):
    with pytest.raises(UserError, match="flywheel corpus ingest"):
        run(serve, workspace, "--port", "0")


def test_serve_answers_until_it_is_interrupted(workspace: Workspace):
    run(corpus, workspace, "ingest")
    command = [sys.executable, "-W", "error", "-c", SERVE, str(workspace.root), "--port", "0", "--top-k", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "2 passages, answers by extractive, top 1\n"
        url = process.stdout.readline().split()[2]
        reply = httpx.post(f"{url}/query", json={"question": "How long does a refund take?"}, timeout=20)
        assert reply.json()["answer"] == "A refund takes five working days."
        assert len(reply.json()["passages"]) == 1
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert len(list((workspace.root / "traces").iterdir())) == 1


def test_the_commands_load_nothing_heavy():
    code = "import sys, flywheel.cli.serve, flywheel.cli.corpus; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    heavy = {"torch", "fastapi", "uvicorn", "qdrant_client", "numpy", "httpx"}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.parametrize("command", [serve, corpus.commands["ingest"], corpus.commands["stats"]])
def test_every_help_has_an_example(command):
    assert "Example: flywheel " in CliRunner().invoke(command, ["--help"]).output

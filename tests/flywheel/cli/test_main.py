import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest

from eval.errors import OPERATIONAL
from flywheel.cli.main import COMMANDS, cli
from tests.flywheel.cli.commands import run_flywheel

ROOT = Path(__file__).parents[3]
HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "ragas",
    "mlflow",
    "streamlit",
    "umap",
    "hdbscan",
    "sklearn",
    "scipy",
    "statsmodels",
    "duckdb",
    "pyarrow",
    "pandas",
    "polars",
    "numpy",
    "sqlalchemy",
    "pydantic",
    "msgspec",
    "qdrant_client",
    "fastapi",
    "altair",
    "datasets",
}
LOADED = """
import json, sys
from flywheel.cli.main import main
sys.argv = ["flywheel", *json.loads(sys.stdin.read())]
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path)


def leaves(command, name):
    """Every command that does something, with its name."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            yield from leaves(command.get_command(context, inner), f"{name} {inner}")
    else:
        yield name, command


def test_help_imports_nothing_heavy_and_lists_every_command():
    asked = subprocess.run(
        [sys.executable, "-c", LOADED], input='["--help"]', cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0
    assert not set(json.loads(asked.stderr)) & HEAVY
    assert all(f"  {name} " in asked.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_resolves_and_each_of_its_helps_has_an_example_to_paste(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.name == name
    for path, leaf in leaves(command, f"flywheel {name}"):
        assert "Example: flywheel " in (leaf.help or "").replace("\b\n", ""), path
        assert path.removeprefix("flywheel ") in leaf.help, path


def test_an_unknown_command_is_a_mistake_in_usage(flywheel):
    code, out, err = flywheel("fly")
    assert (code, out) == (2, "")
    assert "No such command 'fly'" in err


def test_an_unknown_option_is_a_mistake_in_usage(flywheel):
    code, _, err = flywheel("ingest", "--fast")
    assert code == 2
    assert "No such option" in err


def test_malformed_settings_are_one_line_and_exit_2(flywheel, tmp_path):
    (tmp_path / "flywheel.toml").write_text("[plan\n")
    code, out, err = flywheel("golden", "stats")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "flywheel.toml is no valid TOML" in err


def test_an_unknown_setting_is_one_line_and_exit_2(flywheel, tmp_path):
    (tmp_path / "flywheel.toml").write_text("[plan]\nlables = 3\n")
    code, _, err = flywheel("status")
    assert code == 2
    assert err.count("\n") == 1
    assert "known here: exemplars, floor, labels, score_bins" in err


def test_a_workspace_that_is_not_there_says_how_to_make_one(flywheel, tmp_path):
    code, _, err = flywheel("--workspace", tmp_path / "nothing", "status")
    assert code == 2
    assert f"make one: flywheel --workspace {tmp_path / 'nothing'} init" in err


def test_version_and_help_are_fine(flywheel):
    from flywheel import __version__

    assert flywheel("--version") == (0, f"flywheel, version {__version__}\n", "")
    code, out, _ = flywheel("-h")
    assert code == 0
    assert "Example: flywheel demo" in out


def test_a_bug_keeps_its_traceback_and_does_not_read_as_a_regression(flywheel, monkeypatch):
    def broken(workspace):
        raise ZeroDivisionError

    monkeypatch.setattr("flywheel.workspace.open_workspace", broken)
    code, _, err = flywheel("status")
    assert code == OPERATIONAL
    assert err.startswith("Traceback")
    assert "ZeroDivisionError" in err


def test_a_job_that_is_interrupted_says_that_it_can_go_on(flywheel, monkeypatch):
    def interrupted(workspace):
        raise KeyboardInterrupt

    monkeypatch.setattr("flywheel.workspace.open_workspace", interrupted)
    code, _, err = flywheel("status")
    assert code == 130
    assert "the same command goes on from here" in err


def test_a_place_that_cannot_be_written_is_one_line(flywheel, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = flywheel("demo", "--folder", tmp_path / "file" / "below")
    assert code == OPERATIONAL
    assert err.startswith("error: cannot use ")
    assert err.count("\n") == 1

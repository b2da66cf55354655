from pathlib import Path

from click.testing import CliRunner

from eval.errors import UserError
from flywheel import demo
from flywheel.cli.main import cli


def test_a_folder_that_is_no_demo_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    told = CliRunner().invoke(cli, ["demo", "--folder", str(tmp_path)])
    assert isinstance(told.exception, UserError)
    assert f"{tmp_path} is there and is no demo" in str(told.exception)


def test_a_file_is_refused_as_a_folder(tmp_path):
    (tmp_path / "file").touch()
    assert CliRunner().invoke(cli, ["demo", "--folder", str(tmp_path / "file")]).exit_code == 2


def test_the_end_says_what_the_gates_said_and_what_to_try_next(tmp_path, monkeypatch):
    played = demo.Played(
        "2026-W45", Path("demo/report.html"), (("identical", "PASS", Path("a")), ("broken", "BLOCK", Path("b")))
    )
    monkeypatch.setattr(demo, "play", lambda folder, now, tell: tell(f"played in {folder}") or played)
    said = CliRunner().invoke(cli, ["demo", "--folder", str(tmp_path / "mine")]).stdout
    assert f"played in {tmp_path / 'mine'}" in said
    assert "The report: demo/report.html" in said
    assert "The gate on the identical candidate said PASS: a/report.html" in said
    assert "The gate on the broken candidate said BLOCK: b/report.html" in said
    assert f"flywheel --workspace {tmp_path / 'mine'} annotate app" in said


def test_help_carries_an_example():
    assert "Example: flywheel demo" in CliRunner().invoke(cli, ["demo", "--help"]).stdout

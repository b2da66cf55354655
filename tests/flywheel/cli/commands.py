"""Runs the command line as a person would, in this process."""

import sys

import pytest

from flywheel.cli.main import main


def run_flywheel(monkeypatch, capsys, folder, *words):
    """Run a command in the workspace `folder`; give its exit code, what it said, and what it complained of."""
    monkeypatch.setattr(sys, "argv", ["flywheel", "--workspace", str(folder), *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err

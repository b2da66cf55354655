import sys
from pathlib import Path

import pytest

from flywheel.cli import progress
from flywheel.cli.progress import SHOWN_FROM, bytes_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns itself."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_what_is_done_at_once_shows_nothing(capsys, clock):
    with bytes_bar("ingest", SHOWN_FROM - 1) as bar:
        clock[0] = 100.0
        bar.within_file(10)
    assert capsys.readouterr() == ("", "")


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then_on_the_error_stream(capsys, clock):
    with bytes_bar("ingest", 100_000_000) as bar:
        for second in range(21):
            clock[0] = float(second)
            bar.within_file(second * 2_500_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "ingest  25 of 100 MB   25%  30 s left",
        "ingest  50 of 100 MB   50%  20 s left",
    ]


def test_on_a_terminal_a_bar_is_drawn_and_taken_away(capsys, clock, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bytes_bar("ingest", 100_000_000) as bar:
        clock[0] = 1.0
        bar.within_file(50_000_000)
    err = capsys.readouterr().err
    assert "█" * 15 + "░" * 15 in err
    assert err.endswith("\r\x1b[K")


def test_files_that_are_done_count_whole_and_never_more_than_all(capsys, clock, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 1000)
    with bytes_bar("ingest", SHOWN_FROM) as bar:
        bar.within_file(10)
        bar.end_file(path)
        assert (bar.done, bar.within) == (1000, 0)
        clock[0] = 11.0
        bar.within_file(SHOWN_FROM * 2)
    assert "100%  0 s left" in capsys.readouterr().err


def test_nothing_read_yet_has_no_time_left_to_tell(capsys, clock):
    with bytes_bar("ingest", SHOWN_FROM) as bar:
        clock[0] = 11.0
        bar.within_file(0)
    assert "  0%  0 s left" in capsys.readouterr().err

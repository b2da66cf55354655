"""How far long work is: a bar on a terminal, a line now and then elsewhere, nothing for what is done at once."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

LOG_SECONDS = 10.0
SHOWN_FROM = 50_000_000
"""Bytes below which nobody waits long enough to want a bar."""


class BytesBar:
    """Bytes read of some files, told on the error stream so that the output stays clean."""

    def __init__(self, label: str, total: int) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.within = 0
        self.started = self.told = time.monotonic()

    def within_file(self, bytes_read: int) -> None:
        """Note how far the file at hand is."""
        self.within = bytes_read
        self.tell()

    def end_file(self, path: Path) -> None:
        """Note that a file is done, and clear the bar for the line that says so."""
        self.done += path.stat().st_size if path.is_file() else self.within
        self.within = 0
        self.clear()

    def tell(self) -> None:
        """Draw the bar, or write a line once a while."""
        if self.total < SHOWN_FROM:
            return
        now = time.monotonic()
        is_terminal = sys.stderr.isatty()
        if now - self.told < (0.2 if is_terminal else LOG_SECONDS):
            return
        self.told = now
        read = self.done + self.within
        share = min(read / self.total, 1.0)
        left = (now - self.started) * (1 - share) / share if share else 0.0
        said = f"{self.label}  {read / 1e6:,.0f} of {self.total / 1e6:,.0f} MB  {share:4.0%}  {left:.0f} s left"
        if is_terminal:
            filled = round(30 * share)
            click.echo(f"\r{'█' * filled}{'░' * (30 - filled)}  {said}\x1b[K", err=True, nl=False)
        else:
            click.echo(said, err=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self.total >= SHOWN_FROM and sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)


@contextmanager
def bytes_bar(label: str, total: int) -> Iterator[BytesBar]:
    """Show how far reading some files is."""
    bar = BytesBar(label, total)
    try:
        yield bar
    finally:
        bar.clear()

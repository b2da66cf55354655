"""`flywheel demo`: the whole loop on the embedded sample."""

from datetime import UTC, datetime
from pathlib import Path

import click


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
def demo(folder: Path) -> None:
    """Play the whole loop on the embedded sample, in a folder of its own: no key, no server, no network.

    Example: flywheel demo --folder demo
    """
    from flywheel.demo import play

    started = datetime.now(UTC)
    played = play(folder, started, click.echo)
    click.echo(f"\nDone in {(datetime.now(UTC) - started).total_seconds():.0f} s. The report: {played.report}")
    for name, verdict, place in played.gates:
        click.echo(f"The gate on the {name} candidate said {verdict}: {place / 'report.html'}")
    click.echo(
        "Try next (in a shell where flywheel is found: . .venv/bin/activate):\n"
        f"  flywheel --workspace {folder} annotate app      label with your own eyes\n"
        f"  flywheel --workspace {folder} golden list       see what the labels became\n"
        f"  flywheel --workspace {folder} serve             ask the pipeline yourself"
    )

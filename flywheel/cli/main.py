"""The command `flywheel`: finds the command's module, and turns errors into one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click

from eval.errors import OK, OPERATIONAL, UserError
from flywheel import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("flywheel.cli.demo:demo", "Play the whole loop on the embedded sample, in a folder of its own."),
    "look": ("flywheel.cli.look:command", "From an export of yours to first findings, with nothing set up."),
    "init": ("flywheel.cli.init:init", "Start a workspace: flywheel.toml and its folders."),
    "doctor": ("flywheel.cli.doctor:doctor", "Check that everything the commands need is at hand."),
    "ingest": ("flywheel.cli.ingest:ingest", "Add trace files to the warehouse."),
    "run": ("flywheel.cli.week:run", "Do a week: phase 1, or phase 2 with --continue."),
    "status": ("flywheel.cli.week:status", "Say where the weekly job stands."),
    "score": ("flywheel.cli.week:score", "Score a week's answers."),
    "triage": ("flywheel.cli.week:triage", "Flag the traces of a week that look failed."),
    "modes": ("flywheel.cli.week:modes", "Group a week's failures into failure modes."),
    "plan": ("flywheel.cli.week:plan", "Draw a week's traces to label, and queue them."),
    "estimate": ("flywheel.cli.week:estimate", "Estimate a week's failure rate from the labels."),
    "report": ("flywheel.cli.week:report", "Write a week's report."),
    "annotate": ("flywheel.cli.annotate:annotate", "Label traces: in the app, here, or from a file."),
    "golden": ("flywheel.cli.golden:golden", "Look at the golden dataset, and verify it."),
    "eval": ("flywheel.cli.evaluate:evaluate", "Run the regression suite, compare runs."),
    "gate": ("flywheel.cli.gate:gate", "Say PASS, BLOCK or INCONCLUSIVE about a change."),
    "baseline": ("flywheel.cli.gate:baseline", "Bless a run as the baseline, or show which one is."),
    "corpus": ("flywheel.cli.corpus:corpus", "Build and inspect the index of passages."),
    "serve": ("flywheel.cli.serve:serve", "Serve the pipeline under test."),
}
"""Name -> where the command lives, and what it does in a line: `--help` imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="FLYWHEEL_WORKSPACE",
    help="Folder with flywheel.toml, traces, reports.  [default: the current one]",
)
@click.version_option(__version__, prog_name="flywheel")
@click.pass_context
def cli(ctx: click.Context, workspace: Path) -> None:
    """Turn a week of production traces of a RAG system into a better test suite, with error bars.

    \b
    Example: flywheel demo
             flywheel run --week 2026-W45
             flywheel annotate app
             flywheel run --week 2026-W45 --continue
    """  # noqa: D301
    from flywheel.workspace import open_workspace

    if ctx.invoked_subcommand not in ("demo", "init") and not workspace.is_dir():
        raise UserError(f"there is no folder {workspace}; make one: flywheel --workspace {workspace} init")
    ctx.obj = open_workspace(workspace)


def main() -> None:
    """Run the command line; an error that the user can put right is one line, a bug keeps its traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except OSError as error:
        place = error.filename or "a file"
        click.echo(f"error: cannot use {place}: {error.strerror}; make room there, or choose another place", err=True)
        code = OPERATIONAL
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command goes on from here", err=True)
        code = 130
    except Exception:  # a bug: it is told whole, and its exit code must not read as a regression
        traceback.print_exc()
        code = OPERATIONAL
    sys.exit(code if isinstance(code, int) else 0)

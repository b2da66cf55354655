"""`flywheel init`: start a workspace."""

import click

from flywheel.settings import FILE_NAME
from flywheel.workspace import Workspace

STARTER = """\
# Settings of this workspace; what is left out has the default shown. FLYWHEEL_PLAN__LABELS=60 overrides one for a run.

[ingest]
group = "session_id"          # the unit of resampling: a source document (metadata.source_id) or a session

[triage]
slow_ms = 15000               # a slower answer is flagged

[plan]
labels = 40                   # traces that people label each week

[suite]
# pipeline = "http://127.0.0.1:8400/query"   # the pipeline under test; or module:function, or answers.jsonl
metrics = ["retrieval_hit", "token_f1", "abstention_correct", "groundedness"]

[gate]
margin = 0.05                 # how far a metric may drop
"""


@click.command()
@click.pass_obj
def init(workspace: Workspace) -> None:
    """Start a workspace: flywheel.toml with its commonest settings, and the landing folder.

    Example: flywheel --workspace my-rag init
    """
    workspace.traces.mkdir(parents=True, exist_ok=True)
    path = workspace.root / FILE_NAME
    if path.exists():
        click.echo(f"{path} is there already; nothing was changed")
    else:
        path.write_text(STARTER, encoding="utf-8")
        click.echo(f"wrote {path}")
    click.echo(f"Next: put trace files into {workspace.traces}, then: flywheel run --week 2026-W45")

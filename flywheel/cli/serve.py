"""`flywheel serve`: the pipeline under test, by HTTP on this machine."""

import contextlib

import click

from flywheel.serving.listener import listen, url_of
from flywheel.workspace import Workspace


@click.command()
@click.option("--host", help="Address to listen on; this machine's own only.  [default: serving.host]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: serving.port]")
@click.option("--top-k", type=click.IntRange(1, 50), help="Passages to a question.  [default: serving.top_k]")
@click.pass_obj
def serve(workspace: Workspace, host: str | None, port: int | None, top_k: int | None) -> None:
    """Answer questions from the knowledge base, and log each as a trace.

    POST /query takes {"question": "..."}; GET /health says how the service is.

    Example: flywheel serve --port 8400
    """
    serving = workspace.settings.serving
    with listen(host or serving.host, serving.port if port is None else port) as listener:
        import uvicorn

        from flywheel.serving.app import create_app
        from flywheel.serving.pipeline import open_pipeline
        from flywheel.serving.trace_log import TraceLog

        pipeline = open_pipeline(workspace, top_k)
        with contextlib.closing(pipeline.index):
            app = create_app(pipeline, TraceLog(workspace.traces))
            click.echo(
                f"{pipeline.index.size} passages, answers by {pipeline.model}, top {pipeline.top_k}\n"
                f"listening on {url_of(listener)} (POST /query, GET /health); Ctrl-C ends it\n"
                f"traces go to {workspace.traces}\n"
                f"Try: curl -s {url_of(listener)}/query -H 'Content-Type: application/json' "
                f'-d \'{{"question": "How many days of leave do I have?"}}\''
            )
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False))
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[listener])

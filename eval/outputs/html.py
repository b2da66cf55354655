"""A gate's result as one HTML page: self-contained, no script, text from cases always escaped."""

from functools import cache
from pathlib import Path

import jinja2

from eval.gate import GateResult
from eval.outputs import words

LONGEST_TEXT = 20_000


def gate_html(result: GateResult) -> str:
    """Write the page."""
    return page("gate.html.j2").render(result=result, w=words, longest=LONGEST_TEXT)


@cache
def page(name: str) -> jinja2.Template:
    """Load a template; everything it prints is escaped."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(name)

"""The overview: what the newest weekly report says, and what to do next."""

from pathlib import Path

import msgspec
import streamlit as st

from annotation_app.stores import workspace
from annotation_app.task_view import safe
from flywheel.report.facts import WeekFacts
from flywheel.report.summary import write_headline
from flywheel.report.wording import moment
from flywheel.trace import WEEK, week_title


def show() -> None:
    """Show the page."""
    space = workspace()
    reports = space.root / space.settings.paths.reports
    weeks = sorted(
        (path.parent.name for path in reports.glob("*/report.json") if WEEK.fullmatch(path.parent.name)), reverse=True
    )
    if not weeks:
        st.info("No week has a report yet. Write one:")
        st.code("flywheel run --week WEEK", language=None)
        return
    week = st.selectbox("Week", weeks, format_func=week_title) if len(weeks) > 1 else weeks[0]
    show_week(week, reports / week)


def show_week(week: str, folder: Path) -> None:
    """Show the headline of a week's report and its next steps."""
    try:
        facts = msgspec.json.decode((folder / "report.json").read_bytes(), type=WeekFacts)
    except msgspec.MsgspecError:
        st.info(f"The report of {week_title(week)} was written by another version. Write it again:")
        st.code(f"flywheel report --week {week}", language=None)
        return
    said = write_headline(facts)
    figure = f"{safe(said.value)} <small>{safe(said.interval)}</small>"
    st.html(
        f'<p class="fw-name">{safe(week_title(week))} · {safe(said.name)}</p><div class="fw-figure">{figure}</div>'
        f'<div class="fw-text">{safe(said.evidence)}</div>'
    )
    steps = [step for step in (said.action, *facts.next_steps) if step]
    if steps:
        st.html(f'<p class="fw-name">Next</p><div class="fw-text">{"<br>".join(safe(step) for step in steps)}</div>')
    written, page = moment(facts.written_at), safe(str(folder / "report.html"))
    st.html(f'<div class="fw-note">Written {written}. The whole report: {page}</div>')

import re
from dataclasses import replace

from flywheel.report.facts import Exemplar
from flywheel.report.markdown import plain, render_markdown


def test_the_answer_stands_in_the_first_lines(labelled_week):
    lines = render_markdown(labelled_week).split("\n")
    assert lines[0] == "# Weekly report 2026-W45 (2-8 Nov)"
    assert lines[2].startswith("**Failure rate 18.4\u202f% [15.1, 22.0], 96 of 504 labelled")
    assert lines[4].startswith("No clear change against 2026-W44: +1.2 points [")


def test_sections_stand_in_the_order_of_the_page(labelled_week):
    assert re.findall("^## (.*)$", render_markdown(labelled_week), re.MULTILINE) == [
        "By week",
        "What changed",
        "Failure types",
        "Label budget",
        "Golden set",
        "Gate",
        "Instrument",
        "Ingestion and traffic",
    ]


def test_a_question_cannot_leave_its_code_span(labelled_week):
    text = "```\n# owned\n<b>|`` [x](javascript:alert(1)) \x1b[2J"
    mode = replace(labelled_week.modes[0], title=text, exemplars=(Exemplar(text, text, text, text),))
    said = render_markdown(replace(labelled_week, modes=(mode,)))
    assert "\x1b" not in said
    assert "\n# owned" not in said
    line = next(line for line in said.split("\n") if line.startswith("- question: "))
    assert re.fullmatch(r"- question: (````) .* \1", line)


def test_every_row_of_a_table_has_the_cells_of_its_head(labelled_week):
    tenants = (("a|b`|c", 3, 1), ("", 2, 0))
    facts = replace(labelled_week, traffic=replace(labelled_week.traffic, by_tenant=tenants))
    for block in render_markdown(facts).split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("| ")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


def test_an_empty_week_explains_itself(empty_week):
    said = render_markdown(empty_week)
    assert "**No ok traces in 2026-W45: there is nothing to judge**" in said
    assert "`flywheel run --week 2026-W45 --continue`" in said


def test_flagged_is_not_called_failed(flagged_week):
    said = render_markdown(flagged_week)
    assert "240 of 504 ok traces flagged" in said
    assert "No failures labelled yet. 100 tasks wait. `flywheel annotate app`" in said


def test_our_own_words_stay_readable():
    assert plain("public answers, 312 labels (2026-W41)") == "public answers, 312 labels (2026-W41)"
    assert plain("not_applicable") == "not_applicable"
    assert plain("_loud_ <b>") == "`_loud_ <b>`"

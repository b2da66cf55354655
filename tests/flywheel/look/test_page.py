from datetime import UTC, datetime

import pytest

from flywheel.look.findings import FileFinding, Findings, ModeFinding, NextStep, Read, Shown, ToLabel, Unjudged
from flywheel.look.markdown import render_markdown
from flywheel.look.page import MOST_BYTES, render_page
from flywheel.look.words import around, write_headline

HOSTILE = "<script>alert(1)</script><img src=//x>`x` |pipe| [a](javascript:b) \u202e \x1b[31m"


def shown(text="Ordinary words.", **fields):
    """A trace with one text everywhere."""
    told = {
        "trace_id": "t1", "when": datetime(2026, 11, 3, tzinfo=UTC), "user_input": text, "response": text, "error": "",
        "passages": (Read("p1", text, text),), "doubtful": (0, 8), "doubt": text, "unsupported": 0.9,
        "is_flagged": True, "failure_type": "unsupported_claim", "severity": "P1",
    }  # fmt: skip
    return Shown(**(told | fields))


def findings(text="Ordinary words.", **fields):
    """Findings with one text in every place that takes one."""
    trace = shown(text)
    told = {
        "written_at": datetime(2026, 11, 9, tzinfo=UTC), "sources": (text,), "traces": 10, "ok": 9, "errors": 1,
        "flagged": 4, "ok_flagged": 3, "judged": 8, "by_type": (("unsupported_claim", 3), ("error", 1)),
        "threshold": 0.5, "instrument": "groundedness@1", "trained_on": "labels",
        "modes": (
            ModeFinding(text, 3, 0.75, (("unsupported_claim", 3),), (text,), (("model", text, 2.0, 3),), (trace,)),
        ),
        "alone": 1, "loose": (), "to_label": (ToLabel(1, "mode", text, (text,), trace),),
        "files": (FileFinding(text, "native", text, "line", 12, 10, 0, 0, 2, 0, 10, ((text, 2),)),),
        "unjudged": (Unjudged("the export says nothing of passages", 1, "log it", "flywheel look x --corpus y"),),
        "human": (), "weeks": (("2026-W45", 10),), "next_steps": (NextStep("start", "flywheel init", text),),
        "notes": (text,),
    }  # fmt: skip
    return Findings(**(told | fields))


def test_the_answer_is_flagged_unlabelled_and_has_no_interval():
    headline = write_headline(findings())
    assert headline.sentence.startswith("Flagged, unlabelled: 3 of 9 traces that answered (33.3")
    assert "[" not in headline.sentence
    assert "1 error besides" in headline.sentence


def test_nothing_is_called_failed_in_page_or_markdown():
    for text in (render_page(findings()), render_markdown(findings())):
        assert " failed" not in text.replace("failed before it answered", "")


def test_text_of_traces_stays_text_on_the_page():
    page = render_page(findings(HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_text_of_traces_does_not_act_in_markdown():
    told = render_markdown(findings(HOSTILE))
    for line in told.splitlines():
        if "<script>" in line:
            assert "`" in line or "\\<" in line


def test_the_page_asks_the_network_for_nothing():
    page = render_page(findings())
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("character", ["x", "<", "漢"])
def test_a_page_of_long_texts_stays_small(character):
    long = shown(character * 100_000, passages=tuple(Read(f"p{n}", character * 50_000) for n in range(12)))
    many = tuple(ToLabel(n, "mode", "why", (), long) for n in range(200))
    assert len(render_page(findings(to_label=many)).encode()) <= MOST_BYTES


def test_the_least_supported_sentence_is_underlined_and_the_answer_cut_about_it():
    answer = "Before it. " * 60 + "Here is the doubt." + " After it." * 60
    start = answer.index("Here")
    cut = around(shown(answer, doubtful=(start, start + 18)))
    assert cut.doubtful == "Here is the doubt."
    assert cut.before.startswith("… ")
    assert cut.after.endswith("\u00a0…")
    assert cut.is_cut


def test_an_answer_that_fits_is_whole():
    cut = around(shown("One. Two. Three.", doubtful=(5, 9)))
    assert (cut.before, cut.doubtful, cut.after, cut.is_cut) == ("One. ", "Two.", " Three.", False)


def test_an_answer_that_was_not_judged_has_no_doubtful_sentence():
    assert around(shown(doubtful=None)) is None


def test_where_nothing_is_flagged_the_page_says_whether_anything_was_judged():
    nothing = {"flagged": 0, "ok_flagged": 0, "by_type": (), "modes": (), "alone": 0}
    assert "the detector is satisfied" in render_page(findings(**nothing))
    assert "because nothing could be judged" in render_page(findings(**nothing, judged=0))

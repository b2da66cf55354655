import re
from dataclasses import replace
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from annotation_app.task_view import answer_html, folded_html, passages_html
from flywheel.labels.records import TaskPassage
from flywheel.report.wording import visible
from tests.flywheel.labels.queues import make_payload

LONG = "One word after another. " * 60


def plain(html):
    return unescape(re.sub(r"<[^>]*>", "", html))


@given(st.text(max_size=900).map(lambda text: text.replace("\r\n", "\n")), st.integers(0, 900), st.integers(0, 900))
def test_a_passage_loses_no_character_by_being_folded_and_marked(text, start, end):
    html = folded_html(text, (start, end) if start < end else None)
    shown = "".join(re.findall(r'<div class="fw-text">(.*?)</div>', html, re.DOTALL))
    assert plain(shown) == visible(text)


def test_a_long_passage_folds_and_a_short_one_does_not():
    assert "<details>" in folded_html(LONG, None)
    assert "<details" not in folded_html("Short.", None)


def test_a_fold_that_hides_the_marked_part_stands_open():
    assert "<details open>" in folded_html(LONG, (1000, 1020))


def test_a_passage_after_six_lines_folds():
    text = "\n".join(f"line {n} with some more words to fill it up" for n in range(20))
    assert "line 6" not in folded_html(text, None).partition("<details>")[0]


def test_an_empty_answer_and_no_passages_are_said():
    empty = replace(make_payload(""), sentences=(), passages=())
    assert "(the answer is empty)" in answer_html(empty, None, True)
    assert "Nothing was retrieved" in passages_html(empty, None)


def test_only_the_passage_that_comes_closest_is_marked():
    payload = replace(make_payload(), passages=(TaskPassage("p0", "Every trial runs."), *make_payload().passages))
    html = passages_html(payload, 1)
    assert html.count("fw-closest") == 1
    assert '<section class="fw-passage fw-closest"><h4>2 · billing/trial.md</h4>' in html


def test_a_long_answer_says_that_it_goes_on():
    assert "scroll it to the end" in answer_html(make_payload(LONG), None, True)
    assert "scroll it" not in answer_html(make_payload(), None, True)

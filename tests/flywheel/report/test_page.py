import base64
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from flywheel.report import charts
from flywheel.report.facts import AddedCase, Exemplar, MapPoint
from flywheel.report.page import is_link, render_page

HOSTILE = (
    "<script>alert(1)</script>",
    "{{7*7}}",
    "{% raw %}",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "javascript:alert(1)",
    "\x1b]0;owned\x07\x00",
    "\u202egnp.exe",
)


class Page(HTMLParser):
    """Keeps the tags with their attributes, and the text outside the style."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.texts = []
        self.stack = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.stack.append(tag)

    def handle_endtag(self, tag):
        self.stack = (
            self.stack[: len(self.stack) - self.stack[::-1].index(tag) - 1] if tag in self.stack else self.stack
        )

    def handle_data(self, data):
        if "style" not in self.stack:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub("[ \n]+", " ", " ".join(self.texts))


@pytest.fixture
def hostile_week(labelled_week):
    text = " ".join(HOSTILE)
    exemplars = tuple(Exemplar(one, one, one, one) for one in HOSTILE)
    mode = replace(
        labelled_week.modes[0],
        mode_id=text,
        title=text,
        terms=HOSTILE,
        exemplars=exemplars,
        owner=text,
        over_represented=((text, text, 2.0, 3),),
    )
    assert labelled_week.golden
    assert labelled_week.gate
    return replace(
        labelled_week,
        modes=(mode,),
        map_points=(MapPoint(0.0, 0.0, text, text), MapPoint(1.0, 1.0, None, text)),
        golden=replace(labelled_week.golden, added=(AddedCase(text, text, "gate", text),)),
        gate=replace(labelled_week.gate, headline=text, note=text, report_path="javascript:alert(1)"),
        traffic=replace(labelled_week.traffic, by_tenant=((text, 3, 1),)),
        next_steps=(text,),
    )


def test_the_page_asks_the_network_for_nothing(labelled_week):
    page = Page(render_page(labelled_week))
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "image", "form", "base"}
    )
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert "style" not in attributes
        assert attributes.get("href", "#").startswith(("#", "gate/report.html"))


def test_the_policy_lets_in_nothing_but_the_styles_of_the_page(labelled_week):
    html = render_page(labelled_week)
    policy = next(a["content"] for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    styles = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(sha256(styles.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in styles
    assert "@import" not in styles


def test_hostile_text_stays_text(hostile_week):
    html = render_page(hostile_week)
    page = Page(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [a for _, a in page.tags if a.get("href", "").startswith("javascript")]
    assert "{{7*7}}" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", html)


def test_ten_kilobytes_of_question_are_folded(labelled_week):
    mode = replace(labelled_week.modes[0], exemplars=(Exemplar("t", "why? " * 2048, "s", "r"),))
    html = render_page(replace(labelled_week, modes=(mode,)))
    assert 'class="fold"' in html
    assert "all 10\u202f240 characters" in html
    assert html.count("why? ") < 600


def test_the_answer_comes_first_and_the_sections_in_order(labelled_week):
    page = Page(render_page(labelled_week))
    answer = page.text.index("18.4\u202f% [15.1, 22.0] 96 of 504 labelled, this week's ok traces")
    change = page.text.index("No clear change against 2026-W44: +1.2 points [")
    assert answer < change < page.text.index("label 12 more in Refunds to decide flywheel annotate app")
    ids = [a["id"] for tag, a in page.tags if tag == "h2" and "id" in a]
    assert ids == ["trend", "modes", "map", "types", "labels", "golden", "gate", "instrument", "ingestion"]


def test_before_labelling_nothing_is_called_a_failure_rate(flagged_week):
    text = Page(render_page(replace(flagged_week, history=flagged_week.history[1:]))).text
    assert "47.6\u202f% 240 of 504 ok traces flagged, unlabelled, no interval" in text
    assert "Failure rate 47" not in text
    assert "failure rate, labelled" not in text
    assert "No failures labelled yet. 100 tasks wait. flywheel annotate app" in text


def test_what_is_without_a_verdict_bounds_the_rate(labelled_week):
    text = Page(render_page(labelled_week)).text
    assert "17.8\u202f% if all pass, 21.3\u202f% if all fail" in text


def test_an_empty_week_explains_itself_with_commands(empty_week):
    text = Page(render_page(empty_week)).text
    for command in (
        "flywheel ingest PATH",
        "flywheel modes --week 2026-W45",
        "flywheel run --week 2026-W45 --continue",
    ):
        assert command in text


def test_a_file_that_does_not_add_up_is_said_loudly(labelled_week):
    file = replace(labelled_week.ingest.files[0], added=1500)
    text = Page(render_page(replace(labelled_week, ingest=replace(labelled_week.ingest, files=(file,))))).text
    assert "✕ +11 unaccounted" in text


def test_every_chart_speaks_without_pictures(labelled_week):
    html = render_page(labelled_week)
    page = Page(html)
    wrapped = [a["aria-label"] for _, a in page.tags if a.get("role") == "img"]
    assert len(wrapped) == 2 * 5 + 2  # five charts in two widths, a sparkline for each of two modes
    assert "traces by week: W44 7, W45 41" in wrapped
    assert html.count("<summary>The numbers</summary>") == 4  # the map has its list of modes
    assert "17.2\u202f% [13.9, 21.2]" in page.text


def test_verdicts_have_words_and_the_worst_comes_first(labelled_week):
    text = Page(render_page(labelled_week)).text
    assert text.index("✕ BLOCK groundedness") < text.index("✓ PASS expectation")


def test_only_plain_relative_paths_become_links():
    assert is_link("../../runs/gate/report.html")
    for path in ("javascript:alert(1)", "//host/x", "/etc/passwd", "http://x", "a b", "..", "data:text/html,x", ""):
        assert not is_link(path)


def test_a_huge_week_stays_below_two_megabytes(labelled_week):
    exemplar = Exemplar("t" * 500, "q" * 10_240, "s" * 10_240, "r" * 10_240)
    modes = tuple(
        replace(labelled_week.modes[0], mode_id=f"FM-{n:04d}", title="m" * 2000, exemplars=(exemplar,) * 3)
        for n in range(200)
    )
    points = tuple(MapPoint(n / 7, n % 13, f"FM-{n % 250:04d}", "x" * 999) for n in range(20_000))
    assert labelled_week.golden
    added = tuple(AddedCase(f"c-{n}", "q" * 10_240, "gate", "w" * 9999) for n in range(400))
    facts = replace(
        labelled_week,
        modes=modes,
        map_points=points,
        golden=replace(labelled_week.golden, added=added),
        traffic=replace(labelled_week.traffic, by_tenant=tuple(("n" * 999 + str(n), 3, 1) for n in range(5000))),
    )
    html = render_page(facts)
    assert len(html.encode()) < 2_000_000
    assert "4\u202f970 rows more in report.json" in html
    assert html.count('<li><svg viewBox="-6 -6 12 12"') - 1 == charts.MOST_MARKED

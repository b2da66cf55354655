"""All outputs of a gate, with texts that try to be more than text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from eval.gate import GateResult, decide
from eval.outputs.artefacts import write_failure, write_gate
from eval.outputs.html import gate_html
from eval.outputs.json_report import gate_json
from eval.outputs.junit import gate_junit
from eval.outputs.markdown import MARKER, block, code, gate_markdown
from eval.outputs.text import comparison_table, gate_text, run_text
from eval.outputs.words import headline, p_value, shown
from eval.pipeline import Answer
from eval.policy import GatePolicy
from eval.summary import summarize
from tests.eval.made_runs import BINARY, CONTINUOUS, cases_of, made_run

HOSTILE = (
    "</details></p></textarea><script>alert(1)</script><img src=x onerror=alert(2)> ````` \n```\n"
    "# heading @everyone #1 ![x](http://evil.example/p.png) | a | b |\n]]>\x00\x1b[31m\u202e\ud800 {{ 7*7 }} &amp; ok"
)


def result_of(passed: int, n: int = 200, hostile: bool = False, repeats: int = 1) -> GateResult:
    cases = cases_of(n, mode_id="FM-0003", severity="P0")
    answers = {}
    name = "pr-214"
    if hostile:
        cases = [
            replace(
                c, case_id=f"{i}{HOSTILE}", user_input=HOSTILE, reference=HOSTILE, mode_id=HOSTILE, failure_type=HOSTILE
            )
            for i, c in enumerate(cases)
        ]
        answers = {case.case_id: Answer(HOSTILE) for case in cases}
        name = HOSTILE
    facts = {"expectation": BINARY, "token_f1": CONTINUOUS}
    good = {"expectation": [(1,) * repeats] * n, "token_f1": [(0.5,) * repeats] * n}
    bad = {**good, "expectation": [(1,) * repeats] * passed + [(0,) * repeats] * (n - passed)}
    base = made_run(good, facts, cases, "main", answers=answers)
    result = decide(base, made_run(bad, facts, cases, name, answers=answers), GatePolicy(), np.random.default_rng(0))
    return replace(result, baseline=replace(result.baseline, note="blessed 6 days ago by ada"))


BLOCKED = result_of(170)
HOSTILE_RESULT = result_of(170, hostile=True, repeats=3)


def test_terminal_says_verdict_figures_flips_and_provenance() -> None:
    lines = gate_text(BLOCKED).split("\n")
    figures = r"expectation dropped 15\.0 points \[-\d+\.\d, -\d+\.\d\], margin 5"
    assert re.fullmatch(rf"BLOCK  {figures}, p < 0\.0001 \(Holm, 4 comparisons\)", lines[0])
    assert lines[1].strip() == "30 cases got worse, 0 better, 170 same; worst slice: FM-0003 (30 of 200)"
    assert lines[2].strip() == (
        "baseline main@3f2c9d8, blessed 6 days ago by ada; dataset g-1 (200 cases); 0 of 200 missing; cost $0.41"
    )


def test_headline_of_a_pass_and_of_too_few_cases() -> None:
    assert headline(result_of(200)) == "no metric dropped beyond its margin in 200 cases"
    assert re.search(r"margin 5: 30 cases do not decide, about \d+ would pass", headline(result_of(30, 30)))


def test_headline_names_a_critical_case_that_broke() -> None:
    broken = result_of(199, repeats=3)
    assert broken.verdict == "BLOCK"
    assert headline(broken) == "critical case c199 failed in every repeat and passed in the baseline"


def test_table_aligns_every_comparison() -> None:
    lines = comparison_table(BLOCKED).split("\n")
    assert len(lines) == len(BLOCKED.comparisons) + 2
    assert lines[1].startswith("expectation  all")


def test_what_blocks_stands_before_what_passes() -> None:
    rows = [line for line in gate_markdown(BLOCKED).split("\n") if line.startswith("| `")]
    assert ["BLOCK" in row for row in rows] == [True, True, False, False]


def test_run_in_words_gives_interval_and_count() -> None:
    run = made_run({"expectation": [1] * 18 + [0] * 2}, {"expectation": BINARY})
    told = run_text(run, summarize(run, np.random.default_rng(0)))
    assert "expectation  90.0 % [69.9, 97.2], 20 of 20 cases" in told


def test_json_holds_the_whole_result() -> None:
    told = json.loads(gate_json(BLOCKED, 1))
    assert (told["schema"], told["verdict"], told["exit_code"], told["worse"]) == ("flywheel.gate/1", "BLOCK", 1, 30)
    assert told["comparisons"][0]["metric"] == "expectation"
    assert len(told["flips"]) == 30


def test_junit_counts_what_blocks() -> None:
    suite = ElementTree.fromstring(gate_junit(BLOCKED))
    failures = [test.get("classname") for test in suite if test.find("failure") is not None]
    assert suite.get("failures") == str(len(failures)) != "0"
    assert set(failures) == {"gate.expectation"}


def test_junit_of_few_cases_skips_what_is_undecided() -> None:
    suite = ElementTree.fromstring(gate_junit(result_of(30, 30)))
    assert (suite.get("failures"), suite.get("skipped")) == ("0", str(len(suite.findall(".//skipped"))))
    assert suite.get("skipped") != "0"


def test_markdown_puts_the_answer_first_and_folds_cases() -> None:
    text = gate_markdown(BLOCKED)
    assert text.startswith(f"{MARKER}\n## ⛔ BLOCK: `expectation`")
    assert "<details><summary>30 cases got worse</summary>" in text
    assert "18 more are in the HTML report." in text
    assert len(text) < 65_536


def test_hostile_text_is_only_code_in_markdown() -> None:
    text = gate_markdown(HOSTILE_RESULT)
    assert len(text) < 65_536
    outside = without_code(text)
    assert set(re.findall(r"<[^>\s][^>]*>", outside)) <= {
        MARKER, "<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>",
    }  # fmt: skip
    assert "@everyone" not in outside
    assert "http" not in outside
    assert "alert" not in outside
    assert outside.count("<details>") == outside.count("</details>") == 1


def without_code(text: str) -> str:
    """Take code blocks and code spans out as a Markdown reader finds them."""
    kept, fence = [], ""
    for line in text.split("\n"):
        opening = re.match(r"(`{3,})text$", line)
        if fence:
            fence = "" if re.fullmatch(rf"{fence}`*\s*", line) else fence
        elif opening:
            fence = opening[1]
        else:
            kept.append(re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", line))
    assert not fence
    return "\n".join(kept)


@pytest.mark.parametrize("text", ["plain", "`", "``` ```` `", "", " ", "a`b``c"])
def test_code_span_holds_any_backticks(text: str) -> None:
    assert without_code(code(text)) == ""


@pytest.mark.parametrize("text", ["```", "````\n```text\n", "~~~", "\r```\r"])
def test_code_block_holds_any_fence(text: str) -> None:
    assert without_code(block(text)) == ""


def test_table_rows_have_seven_cells_whatever_a_mode_is_called() -> None:
    rows = [line for line in gate_markdown(HOSTILE_RESULT).split("\n") if line.startswith("| ") and "critical)" in line]
    assert rows
    assert {row.count("|") for row in rows} == {8}


class Elements(HTMLParser):
    """Collects elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_hostile_text_is_only_text_in_html() -> None:
    page = gate_html(HOSTILE_RESULT)
    elements = Elements()
    elements.feed(page)
    assert not elements.names & {"script", "img", "textarea", "iframe", "link"}
    assert not {name for name in elements.attributes if name.startswith("on")} | elements.attributes & {"src", "href"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert not re.search("[\x00\x1b\u202e\ud800]", page)


def test_html_shows_both_answers_and_loads_nothing() -> None:
    page = gate_html(BLOCKED)
    assert "main answers c199" in page
    assert "pr-214 answers c199" in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"https?://|url\(", page)


def test_hostile_text_keeps_junit_and_json_valid() -> None:
    suite = ElementTree.fromstring(gate_junit(HOSTILE_RESULT))
    assert {child.tag for child in suite} == {"testcase", "system-out"}
    told = json.loads(gate_json(HOSTILE_RESULT, 1))
    assert told["flips"][0]["user_input"] == HOSTILE


def test_hostile_text_cannot_move_the_terminal() -> None:
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", gate_text(HOSTILE_RESULT) + comparison_table(HOSTILE_RESULT))


def test_artefacts_are_all_written(tmp_path: Path) -> None:
    write_gate(HOSTILE_RESULT, 1, tmp_path / "gate")
    assert {path.name for path in (tmp_path / "gate").iterdir()} == {"gate.json", "gate.md", "junit.xml", "report.html"}


def test_failure_replaces_an_earlier_result(tmp_path: Path) -> None:
    write_gate(BLOCKED, 1, tmp_path)
    write_failure(f"the pipeline is down: {HOSTILE}", 4, tmp_path)
    told = json.loads((tmp_path / "gate.json").read_text())
    assert (told["verdict"], told["exit_code"]) == (None, 4)
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("errors") == "1"
    assert "alert" not in without_code((tmp_path / "gate.md").read_text(encoding="utf-8"))
    assert not (tmp_path / "report.html").exists()


def test_shown_text_keeps_lines_and_is_cut() -> None:
    assert shown("a\r\nb\rc\td\x07") == "a\nb\nc\td\ufffd"
    assert shown("abcdef", 4) == "abc…"


@pytest.mark.parametrize(("p", "said"), [(0.00001, "< 0.0001"), (0.0008, "0.0008"), (0.0312, "0.03"), (1.0, "1.00")])
def test_p_values_are_written_short(p: float, said: str) -> None:
    assert p_value(p) == said


def test_pages_say_that_a_case_got_no_answer_and_why() -> None:
    good = {"expectation": [1] * 100}
    down = {"c007": Answer(status="timeout", reason="30 s")}
    old, new = made_run(good, {"expectation": BINARY}), made_run(good, {"expectation": BINARY}, answers=down)
    result = decide(old, new, GatePolicy(), np.random.default_rng(0))
    for page in (gate_html(result), gate_markdown(result)):
        assert "answered: timeout: 30 s" in page
        assert "(no answer)" in page
    assert "(empty)" not in gate_html(result)
    assert "worse: c007 on answered" in gate_junit(result)


def test_the_largest_drop_is_told_even_where_the_verdict_rests_on_another_metric() -> None:
    values = {"expectation": [1] * 5, "token_f1": [0.9] * 5}
    facts = {"expectation": BINARY, "token_f1": CONTINUOUS}
    worse = made_run({**values, "token_f1": [0.1] * 5}, facts)
    told = gate_text(decide(made_run(values, facts), worse, GatePolicy(), np.random.default_rng(0)))
    assert told.startswith("INCONCLUSIVE")
    assert "largest drop: token_f1 -80.0" in told

"""What findings come to in words: the headline, the lanes of the list, which traces were not judged."""

from collections import Counter
from dataclasses import dataclass

from flywheel.look.findings import Findings, Shown, Unjudged
from flywheel.report.wording import count_of, number, percent, visible

AROUND = 280
"""Characters of an answer that are shown on either side of its least supported sentence."""

LANE_WORDS = {
    "mode": "for failure modes",
    "unflagged": "at random from what is not flagged",
    "random": "at random from all",
    "unsure": "where the detector is unsure",
    "disliked": "that people disliked",
    "personal data": "with personal data in the answer",
    "injection": "with a prompt injection",
    "worst": "flagged as severe",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer first: what is flagged, of how many, on what it stands."""

    name: str
    value: str
    of: str
    evidence: str

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        return f"{self.name}: {self.value} {self.of}. {self.evidence}"


@dataclass(frozen=True, slots=True)
class Around:
    """An answer about its least supported sentence; `is_cut` where the answer goes on beyond what is here."""

    before: str
    doubtful: str
    after: str
    is_cut: bool


def write_headline(findings: Findings) -> Headline:
    """Say what is flagged: a count and a share without an interval, since nobody labelled anything."""
    share = f" ({percent(findings.ok_flagged / findings.ok)})" if findings.ok else ""
    evidence = (
        f"{count_of(findings.traces, 'trace')} read from {count_of(len(findings.files), 'file')}; "
        f"{judged_words(findings)}"
    )
    evidence += f", {count_of(findings.errors, 'error')} besides" if findings.errors else ""
    answered = f"of {count_of(findings.ok, 'trace')} that answered{share}"
    return Headline("Flagged, unlabelled", number(findings.ok_flagged), answered, evidence)


def judged_words(findings: Findings) -> str:
    """Say how many answers the detector could judge, plainly where these are few."""
    if not findings.judged:
        return "the detector could judge none"
    if findings.judged < findings.ok / 2:
        return f"the detector could judge only {number(findings.judged)}"
    return f"{number(findings.judged)} judged by the detector"


def count_lanes(findings: Findings) -> list[tuple[str, int]]:
    """Count what the list to label was taken from, in words."""
    counted = Counter(one.lane for one in findings.to_label)
    return [(words, counted[lane]) for lane, words in LANE_WORDS.items() if counted[lane]]


def unjudged_traces(findings: Findings) -> list[Unjudged]:
    """Give those reasons that apply to traces as a whole: with what was judged they add up to all traces."""
    parts = ("the texts of some passages", "steps without a question")
    return [one for one in findings.unjudged if not one.why.startswith(parts)]


def around(trace: Shown, most: int = AROUND) -> Around | None:
    """Cut an answer about its least supported sentence; None where there is none."""
    if trace.doubtful is None:
        return None
    start, end = trace.doubtful
    before, doubtful, after = trace.response[:start], trace.response[start:end], trace.response[end:]
    first, last = max(len(before) - most, 0), min(len(after), most)
    if first and (gap := before.find(" ", first, first + 30)) > 0:
        first = gap + 1
    if last < len(after) and (gap := after.rfind(" ", max(last - 30, 0), last)) > 0:
        last = gap
    is_cut = first > 0 or len(after) > last or len(doubtful) > 3 * most
    return Around(
        ("… " if first else "") + visible(before[first:]),
        visible(doubtful[: 3 * most]) + ("…" if len(doubtful) > 3 * most else ""),
        visible(after[:last]) + ("\u00a0…" if len(after) > last else ""),
        is_cut,
    )


def capital(text: str) -> str:
    """Begin a sentence with a capital letter, and leave the rest as it is."""
    return text[:1].upper() + text[1:]

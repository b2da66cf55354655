"""What people said in the tool that an export comes from, read as good or bad; how it was read is told beside it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flywheel.governance.masking import Mask, mask_by_default, mask_name
from flywheel.look.findings import HumanSaid
from flywheel.look.observed import Observed
from flywheel.report.wording import brief

Verdict = Literal["good", "bad", "unclear"]
Score = tuple[str, str, float | None, str | None, str | None]
"""Trace id, name, value, label, comment."""

GOOD = frozenset({
    "good", "pass", "passed", "correct", "true", "yes", "positive", "thumbs_up", "thumbsup", "up", "like", "liked",
    "helpful", "relevant", "grounded", "faithful", "accurate", "ok", "okay", "accept", "accepted", "approved",
    "excellent", "satisfied", "success", "👍",
})  # fmt: skip
BAD = frozenset({
    "bad", "fail", "failed", "incorrect", "wrong", "false", "no", "negative", "thumbs_down", "thumbsdown", "down",
    "dislike", "disliked", "unhelpful", "irrelevant", "ungrounded", "unfaithful", "inaccurate", "hallucinated",
    "hallucination", "reject", "rejected", "poor", "unsatisfied", "failure", "👎",
})  # fmt: skip
TURNED = re.compile(
    "hallucinat|toxic|bias|harm|error|issue|bug|problem|unsafe|leak|injection|unfaithful|irrelevan|incorrect|wrong|bad|fail"
)
"""Names of scores where much is bad."""

TOPS = (1, 2, 3, 4, 5, 7, 10, 100)
RATING = "stars of the user"
STARS_LIKED = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of a score are read: those above `middle` are good, or bad where the name says so (`turned`)."""

    low: float
    high: float
    turned: bool

    @property
    def middle(self) -> float:
        """What is neither good nor bad."""
        return (self.low + self.high) / 2

    def verdict(self, value: float) -> Verdict:
        """Read a value."""
        if value == self.middle:
            return "unclear"
        return "good" if (value > self.middle) != self.turned else "bad"

    @property
    def reading(self) -> str:
        """Say it."""
        side = "above" if self.turned else "below"
        return f"values from {self.low:g} to {self.high:g}, {side} {self.middle:g} is bad"


def scale_of(name: str, values: Iterable[float]) -> Scale | None:
    """Guess the scale of a score by the values that it takes; None where it takes none."""
    known = sorted(values)
    if not known:
        return None
    turned = bool(TURNED.search(name.lower()))
    low, high = known[0], known[-1]
    if low < 0:
        edge = max(-low, high)
        return Scale(-edge, edge, turned)
    top = next((top for top in TOPS if top >= high), high)
    is_stars = low >= 1 and 3 <= top <= 7
    return Scale(1.0 if is_stars else 0.0, float(top), turned)


def read_label(label: str, turned: bool) -> Verdict:
    """Read a label: one of the words we know, or unclear."""
    word = re.sub(r"[\s-]+", "_", label.strip().lower())
    if word in ("true", "yes") or word in ("false", "no"):
        return "good" if (word in ("true", "yes")) != turned else "bad"
    return "good" if word in GOOD else "bad" if word in BAD else "unclear"


@dataclass(frozen=True, slots=True)
class HumanVerdicts:
    """By score name the verdict on each trace, and how that name was read; by trace how it was disliked."""

    verdicts: dict[str, dict[str, Verdict]]
    readings: dict[str, str]
    dislikes: dict[str, str]


def read_scores(scores: Sequence[Score], mask: Mask = mask_by_default) -> HumanVerdicts:
    """Read scores; the verdict on a trace is that of most of those who spoke.

    What is quoted is masked first and cut then: half a card number is none that a mask would find.
    """
    found = HumanVerdicts({}, {}, {})
    for name in dict.fromkeys(score[1] for score in scores):
        own = [score for score in scores if score[1] == name]
        turned = bool(TURNED.search(name.lower()))
        scale = scale_of(name, (value for _, _, value, label, _ in own if value is not None and not is_known(label)))
        votes: dict[str, list[Verdict]] = {}
        told: dict[str, str] = {}
        for trace_id, _, value, label, comment in own:
            if label and is_known(label):
                verdict, words = read_label(label, turned), mask(label)
            elif value is not None and scale is not None:
                verdict, words = scale.verdict(value), f"{value:g}"
            else:
                continue
            votes.setdefault(trace_id, []).append(verdict)
            if verdict == "bad":
                remark = f", “{brief(mask(comment), 160)}”" if comment else ""
                told.setdefault(trace_id, f"{brief(mask(name), 60)} {brief(words, 40)}{remark}")
        if votes:
            found.verdicts[name] = {trace_id: majority(said) for trace_id, said in votes.items()}
            found.readings[name] = scale.reading if scale else "read by its words"
            for trace_id, verdict in found.verdicts[name].items():
                if verdict == "bad":
                    found.dislikes.setdefault(trace_id, told[trace_id])
    return found


def is_known(label: str | None) -> bool:
    """Tell whether a label is a word that we can read."""
    return label is not None and read_label(label, turned=False) != "unclear"


def majority(said: Sequence[Verdict]) -> Verdict:
    """Give what more people said; unclear where they are divided."""
    good, bad = said.count("good"), said.count("bad")
    return "good" if good > bad else "bad" if bad > good else "unclear"


def star_verdicts(observed: Sequence[Observed], low_rating: int) -> dict[str, Verdict]:
    """Read the stars that users gave."""
    return {
        one.trace_id: "bad" if one.rating <= low_rating else "good" if one.rating >= STARS_LIKED else "unclear"
        for one in observed
        if one.rating is not None
    }


def compare(
    verdicts: Mapping[str, Mapping[str, Verdict]],
    readings: Mapping[str, str],
    observed: Sequence[Observed],
    mask: Mask = mask_by_default,
) -> tuple[HumanSaid, ...]:
    """Lay out each kind of verdict beside the flags that are more than dislikes, the one with most traces first."""
    flagged = {one.trace_id: one.is_suspected for one in observed}
    tables = []
    for name, said in verdicts.items():
        seen = Counter((verdict, flagged[trace_id]) for trace_id, verdict in said.items())
        tables.append(
            HumanSaid(
                brief(mask_name(name, mask), 80),
                readings[name],
                bad_flagged=seen["bad", True],
                bad_not=seen["bad", False],
                good_flagged=seen["good", True],
                good_not=seen["good", False],
                unclear=seen["unclear", True] + seen["unclear", False],
            )
        )
    return tuple(sorted(tables, key=lambda table: (-table.traces, table.name)))

"""Whether an answer does what its golden case expects, checked without a model.

Checked are the phrases it must include and whether it must abstain; `supported` is for the metrics that
read passages. A case that expects nothing of these is not applicable.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from eval.cases import GoldenCase
from eval.metrics.abstention import is_abstention
from eval.metrics.answer import missing_phrases
from eval.sample import Instrument, Sample, Score

NAME = "expectation"
TITLE = "Expectations met"
INSTRUMENT = Instrument(NAME, "1", "", sha256(b"").hexdigest(), "nothing").id


def score_expectations(samples: Sequence[Sample], cases: Mapping[str, GoldenCase]) -> list[Score]:
    """Score 1 where an answer meets all that its case expects, else 0; `cases` are by sample id."""
    return [score_expectation(sample, cases[sample.id]) for sample in samples]


def score_expectation(sample: Sample, case: GoldenCase) -> Score:
    """Check one answer; the reason names what was not met."""
    expected = case.expectation
    if not expected.must_include and expected.abstain is None:
        reason = "the case expects nothing that can be checked"
        return Score(sample.id, NAME, None, "not_applicable", reason, INSTRUMENT)
    unmet = [f"does not say {phrase!r}" for phrase in missing_phrases(sample.response, expected.must_include)]
    if not sample.response.strip():
        unmet.append("is empty")
    if expected.abstain is not None and is_abstention(sample.response) != expected.abstain:
        unmet.append("answers instead of abstaining" if expected.abstain else "abstains instead of answering")
    return Score(sample.id, NAME, float(not unmet), reason="; ".join(unmet), instrument=INSTRUMENT)

"""The answer against a reference answer: exact match, token F1, lexical correctness, similarity of meaning.

Texts are compared as tokens: Unicode NFKC, case folded, punctuation dropped. Figures keep their sign and
the point or comma inside them; Chinese and Japanese count by the character. A sample without a reference
is not applicable; an empty answer scores 0.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from eval.embedding import WEIGHTS_SHA256, Embedder
from eval.sample import Instrument, Sample, Score

EXACT_MATCH = "exact_match"
TOKEN_F1 = "token_f1"  # noqa: S105 - a metric, no secret
LEXICAL_CORRECTNESS = "answer_correctness_lexical"
SIMILARITY = "answer_similarity"
CODE_VERSION = "1"

TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"  # Kana and Han: no spaces between words
    r"|(?:(?<!\w)[-\u2212](?=\d))?"  # the sign of a figure
    r"[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+(?:(?<=\d)[.,](?=\d)\w+)*"
    r"|[+#%$€£¥°]"  # C is not C++, 5 is not 5 %
)


def tokens(text: str) -> list[str]:
    """Split a text into normalised tokens."""
    return TOKEN.findall(unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-"))


def contains_all(response: str, phrases: Sequence[str]) -> bool:
    """Say whether each phrase stands in the response, as whole tokens in a row; no phrases are all contained."""
    return not missing_phrases(response, phrases)


def missing_phrases(response: str, phrases: Sequence[str]) -> list[str]:
    """Give the phrases that do not stand in the response; a phrase of punctuation only is looked up as it is."""
    joined = joinable(tokens(response))
    return [
        phrase
        for phrase in phrases
        if (joinable(wanted) not in joined if (wanted := tokens(phrase)) else phrase not in response)
    ]


def joinable(words: Sequence[str]) -> str:
    """Join tokens so that one sequence stands in another exactly where its string stands in the other's."""
    return f" {' '.join(words)} "


def exact_match(response: Sequence[str], reference: Sequence[str]) -> float:
    """Give 1 where both are the same tokens in the same order, else 0."""
    return float(list(response) == list(reference))


def token_f1(response: Sequence[str], reference: Sequence[str]) -> float:
    """Give the harmonic mean of token precision and recall, order aside (SQuAD, Rajpurkar et al. 2016)."""
    shared = (Counter(response) & Counter(reference)).total()
    return 2 * shared / (len(response) + len(reference))


def lexical_correctness(response: Sequence[str], reference: Sequence[str]) -> float:
    """Give the share of the reference that the response says in the same order (ROUGE-L recall, Lin 2004)."""
    return longest_common_subsequence(response, reference) / len(reference)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Give its length, with one bit a token of `second` (Hyyrö 2004), so long texts stay cheap."""
    places: dict[str, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(second)) - 1
    open_places = every
    for word in first:
        matched = open_places & places.get(word, 0)
        open_places = (open_places + matched | open_places - matched) & every
    return len(second) - open_places.bit_count()


def score_exact_match(samples: Sequence[Sample]) -> list[Score]:
    """Score 1 where answer and reference are equal after normalisation, else 0."""
    return score_by_tokens(EXACT_MATCH, samples, exact_match)


def score_token_f1(samples: Sequence[Sample]) -> list[Score]:
    """Score the token F1 of answer and reference."""
    return score_by_tokens(TOKEN_F1, samples, token_f1)


def score_lexical_correctness(samples: Sequence[Sample]) -> list[Score]:
    """Score how much of the reference the answer says, in its order; extra words cost nothing."""
    return score_by_tokens(LEXICAL_CORRECTNESS, samples, lexical_correctness)


def score_by_tokens(
    metric: str, samples: Sequence[Sample], compare: Callable[[Sequence[str], Sequence[str]], float]
) -> list[Score]:
    """Score each sample that has a reference with a comparison of tokens."""
    instrument = Instrument(metric, CODE_VERSION, "", hashlib.sha256(b"").hexdigest(), "nothing").id
    return [
        Score(sample.id, metric, compare(tokens(sample.response), wanted), instrument=instrument)
        if (wanted := tokens(sample.reference or ""))
        else without_reference(sample, metric, instrument)
        for sample in samples
    ]


def score_answer_similarity(samples: Sequence[Sample], embed: Embedder) -> list[Score]:
    """Score the cosine of answer and reference as vectors, from -1 to 1."""
    instrument = Instrument(SIMILARITY, CODE_VERSION, WEIGHTS_SHA256, hashlib.sha256(b"").hexdigest(), "nothing").id
    compared = [sample for sample in samples if tokens(sample.reference or "")]
    vectors = embed([sample.response for sample in compared] + [sample.reference or "" for sample in compared])
    cosines = iter((vectors[: len(compared)] * vectors[len(compared) :]).sum(axis=1))
    scores = []
    for sample in samples:
        if not tokens(sample.reference or ""):
            scores.append(without_reference(sample, SIMILARITY, instrument))
            continue
        cosine = float(next(cosines))
        value = cosine if sample.response.strip() else 0.0
        scores.append(Score(sample.id, SIMILARITY, value, instrument=instrument))
    return scores


def without_reference(sample: Sample, metric: str, instrument: str) -> Score:
    """Give the score of a sample that nothing can be compared with."""
    return Score(sample.id, metric, None, "not_applicable", "no reference answer", instrument=instrument)

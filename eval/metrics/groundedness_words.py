"""Words, numbers, names and clock times as the groundedness detector sees them."""

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
NOT_CONTENT = re.compile(
    r"^\s*(?:[-*•–]\s+)?\(?\d{1,3}[.)]\s|\[\d{1,3}(?:,\s?\d{1,3})*\]"
    r"|\b(?:passages?|documents?|sources?|steps?)\s+\d{1,2}(?:(?:,\s|\sand\s)\d{1,2})*\b"
    r"|\b\d{1,4}[ -]words?\b",
    re.I,
)
"""List markers, citations, 'Passage 2' and 'in 50 words': numbers that claim nothing."""
TIME = re.compile(r"\b(\d{1,2})(?::(\d{1,2}))?\s?([ap])\.?m\b\.?|\b(\d{1,2}):(\d{1,2})(?!\d)", re.I)
DIGIT = re.compile(r"\d")
LONGEST_WORD = 40


def word_set(text: str) -> frozenset[str]:
    """Give the words of a list."""
    return frozenset(text.split())


STOP = word_set("""
    a an the this that these those and or but nor so if then than as at by for from in into of off on onto out
    over to up with without within about after again against all also although am any are be because been
    before being below between both can could did do does doing down during each either few further had has
    have having he her here hers him his how however i it its itself just let may me might more most must my
    neither no nor not now only other our ours own same she should since some such their theirs them there
    they through too under until upon very was we were what when where whether which while who whom whose why
    will would yes you your yours s t st nd rd th d ll m re ve etc via per one several many much another every
    among along across around well still even often like
""")
META = word_set("""
    passage provide give base answer question follow accord text document context information mention article
    summary state source specific detail additional overall important note include summarize sure
""")
"""Stems with which answers speak about themselves and their passages."""
NEGATIONS = word_set("not no never none nothing neither nor cannot without nobody unable lack")
HEDGES = word_set("may might could likely probably possibly perhaps usually typically generally often seem appear")
TEENS = (
    "two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: str(number) for number, word in enumerate(TEENS.split(" "), start=2)} | {
    word: str(10 * number) for number, word in enumerate(TENS.split(" "), start=2)
}
SHORT_STEM_SUFFIXES = word_set("s es ed ing ies ied")
SUFFIXES = tuple(
    sorted(
        word_set("""
            ational ization fulness ation ition ments ement ment ness ings edly ions able ible ally ing ies
            ied ion ity est ers ed es er ly al s
        """),
        key=lambda suffix: (-len(suffix), suffix),
    )
)


@dataclass(frozen=True, slots=True)
class Words:
    """What was read in one piece of text, in its order.

    `content` are the stems that carry meaning, `all` every stem, `numbers` pairs of normal form and the words as
    written, `names` pairs of stem and the capitalised word, `times` pairs of the minutes after midnight that a clock
    time may mean and the words as written.
    """

    all: tuple[str, ...]
    content: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, str], ...]
    times: tuple[tuple[tuple[int, ...], str], ...]
    is_negated: bool


def read_words(text: str) -> Words:
    """Read the words of a sentence."""
    if DIGIT.search(text):
        text = NOT_CONTENT.sub(" ", text)
        times, text = take_times(text)
    else:
        times = ()
    matches = WORD.findall(text)
    stems: list[str] = []
    content: list[str] = []
    numbers: list[tuple[str, str]] = []
    names: list[tuple[str, str]] = []
    for position, word in enumerate(matches):
        stem, number, is_content, is_capitalised = classify(word)
        stems.append(stem)
        if is_content:
            content.append(stem)
            if is_capitalised and position:
                names.append((stem, word))
        elif number:
            numbers.append((number, number_phrase(matches, position)))
    negated = not NEGATIONS.isdisjoint(stems)
    return Words(tuple(stems), tuple(content), tuple(numbers), tuple(names), times, negated)


@lru_cache(maxsize=65_536)
def classify(word: str) -> tuple[str, str, bool, bool]:
    """Give a word's stem, the number it is if it is one, whether it carries meaning, whether it looks like a name."""
    if word[0].isdigit():
        number = normal_number(word)
        return number, number, False, False
    stem = stem_of(word[:LONGEST_WORD])
    number = NUMBER_WORDS.get(stem, "")
    is_content = not number and stem not in STOP and stem not in META
    return stem, number, is_content, is_content and len(word) > 1 and word[0].isupper()


def take_times(text: str) -> tuple[tuple[tuple[tuple[int, ...], str], ...], str]:
    """Give the clock times of a text and the text without them."""
    times = tuple((possible_minutes(match), match.group().strip()) for match in TIME.finditer(text))
    return times, TIME.sub(" ", text) if times else text


def possible_minutes(match: re.Match[str]) -> tuple[int, ...]:
    """Give the minutes after midnight that a clock time may mean: 5:30 is two of them, 5:30 pm is one."""
    hour, minute, half, hour24, minute24 = match.groups()
    if half:
        return ((int(hour) % 12 + (12 if half.lower() == "p" else 0)) * 60 + int(minute or 0),)
    exact = int(hour24) * 60 + int(minute24)
    return (exact, exact + 720) if 60 <= exact < 780 else (exact,)


def number_phrase(words: list[str], position: int) -> str:
    """Give a number with the word after it, as in '14 days'."""
    following = words[position + 1] if position + 1 < len(words) else ""
    if following.isalpha() and following.lower() not in STOP:
        return f"{words[position]} {following}"[:LONGEST_WORD]
    return words[position][:LONGEST_WORD]


def normal_number(written: str) -> str:
    """Give a number one spelling: 1,000 and 1000.0 are both 1000."""
    digits = written[:LONGEST_WORD].replace(",", "")
    if digits.count(".") == 1:
        digits = digits.rstrip("0").rstrip(".")
    return digits.lstrip("0") or "0"


def stem_of(word: str) -> str:
    """Give the stem of a word: lower case, without possessive and common English suffixes."""
    word = word.lower().replace("’", "'")
    if word.endswith("n't"):
        return "not"
    word = word.split("'", 1)[0] or word
    if word in STOP or word in NUMBER_WORDS or word in NEGATIONS or word in HEDGES:
        return word
    return strip_suffix(word)


def strip_suffix(word: str) -> str:
    """Take the longest known suffix off a word of which at least four letters remain, three before an inflection."""
    for suffix in SUFFIXES:
        left = len(word) - len(suffix)
        if left >= (3 if suffix in SHORT_STEM_SUFFIXES else 4) and word.endswith(suffix):
            if suffix == "s" and word[-2] in "su":
                break
            word = word[:left] + ("y" if suffix in ("ies", "ied") else "")
            if word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 4 and word[-1] == "e" else word


PAIRS = """
    increase decrease, rise fall, rose fell, more less, high low, higher lower, before after, win lose, won
    lost, open close, opened closed, large small, larger smaller, first last, oldest newest, older younger,
    allow forbid, accept reject, always never, early late, earlier later, north south, east west, best worst,
    positive negative, approve reject, cheap expensive, cold hot, left right, start end, most fewest, minimum
    maximum, above below, fast slow, guilty innocent, inside outside, include exclude, male female
"""
OPPOSITES = {
    stem_of(one): stem_of(other) for pair in PAIRS.split(",") for one, other in (pair.split(), reversed(pair.split()))
}
"""Stems that turn a claim round."""


@cache
def rarities() -> dict[str, float]:
    """The packaged rarity of each common stem, from 0 (in every text) to 1 (in none)."""
    stored = json.loads(files("eval.metrics").joinpath("groundedness_words.json").read_text(encoding="utf-8"))
    return {stem: int(level) / 100 for level, stems in stored["stems_by_rarity"].items() for stem in stems.split()}

"""How the report writes numbers and other people's text: the same on paper, in a terminal and in a browser."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

THIN = "\u202f"
"""The narrow space that does not break a line: between thousands, and before a per cent sign."""
MINUS = "\u2212"
FOLD_CHARACTERS = 420
FOLD_LINES = 6
MOST_CHARACTERS = 2000
"""A page shows no more of one text; `report.json` holds the whole of it."""

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that are not seen but act: on a terminal, on lines, on the direction of writing."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A text with what is seen of it at first; `characters` counts the whole, of which `text` may be the beginning."""

    head: str
    text: str
    characters: int

    @property
    def is_folded(self) -> bool:
        """Whether there is more than the head."""
        return self.characters > len(self.head)

    @property
    def is_cut(self) -> bool:
        """Whether the page lacks the end."""
        return self.characters > len(self.text)


def number(value: float) -> str:
    """Write a count with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", THIN)


def percent(share: float) -> str:
    """Write a share from 0 to 1 as `18.4 %`."""
    return f"{100 * share:.1f}{THIN}%"


def interval(low: float, high: float) -> str:
    """Write the ends of an interval of shares in per cent, `[15.1, 22.0]`."""
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def points(difference: float) -> str:
    """Write a difference of shares in points with its sign, `+1.2`; what rounds to nothing has none."""
    return signed(100 * difference, 1)


def signed(value: float, digits: int = 0) -> str:
    """Write a number with its sign, `+12`; what rounds to nothing has none."""
    size = f"{abs(value):,.{digits}f}".replace(",", THIN)
    if not re.search("[1-9]", size):
        return size
    return f"{'+' if value > 0 else MINUS}{size}"


def points_interval(low: float, high: float) -> str:
    """Write the ends of an interval of differences in points, `[−3.4, +5.9]`."""
    return f"[{points(low)}, {points(high)}]"


def p_value(p: float) -> str:
    """Write a probability with what of it matters, `0.034`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def moment(when: datetime) -> str:
    """Write a time to the minute, with its zone."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """Write how long a person took, `2 min 10 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def milliseconds(value: float) -> str:
    """Write a latency in seconds."""
    return f"{value / 1000:.1f}{THIN}s"


def words(name: str) -> str:
    """Write a name of the code for people: `unsupported_claim` is `unsupported claim`."""
    return name.replace("_", " ")


def count_of(count: int, noun: str) -> str:
    """Write a count with its noun, `1 trace`, `2 traces`."""
    return f"{number(count)} {noun if count == 1 else noun + 's'}"


def day_title(date: str) -> str:
    """Write an ISO date as `Mon 2`."""
    day = datetime.fromisoformat(date)
    return f"{day:%a} {day.day}"


def visible(text: str) -> str:
    """Show what would act unseen: C0 controls as their pictures, everything else as its code point."""

    def picture(match: re.Match[str]) -> str:
        code = ord(match[0])
        return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"

    return CONTROLS.sub(picture, text.replace("\r\n", "\n"))


def brief(text: str, most: int = 300) -> str:
    """Show a name or a reason, which nobody expects to be long: no more than its beginning."""
    whole = visible(text)
    return whole if len(whole) <= most else f"{whole[:most]}…"


def fold(text: str) -> Folded:
    """Fold a text after six lines or some four hundred characters, whichever comes first."""
    whole = visible(text)
    lines = whole.split("\n")
    head = "\n".join(lines[:FOLD_LINES])
    if len(head) > FOLD_CHARACTERS:
        head = head[:FOLD_CHARACTERS]
    return Folded(head, whole[:MOST_CHARACTERS], len(whole))


def code_span(text: str, limit: int = 240) -> str:
    """Put a text on one line of Markdown as code, where nothing in it acts, not even backticks and table bars."""
    line = " ⏎ ".join(part.strip() for part in visible(text).split("\n") if part.strip())
    if not line:
        return "*(empty)*"
    if len(line) > limit:
        line = f"{line[:limit]}… ({number(len(text))} characters)"
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def split_step(step: str) -> tuple[str, str]:
    """Take a next step apart into its words and its command; either may be empty."""
    if step.startswith("flywheel "):
        return "", step
    before, colon, command = step.partition(": flywheel ")
    return (before, f"flywheel {command}") if colon else (step, "")

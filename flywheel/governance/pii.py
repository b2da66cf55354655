"""Personal data in texts: found by recognisers, masked without moving a single offset."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eval.errors import UserError
from flywheel.governance.accounts import find_cards, find_ibans
from flywheel.governance.contacts import find_emails, find_ip_addresses, phone_recogniser
from flywheel.governance.custom import custom_recogniser, load_recogniser
from flywheel.governance.findings import Finding, Recogniser
from flywheel.governance.national_ids import find_national_ids

__all__ = [
    "RECOGNISERS",
    "Finding",
    "Recogniser",
    "chosen_recognisers",
    "custom_recogniser",
    "find_pii",
    "load_recogniser",
    "redact",
    "redact_value",
]

RECOGNISERS: dict[str, Recogniser] = {
    "email": find_emails,
    "iban": find_ibans,
    "credit_card": find_cards,
    "national_id": find_national_ids,
    "phone": phone_recogniser("US"),
    "ip_address": find_ip_addresses,
}
"""What comes built in, the surest kind first."""

SURENESS = {kind: place for place, kind in enumerate(RECOGNISERS)}
FILL = "\u2588"
A_MASK = re.compile(rf"\[[a-z][a-z0-9_]{{0,31}}{FILL}+\]?|{FILL}+")
ROUNDS = 16
DEEPEST = 64


def chosen_recognisers(
    kinds: Sequence[str], custom: Mapping[str, str] | None = None, region: str = "US"
) -> tuple[Recogniser, ...]:
    """Choose recognisers: built-in kinds, functions as `module:function`, and patterns by name.

    `region` is where phone numbers without a country code belong.
    """
    chosen = []
    for kind in kinds:
        if kind == "phone":
            chosen.append(phone_recogniser(region))
        elif kind in RECOGNISERS:
            chosen.append(RECOGNISERS[kind])
        elif ":" in kind:
            chosen.append(load_recogniser(kind))
        else:
            raise UserError(
                f"{kind!r} is no kind of personal data; choose among {', '.join(RECOGNISERS)}, "
                "or name a function of yours as module:function"
            )
    return (*chosen, *(custom_recogniser(name, pattern) for name, pattern in (custom or {}).items()))


def find_pii(text: str, recognisers: Iterable[Recogniser]) -> tuple[Finding, ...]:
    """Find personal data, in order and without overlaps: the longest finding wins, then the surer kind.

    What sticks out of the one that lost is a finding of its own: nothing that was recognised stays to be read.
    It looks again at the text as masked, until nothing more is found: what stood against a number and hid it may be
    masked by then. So a redacted text holds nothing to find.
    """
    chosen = tuple(recognisers)
    found: list[Finding] = []
    masked = text
    for _ in range(ROUNDS):
        fresh = without_overlaps(outside_masks(masked, (f for recognise in chosen for f in recognise(masked))))
        if not fresh:
            break
        masked = with_masks(masked, fresh)
        found += fresh
    return tuple(sorted(found, key=lambda finding: finding.start))


def outside_masks(text: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the parts of findings that no mask covers; those beyond the text are cut."""
    masks = [match.span() for match in A_MASK.finditer(text)] if FILL in text else []
    for finding in findings:
        start, end = max(0, finding.start), min(finding.end, len(text))
        place = bisect_right(masks, start, key=lambda mask: mask[1])
        while place < len(masks) and masks[place][0] < end:
            if masks[place][0] > start:
                yield Finding(finding.kind, start, masks[place][0])
            start = masks[place][1]
            place += 1
        if start < end:
            yield Finding(finding.kind, start, end)


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Keep of findings that overlap the longest, then the surest; a recogniser of the user's own is surest."""
    kept: list[tuple[int, Finding]] = []
    for finding in sorted(set(findings), key=lambda f: (f.start - f.end, SURENESS.get(f.kind, -1), f.kind, f.start)):
        place = bisect_left(kept, finding.start, key=lambda pair: pair[0])
        is_free_before = place == 0 or kept[place - 1][1].end <= finding.start
        is_free_after = place == len(kept) or kept[place][0] >= finding.end
        if is_free_before and is_free_after:
            kept.insert(place, (finding.start, finding))
    return [finding for _, finding in kept]


def redact(text: str, recognisers: Iterable[Recogniser]) -> str:
    """Mask each finding by as many code points, so that every offset stays true; twice changes nothing."""
    return with_masks(text, find_pii(text, recognisers))


def with_masks(text: str, findings: Sequence[Finding]) -> str:
    """Write masks over findings that stand in order."""
    written = []
    place = 0
    for finding in findings:
        written += [text[place : finding.start], mask(finding.kind, finding.end - finding.start)]
        place = finding.end
    return "".join([*written, text[place:]])


def mask(kind: str, length: int) -> str:
    """Make a mask of a length, with the kind in it where there is room: `[email█████]`."""
    room = length - len(kind) - 2
    return f"[{kind}{FILL * room}]" if room > 0 else FILL * length


def redact_value(value: Any, recognisers: Iterable[Recogniser]) -> Any:
    """Mask the strings in a JSON value, keys too; what nests deeper than 64 levels is masked whole.

    Numbers stay, but one that is a card number as a whole becomes its mask. Keys that come to look alike are numbered.
    """
    return redacted(value, tuple(recognisers), DEEPEST)


def redacted(value: Any, recognisers: tuple[Recogniser, ...], levels: int) -> Any:
    """Mask a value that may nest so many levels more."""
    if isinstance(value, str):
        return redact(value, recognisers)
    if isinstance(value, int) and not isinstance(value, bool):
        return redacted_number(value, recognisers)
    if not isinstance(value, dict | list | tuple):
        return value
    if levels <= 0:
        return FILL
    if isinstance(value, dict):
        names = redacted_keys(value, recognisers)
        return {names[key]: redacted(held, recognisers, levels - 1) for key, held in value.items()}
    return [redacted(held, recognisers, levels - 1) for held in value]


def redacted_keys(keys: Iterable[Any], recognisers: tuple[Recogniser, ...]) -> dict[Any, Any]:
    """Mask keys; those that come to look alike are numbered, the same way in whatever order they stand."""
    named: dict[Any, Any] = {}
    taken: set[Any] = set()
    numbers: dict[Any, int] = {}
    for key in sorted(keys, key=str):
        masked = free = redact(key, recognisers) if isinstance(key, str) else key
        while free in taken:
            numbers[masked] = numbers.get(masked, 1) + 1
            free = f"{masked} ({numbers[masked]})"
        taken.add(free)
        named[key] = free
    return named


def redacted_number(number: int, recognisers: tuple[Recogniser, ...]) -> int | str:
    """Give the mask of a number that is a card number as a whole, or the number."""
    if not 10**12 <= number < 10**19:
        return number
    written = str(number)
    is_masked = any(finding == Finding("credit_card", 0, len(written)) for finding in find_pii(written, recognisers))
    return mask("credit_card", len(written)) if is_masked else number

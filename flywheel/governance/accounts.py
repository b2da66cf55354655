"""IBANs and payment card numbers: what their check digits confirm."""

import re
from collections.abc import Iterator
from functools import cache

from stdnum import iban, luhn, numdb

from flywheel.governance.findings import GAP, HYPHENS, Finding, digit_count, digits_of, has_long_number, is_near

IBAN_START = re.compile(r"[A-Za-z](?<![^\W_].)[A-Za-z]\d\d(?=[ \u00a0-]?[A-Za-z0-9])", re.ASCII)
BETWEEN = " \u00a0-"
SHORTEST, LONGEST = 15, 34


def find_ibans(text: str) -> Iterator[Finding]:
    """Yield IBANs of any country, in one piece or in groups, that pass their check digits."""
    if not has_long_number(text):
        return
    for match in IBAN_START.finditer(text):
        length = iban_length(match[0][:2].upper())
        end = end_of(text, match.start(), length) if length else None
        if end is not None and iban.is_valid(text[match.start() : end].replace("\u00a0", " "), check_country=False):
            yield Finding("iban", match.start(), end)


@cache
def iban_length(country: str) -> int | None:
    """Give the length of a country's IBANs, None where it has none."""
    structure = numdb.get("iban").info(country)[0][1].get("bban")
    if not structure:
        return None
    return 4 + sum(int(size) for size in re.findall(r"(\d+)!", structure))


def end_of(text: str, start: int, length: int) -> int | None:
    """Find where so many letters and digits end, with single separators between; None where a word goes on or ends."""
    place, left = start, length
    while left:
        c = text[place : place + 1]
        if c.isascii() and c.isalnum():
            left -= 1
        elif not c or c not in BETWEEN or text[place - 1] in BETWEEN:
            return None
        place += 1
    return None if text[place : place + 1].isalnum() else place


BREAK = f"[{GAP}{HYPHENS}]"
CARD = re.compile(
    rf"(?<![\w{HYPHENS}])(?<!\d[.,])(?<!\d )(?:"
    rf"\d{{4}}(?P<four>{BREAK})\d{{4}}(?P=four)\d{{4}}(?P=four)\d{{4}}(?:(?P=four)\d{{3}})?"
    rf"|\d{{4}}(?P<six>{BREAK})\d{{6}}(?P=six)\d{{4,5}}"
    rf"|\d{{13,19}})(?![\w]|[.,{HYPHENS}]\d| \d)",
    re.ASCII,
)
A_CARD = re.compile(
    r"(?:\b|_)(?:cards?|visa|master ?card|amex|american express|discover|diners|maestro|credit|debit|pan|cc|kreditkarte"
    r"|karte|carte|tarjeta|carta|cartão|kaart)(?:\b|_)",
    re.IGNORECASE,
)
ISSUERS = (
    ((13, 16, 19), ("4",)),
    ((15,), ("34", "37")),
    ((16,), (*(str(n) for n in range(51, 56)), *(str(n) for n in range(2221, 2721)))),
    ((14,), ("300", "301", "302", "303", "304", "305", "36", "38", "39")),
    ((16, 17, 18, 19), ("6011", *(str(n) for n in range(644, 650)), "65", "62")),
    ((16, 17, 18, 19), tuple(str(n) for n in range(3528, 3590))),
    ((16, 17, 18, 19), ("50", "56", "57", "58", "60", "61", "63", "67", "68", "69")),
    ((16,), ("2200", "2201", "2202", "2203", "2204")),
)
"""Lengths and first digits of Visa, American Express, Mastercard, Diners, Discover and UnionPay, JCB, Maestro, Mir."""


def find_cards(text: str) -> Iterator[Finding]:
    """Yield payment card numbers, in one piece or in groups; a number inside an address needs a word beside it."""
    if digit_count(text) < 13 or not has_long_number(text):
        return
    for match in CARD.finditer(text):
        if not is_card(digits_of(match[0])):
            continue
        is_in_an_address = text[match.start() - 1 : match.start()] in tuple("/=_&")
        if not is_in_an_address or is_near(text, *match.span(), A_CARD):
            yield Finding("credit_card", *match.span())


def is_card(digits: str) -> bool:
    """Tell whether an issuer could have given out this number and its check digit is right."""
    if len(set(digits)) < 2 or not luhn.is_valid(digits):
        return False
    return any(len(digits) in lengths and digits.startswith(prefixes) for lengths, prefixes in ISSUERS)

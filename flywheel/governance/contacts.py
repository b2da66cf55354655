"""E-mail addresses, phone numbers and IP addresses: expressions find candidates, libraries decide."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import phonenumbers
from phonenumbers import Leniency, NumberParseException, PhoneNumberMatcher

from eval.errors import UserError
from flywheel.governance.findings import (
    GAP,
    HYPHENS,
    Finding,
    Recogniser,
    digit_count,
    digits_of,
    has_long_number,
    is_near,
)

LOCAL = 64
LOCAL_BACKWARDS = re.compile(r"[\w.!#$%&*+/=?^`{|}~'-]{1,64}")
FOLLOWING_DOMAIN = re.compile(r"[\w.-]{1,253}")
LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
TOP_LEVEL = re.compile(r"[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}", re.IGNORECASE)
GLUED = re.compile(r"\.[a-z]{2,}((?:[A-Z][a-z]|https?$)\w*)$")
FILE_ENDINGS = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "css",
        "js",
        "json",
        "html",
        "htm",
        "xml",
        "txt",
        "pdf",
        "zip",
        "gz",
        "py",
        "java",
        "md",
        "yaml",
        "yml",
        "sh",
        "so",
        "dll",
        "exe",
    ]
)
"""`icon@2x.png` is a file, `git@host:path` a remote: neither is anybody's address."""

SPELLED_OUT = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} ?[\[(] ?at[\])] ?[\w-]{1,63}"
    r"(?:(?: ?[\[({] ?(?:dot|punkt|point|punto) ?[\])}] ?|\.)[\w-]{2,63}){1,4}(?![\w-])",
    re.IGNORECASE,
)


def find_emails(text: str) -> Iterator[Finding]:
    """Yield e-mail addresses, also those written as `name (at) example (dot) org`."""
    at = text.find("@")
    while at >= 0:
        local = LOCAL_BACKWARDS.match(text[max(0, at - LOCAL) : at][::-1])
        if local and (domain := FOLLOWING_DOMAIN.match(text, at + 1)):
            start = at - len(local[0]) + leading(local[0][::-1])
            end = at + 1 + len(without_rest(domain[0]))
            if start < at and is_domain(text[at + 1 : end]) and text[start:at].lower() != "git":
                yield Finding("email", start, end)
        at = text.find("@", at + 1)
    if "at)" in text or "at]" in text or "AT)" in text or "AT]" in text:
        for match in SPELLED_OUT.finditer(text):
            yield Finding("email", *match.span())


def leading(local: str) -> int:
    """Count the characters before an address that are quotes or brackets rather than part of it."""
    return next((place for place, c in enumerate(local) if c.isalnum() or c in "_+"), len(local))


def without_rest(domain: str) -> str:
    """Take off what a sentence, or a missing space, has put behind an address: `example.comThe`."""
    domain = domain.rstrip(".-_")
    glued = GLUED.search(domain)
    return domain[: glued.start(1)] if glued else domain


def is_domain(domain: str) -> bool:
    """Tell whether this is a host name under a top-level domain, not a version or a file."""
    labels = domain.split(".")
    if len(labels) < 2 or not TOP_LEVEL.fullmatch(labels[-1]) or labels[-1].lower() in FILE_ENDINGS:
        return False
    return all(LABEL.fullmatch(label) for label in labels[:-1])


FOUR_PARTS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)(/\d{1,2}(?!\d))?", re.ASCII)
HEX_PARTS = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4})?(?![\w:])", re.IGNORECASE | re.ASCII)
FOUR_PARTS_LIKELY = re.compile(r"\.[0-9]{1,3}\.[0-9]")
HEX_PARTS_LIKELY = re.compile(r":[0-9A-Fa-f]{0,4}:")
A_VERSION = re.compile(
    r"\b(?:v|ver|versions?|builds?|releases?|sections?|chapters?|rev|firmware|figure|table)\b|§", re.I
)
AN_ADDRESS = re.compile(r"\b(?:ips?|ipv4|address(?:es)?|hosts?|servers?|dns|ping|gateway|client|subnet|from)\b", re.I)
MANY = 20
"""Parts below this in all four places read like a section number (3.1.2.4) unless something says otherwise."""


def find_ip_addresses(text: str) -> Iterator[Finding]:
    """Yield IPv4 and IPv6 addresses of hosts: no networks, no netmasks, no loopback, no version numbers."""
    if digit_count(text) >= 4 and FOUR_PARTS_LIKELY.search(text):
        for match in FOUR_PARTS.finditer(text):
            end = match.end() if not match[1] else match.start(1)
            if is_host(match[0]) and not is_numbering(text, match.start(), end):
                yield Finding("ip_address", match.start(), end)
    if HEX_PARTS_LIKELY.search(text):
        for match in HEX_PARTS.finditer(text):
            if is_ipv6_host(match[0]):
                yield Finding("ip_address", *match.span())


def is_host(written: str) -> bool:
    """Tell whether an IPv4 address (`a.b.c.d` or `a.b.c.d/n`) can be somebody's."""
    try:
        address = IPv4Address(written.partition("/")[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.packed[0] in (0, 255):
        return False
    try:
        network = ip_network(written, strict=True)
    except ValueError:
        return True
    return network.prefixlen == 32


def is_numbering(text: str, start: int, end: int) -> bool:
    """Tell whether four numbers are those of a version or a section."""
    if A_VERSION.search(text, max(0, start - 20), start):
        return True
    are_small = all(int(part) < MANY for part in text[start:end].split("."))
    return are_small and not is_near(text, start, end, AN_ADDRESS, before=30, after=15)


def is_ipv6_host(written: str) -> bool:
    """Tell whether this is an IPv6 address, neither loopback nor a time nor two words joined by `::`."""
    try:
        address = ip_address(written)
    except ValueError:
        return False
    groups = [group for group in written.split(":") if group]
    has_digit = any(c.isdigit() for c in written)
    is_long = len(groups) >= 3 or (len(groups) == 2 and len(groups[0]) == 4)
    return isinstance(address, IPv6Address) and not address.is_loopback and has_digit and is_long


SEPARATOR = f"[{GAP}.{HYPHENS}]"
AROUND = rf"[{GAP}.{HYPHENS}/()]"
INTERNATIONAL = re.compile(rf"(?:\+(?<![\w+]\+)|00(?<!\w00))[{GAP}]?\(?[1-9](?:{AROUND}{{0,3}}\d){{6,17}}", re.ASCII)
EXTENSION = r"(?:,?[ ](?:ext\.?|extension|x)[ ]?\d{1,5}(?!\d))?"
NORTH_AMERICAN = re.compile(
    rf"(?<![\w.+$€£#/=-])(?:1{SEPARATOR})?"
    rf"(?:\([2-9]\d\d\)[{GAP}]?{SEPARATOR}?|[2-9]\d\d(?:{SEPARATOR}|/|[ ]-[ ]))[2-9]\d\d(?:{SEPARATOR}|[ ]-[ ])\d{{4}}"
    rf"(?!\w|[.,{HYPHENS}/]\d){EXTENSION}",
    re.ASCII,
)
FOUR_LAST = re.compile(rf"[0-9]{{3}}[{GAP}.{HYPHENS}]{{1,3}}[0-9]{{4}}")
TEN_DIGITS = re.compile(r"[0-9]{10}")
SEVEN_DIGITS = re.compile(
    rf"(?<![\w.+$€£#/={HYPHENS}])(?<!\d )[2-9]\d\d[{HYPHENS}.]\d{{4}}(?!\w|[.,{HYPHENS}/]\d)", re.ASCII
)
FICTION = re.compile(r"555.01\d\d", re.ASCII)
"""555-0100 to 555-0199 are set aside for examples: nobody writes them but as a phone number."""

BARE = re.compile(r"(?<![\w.+$€£#/=-])1?[2-9]\d\d[2-9]\d{6}(?!\w|[.,-]\d)", re.ASCII)
A_TABLE = 40
NATIONAL_RUN = re.compile(rf"(?<![\w.+$€£#/=-])\(?\d(?:{AROUND}{{0,3}}\d){{5,}}(?![\w])", re.ASCII)
A_PHONE = re.compile(
    r"\b(?:phones?|telephone|tel|call(?:ed|ing|s)?|cell|mobile|fax|dial|text|sms|whats ?app|ring|hotline|reach|contact"
    r"|telefon|handy|rufnummer|téléphone|portable|teléfono|móvil|telefono|cellulare|telefone|celular|telefoon)\b",
    re.IGNORECASE,
)


def phone_recogniser(region: str = "US") -> Recogniser:
    """Make the recogniser of phone numbers: international ones, and national ones as a region writes them.

    National numbers are taken only in the groups of the region, or beside a word such as "call"; runs of more than
    forty digits are tables.
    """
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise UserError(f"{region!r} is no region of phone numbers; write two capital letters, such as US, GB or DE")
    find_national = find_north_american if phonenumbers.country_code_for_region(region) == 1 else None

    def find_phones(text: str) -> Iterator[Finding]:
        if not has_long_number(text):
            return
        yield from find_international(text)
        yield from find_national(text, region) if find_national else find_grouped(text, region)

    return find_phones


def find_international(text: str) -> Iterator[Finding]:
    """Yield numbers that begin with + or 00 and a country code."""
    if "+" not in text and "00" not in text:
        return
    for match in INTERNATIONAL.finditer(text):
        written = match[0]
        prefix = 0 if written.startswith("+") else 2
        if prefix and len(digits_of(written)) == len(written):
            continue
        if (size := international_size("+" + written[max(prefix, 1) :])) is None:
            continue
        end = match.start() + size + (1 if prefix else 0)
        if not continues(text, end):
            yield Finding("phone", match.start(), end)


def international_size(written: str) -> int | None:
    """Give how many characters of a text that begins with + are a phone number, None where none are."""
    for match in PhoneNumberMatcher(written, None, Leniency.VALID):
        return match.end if match.start == 0 else None
    try:
        number = phonenumbers.parse(written)
    except NumberParseException:
        return None
    is_example = number.country_code == 1 and str(number.national_number)[3:6] == "555"
    return len(written) if is_example and phonenumbers.is_possible_number(number) else None


def continues(text: str, end: int) -> bool:
    """Tell whether a longer number goes on where this one ends."""
    return text[end : end + 1].isalnum() or (text[end : end + 1] in ".-/" and text[end + 1 : end + 2].isdigit())


def find_north_american(text: str, region: str) -> Iterator[Finding]:
    """Yield numbers of three, three and four digits; area codes nobody has, such as 555, count in this form.

    Seven digits alone need a word beside them, unless they are of the range for fiction.
    """
    if FOUR_LAST.search(text):
        for match in NORTH_AMERICAN.finditer(text):
            yield Finding("phone", *match.span())
        for match in SEVEN_DIGITS.finditer(text):
            if FICTION.fullmatch(match[0]) or is_near(text, *match.span(), A_PHONE, before=25, after=0):
                yield Finding("phone", *match.span())
    if TEN_DIGITS.search(text):
        for match in BARE.finditer(text):
            if is_near(text, *match.span(), A_PHONE, before=30, after=15) and is_valid(match[0], region):
                yield Finding("phone", *match.span())


def is_valid(written: str, region: str) -> bool:
    """Ask the library whether a national number is in use."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except NumberParseException:
        return False


def find_grouped(text: str, region: str) -> Iterator[Finding]:
    """Yield national numbers of a region outside North America, in its own groups."""
    for match in NATIONAL_RUN.finditer(text):
        if len(digits_of(match[0])) > A_TABLE:
            continue
        for found in PhoneNumberMatcher(match[0], region, Leniency.STRICT_GROUPING):
            start, end = match.start() + found.start, match.start() + found.end
            is_bare = found.raw_string.isdigit()
            starts_here = start == match.start() or not text[start - 1].isdigit()
            is_told = is_near(text, start, end, A_PHONE, before=30, after=15)
            if starts_here and not continues(text, end) and (is_told or not is_bare):
                yield Finding("phone", start, end)

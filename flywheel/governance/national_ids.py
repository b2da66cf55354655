"""National identity numbers with check digits, in the forms that people write them in.

What has a form of its own (letters in fixed places, dots and hyphens, a date and a check) is taken wherever it
stands; what is mere digits needs a word of its country beside it, else it is noise.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from flywheel.governance.findings import GAP, Finding, digit_count, has_long_number, is_near

Check = Callable[[str], bool]

S = f"[{GAP}]?"
NOT_IN_A_WORD = r"(?<![\w/=_-])(?<!\d[.,])"
NOTHING_AFTER = r"(?![\w/-]|[.,]\d)"
TO_PLAIN_SPACES = {ord(space): " " for space in GAP}


@dataclass(frozen=True, slots=True)
class Form:
    """How a number is written, the `stdnum` module that checks it, and the words it needs beside it."""

    written: str
    check: str
    words: str = ""


DISTINCT = (
    Form(r"\d{3}-\d\d-\d{4}", "us.ssn"),
    Form(r"9\d\d-\d\d-\d{4}", "us.itin"),
    Form(rf"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]{S}\d\d{S}\d\d{S}\d\d{S}[A-D]", "nino"),
    Form(rf"[12]{S}\d\d{S}[0-9]\d{S}(?:\d\d|2[AB]){S}\d{{3}}{S}\d{{3}}[ ]\d\d", "fr.nir"),
    Form(r"\d{8}-?[A-HJ-NP-TV-Z]", "es.dni"),
    Form(r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", "es.nie"),
    Form(r"[A-Za-z]{6}\d\d[A-EHLMPR-Ta-ehlmpr-t]\d\d[A-Za-z]\d{3}[A-Za-z]", "it.codicefiscale"),
    Form(r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", "be.nn"),
    Form(r"\d{3}\.\d{3}\.\d{3}-\d\d", "br.cpf"),
    Form(r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", "fi.hetu"),
    Form(r"756\.\d{4}\.\d{4}\.\d\d", "ch.ssn"),
    Form(r"\d{17}[\dX]", "cn.ric"),
    Form(r"\d{6}-[1-8]\d{6}", "kr.rrn"),
    Form(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", "mx.curp"),
    Form(r"\d{6}/\d{3,4}", "cz.rc"),
)
"""Found wherever they stand."""

BESIDE_A_WORD = (
    Form(r"\d{3}[- ]?\d\d[- ]?\d{4}", "us.ssn", r"ssn|social[ -]security"),
    Form(r"\d{3}[- ]?\d{3}[- ]?\d{4}", "gb.nhs", r"nhs"),
    Form(r"\d\d ?\d{3} ?\d{3} ?\d{3}", "de.idnr", r"steuer-?\W?(?:id|nummer|identifikationsnummer)\w*|idnr|tax id|tin"),
    Form(r"[12]\d{14}", "fr.nir", r"nir|insee|sécu(?:rité sociale)?|securite sociale"),
    Form(r"\d{4}[. ]?\d\d[. ]?\d{3}", "nl.bsn", r"bsn|burgerservicenummer|sofi-?nummer"),
    Form(r"\d{4}[ -]?\d{4}[ -]?\d{4}", "in_.aadhaar", r"aadhaar|aadhar|uidai"),
    Form(r"[A-Z]{5}\d{4}[A-Z]", "in_.pan", r"pan|permanent account|income tax"),
    Form(r"\d{11}", "pl.pesel", r"pesel"),
    Form(r"\d{11}", "be.nn", r"rijksregisternummer|registre national|national register"),
    Form(r"\d{11}", "br.cpf", r"cpf"),
    Form(r"(?:\d\d)?\d{6}[-+]?\d{4}", "se.personnummer", r"personnummer|personal identity number"),
    Form(r"\d{6} ?\d{5}", "no.fodselsnummer", r"fødselsnummer|fodselsnummer|personnummer"),
    Form(r"\d{6}-?\d{4}", "dk.cpr", r"cpr(?:-?nummer)?"),
    Form(r"\d{3}[- ]?\d{3}[- ]?\d{3}", "ca.sin", r"sin|social insurance|assurance sociale"),
    Form(r"\d{3} ?\d{3} ?\d{3}", "au.tfn", r"tfn|tax file"),
    Form(r"\d{13}", "za.idnr", r"id(?:entity)? (?:number|no)|rsa id"),
    Form(r"\d{11}", "tr.tckimlik", r"t\.?c\.? ?kimlik|kimlik"),
    Form(r"\d{13}", "ro.cnp", r"cnp|cod numeric"),
    Form(r"\d{7}[A-W][ABHWTX]?", "ie.pps", r"pps|ppsn"),
    Form(r"\d{3} ?\d{3} ?\d{3}", "pt.nif", r"nif|contribuinte"),
    Form(r"\d{4} ?\d{6}", "at.vnr", r"sozialversicherungs?\w*|svnr|versicherungsnummer"),
    Form(r"\d{11}", "gr.amka", r"amka|αμκα"),
    Form(r"\d{11}", "hr.oib", r"oib"),
    Form(r"\d{10}", "bg.egn", r"egn|егн"),
    Form(r"\d{4} ?\d{4} ?\d{4}", "jp.in_", r"my number|マイナンバー|個人番号"),
    Form(r"\d{8}-?\d", "il.idnr", r"teudat zehut|mispar zehut|israeli id"),
    Form(r"[A-Z]{1,2} ?\d{6,8}|\d{9}", "passport", r"passport|reisepass|passeport|pasaporte"),
)
"""Found only where one of their words stands near by."""


def nino(written: str) -> bool:
    """Tell whether letters can begin a British national insurance number; it has no check digit."""
    return written[:2] not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}


def passport(written: str) -> bool:
    """Tell whether this has the digits of a passport number; most countries print no check digit with it."""
    return sum(c.isdigit() for c in written) >= 5


OWN_CHECKS: dict[str, Check] = {"nino": nino, "passport": passport}


def check_of(name: str) -> Check:
    """Give the function that says whether a number is right."""
    if name in OWN_CHECKS:
        return OWN_CHECKS[name]
    check: Check = import_module(f"stdnum.{name}").is_valid
    return check


def compiled(written: str) -> re.Pattern[str]:
    """Compile the form of a number that stands by itself."""
    return re.compile(f"{NOT_IN_A_WORD}(?:{written}){NOTHING_AFTER}", re.ASCII)


DISTINCT_WRITTEN = tuple((compiled(form.written), check_of(form.check)) for form in DISTINCT)
WRITTEN = tuple(
    (re.compile(rf"\b(?:{form.words})\b", re.IGNORECASE), compiled(form.written), check_of(form.check))
    for form in BESIDE_A_WORD
)
A_WORD = re.compile(rf"\b(?:{'|'.join(form.words for form in BESIDE_A_WORD)})\b", re.IGNORECASE)
NUMBER = re.compile(r"[0-9](?:[ .-]?[0-9]){4,18}")
SHORT_ONES = re.compile(r"[0-9]{2}(?:[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}| ?[0-9]{2} ?[0-9]{2})")
"""The digits of a codice fiscale and of a national insurance number, shorter than a long number."""

A_DISTINCT = re.compile(rf"{NOT_IN_A_WORD}(?:{'|'.join(form.written for form in DISTINCT)}){NOTHING_AFTER}", re.ASCII)


def find_national_ids(text: str) -> Iterator[Finding]:
    """Yield national identity, tax and social security numbers whose form and check digits are right."""
    if digit_count(text) < 5 or not (has_long_number(text) or SHORT_ONES.search(text)):
        return
    if A_DISTINCT.search(text):
        for written, is_right in DISTINCT_WRITTEN:
            yield from right_ones(text, written, is_right)
    if any(is_near(text, *number.span(), A_WORD) for number in NUMBER.finditer(text)):
        for words, written, is_right in WRITTEN:
            for finding in right_ones(text, written, is_right):
                if is_near(text, finding.start, finding.end, words):
                    yield finding


def right_ones(text: str, written: re.Pattern[str], is_right: Check) -> Iterator[Finding]:
    """Yield what is written in a form and passes its check."""
    for match in written.finditer(text):
        if is_right(match[0].translate(TO_PLAIN_SPACES)):
            yield Finding("national_id", *match.span())

import gzip
import json
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.governance.pii import (
    RECOGNISERS,
    Finding,
    chosen_recognisers,
    custom_recogniser,
    find_pii,
    load_recogniser,
    redact,
    redact_value,
)

ALL = tuple(RECOGNISERS.values())


def found(text, recognisers=ALL):
    return [(finding.kind, text[finding.start : finding.end]) for finding in find_pii(text, recognisers)]


PERSONAL = [
    ("email", "Write to ana.lopez@example.com.", "ana.lopez@example.com"),
    ("email", "'b+c@sub.example.co.uk', please", "b+c@sub.example.co.uk"),
    ("email", "müller@bücher.example", "müller@bücher.example"),
    ("email", "mail joe (at) example (dot) org today", "joe (at) example (dot) org"),
    ("email", "at a.b@example.comThe next page", "a.b@example.com"),
    ("phone", "call +1 202-555-0143 now", "+1 202-555-0143"),
    ("phone", "(212) 555-0187", "(212) 555-0187"),
    ("phone", "at 212.555.0187.", "212.555.0187"),
    ("phone", "ring 555-0123 after six", "555-0123"),
    ("phone", "phone: 2125550187", "2125550187"),
    ("phone", "+44 20 7946 0958", "+44 20 7946 0958"),
    ("phone", "from abroad 0049 30 901820", "0049 30 901820"),
    ("phone", "+49 (0)30 901820", "+49 (0)30 901820"),
    ("phone", "1-800-555-0199 ext. 12", "1-800-555-0199 ext. 12"),
    ("iban", "IBAN: DE89 3704 0044 0532 0130 00 and then", "DE89 3704 0044 0532 0130 00"),
    ("iban", "gb82west12345698765432", "gb82west12345698765432"),
    ("iban", "NL91ABNA0417164300,", "NL91ABNA0417164300"),
    ("credit_card", "card 4111 1111 1111 1111.", "4111 1111 1111 1111"),
    ("credit_card", "5555-5555-5555-4444", "5555-5555-5555-4444"),
    ("credit_card", "3782 822463 10005", "3782 822463 10005"),
    ("ip_address", "from 203.0.113.9 today", "203.0.113.9"),
    ("ip_address", "2001:db8:85a3::8a2e:370:7334", "2001:db8:85a3::8a2e:370:7334"),
    ("national_id", "my SSN is 536228726", "536228726"),
    ("national_id", "536-22-8726", "536-22-8726"),
    ("national_id", "NINO AB 12 34 56 C", "AB 12 34 56 C"),
    ("national_id", "NHS number 943 476 5919", "943 476 5919"),
    ("national_id", "Steuer-ID: 36 574 261 809", "36 574 261 809"),
    ("national_id", "2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
    ("national_id", "DNI 12345678Z", "12345678Z"),
    ("national_id", "X1234567L", "X1234567L"),
    ("national_id", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("national_id", "BSN 123456782", "123456782"),
    ("national_id", "Aadhaar 2341 2341 2346", "2341 2341 2346"),
    ("national_id", "PESEL 44051401359", "44051401359"),
    ("national_id", "390.533.447-05", "390.533.447-05"),
    ("national_id", "passport no. C01234567", "C01234567"),
]


@pytest.mark.parametrize(("kind", "text", "personal"), PERSONAL)
def test_personal_data_is_found(kind, text, personal):
    assert found(text) == [(kind, personal)]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "ISBN 978-3-16-148410-0",
        "build 2026.10.28.1432",
        "write to @support",
        "version 1.2.3.4 and section 3.1.2.1",
        "lodash@4.17.21, icon@2x.png, git@github.com:foo/bar.git",
        "1999-2003, 2010-2011 2012 and 2026-10-28 14:32:10.123",
        "$1,234,567.89 or 1234567890 units",
        "12:30:45 and std::vector<int> and 00:1A:2B:3C:4D:5E",
        "127.0.0.1, 0.0.0.0, 255.255.255.0, 10.0.0.0/8",
        "0.4111111111111111 and 3.14159265358979",
        "order 123456789, invoice 36574261809, id 123456782",
        "ZIP 93101-1234, 5 x 10-12, 800-1000 calories",
        "DE89 3704 0044 0532 0130 01",
        "sha 4f1a4111111111111111",
        "550e8400-e29b-41d4-a716-446655440000",
        "doi 10.1000/182.1234567 arXiv 2401.12345",
        "1700000000000 ms and 1700000000000000000 ns",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert found(text) == []


def test_national_phone_numbers_are_those_of_the_region():
    german = chosen_recognisers(["phone"], {}, "DE")
    assert found("Tel. 030 901820", german) == [("phone", "030 901820")]
    assert found("(212) 555-0187", german) == []


def test_a_mask_is_as_long_as_what_it_hides_and_names_the_kind():
    assert redact("mail ana@example.com!", ALL) == "mail [email████████]!"
    assert redact("x@a.de", ALL) == "██████"


def test_a_mask_is_never_found():
    anything = custom_recogniser("anything", r"[^ ]+")
    once = redact("ana@example.com or me", (*ALL, anything))
    assert find_pii(once, (*ALL, anything)) == ()


def test_what_a_masked_number_hid_is_found_too():
    once = redact("4111 1111 1111 1111 and 212-555-0187", ALL)
    assert once == "[credit_card██████] and [phone█████]"


def test_of_two_findings_the_longest_wins_then_the_surest():
    def short(text):
        return [Finding("phone", 0, 4)]

    def long(text):
        return [Finding("ip_address", 2, 9)]

    def same(text):
        return [Finding("email", 2, 9)]

    assert find_pii("0123456789", [short, long]) == (Finding("phone", 0, 2), Finding("ip_address", 2, 9))
    assert find_pii("0123456789", [short, long, same]) == (Finding("phone", 0, 2), Finding("email", 2, 9))


def test_values_of_json_are_masked_within_keys_and_lists():
    value = {"ana@example.com": ["call (212) 555-0187", 4111111111111111, 7, 1.5, None, True]}
    assert redact_value(value, ALL) == {
        "[email████████]": ["call [phone███████]", "[credit_card███]", 7, 1.5, None, True]
    }


def test_keys_that_come_to_look_alike_keep_their_values():
    assert list(redact_value({"ann@example.com": 1, "bob@example.com": 2}, ALL).values()) == [1, 2]


def test_what_nests_too_deep_is_masked_whole():
    value = "ana@example.com"
    for _ in range(5000):
        value = [value]
    masked = redact_value(value, ALL)
    for _ in range(64):
        masked = masked[0]
    assert masked == "█"


def test_a_pattern_of_the_users_own_is_found_where_it_stands():
    staff = chosen_recognisers([], {"staff_number": r"\bEMP-\d{6}\b"})
    assert found("é EMP-123456, XEMP-123456", staff) == [("staff_number", "EMP-123456")]
    assert redact("é EMP-123456 ", custom_and(staff)) == "é " + "█" * 10 + " "


def custom_and(recognisers):
    return (*ALL, *recognisers)


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?<=a)b", "a{2000}", "a" * 2000])
def test_a_pattern_that_cannot_run_is_an_error_with_a_remedy(pattern):
    with pytest.raises(UserError, match="pattern"):
        custom_recogniser("mine", pattern)


def test_a_catastrophic_pattern_is_harmless():
    started = process_time()
    assert found("a" * 50_000 + "b", [custom_recogniser("mine", "(a+)+$")]) == []
    assert process_time() - started < 2


def test_a_pattern_that_matches_nothing_much_finds_nothing():
    assert found("bbb", [custom_recogniser("mine", "a*")]) == []


def test_marks_already_in_a_text_do_not_confuse_the_places():
    assert found("\ue000x7\ue001y8", [custom_recogniser("digit", "[0-9]")]) == [("digit", "7"), ("digit", "8")]


def test_a_function_of_the_users_own_is_loaded_by_its_place():
    recogniser = load_recogniser("flywheel.governance.contacts:find_emails")
    assert found("ana@example.com", [recogniser]) == [("email", "ana@example.com")]
    assert chosen_recognisers(["flywheel.governance.contacts:find_emails"], {}) == (recogniser,)


@pytest.mark.parametrize("place", ["nowhere.at_all:find", "json:nothing", "json:__name__", ":", "json:"])
def test_a_function_that_is_not_there_is_an_error(place):
    with pytest.raises(UserError, match=r"module:function|is no function"):
        load_recogniser(place)


def test_an_unknown_kind_region_or_name_is_an_error():
    with pytest.raises(UserError, match="shoe_size"):
        chosen_recognisers(["shoe_size"], {})
    with pytest.raises(UserError, match="XX"):
        chosen_recognisers(["phone"], {}, "XX")
    with pytest.raises(UserError, match="small letters"):
        custom_recogniser("Not OK", "x")


PIECES = st.sampled_from(
    [*(text for _, text, _ in PERSONAL), *(personal for _, _, personal in PERSONAL), "█", "[", "]", "[email█", " ", "-"]
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="0123456789+-. ()@ab:/█[]", max_size=80),
    st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=5).map("".join),
)
MINE = custom_recogniser("mine", r"[ax]+\d?")


@settings(max_examples=200)
@given(TEXTS)
def test_masks_keep_every_offset_and_masking_twice_changes_nothing(text):
    recognisers = (*ALL, MINE)
    findings = find_pii(text, recognisers)
    once = redact(text, recognisers)
    assert len(once) == len(text)
    hidden = {place for f in findings for place in range(f.start, f.end)}
    assert all(once[place] == text[place] for place in range(len(text)) if place not in hidden)
    assert redact(once, recognisers) == once
    assert all(a.end <= b.start for a, b in pairwise(findings))
    assert all(0 <= f.start < f.end <= len(text) for f in findings)


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(), max_size=50))
def test_any_characters_even_lone_surrogates_are_read(text):
    find_pii(text, (*ALL, MINE, *chosen_recognisers(["phone"], {}, "DE")))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(VALUES)
def test_masking_a_value_twice_changes_nothing(value):
    once = redact_value(value, ALL)
    assert redact_value(once, ALL) == once


@pytest.mark.parametrize(
    "piece",
    ["1", "a@", "<", "@", "a", "1.", ":", "a:", "+1 ", "(212) ", "4111 ", "DE89 ", "ssn 1 ", "1 2 3 a ", "█", "[a█"],
)
def test_a_long_hostile_text_is_read_in_linear_time(piece):
    text = (piece * 100_000)[:100_000]
    started = process_time()
    redact(text, (*ALL, *chosen_recognisers(["phone"], {}, "DE")))
    assert process_time() - started < 5, "seconds for 100,000 characters; well below one on an idle machine"


@pytest.mark.realdata
def test_the_planted_items_are_found_and_the_lookalikes_are_not(data_dir):
    key = json.loads((data_dir / "weeks" / "pii_key.json").read_text())
    with gzip.open(data_dir / "weeks" / "2026-W44.jsonl.gz") as lines:
        questions = {t["trace_id"]: t["user_input"] for t in map(json.loads, lines)}
    for planted in key["planted"]:
        item = Finding(planted["kind"], planted["start"], planted["end"])
        assert item in find_pii(questions[planted["trace_id"]], ALL)
    flagged = {f.kind for lookalike in key["lookalikes"] for f in find_pii(questions[lookalike["trace_id"]], ALL)}
    assert flagged <= {"ip_address"}


def test_many_keys_that_look_alike_are_numbered_in_no_time():
    keys = {f"a{n:05}@x.org": n for n in range(20_000)}
    assert sorted(redact_value(keys, [RECOGNISERS["email"]]).values()) == list(range(20_000))

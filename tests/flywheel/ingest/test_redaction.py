import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.ingest import how_to, ingest_file
from flywheel.ingest.redaction import redactor_of
from flywheel.settings import Governance, Settings
from flywheel.sources.records import ExportedScore, Rejected, Span
from flywheel.trace import RetrievedContext, Trace
from tests.flywheel.made_otlp import make_span, request
from tests.flywheel.made_traces import make_trace, open_made, write_lines

MAIL = "ada.lovelace@example.org"
CARD = 4111111111111111
STORE = redactor_of(Governance(redact="store"))


def a_trace(**fields):
    """A trace of little more than what it needs."""
    return Trace(**{"trace_id": "t", "timestamp": datetime(2026, 1, 1, tzinfo=UTC), "user_input": "q"} | fields)


def refused(raw, reason="why"):
    """A rejected record as it is stored."""
    return STORE.rejected(Rejected(1, reason, raw))


def stored_with(folder, redact, *lines):
    """Everything that is stored of a file, as one text, and the names of its traces."""
    path = write_lines(folder / "a.jsonl", *lines)
    with open_made(folder) as db:
        count = ingest_file(db, path, how_to(Settings(governance=Governance(redact=redact)), folder / "q")).count
        texts = [str(row) for table in ("trace", "span", "rejected_record") for row in db.table(table).fetchall()]
        names = [name for (name,) in db.execute("select trace_id from trace order by 1").fetchall()]
    kept = [json.loads(line) for path in folder.glob("q/*") for line in path.read_text().splitlines()]
    return count, "".join(texts) + "".join(base64.b64decode(one["raw"]).decode(errors="replace") for one in kept), names


def test_nothing_is_masked_unless_the_settings_say_before_storing(tmp_path):
    assert redactor_of(Governance()) is None
    assert redactor_of(Governance(redact="off")) is None
    assert MAIL in stored_with(tmp_path, "outputs", make_trace(user_input=f"I am {MAIL}"))[1]


def test_no_text_of_a_trace_keeps_an_address(tmp_path):
    line = make_trace(
        "t1", (f"Write to {MAIL}.",), user_input=f"I am {MAIL}", response=MAIL, user_id=MAIL,
        metadata={"note": [MAIL]}, feedback={"comment": f"{MAIL}!"}, error=MAIL, status="error",
    )  # fmt: skip
    count, text, _ = stored_with(tmp_path, "store", line)
    assert count.added == 1
    assert MAIL not in text


def test_ids_that_are_addresses_are_named_anew_and_two_stay_two(tmp_path):
    other = MAIL.replace("ada", "eva")
    lines = (make_trace(MAIL, session_id=other), make_trace(other, session_id=MAIL), make_trace("t2"))
    count, text, names = stored_with(tmp_path, "store", *lines)
    assert (count.added, len(set(names))) == (3, 3)
    assert MAIL not in text
    assert "t2" in names
    assert stored_with(tmp_path, "store", b"", *lines)[0].unchanged == 3


def test_spans_and_rejected_records_are_masked_too(tmp_path):
    span = make_span("t", "chain", "CHAIN", input_value=f"I am {MAIL}", output_value=MAIL)
    count, text, _ = stored_with(tmp_path, "store", request(span), b'{"broken": "' + MAIL.encode() + b"\xff")
    assert (count.added, count.rejected) == (1, 1)
    assert MAIL not in text


def test_a_masked_trace_delivered_again_is_unchanged(tmp_path):
    stored_with(tmp_path, "store", make_trace(response=MAIL))
    assert stored_with(tmp_path, "store", b"", make_trace(response=MAIL))[0].unchanged == 1


def test_numbers_of_fields_stay_numbers_and_those_of_metadata_may_be_masked():
    stored = STORE.record(a_trace(input_tokens=CARD, metadata={"paid with": CARD, "n": 7}))
    assert stored.input_tokens == CARD
    assert stored.metadata == {"paid with": "[credit_card███]", "n": 7}


def test_scores_and_spans_keep_their_numbers():
    score = ExportedScore(score_id="s", trace_id="t", name="n", source="human", value=float(CARD), comment=MAIL)
    span = Span(trace_id="t", span_id="s", input_tokens=CARD, documents=[RetrievedContext("p", MAIL, float(CARD))])
    assert (STORE.record(score).value, STORE.record(span).input_tokens) == (float(CARD), CARD)
    assert STORE.record(span).documents[0].score == float(CARD)
    assert MAIL not in str(STORE.record(score)) + str(STORE.record(span))


def test_our_own_words_are_not_masked_by_a_pattern_of_the_users():
    mine = redactor_of(Governance(redact="store", recognisers={"mine": "ok|text|unknown|other"}))
    trace = a_trace(retrieved_contexts=[RetrievedContext("p", "it is ok")])
    stored = mine.record(trace)
    assert (stored.status, stored.retrieved_contexts[0].text) == ("ok", "it is ██")
    score = ExportedScore(score_id="s", trace_id="t", name="n", source="unknown")
    assert mine.record(score) == score


def test_a_long_id_that_is_masked_stays_within_what_an_id_may_be_and_two_stay_two():
    names = ["a" * 495 + f" {who}@example.org" for who in ("max", "eva")]
    ids = [STORE.record(a_trace(trace_id=name)).trace_id for name in names]
    assert len(set(ids)) == 2
    assert all(len(one) <= 512 and "example" not in one for one in ids)


def test_a_record_that_cannot_be_stored_masked_says_why_without_what_it_holds():
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="personal data masked"):
        STORE.record(a_trace(metadata=deep))


def test_metadata_that_nests_too_deep_is_masked_whole():
    deep = MAIL
    for _ in range(80):
        deep = [deep]
    assert MAIL not in str(STORE.record(a_trace(metadata={"a": deep})).metadata)


def test_keys_that_look_alike_once_masked_are_told_apart_in_any_order():
    one = STORE.record(a_trace(metadata={"ab@x.org": 1, "cd@x.org": 2})).metadata
    assert sorted(one.values()) == [1, 2]
    assert "x.org" not in str(one)
    assert STORE.record(a_trace(metadata={"cd@x.org": 2, "ab@x.org": 1})).metadata == one


ESCAPED = [
    (rb'{"q":"card:\n4111111111111111 please"}', "4111111111111111"),
    (rb'{"q":"mail max\u0040example.org now"}', "example"),
    (rb'{"q":"tel \u002B49 151 23456789"}', "23456789"),
    (rb'{"q":"\tDE89370400440532013000"}', "0532013000"),
    (rb'{"q":"\n192.168.7.45"}', "168"),
    (rb'{"q":"ssn\n078-05-1120 or\n536-22-1234"}', "1234"),
    (rb'{"q":"4111\u00001111\u000011111111"}', "4111"),
    (rb'{"q":"{\"a\":\"max\\u0040example.org\"}"}', "example"),
    (rb'{"q: "card:\n4111111111111111', "4111111111111111"),
    (rb'{"q": "max\u0040example.org", "and then: \u00', "example"),
    (b'{"a": 1}\n{"q": "\\nmax@example.org', "example"),
    (b'{"q":"max@example.org\xff"}', "example"),
    (b"q,a\n1,mail max@example.org", "example"),
    (b"a\\q4111111111111111", "4111111111111111"),
]


@pytest.mark.parametrize(("raw", "hidden"), ESCAPED)
def test_no_escape_hides_personal_data_of_a_rejected_record(raw, hidden):
    stored = refused(raw, raw.decode(errors="replace"))
    assert hidden.encode() not in stored.raw
    assert hidden not in stored.reason
    assert b"\xe2\x96\x88" in stored.raw


@pytest.mark.parametrize("raw", [raw for raw, _ in ESCAPED[:6]])
def test_a_rejected_record_of_json_stays_json(raw):
    stored = refused(raw)
    assert stored.whole
    assert set(json.loads(stored.raw)) == {"q"}


def test_a_rejected_record_without_personal_data_stays_as_it_is():
    for raw in (rb'{"q":"a \u00e4\n\ud83d\ude00", "n": 1, "n": 2}', b"\xff\xfe broken", b""):
        assert refused(raw) == Rejected(1, "why", raw)


def test_of_what_cannot_be_read_for_sure_only_a_hash_is_kept():
    for raw in (b"\x0a\x12\x30" + MAIL.encode(), b'{"q":"' + b"\\" * 64 + b'u0040"}'):
        stored = refused(raw)
        assert len(stored.raw) == 13
        assert not stored.whole
        assert stored.reason.startswith("why (not kept")


def test_a_rejected_record_that_its_mask_breaks_is_not_tried_again():
    stored = refused(b'{"n": 4111111111111111}')
    assert not stored.whole
    assert b"4111" not in stored.raw


@given(st.text(st.sampled_from('abu0nx4\\"\x00 \n'), max_size=60))
def test_any_escapes_around_an_address_leave_nothing_of_it(around):
    stored = refused(json.dumps({"q": f"{around} {MAIL} {around}"}).encode())
    assert b"lovelace" not in stored.raw
    if len(stored.raw) != 13:
        json.loads(stored.raw)

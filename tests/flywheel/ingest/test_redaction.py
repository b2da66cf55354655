import base64
import json

from flywheel.ingest import how_to, ingest_file
from flywheel.ingest.redaction import redactor_of
from flywheel.settings import Governance, Settings
from tests.flywheel.made_otlp import make_span, request
from tests.flywheel.made_traces import make_trace, open_made, write_lines

MAIL = "ada.lovelace@example.org"


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

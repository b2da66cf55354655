import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from eval.errors import UserError
from flywheel.sources import mapped, recognise
from flywheel.sources.delivery import Delivery, Limits
from flywheel.sources.mapping import parse_mapping
from flywheel.sources.records import Blank, Found, Rejected
from flywheel.sources.rows import rows_of
from flywheel.sources.suggest import explain_unknown
from flywheel.trace import RetrievedContext, Trace

PLAIN = '[fields]\ntrace_id = "id"\ntimestamp = "ts"\nuser_input = "q"\nresponse = "a"\n'
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
ROW = {"id": "t1", "ts": "2026-11-03T12:00:00Z", "q": "How long is the trial?", "a": "14 days."}


@pytest.fixture
def read(tmp_path):
    def read_file(content, mapping=PLAIN, name="logs.jsonl", limits=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(mapped.read(Delivery(path, limits), parse_mapping(mapping, "mapping.toml")))

    return read_file


@pytest.fixture
def trace_of(read):
    def one(record, mapping=PLAIN):
        (item,) = read(json.dumps(record), mapping)
        assert isinstance(item, Found), item
        return item.what

    return one


@pytest.fixture
def reason_of(read):
    def one(record, mapping=PLAIN):
        (item,) = read(json.dumps(record), mapping)
        assert isinstance(item, Rejected), item
        assert msgspec.json.decode(item.raw) == record
        return item.reason

    return one


def table(*rows, delimiter=","):
    from io import StringIO

    file = StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue()


def test_a_record_becomes_a_trace(trace_of):
    assert trace_of(ROW) == Trace(
        trace_id="t1", timestamp=NOON, user_input="How long is the trial?", response="14 days."
    )


def test_nested_fields_passages_numbers_and_defaults_are_found(trace_of):
    mapping = """
    [fields]
    trace_id = "id"
    timestamp = "ts"
    user_input = "payload.q"
    response = "payload.a"
    model = ["meta.model", "model"]
    latency_ms = "took"
    input_tokens = "usage.in"
    error = "err"
    [contexts]
    list = "docs"
    text = "body"
    id = "doc_id"
    score = "sim"
    source = "url"
    [feedback]
    rating = "stars"
    [metadata]
    team = "meta.team"
    [values]
    latency_unit = "s"
    [defaults]
    environment = "production"
    """
    made = trace_of(
        {
            "id": 7,
            "ts": 1793707200,
            "payload": json.dumps({"q": "Why?", "a": "So."}),
            "model": "m1",
            "meta": {"team": "billing"},
            "took": "1.5",
            "usage": {"in": 90.0},
            "err": False,
            "docs": [{"body": "one", "doc_id": 1, "sim": 0.5, "url": "x.md"}, "two", None],
            "stars": 4,
        },
        mapping,
    )
    assert (made.trace_id, made.timestamp, made.user_input, made.response) == ("7", NOON, "Why?", "So.")
    assert (made.model, made.latency_ms, made.input_tokens, made.environment) == ("m1", 1500.0, 90, "production")
    assert made.retrieved_contexts[0] == RetrievedContext("1", "one", 0.5, "x.md")
    assert [passage.text for passage in made.retrieved_contexts] == ["one", "two"]
    assert (made.feedback.rating, made.metadata, made.status) == (4, {"team": "billing"}, "ok")


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-03T12:00:00Z",
        "2026-11-03 12:00:00",
        "2026-11-03T14:00:00+02:00",
        1793707200,
        1793707200.0,
        "1793707200",
        1793707200_000,
        1793707200_000_000,
        1793707200_000_000_000,
    ],
)
def test_a_moment_is_read_however_it_is_written(trace_of, written):
    assert trace_of(ROW | {"ts": written}).timestamp == NOON


def test_a_format_and_a_unit_of_time_can_be_named(trace_of):
    german = PLAIN + '[values]\ntimestamp_format = "%d.%m.%Y %H:%M"'
    assert trace_of(ROW | {"ts": "03.11.2026 12:00"}, german).timestamp == NOON
    assert trace_of(ROW | {"ts": 1793707200}, PLAIN + '[values]\ntimestamp_unit = "s"').timestamp == NOON


def test_a_mapping_without_an_id_and_a_time_names_records_by_hash_and_dates_them_by_the_file(read, tmp_path):
    first, second, again = read(
        '{"q": "Why?", "n": 1}\n{"q": "Why?", "n": 2}\n{"n": 1, "q": "Why?"}\n', '[fields]\nuser_input = "q"'
    )
    assert first.what.trace_id == again.what.trace_id != second.what.trace_id
    assert first.what.timestamp == datetime.fromtimestamp((tmp_path / "logs.jsonl").stat().st_mtime, UTC)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"q": None}, "there is no question: nothing at `q`"),
        ({"q": "  "}, "there is no question"),
        ({"q": [1]}, "an array without a question at `q`"),
        ({"id": None}, "there is no trace_id at `id`"),
        ({"id": True}, "there is no trace_id at `id`"),
        ({"id": "x" * 600}, "length <= 512"),
        ({"ts": None}, "there is no timestamp at `ts`"),
        ({"ts": "yesterday"}, "the timestamp at `ts` is no moment in time: 'yesterday'"),
        ({"ts": "2126-01-01T00:00:00Z"}, "lies in the future"),
    ],
)
def test_a_record_without_what_it_needs_is_rejected_with_the_path(reason_of, record, said):
    assert said in reason_of(ROW | record)


def test_all_paths_that_were_tried_are_named(reason_of):
    mapping = '[fields]\nuser_input = ["q", "payload.\'my.q\'"]'
    assert reason_of({"x": 1}, mapping).endswith('at `q` or `payload."my.q"`')


def test_a_number_that_is_none_is_rejected_and_one_that_is_not_there_is_null(trace_of, reason_of):
    mapping = PLAIN + 'latency_ms = "ms"\ninput_tokens = "tokens"\n'
    assert trace_of(ROW | {"ms": "nan", "tokens": None}, mapping).latency_ms is None
    assert reason_of(ROW | {"ms": "fast"}, mapping) == "latency_ms at `ms` is no number"
    assert reason_of(ROW | {"ms": -1}, mapping) == "latency_ms at `ms` is below 0"
    assert "input_tokens" in reason_of(ROW | {"tokens": 1.5}, mapping)


def test_messages_give_the_last_question_the_answer_and_what_was_said_before(trace_of):
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "How long?")]
    asked = [{"role": role, "content": content} for role, content in said]
    record = ROW | {"q": asked, "a": {"choices": [{"message": {"role": "assistant", "content": "14 days."}}]}}
    made = trace_of(record)
    assert (made.user_input, made.response) == ("How long?", "14 days.")
    assert [turn["content"] for turn in made.metadata["history"]] == ["Hi", "Hello"]


def test_a_question_that_looks_like_json_and_is_none_stays_as_it_is(trace_of):
    assert trace_of(ROW | {"q": "[1] and {2}?"}).user_input == "[1] and {2}?"


@pytest.mark.parametrize("held", [["one", "two"], '["one", "two"]', "['one', 'two']"])
def test_a_list_of_texts_may_be_written_as_text(trace_of, held):
    made = trace_of(ROW | {"docs": held}, PLAIN + '[contexts]\ntexts = "docs"')
    assert [passage.text for passage in made.retrieved_contexts] == ["one", "two"]
    assert len({passage.id for passage in made.retrieved_contexts}) == 2


def test_a_lone_text_is_one_passage(trace_of):
    made = trace_of(ROW | {"docs": "The trial runs 14 days."}, PLAIN + '[contexts]\ntexts = "docs"')
    assert [passage.text for passage in made.retrieved_contexts] == ["The trial runs 14 days."]


def test_documents_of_usual_libraries_need_no_keys(trace_of):
    documents = [{"page_content": "one", "metadata": {"source": "x.md"}}]
    made = trace_of(ROW | {"docs": documents}, PLAIN + '[contexts]\nlist = "docs"')
    assert [(passage.text, passage.source) for passage in made.retrieved_contexts] == [("one", "x.md")]


def test_a_passage_that_cannot_be_read_rejects_the_record(reason_of):
    listed = PLAIN + '[contexts]\nlist = "docs"\ntext = "body"\n'
    assert reason_of(ROW | {"docs": [{"text": "x"}]}, listed) == "passage 1 has no text at `body`"
    assert "map it as a `list`" in reason_of(ROW | {"docs": [{"text": "x"}]}, PLAIN + '[contexts]\ntexts = "docs"')


@pytest.mark.parametrize(
    ("value", "mapping", "status"),
    [
        ("OK", "", "ok"),
        ("Failed", "", "error"),
        (503, "", "error"),
        (200, "", "ok"),
        (False, "", "error"),
        ("degraded", '[values]\nstatus_error = ["DEGRADED"]', "error"),
        ("Failed", '[values]\nstatus_error = ["DEGRADED"]', "ok"),
        (None, "", "ok"),
    ],
)
def test_a_status_is_an_error_by_the_usual_words_or_by_those_named(trace_of, value, mapping, status):
    assert trace_of(ROW | {"s": value}, PLAIN + 's = "s"\n'.replace("s =", "status =") + mapping).status == status


def test_an_error_without_a_status_makes_the_trace_an_error(trace_of):
    made = trace_of(ROW | {"e": "timeout"}, PLAIN + 'error = "e"')
    assert (made.status, made.error) == ("error", "timeout")


def test_lines_that_are_no_objects_are_rejected_and_blank_ones_counted(read):
    items = read(f"{json.dumps(ROW)}\n\n[1]\n{{broken\n")
    assert [(item.line, type(item)) for item in items] == [(1, Found), (2, Blank), (3, Rejected), (4, Rejected)]


def test_a_json_array_is_read_element_by_element(read):
    items = read(json.dumps([ROW, {"id": 1}, ROW]), name="logs.json")
    assert [(item.line, type(item)) for item in items] == [(1, Found), (2, Rejected), (3, Found)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_with_the_separator_it_has(read, delimiter):
    content = table(
        list(ROW), ["t1", "2026-11-03 12:00", "Why, so; and\tnow?", "Line one\nline two"], delimiter=delimiter
    )
    (item,) = read(content, name="logs.csv")
    assert (item.line, item.what.user_input, item.what.response) == (2, "Why, so; and\tnow?", "Line one\nline two")


def test_a_table_with_passages_as_json_and_quotes_and_a_byte_order_mark_is_read(read):
    docs = json.dumps([{"text": 'say "hi"'}, {"text": "two"}])
    content = "\ufeff" + table(["q", "docs"], ["Why?", docs], ["How?", ""])
    mapping = '[fields]\nuser_input = "q"\n[contexts]\nlist = "docs"\ntext = "text"'
    first, second = read(content, mapping, name="logs.csv")
    assert [passage.text for passage in first.what.retrieved_contexts] == ['say "hi"', "two"]
    assert second.what.retrieved_contexts is None


def test_a_packed_table_is_read(read):
    content = gzip.compress(table(list(ROW), list(ROW.values())).encode())
    assert [type(item) for item in read(content, name="logs.csv.gz")] == [Found]


def test_each_row_of_a_broken_table_is_accounted_for_with_its_line(read):
    rows = ["id,ts,q,a", "t1,2026-11-03,Why?,So.", "t2,2026-11-03,Why?", "", "t3,2026-11-03,,x", 't4,2026-11-03,"a"b,x']
    items = read("\n".join([*rows, "t5,2026-11-03,Why?,So."]), name="logs.csv")
    kinds = [(2, Found), (3, Rejected), (4, Blank), (5, Rejected), (6, Rejected), (7, Found)]
    assert [(item.line, type(item)) for item in items] == kinds
    assert "3 cells, the header names 4 columns" in items[1].reason


def test_a_rejected_row_of_a_table_can_be_read_again_as_json(read):
    (item,) = read(table(list(ROW), ["t1", "2026-11-03", "", "So."]), name="logs.csv")
    (again,) = read(item.raw, name="logs.csv")
    assert (item.whole, again.reason) == (True, item.reason)


def test_a_quote_that_never_closes_ends_with_the_longest_row(read):
    long = 'id,ts,q,a\nt1,2026-11-03,"open' + "\nmore" * 100 + "\n" + "t2,2026-11-03,Why?,So.\n" * 3
    items = read(long, name="logs.csv", limits=Limits(line_bytes=520))
    assert isinstance(items[0], Rejected)
    assert "a quote in it is not closed" in items[0].reason
    assert [item.what.trace_id for item in items if isinstance(item, Found)][-1:] == ["t2"]


def test_a_row_that_is_not_utf8_is_rejected_alone(read):
    items = read(b"id,ts,q,a\nt1,2026-11-03,caf\xe9,x\nt2,2026-11-03,Why?,x\n", name="logs.csv")
    assert [type(item) for item in items] == [Rejected, Found]
    assert "not UTF-8" in items[0].reason


@pytest.mark.parametrize(
    ("content", "said"),
    [("id,q,q\n1,2,3\n", "two columns 'q'"), ("q,a\n".encode("utf-16"), "UTF-16"), ('q,"a\nb', "no CSV file")],
)
def test_a_table_that_cannot_be_read_at_all_is_a_user_error(read, content, said):
    with pytest.raises(UserError, match=said):
        read(content, name="logs.csv")


def write_parquet(path, rows, **options):
    parquet.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def test_parquet_is_read_row_group_by_row_group_and_its_bytes_hashed(tmp_path):
    rows = [
        {
            "id": number, "ts": NOON - timedelta(minutes=number), "q": f"Question {number}?", "a": "So.",
            "docs": [{"body": "one", "sim": 0.5}], "cost": Decimal("0.25"), "more": [1.0],
        }
        for number in range(10)
    ]  # fmt: skip
    path = write_parquet(tmp_path / "logs.parquet", rows, row_group_size=3)
    delivery = Delivery(path)
    mapping = parse_mapping(PLAIN + 'cost_usd = "cost"\n[contexts]\nlist = "docs"\ntext = "body"\nscore = "sim"', "m")
    items = list(mapped.read(delivery, mapping))
    assert [(item.line, item.what.trace_id) for item in items] == [(number + 1, str(number)) for number in range(10)]
    assert items[2].what.timestamp == NOON - timedelta(minutes=2)
    assert items[0].what.retrieved_contexts[0].text == "one"
    assert items[0].what.cost_usd == 0.25
    assert delivery.size == path.stat().st_size


def test_nanoseconds_and_texts_with_nul_come_out_of_parquet(tmp_path):
    moments = pa.array([1793707200_000_000_001], pa.timestamp("ns", "UTC"))
    columns = pa.table({"id": ["t1"], "ts": moments, "q": ["Wh\x00y?"], "a": [None], "x": [float("nan")]})
    parquet.write_table(columns, tmp_path / "logs.parquet")
    (item,) = mapped.read(Delivery(tmp_path / "logs.parquet"), parse_mapping(PLAIN, "m"))
    assert (item.what.timestamp, item.what.user_input) == (NOON, "Why?")


def test_a_rejected_row_of_parquet_can_be_read_again_as_json(tmp_path, read):
    write_parquet(tmp_path / "logs.parquet", [{"id": "t1", "ts": NOON, "q": None, "a": "So."}, ROW | {"ts": NOON}])
    rejected, found = mapped.read(Delivery(tmp_path / "logs.parquet"), parse_mapping(PLAIN, "m"))
    assert (found.what.trace_id, rejected.whole) == ("t1", True)
    (again,) = read(rejected.raw)
    assert again.reason == rejected.reason


def test_a_damaged_parquet_file_is_a_user_error(tmp_path):
    path = write_parquet(tmp_path / "logs.parquet", [ROW] * 1000)
    whole = path.read_bytes()
    for broken in (whole[:-20], b"PAR1" + bytes(50), whole[:40] + b"\xff" * 60 + whole[100:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"logs\.parquet"):
            list(mapped.read(Delivery(path), parse_mapping(PLAIN, "m")))


def test_a_parquet_file_cut_off_is_said_to_be_damaged_where_its_format_is_looked_for(tmp_path):
    path = write_parquet(tmp_path / "logs.parquet", [ROW] * 1000)
    path.write_bytes(path.read_bytes()[:-20])
    delivery = Delivery(path)
    assert recognise(delivery) is None
    with pytest.raises(UserError, match=r"logs\.parquet, after row 0: it is a damaged Parquet file"):
        explain_unknown(delivery.name, delivery)


def test_texts_that_a_parquet_file_holds_once_for_many_rows_are_read_a_few_at_a_time(tmp_path):
    long = "Why? " * 100_000
    docs = [[{"text": long}]] * 1024
    columns = pa.table({"id": [f"t{number}" for number in range(1024)], "q": [long] * 1024, "docs": docs})
    path = tmp_path / "logs.parquet"
    parquet.write_table(columns, path, compression="zstd", dictionary_pagesize_limit=1 << 26)
    del columns
    assert path.stat().st_size < 20_000
    before = pa.total_allocated_bytes()
    delivery = Delivery(path)
    rows, most, given = 0, 0, []
    for row in rows_of(delivery):
        rows += 1
        assert (row[0], len(row[1]["q"]), len(row[1]["docs"][0]["text"])) == (rows, len(long), len(long))
        most = max(most, pa.total_allocated_bytes() - before)
        given.append(delivery.given)
    assert rows == 1024
    assert most < 32 << 20
    assert all(2 * len(long) < after - so_far < 2.1 * len(long) for so_far, after in pairwise(given))


@pytest.mark.parametrize("nested", [False, True])
def test_a_row_of_parquet_with_too_large_a_cell_is_rejected_alone(tmp_path, nested):
    texts = ["Why?", "x" * 2001, "How?", None]
    held = [[{"text": text}] for text in texts] if nested else texts
    path = write_parquet(tmp_path / "logs.parquet", [{"id": str(n), "q": cell} for n, cell in enumerate(held)])
    items = list(rows_of(Delivery(path, Limits(line_bytes=2000))))
    assert [isinstance(item, Rejected) for item in items] == [False, True, False, False]
    assert items[1] == Rejected(2, "a cell of the row is larger than 2000 bytes", b"", whole=False)
    assert [item[1]["q"] for item in items if isinstance(item, tuple)] == [held[0], held[2], held[3]]
    items = list(rows_of(Delivery(path, Limits(line_bytes=2100, envelope_bytes=1))))
    assert [type(item) for item in items] == [tuple] * 4


def test_an_empty_file_gives_nothing(read):
    assert read("") == []
    assert read("", name="logs.csv") == []


WIDE = (
    PLAIN
    + """latency_ms = "ms"
input_tokens = "tokens"
status = "s"
error = "e"
[contexts]
list = "docs"
text = ["text", "body"]
[feedback]
rating = "stars"
[metadata]
m = "m"
"""
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(list(ROW.values()))
    | st.sampled_from(["[", '{"text": "x"}', "['a']", '"\\u0000"', "1e999", "9" * 30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "role"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
RECORDS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "ts", "q", "a", "ms", "tokens", "s", "e", "docs", "stars", "m"), VALUES)
)
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def account(items, lines):
    """Every line is accounted for once, and what was found is a valid trace."""
    assert [item.line for item in items] == lines
    for item in items:
        if isinstance(item, Found):
            assert msgspec.json.decode(msgspec.json.encode(item.what), type=Trace) == item.what


@FUZZ
@given(st.lists(RECORDS, min_size=1, max_size=4))
@example([{"q": "Why?", "m": 10**400}])
def test_any_json_records_are_all_accounted_for_and_rejected_ones_readable_again(read, records):
    lines = [json.dumps(record) for record in records]
    for mapping in (WIDE, WIDE.replace('trace_id = "id"\ntimestamp = "ts"\n', "")):
        items = read("\n".join(lines), mapping)
        account(items, list(range(1, len(lines) + 1)) if len(lines) > 1 else [1])
        for item in items:
            if isinstance(item, Rejected) and item.whole:
                assert [type(again) for again in read(item.raw, mapping)] == [Rejected]


@FUZZ
@given(st.binary(max_size=300), st.sampled_from(["logs.csv", "logs.jsonl", "logs.parquet", "logs"]))
@example(b'q,a\n"\n', "logs.csv")
@example(b"q\r\nx\ry\r\n", "logs.csv")
@example(b"PAR1", "logs.parquet")
@example(b'{"q":"\\u0000","n":' + b"9" * 5000 + b"}\n{}", "logs.jsonl")
def test_any_bytes_give_records_or_a_user_error(read, content, name):
    try:
        items = read(content, '[fields]\nuser_input = ["q", "a"]', name=name)
    except UserError:
        return
    assert all(isinstance(item, Found | Rejected | Blank) for item in items)
    assert len({item.line for item in items}) == len(items)


@FUZZ
@given(st.lists(st.tuples(st.text(max_size=12), st.text(alphabet='a",;\n\r\t{[', max_size=12)), min_size=1, max_size=5))
def test_any_table_written_properly_is_read_row_by_row(read, rows):
    content = table(["q", "a"], *[(f"?{question}", answer) for question, answer in rows])
    items = read(content.encode("utf-8", "replace"), '[fields]\nuser_input = "q"\nresponse = "a"', name="logs.csv")
    assert [type(item) for item in items] == [Found] * len(rows)


@pytest.mark.parametrize(("held", "passages"), [(None, None), ([], []), ("", []), ("[]", [])])
def test_a_record_that_tells_of_no_passages_differs_from_one_that_found_none(trace_of, held, passages):
    assert trace_of(ROW | {"docs": held}, PLAIN + '[contexts]\ntexts = "docs"').retrieved_contexts == passages


def test_records_that_a_document_wraps_are_read_one_by_one_and_rejected_ones_alone(read):
    mapping = 'records = "data.items"\n' + PLAIN
    items = read(json.dumps({"data": {"items": [ROW, {"id": 1}, ROW]}}), mapping, name="logs.json")
    assert [(item.line, type(item)) for item in items] == [(1, Found), (2, Rejected), (3, Found)]
    (again,) = read(items[1].raw, mapping)
    assert again.reason == items[1].reason
    assert [type(item) for item in read('{"data": {"items": []}}', mapping)] == [Blank]


def test_a_table_that_has_grown_is_read_on_under_the_header_it_began_with(tmp_path):
    path = tmp_path / "logs.csv"
    path.write_text(table(list(ROW), ["t1", "2026-11-03", "Why?", "So."]))
    read_before = path.stat().st_size
    with path.open("a") as file:
        file.write("t2,2026-11-03,How?,So.\n")
    (item,) = mapped.read(Delivery(path, start=read_before, first_line=3), parse_mapping(PLAIN, "m"))
    assert (item.line, item.what.trace_id, item.what.user_input) == (3, "t2", "How?")


def test_a_rejected_row_of_a_table_that_has_grown_comes_under_its_header(tmp_path):
    path = tmp_path / "logs.csv"
    path.write_text("\n" + table(list(ROW), ["t1", "2026-11-03", "Why?", "So."]))
    read_before = path.stat().st_size
    with path.open("a") as file:
        file.write("t2,2026-11-03\n")
    (item,) = mapped.read(Delivery(path, start=read_before, first_line=4), parse_mapping(PLAIN, "m"))
    assert (item.line, item.raw.splitlines()) == (4, [",".join(ROW).encode(), b"t2,2026-11-03"])

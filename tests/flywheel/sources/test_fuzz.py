"""No file stops a reader, loses a line, or gives what cannot be stored; `bench/fuzz_readers.py` looks for more."""

import gzip
import json
import random
import zlib

import pytest
from pyarrow import parquet

from eval.errors import UserError
from flywheel.sources import READERS, langfuse, langsmith, mlflow, otlp_protobuf
from flywheel.sources.delivery import Delivery
from flywheel.sources.json_text import nests_deeper
from flywheel.sources.records import Blank, Found, Rejected
from tests.flywheel.sources.fuzz_checks import Tally, check_file, readers
from tests.flywheel.sources.fuzz_mutations import mutated
from tests.flywheel.sources.fuzz_seeds import all_seeds, as_csv, as_parquet
from tests.flywheel.sources.made_spans import pairs

SEEDS = {seed.name: seed for seed in all_seeds()}
FILES_EACH = 7


def failures(path, data):
    """What is wrong with what the readers make of a file."""
    path.write_bytes(data)
    return check_file(path, {name: Tally() for name in ("recognise", *readers())})


def given(form, path, data):
    """What one reader gives of a file."""
    path.write_bytes(data)
    return list(readers()[form].read(Delivery(path)))


@pytest.mark.parametrize("name", SEEDS)
def test_no_damage_to_a_file_stops_a_reader_or_loses_a_line(tmp_path, name):
    rng = random.Random(zlib.crc32(name.encode()))
    others = list(SEEDS.values())
    wrong = []
    for _ in range(FILES_EACH):
        wrong += failures(tmp_path / name, mutated(SEEDS[name], rng, rng.choice(others)))
    assert wrong == []


def test_every_reader_finds_something_in_the_seeds(tmp_path):
    tallies = {name: Tally() for name in ("recognise", *readers())}
    for seed in all_seeds():
        path = tmp_path / seed.name
        path.write_bytes(undamaged(seed))
        assert check_file(path, tallies) == []
    assert [name for name, tally in tallies.items() if not tally.found] == []


def undamaged(seed):
    """Write a seed as it is."""
    if seed.rows:
        columns = {name: [row.get(name) for row in seed.rows] for name in seed.rows[0]}
        return as_csv([*seed.rows]) if seed.name.endswith("csv") else as_parquet(columns)
    return seed.data or b"\n".join(json.dumps(value).encode() for value in seed.values)


FOUND_BEFORE = {
    "an array of nothing": b"[]",
    "lines of arrays of nothing": b"[]\n[]\n",
    "a line that begins like an archive": b"{}\n\x1f\x8bx\n{}\n",
    "a line that begins like zstd": b"{}\n\x28\xb5\x2f\xfdx\n{}\n",
    "a line that begins like Parquet": b"{}\nPAR1\n{}\n",
    "a cut document over several lines": b'{\n"name": "chain",\n"span_kind": "CHAIN",\n',
    "a header without a row": b"id,trace_id,type,start_time\n",
    "a header without a row or an end": b"q",
    "a page of texts": b'{"data": ["\\"a\\" b", 5, []], "next_cursor": null}',
    "pages without records": b'{"data": [], "meta": {}}\n{"runs": []}\n{"post": []}\n{"traces": []}\n',
    "lengths of nothing": bytes(8),
    "a table that begins like Parquet behind its byte order mark": b"\xef\xbb\xbfPAR1,q\n\xff,b\n",
}


@pytest.mark.parametrize("data", FOUND_BEFORE.values(), ids=FOUND_BEFORE)
def test_what_once_failed_holds(tmp_path, data):
    assert failures(tmp_path / "file.jsonl", data) == []


DAMAGED = {
    "its first bytes": b"\x1f\x8b",
    "junk after them": b"\x1f\x8b\x00junkjunkjunk",
    "cut off": gzip.compress(b"\n" * 999, mtime=0)[:-9],
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("form", READERS)
def test_a_damaged_archive_is_a_user_error_of_every_reader(tmp_path, form, data):
    with pytest.raises(UserError, match="damaged"):
        given(form, tmp_path / "file", data)


def test_a_parquet_file_whose_names_are_no_text_is_a_user_error(tmp_path):
    data = as_parquet({"named": ["a"]}).replace(b"named", b"nam\xe3d")
    assert failures(tmp_path / "file.parquet", data) == []
    with pytest.raises(UserError, match="damaged Parquet"):
        given("phoenix", tmp_path / "file.parquet", data)


def test_a_parquet_file_that_holds_fewer_rows_than_it_counts_is_damaged(tmp_path):
    path = tmp_path / "file.parquet"
    data = as_parquet({"context.trace_id": ["a", "b"]})
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    # The count is one byte of the footer, twice its number: version, schema, then `16 <count>`.
    counts = [place for place in range(footer, len(data) - 8) if data[place : place + 2] == b"\x16\x04"]
    path.write_bytes(data[: counts[0] + 1] + b"\x06" + data[counts[0] + 2 :])
    assert parquet.read_metadata(path).num_rows == 3
    with pytest.raises(UserError, match="counts 3 rows and holds 2"):
        given("phoenix", path, path.read_bytes())


def test_a_nul_in_the_bytes_or_keys_of_parquet_is_dropped(tmp_path):
    row = {"context.trace_id": b"t\0", "context.span_id": b"s\0", "attributes.metadata": {"k\0": b"v\0"}}
    (found,) = given("phoenix", tmp_path / "file.parquet", as_parquet({name: [row[name]] for name in row}))
    assert (found.what.trace_id, found.what.span_id) == ("t", "s")
    assert failures(tmp_path / "file.parquet", as_parquet({name: [row[name]] for name in row})) == []


@pytest.mark.parametrize("form", [name for name in readers() if name != otlp_protobuf.NAME])
def test_an_array_of_nothing_is_a_blank(tmp_path, form):
    assert given(form, tmp_path / "file", b"[]") == [Blank(1)]


@pytest.mark.parametrize("levels", [1, 2, 63])
def test_brackets_of_two_kinds_nest_as_deep_as_they_are(levels):
    assert nests_deeper(b"[{" * levels + b"}]" * levels, 2 * levels - 1)
    assert not nests_deeper(b"[{" * levels + b"}]" * levels, 2 * levels)


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"])
def test_a_line_that_begins_like_an_archive_is_not_for_a_retry(tmp_path, start):
    for form in ("native", "otlp-json", "phoenix", "mapped"):
        found = given(form, tmp_path / "file.jsonl", b"{}\n" + start + b"x\n{}\n")
        assert [record.whole for record in found if isinstance(record, Rejected) and record.line == 2] == [False]


def test_a_table_of_nothing_but_its_header_is_a_blank(tmp_path):
    assert given("phoenix", tmp_path / "file.csv", b"\ncontext.trace_id,span_kind\n") == [Blank(1), Blank(2)]


@pytest.mark.parametrize(
    ("form", "page"),
    [(langfuse, {"data": [], "meta": {}}), (langsmith, {"runs": []}), (langsmith, {"post": [], "patch": []}),
     (mlflow, {"traces": []})],
)  # fmt: skip
def test_a_page_without_records_is_a_blank(tmp_path, form, page):
    assert given(form.NAME, tmp_path / "file", json.dumps(page).encode()) == [Blank(1)]


@pytest.mark.parametrize(
    ("form", "record"),
    [
        (langfuse, {"id": "t", "timestamp": "9999-12-31T23:59:59Z", "latency": 9e6, "input": "a", "output": "b"}),
        (mlflow, {"trace_id": "t", "state": "OK", "request_time": "9999-12-31T23:59:59Z", "execution_duration": "9e9s",
                  "execution_duration_ms": 9e10, "trace_metadata": {}}),
        (mlflow, {"trace_id": "t", "state": "OK", "request_time": "9999-12-31T23:59:59Z",
                  "execution_duration": "999999999s"}),
    ],
)  # fmt: skip
def test_a_trace_that_would_end_after_the_year_9999_has_no_end(tmp_path, form, record):
    (found,) = given(form.NAME, tmp_path / "file", json.dumps(record).encode())
    assert isinstance(found, Found)
    assert found.what.ended_at is None


@pytest.mark.parametrize("form", ["langfuse", "langsmith", "mlflow", "otlp-json", "mapped"])
def test_a_nul_in_json_inside_json_is_dropped(tmp_path, form):
    packed = json.dumps({"question": "a\0b", "answer": "a\0b", "k\0": "a\0"})
    attributes = {"mlflow.spanInputs": packed, "mlflow.spanOutputs": packed, "mlflow.spanType": '"CHAIN"'}
    at = "2026-11-03T10:00:00Z"
    span = {"traceId": "a1", "spanId": "b1", "attributes": pairs({"input.value": packed, "metadata": packed})}
    records = {
        "langfuse": {"id": "t", "timestamp": at, "input": packed, "output": packed, "metadata": packed},
        "langsmith": {"id": "t", "run_type": "chain", "inputs": packed, "outputs": packed, "extra": packed},
        "mlflow": {"info": {"trace_id": "t"}, "data": {"spans": [
            {"name": "x", "span_id": "s", "attributes": attributes | {"x": '"a\\u0000"'}}]}},
        "otlp-json": {"scopeSpans": [{"spans": [span]}]},
        "mapped": {"id": "t", "ts": at, "q": packed, "a": packed, "m": packed},
    }  # fmt: skip
    found = given(form, tmp_path / "file", json.dumps(records[form]).encode())
    assert any(isinstance(record, Found) for record in found)
    assert failures(tmp_path / "file", json.dumps(records[form]).encode()) == []

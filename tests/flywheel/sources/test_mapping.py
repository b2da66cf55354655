import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources.mapping import look_up, parse_mapping, read_mapping, read_path, write_path

STEPS = st.lists(st.text(max_size=8) | st.integers(-99, 99), min_size=1, max_size=6).map(tuple)
FULL = """
[fields]
trace_id = "id"
timestamp = "ts"
user_input = "payload.q"
response = "payload.a"
model = ["meta.model", "model"]
[contexts]
list = "docs"
text = "body"
id = "doc_id"
[metadata]
team = "meta.team"
[defaults]
environment = "production"
"""


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("q", ("q",)),
        ("payload.q", ("payload", "q")),
        ("docs[0].body", ("docs", 0, "body")),
        ("messages[-1].content", ("messages", -1, "content")),
        ("[0].text", (0, "text")),
        ("a[1][2]", ("a", 1, 2)),
        ('attributes."input.value"', ("attributes", "input.value")),
        ("attributes.'input.value'[0]", ("attributes", "input.value", 0)),
        ('"say \\"hi\\""', ('say "hi"',)),
        ("User question", ("User question",)),
        ("@timestamp", ("@timestamp",)),
        ("frage_größe", ("frage_größe",)),
        ('""', ("",)),
    ],
)
def test_a_path_is_taken_apart_into_keys_and_places(text, steps):
    assert read_path(text) == steps


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[0", '"a', '"a"b', "a]b", " a", "a ", "a[1.5]"]
)
def test_a_broken_path_is_an_error(text):
    with pytest.raises(ValueError, match="path"):
        read_path(text)


def test_brackets_without_a_place_are_explained():
    with pytest.raises(ValueError, match="stands for every element"):
        read_path("docs[].body")


def test_a_path_has_an_end():
    with pytest.raises(ValueError, match="more than 32 steps"):
        read_path(".".join("a" * 40))


@given(STEPS)
def test_a_written_path_is_read_back_as_it_was(steps):
    assert read_path(write_path(steps)) == steps


@given(st.text(alphabet="ab.[]\"'\\01- ", max_size=20))
def test_any_text_is_a_path_or_a_value_error(text):
    try:
        steps = read_path(text)
    except ValueError:
        return
    assert read_path(write_path(steps)) == steps


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("a.b.c", None),
        ("list[0]", "x"),
        ("list[-1]", "z"),
        ("list[3]", None),
        ("list[-4]", None),
        ("list.a", None),
        ("a[0]", None),
        ("text.q[1]", "deep"),
        ("text.q[1].more", None),
    ],
)
def test_a_path_is_followed_through_objects_lists_and_json_texts(path, value):
    record = {"a": {"b": 1}, "list": ["x", "y", "z"], "text": '{"q": [0, "deep"]}'}
    assert look_up(record, read_path(path)) == value


def test_a_mapping_is_read_with_all_its_paths():
    mapping = parse_mapping(FULL, "mapping.toml")
    assert mapping.fields.user_input == (("payload", "q"),)
    assert mapping.fields.model == (("meta", "model"), ("model",))
    assert mapping.contexts.items == (("docs",),)
    assert mapping.defaults.environment == "production"
    assert mapping.columns == {"id", "ts", "payload", "meta", "model", "docs"}


def test_a_mapping_without_an_id_needs_the_whole_record():
    assert parse_mapping('[fields]\nuser_input = "q"', "mapping.toml").columns is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[fields]\nuser_input = "q"\nrespnse = "a"', "'fields.respnse'; did you mean 'response'?"),
        ('[fields]\nuser_input = "q"\n[context]\nlist = "d"', "'context'; did you mean 'contexts'?"),
        ('[fields]\nresponse = "a"', "fields.user_input is missing"),
        ("", "fields is missing"),
        ('[fields]\nuser_input = "docs[].q"', "stands for every element"),
        ("[fields]\nuser_input = 3", "write a path like"),
        ("[fields]\nuser_input = []", "write a path like"),
        ('[fields]\nuser_input = "q"\n[contexts]\nlist = "d"\ntexts = "e"', "give `texts`"),
        ('[fields]\nuser_input = "q"\n[contexts]\nlist = "d"\nid = "e"', "need `text` beside"),
        ('[fields]\nuser_input = "q"\n[contexts]\ntexts = "d"\nid = "e"', "are a `list`"),
        ('[fields]\nuser_input = "q"\n[values]\ntimestamp_unit = "min"', "values.timestamp_unit"),
        ("[fields", "no valid TOML"),
    ],
)
def test_a_wrong_mapping_is_an_error_with_its_place(text, said):
    with pytest.raises(UserError, match=r"^m\.toml") as error:
        parse_mapping(text, "m.toml")
    assert said in str(error.value)


def test_a_mapping_that_is_not_there_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_mapping(tmp_path / "none.toml")


def test_a_mapping_that_is_no_text_is_a_user_error(tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_bytes(b"\xff\xfe[")
    with pytest.raises(UserError, match="save it as UTF-8"):
        read_mapping(path)


@given(st.text(max_size=200))
def test_no_text_is_a_mapping_but_an_error_with_its_name(text):
    with pytest.raises(UserError, match=r"^m\.toml"):
        parse_mapping(text, "m.toml")

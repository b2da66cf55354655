import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.ingest.quarantine import Kept, Quarantine, line_of, read_kept
from flywheel.sources.records import Rejected

KEPT = st.builds(Kept, st.text(), st.integers(1), st.text(), st.sampled_from(["native", "mlflow"]), st.binary(),
                 st.booleans())  # fmt: skip


@given(st.lists(KEPT, max_size=5))
def test_what_is_kept_is_read_back_the_same(tmp_path_factory, kept):
    path = tmp_path_factory.mktemp("kept") / "file.jsonl"
    path.write_bytes(b"".join(map(line_of, kept)))
    assert list(read_kept(path)) == kept


def test_a_file_appears_under_its_name_only_once_it_is_kept(tmp_path):
    aside = Quarantine(tmp_path / "quarantine", "a.jsonl", "native")
    assert aside.keep("0" * 64) is None
    aside.add(Rejected(3, "why", b"raw"))
    assert [path.suffix for path in (tmp_path / "quarantine").iterdir()] == [".part"]
    kept = aside.keep("0123456789abcdef" * 4)
    assert kept == tmp_path / "quarantine" / "0123456789abcdef.jsonl"
    assert list(read_kept(kept)) == [Kept("a.jsonl", 3, "why", "native", b"raw", True)]
    aside.drop()
    assert kept.exists()


def test_what_is_dropped_leaves_nothing(tmp_path):
    aside = Quarantine(tmp_path, "a.jsonl", "native")
    aside.add(Rejected(1, "why", b"raw"))
    aside.drop()
    aside.drop()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_an_earlier_version_is_read_as_native_and_whole(tmp_path):
    path = tmp_path / "old.jsonl"
    path.write_text('{"file": "a.jsonl", "line": 7, "reason": "why", "raw": "e30="}\n')
    assert list(read_kept(path)) == [Kept("a.jsonl", 7, "why", "native", b"{}", True)]


@pytest.mark.parametrize(
    "line", ["broken", "[]", '{"file": "a"}', '{"file": "a", "line": "x", "reason": "", "raw": ""}',
             '{"file": "a", "line": 1, "reason": "", "raw": "%%"}']
)  # fmt: skip
def test_a_line_that_is_none_of_ours_is_the_users_to_mend(tmp_path, line):
    path = tmp_path / "q.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=r"q\.jsonl, line 1 is no quarantined record .*delete that line"):
        list(read_kept(path))

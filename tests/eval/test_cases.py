import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.cases import (
    EMPTY_VERSION,
    Expectation,
    GoldenCase,
    aside,
    case_hash,
    dataset_version,
    read_dataset,
    write_aside,
    write_dataset,
)
from eval.errors import UserError
from eval.sample import Passage

HOSTILE = "</details><script>alert(1)</script>\u2028=cmd|' /C calc'!A0\n---\n../../etc"
CASES = (
    GoldenCase("b", "When does it end?", reference="After 14 days", role="train", label_ids=("l1",)),
    GoldenCase(
        "a",
        HOSTILE,
        passages=(Passage("p", HOSTILE),),
        expectation=Expectation(("14",), abstain=False),
        answerable=True,
        role="gate",
    ),
    GoldenCase("c", "Who?", passage_ids=("p1", "p2"), passage_hashes=("x", "y"), role="gate", status="retired"),
)


def test_cases_come_back_as_they_were_written(tmp_path: Path) -> None:
    version = write_dataset(tmp_path, CASES)
    assert read_dataset(tmp_path).version == version
    assert set(read_dataset(tmp_path).cases) == set(CASES)


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_version_depends_on_all_texts_and_not_on_order(question: str, reference: str, phrases: list[str]) -> None:
    case = GoldenCase("x", question, reference=reference, expectation=Expectation(tuple(phrases)))
    other = GoldenCase("y", "?")
    assert dataset_version([case, other]) == dataset_version([other, case])
    assert dataset_version([case]) != dataset_version([replace(case, reference=reference + "!")])


@settings(max_examples=25, deadline=None)
@given(question=st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_survives_the_folder(tmp_path_factory: pytest.TempPathFactory, question: str) -> None:
    folder = tmp_path_factory.mktemp("golden")
    write_dataset(folder, [GoldenCase("x", question)])
    assert read_dataset(folder).cases[0].user_input == question


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path) -> None:
    version = write_dataset(tmp_path, [GoldenCase("x", "a\ud800b")])
    assert read_dataset(tmp_path).version == version
    assert read_dataset(tmp_path).cases[0].user_input == "a?b"


def test_files_are_sorted_by_case_with_sorted_keys(tmp_path: Path) -> None:
    write_dataset(tmp_path, CASES)
    lines = (tmp_path / "gate.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["case_id"] for line in lines] == ["a", "c"]
    assert list(json.loads(lines[0])) == sorted(json.loads(lines[0]))


def test_manifest_counts_roles_and_statuses(tmp_path: Path) -> None:
    version = write_dataset(tmp_path, CASES)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["schema"], manifest["version"]) == ("flywheel.golden/1", version)
    assert manifest["counts"] == {"train": {"active": 1}, "dev": {}, "gate": {"active": 1, "retired": 1}}
    assert manifest["hashes"]["b"] == case_hash(CASES[0])


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write_dataset(tmp_path, CASES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_dataset(tmp_path, reversed(CASES))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_empty_folder_is_an_empty_dataset(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    assert read_dataset(tmp_path / folder).cases == ()
    assert read_dataset(tmp_path / folder).version == EMPTY_VERSION == write_dataset(tmp_path / "new", [])


def test_case_changed_by_hand_is_named_with_a_remedy(tmp_path: Path) -> None:
    write_dataset(tmp_path, CASES)
    path = tmp_path / "train.jsonl"
    path.write_text(path.read_text().replace("14 days", "30 days"))
    with pytest.raises(UserError, match=r"'b' changed by hand; put the files back"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, verify=False).cases[0].reference == "After 30 days"


def test_case_added_or_removed_by_hand_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, CASES)
    (tmp_path / "train.jsonl").write_text('{"case_id": "new", "user_input": "?", "role": "train"}\n')
    with pytest.raises(UserError, match=r"'b' missing, 'new' added by hand"):
        read_dataset(tmp_path)


def test_files_without_a_manifest_are_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, CASES)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"3 cases but no manifest\.json"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("manifest", ["{", "[]", '{"version": "g-1"}'])
def test_broken_manifest_is_a_user_error(tmp_path: Path, manifest: str) -> None:
    write_dataset(tmp_path, CASES)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match="cannot be read"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"case_id": 1, "user_input": "?", "role": "dev"}', r"line 1: Expected `str`, got `int` - at `\$\.case_id`"),
        ('{"case_id": "x"', "line 1: Input data was truncated"),
        ('{"case_id": "x", "user_input": "?"}', "has the role 'gate'; move it to gate.jsonl"),
    ],
)
def test_line_that_is_no_case_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "dev.jsonl").write_text(line)
    with pytest.raises(UserError, match=said):
        read_dataset(tmp_path)


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'a' more than once"):
        write_dataset(tmp_path, [GoldenCase("a", "1"), GoldenCase("a", "2", role="dev")])


def test_write_cut_off_before_its_end_leaves_the_old_version(tmp_path: Path) -> None:
    version = write_dataset(tmp_path, CASES)
    write_aside(tmp_path / "gate.jsonl", b"half a li")
    assert read_dataset(tmp_path).version == version
    assert write_dataset(tmp_path, CASES[:1]) == read_dataset(tmp_path).version
    assert not list(tmp_path.glob("*.new"))


def test_write_cut_off_between_renames_is_finished_by_the_next_reader(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_dataset(old, CASES)
    version = write_dataset(new, CASES[:1])
    for path in new.iterdir():
        if path.name != "train.jsonl":
            aside(old / path.name).write_bytes(path.read_bytes())
    (old / "train.jsonl").write_bytes((new / "train.jsonl").read_bytes())
    assert read_dataset(old).version == version
    assert not list(old.glob("*.new"))


@pytest.mark.filterwarnings("ignore")
def test_datasets_library_loads_the_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    write_dataset(tmp_path / "golden_dataset", CASES)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    loaded = datasets.load_dataset(str(tmp_path / "golden_dataset"), cache_dir=str(tmp_path / "cache"))
    assert {role: loaded[role]["case_id"][:] for role in loaded} == {"train": ["b"], "gate": ["a", "c"]}
    assert loaded["gate"][0]["user_input"] == HOSTILE
    assert loaded["gate"][0]["expectation"] == {"abstain": False, "must_include": ["14"], "supported": None}
    assert set(loaded["gate"].features) == set(GoldenCase.__dataclass_fields__)

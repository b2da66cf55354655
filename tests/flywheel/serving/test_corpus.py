from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.serving import corpus
from flywheel.serving.corpus import Chunk, fits, passages_of, read_corpus


def test_a_short_document_is_one_passage_named_after_its_file(tmp_path: Path):
    (tmp_path / "trial.md").write_text("# The trial\n\nIt ends after 14 days.\n")
    assert read_corpus(tmp_path) == [Chunk("trial", "# The trial\n\nIt ends after 14 days.", "The trial", "trial.md")]


def test_a_document_in_a_subfolder_carries_the_folder_in_its_id(tmp_path: Path):
    (tmp_path / "faq").mkdir()
    (tmp_path / "faq" / "trial.txt").write_text("It ends after 14 days.")
    [chunk] = read_corpus(tmp_path)
    assert (chunk.id, chunk.title, chunk.source) == ("faq/trial", "trial", "faq/trial.txt")


def test_a_long_document_breaks_between_paragraphs(tmp_path: Path):
    paragraphs = [f"Paragraph {n}. " + "word " * 90 + "end." for n in range(3)]
    (tmp_path / "long.md").write_text("\n\n".join(paragraphs))
    chunks = read_corpus(tmp_path)
    assert [chunk.id for chunk in chunks] == ["long", "long#2"]
    assert chunks[0].text == "\n\n".join(paragraphs[:2])
    assert chunks[1].text == paragraphs[2]


def test_a_long_paragraph_breaks_between_sentences():
    sentences = [f"Sentence {n} has " + "word " * 40 + "end." for n in range(8)]
    passages = list(passages_of(" ".join(sentences)))
    assert len(passages) == 2
    assert all(passage.startswith("Sentence") and passage.endswith("end.") for passage in passages)


@given(st.text(alphabet="ab .\n東", max_size=6000))
def test_passages_fit_and_lose_no_character_but_space(text: str):
    passages = list(passages_of(text))
    assert all(passage and fits(passage) for passage in passages)
    assert "".join("".join(passages).split()) == "".join(text.split())


def test_text_without_spaces_is_cut_by_length():
    assert [len(p) for p in passages_of("東" * 5000)] == [2000, 2000, 1000]


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path):
    (tmp_path / "old.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(UserError, match=r"old\.txt is not UTF-8"):
        read_corpus(tmp_path)


def test_a_file_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpus, "MAX_FILE_BYTES", 10)
    (tmp_path / "big.md").write_text("eleven long")
    with pytest.raises(UserError, match=r"big\.md has 11 bytes"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_link_that_leads_outside_is_refused(tmp_path: Path, is_folder: bool):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.md").symlink_to(outside if is_folder else outside / "secret.md")
    with pytest.raises(UserError, match="a place outside"):
        read_corpus(inside)


def test_a_link_inside_the_folder_is_not_read_twice(tmp_path: Path):
    (tmp_path / "a.md").write_text("one")
    (tmp_path / "b.md").symlink_to(tmp_path / "a.md")
    assert [chunk.id for chunk in read_corpus(tmp_path)] == ["a"]


def test_two_documents_of_one_id_are_refused(tmp_path: Path):
    (tmp_path / "a.md").write_text("one")
    (tmp_path / "a.txt").write_text("two")
    with pytest.raises(UserError, match=r"a\.md and a\.txt would share the id 'a'"):
        read_corpus(tmp_path)


def test_hidden_empty_and_other_files_are_left_out(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.md").write_text("hidden")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "a.md").write_text("one")
    assert [chunk.id for chunk in read_corpus(tmp_path)] == ["a"]


def test_a_folder_without_text_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="holds no text"):
        read_corpus(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        read_corpus(tmp_path / "missing")

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from eval.errors import OperationalError, UserError
from flywheel.serving.index import (
    any_vector,
    build_index,
    build_on_server,
    embedded_text,
    index_stats,
    open_index,
    search,
)

from .conftest import CHUNKS, hash_words

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from flywheel.serving.index import open_index
index = open_index(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""
DIE = """
import os, signal, sys
from pathlib import Path
from flywheel.serving.corpus import Chunk
from flywheel.serving.index import build_index
from tests.flywheel.serving.conftest import hash_words
def embed(texts):
    if texts[0].endswith("new 64"):
        os.kill(os.getpid(), signal.SIGKILL)
    return hash_words(texts)
build_index(Path(sys.argv[1]), [Chunk(f"n{i}", f"new {i}", "", "n.md") for i in range(100)], embed)
"""


def search_ids(folder: Path, question: str, top_k: int = 1) -> list[str]:
    index = open_index(folder)
    try:
        return [hit.passage.id for hit in search(index, hash_words([question])[0], top_k)]
    finally:
        index.close()


def test_the_closest_passage_comes_first_with_its_text(index_folder: Path):
    index = open_index(index_folder)
    hits = search(index, hash_words([embedded_text(CHUNKS[1])])[0], 2)
    index.close()
    assert hits[0].passage == CHUNKS[1]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[0].score > hits[1].score


def test_a_search_gives_no_more_passages_than_there_are(index_folder: Path):
    assert len(search_ids(index_folder, "refund", 10)) == len(CHUNKS)


def test_a_rebuild_replaces_the_passages_and_leaves_one_build(index_folder: Path):
    build_index(index_folder, CHUNKS[2:], hash_words)
    assert search_ids(index_folder, "refund", 10) == ["opening"]
    assert len([path for path in index_folder.iterdir() if path.is_dir()]) == 1


def test_an_index_that_is_open_survives_a_rebuild(index_folder: Path):
    index = open_index(index_folder)
    build_index(index_folder, CHUNKS[2:], hash_words)
    assert search(index, hash_words(["refund"])[0], 1)[0].passage.id == "refunds"
    index.close()


def test_a_killed_rebuild_leaves_the_old_index(index_folder: Path):
    died = subprocess.run([sys.executable, "-c", DIE, str(index_folder)], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    assert search_ids(index_folder, "refund") == ["refunds"]
    build_index(index_folder, CHUNKS, hash_words)
    assert len([path for path in index_folder.iterdir() if path.is_dir()]) == 1


def test_a_rebuild_whose_embedder_fails_leaves_the_old_index(index_folder: Path):
    def fail(texts):
        raise OperationalError("no weights")

    with pytest.raises(OperationalError, match="no weights"):
        build_index(index_folder, CHUNKS[2:], fail)
    assert search_ids(index_folder, "refund") == ["refunds"]


def test_the_second_process_is_told_who_holds_the_index(index_folder: Path):
    command = [sys.executable, "-c", HOLD, str(index_folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(OperationalError, match=rf"is open in process {holder.pid} .*serving\.qdrant_url"):
            open_index(index_folder)
        assert index_stats(index_folder).passages == len(CHUNKS)
        holder.stdin.close()
    assert search_ids(index_folder, "refund") == ["refunds"]


def test_no_index_says_how_to_make_one_and_makes_nothing(tmp_path: Path):
    with pytest.raises(UserError, match="flywheel corpus ingest"):
        open_index(tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("pointer", ["{", '{"build": "../../x", "passages": 1, "dimension": 2}', "{}"])
def test_a_damaged_pointer_opens_nothing(index_folder: Path, pointer: str):
    (index_folder / "current.json").write_text(pointer)
    with pytest.raises(UserError, match="flywheel corpus ingest"):
        open_index(index_folder)


def test_a_lost_build_says_how_to_make_one(index_folder: Path):
    [build] = [path for path in index_folder.iterdir() if path.is_dir()]
    build.rename(index_folder / "elsewhere")
    with pytest.raises(UserError, match="has lost its folder"):
        open_index(index_folder)


def test_nothing_to_index_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="no passages"):
        build_index(tmp_path, [], hash_words)


def test_a_collection_name_that_is_a_path_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"serving\.collection"):
        build_index(tmp_path / "index", CHUNKS, hash_words, "../outside")


def test_progress_adds_up(tmp_path: Path):
    told: list[int] = []
    build_index(tmp_path / "index", CHUNKS * 30, hash_words, progress=told.append)
    assert told == [64, 26]


def test_a_stored_vector_is_that_of_its_passage(index_folder: Path):
    index = open_index(index_folder)
    passage, vector = any_vector(index)
    index.close()
    assert vector == pytest.approx(hash_words([embedded_text(passage)])[0], abs=1e-5)


def test_on_a_server_the_alias_turns_to_the_new_build_and_the_old_one_goes(tmp_path: Path):
    place = str(tmp_path / "server")
    for number, chunks in enumerate((CHUNKS, CHUNKS[2:])):
        build = f"passages--2026010{number + 1}T000000Z-00000000"
        build_on_server(QdrantClient(path=place), "passages", build, chunks, hash_words, lambda _: None)
    client = QdrantClient(path=place)
    assert client.count("passages").count == 1
    assert [collection.name for collection in client.get_collections().collections] == [build]
    client.close()


def test_a_server_that_is_down_is_an_operational_error(tmp_path: Path):
    with pytest.raises(OperationalError, match=r"serving\.qdrant_url"):
        open_index(tmp_path, qdrant_url="http://127.0.0.1:9")


def test_the_index_keeps_itself_out_of_git(index_folder: Path):
    assert (index_folder / ".gitignore").read_text() == "*\n"

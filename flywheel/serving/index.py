"""The vector index: passages in Qdrant, embedded in this process or on a server by URL.

Qdrant's embedded store unpickles what lies in its folder, and unpickling can run code: open only an index
folder that this machine built. `flywheel corpus ingest` rebuilds one from the documents at any time.
"""

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from eval.embedding import Embedder
from eval.errors import OperationalError, UserError
from flywheel.serving.corpus import Chunk

if TYPE_CHECKING:
    from filelock import BaseFileLock

Progress = Callable[[int], None]
"""Is told how many more passages are in."""

BATCH = 64
POINTER = "current.json"
BUILD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}--\d{8}T\d{6}Z-[0-9a-f]{8}")
STAMP = "%Y%m%dT%H%M%SZ"
REBUILD = "run: flywheel corpus ingest"
API_KEY_VARIABLE = "QDRANT_API_KEY"
SERVER_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found. `score` is the cosine of question and passage, from -1 to 1."""

    passage: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class Index:
    """An open index. An embedded one stays at the build it opened; on a server it follows each rebuild."""

    client: Any
    collection: str
    size: int
    lock: "BaseFileLock | None" = None

    def close(self) -> None:
        """Let go of the folder or the connection."""
        self.client.close()
        if self.lock is not None:
            self.lock.release()


@dataclass(frozen=True, slots=True)
class IndexStats:
    """How many passages an index holds, and when it was built, in UTC."""

    passages: int
    built_at: datetime


class Pointer(msgspec.Struct, frozen=True):
    """What `current.json` says: the build in force, and what it holds."""

    build: str
    passages: int
    dimension: int


def build_index(
    folder: Path,
    chunks: Sequence[Chunk],
    embed: Embedder,
    collection: str = "passages",
    qdrant_url: str | None = None,
    progress: Progress = lambda _: None,
) -> None:
    """Build the index anew beside the one in force and put it in force once complete.

    A kill at any point leaves the old index as it was; what the killed build left behind goes with the next one.
    """
    if not chunks:
        raise UserError("there are no passages to index; name a folder that holds documents")
    build = f"{collection}--{datetime.now(UTC):{STAMP}}-{secrets.token_hex(4)}"
    if not BUILD_NAME.fullmatch(build):
        raise UserError(f"serving.collection is {collection!r}; use letters, digits, '.', '_' and '-' only")
    if qdrant_url is not None:
        build_on_server(connect(qdrant_url), collection, build, chunks, embed, progress)
        return
    from qdrant_client import QdrantClient

    with build_lock(folder):
        with closing(QdrantClient(path=str(folder / build))) as client:
            dimension = fill(client, build, chunks, embed, progress)
        write_pointer(folder, Pointer(build, len(chunks), dimension))
        for old in folder.iterdir():
            if old.is_dir() and BUILD_NAME.fullmatch(old.name) and old.name != build:
                shutil.rmtree(old)


def fill(client: Any, build: str, chunks: Sequence[Chunk], embed: Embedder, progress: Progress) -> int:
    """Put the passages into a new collection, a batch at a time, and give the length of their vectors."""
    from qdrant_client import models

    dimension = 0
    for start in range(0, len(chunks), BATCH):
        batch = chunks[start : start + BATCH]
        vectors = embed([embedded_text(chunk) for chunk in batch])
        if not dimension:
            dimension = vectors.shape[1]
            size = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
            client.create_collection(build, vectors_config=size)
        points = [
            models.PointStruct(id=start + row, vector=vector.tolist(), payload=msgspec.to_builtins(chunk))
            for row, (chunk, vector) in enumerate(zip(batch, vectors, strict=True))
        ]
        client.upsert(build, points=points, wait=True)
        progress(len(batch))
    return dimension


def embedded_text(chunk: Chunk) -> str:
    """Give the text whose vector stands for a passage: a later passage of a document rarely repeats its subject."""
    return f"{chunk.title}\n{chunk.text}"


def build_on_server(
    client: Any, collection: str, build: str, chunks: Sequence[Chunk], embed: Embedder, progress: Progress
) -> None:
    """Fill a new collection, turn the alias `collection` to it, and delete the builds that this leaves behind."""
    from qdrant_client import models

    with server_errors(), closing(client):
        fill(client, build, chunks, embed, progress)
        turn: list[Any] = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=collection))
            for alias in client.get_aliases().aliases
            if alias.alias_name == collection
        ]
        new = models.CreateAlias(collection_name=build, alias_name=collection)
        client.update_collection_aliases([*turn, models.CreateAliasOperation(create_alias=new)])
        for old in client.get_collections().collections:
            if BUILD_NAME.fullmatch(old.name) and old.name.startswith(f"{collection}--") and old.name != build:
                client.delete_collection(old.name)


def open_index(folder: Path, collection: str = "passages", qdrant_url: str | None = None) -> Index:
    """Open the index in force. An embedded index takes one process at a time: the next gets an OperationalError."""
    if qdrant_url is not None:
        client = connect(qdrant_url)
        with ExitStack() as on_error, server_errors():
            on_error.callback(client.close)
            size = client.count(aliased_build(client, collection)).count
            on_error.pop_all()
        return Index(client, collection, size)
    pointer = read_pointer(folder)
    place = folder / pointer.build
    if not place.is_dir():
        raise UserError(f"the index in {folder} has lost its folder {pointer.build}; {REBUILD}")
    from qdrant_client import QdrantClient

    lock = hold(place)
    return Index(QdrantClient(path=str(place)), pointer.build, pointer.passages, lock)


def search(index: Index, vector: NDArray[np.float32], top_k: int) -> list[Hit]:
    """Find the passages whose vectors are closest to one vector, the best first."""
    with server_errors():
        found = index.client.query_points(index.collection, query=vector.tolist(), limit=top_k, with_payload=True)
    return [Hit(msgspec.convert(point.payload, Chunk), float(point.score)) for point in found.points]


def index_stats(folder: Path, collection: str = "passages", qdrant_url: str | None = None) -> IndexStats:
    """Say what the index in force holds. An embedded index is not opened for it, so a service may have it open."""
    if qdrant_url is None:
        pointer = read_pointer(folder)
        return IndexStats(pointer.passages, built_at(pointer.build))
    with server_errors(), closing(connect(qdrant_url)) as client:
        build = aliased_build(client, collection)
        return IndexStats(client.count(build).count, built_at(build))


def aliased_build(client: Any, collection: str) -> str:
    """Give the collection that the alias of an index stands for on a server."""
    for alias in client.get_aliases().aliases:
        if alias.alias_name == collection and BUILD_NAME.fullmatch(alias.collection_name):
            return str(alias.collection_name)
    raise UserError(f"the Qdrant server has no index {collection!r}; {REBUILD}")


def built_at(build: str) -> datetime:
    """Give the moment that the name of a build tells."""
    stamp = build.rpartition("--")[2].partition("-")[0]
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)


def any_vector(index: Index) -> tuple[Chunk, NDArray[np.float32]]:
    """Give one of the passages with its vector."""
    with server_errors():
        points, _ = index.client.scroll(index.collection, limit=1, with_payload=True, with_vectors=True)
    return msgspec.convert(points[0].payload, Chunk), np.array(points[0].vector, dtype=np.float32)


def read_pointer(folder: Path) -> Pointer:
    """Read which build is in force; where there is none, say how to make one."""
    try:
        pointer = msgspec.json.decode((folder / POINTER).read_bytes(), type=Pointer)
    except FileNotFoundError as error:
        raise UserError(f"there is no index in {folder}; {REBUILD}") from error
    except msgspec.MsgspecError as error:
        raise UserError(f"{folder / POINTER} is damaged ({error}); {REBUILD}") from error
    if not BUILD_NAME.fullmatch(pointer.build):
        raise UserError(f"{folder / POINTER} names no build of ours; {REBUILD}")
    return pointer


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Put a build in force in one step."""
    temporary = folder / f"{POINTER}.{secrets.token_hex(4)}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(pointer))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / POINTER)


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Let one process build at a time."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    try:
        with FileLock(folder / ".build.lock", timeout=0):
            yield
    except Timeout as error:
        raise OperationalError(f"another process is building the index in {folder}; wait until it ends") from error


def hold(place: Path) -> "BaseFileLock":
    """Take a build for this process, leaving a note of who has it.

    Qdrant has a lock of its own, and leaks a file handle where it finds that taken.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(place / "open.lock", timeout=0, thread_local=False), place / "holder"
    try:
        lock.acquire()
    except Timeout as error:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise OperationalError(
            f"the index in {place.parent} is open in {who}; end that process, "
            f"or start a Qdrant server and set serving.qdrant_url to share one index"
        ) from error
    holder.write_text(f"process {os.getpid()} ({Path(sys.argv[0]).name} {' '.join(sys.argv[1:2])})", encoding="utf-8")
    return lock


def connect(qdrant_url: str) -> Any:
    """Make a client of a Qdrant server; its key comes from the environment, if it needs one."""
    from qdrant_client import QdrantClient

    return QdrantClient(
        url=qdrant_url,
        api_key=os.environ.get(API_KEY_VARIABLE),
        timeout=SERVER_TIMEOUT_SECONDS,
        check_compatibility=False,
    )


@contextmanager
def server_errors() -> Iterator[None]:
    """Turn what a Qdrant server refuses or does not answer into an OperationalError."""
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        raise OperationalError(
            f"the Qdrant server did not do it: {error}; check that it runs, serving.qdrant_url and {API_KEY_VARIABLE}"
        ) from error

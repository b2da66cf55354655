"""Golden cases: what a right answer must do, and the folder of JSONL files that holds one version of them."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from eval.errors import UserError
from eval.sample import Passage

Role = Literal["train", "dev", "gate"]
CaseStatus = Literal["active", "needs_review", "retired"]
ROLES: tuple[Role, ...] = get_args(Role)
SCHEMA = "flywheel.golden/1"
MANIFEST = "manifest.json"
CARD = "README.md"
EMPTY_VERSION = "g-" + sha256(b"").hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What can be checked without a reference answer; None is "nobody said"."""

    must_include: tuple[str, ...] = ()
    abstain: bool | None = None
    supported: bool | None = None


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """A question with what a right answer to it must do.

    `passages` are texts that every pipeline under test is given; `passage_ids` name the passages a retriever
    ought to find, and `passage_hashes` are the SHA-256 of their texts in the same order, or empty.
    `group` is the unit of resampling: the source document or the session.
    """

    case_id: str
    user_input: str
    passages: tuple[Passage, ...] = ()
    passage_ids: tuple[str, ...] = ()
    passage_hashes: tuple[str, ...] = ()
    reference: str | None = None
    expectation: Expectation = Expectation()
    answerable: bool | None = None
    failure_type: str | None = None
    mode_id: str | None = None
    severity: str | None = None
    group: str = ""
    role: Role = "gate"
    status: CaseStatus = "active"
    source_trace: str | None = None
    label_ids: tuple[str, ...] = ()
    added_in: str | None = None


@dataclass(frozen=True, slots=True)
class GoldenDataset:
    """One version of the golden cases, sorted by role and case id."""

    version: str
    cases: tuple[GoldenCase, ...]


def case_line(case: GoldenCase) -> bytes:
    """Write a case as one line of JSON with sorted keys; half a surrogate pair becomes a question mark."""
    return json.dumps(asdict(case), sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")


def case_hash(case: GoldenCase) -> str:
    """SHA-256 over everything a case says."""
    return sha256(case_line(case)).hexdigest()


def dataset_version(cases: Iterable[GoldenCase]) -> str:
    """`g-` and 12 hex digits over the sorted case hashes: equal only for equal cases, in whatever order."""
    return "g-" + sha256("".join(sorted(case_hash(case) for case in cases)).encode()).hexdigest()[:12]


def read_dataset(folder: Path, verify: bool = True) -> GoldenDataset:
    """Read a version and check each case against the manifest; an empty folder is an empty dataset.

    Without `verify`, edits made by hand are taken as they are, under the version they amount to.
    """
    finish_write(folder)
    cases = [case for role in ROLES for case in read_role(folder / f"{role}.jsonl", role)]
    refuse_repeated(cases, folder)
    if verify:
        check_manifest(folder, cases)
    return GoldenDataset(dataset_version(cases), tuple(cases))


def read_role(path: Path, role: Role) -> list[GoldenCase]:
    """Read one role's file; an error names the line and the field."""
    if not path.exists():
        return []
    cases = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            case = msgspec.json.decode(line, type=GoldenCase)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UserError(f"{path}, line {number}: {error}; correct that line, or put the file back") from error
        if case.role != role:
            raise UserError(
                f"{path}, line {number}: case {case.case_id!r} has the role {case.role!r}; "
                f"move it to {case.role}.jsonl, or put the file back"
            )
        cases.append(case)
    return cases


def refuse_repeated(cases: Sequence[GoldenCase], where: Path | str) -> None:
    """Raise if two cases share an id."""
    repeated = sorted(case_id for case_id, count in Counter(case.case_id for case in cases).items() if count > 1)
    if repeated:
        raise UserError(f"{where} holds {named(repeated)} more than once; keep one case of each id")


def check_manifest(folder: Path, cases: Sequence[GoldenCase]) -> None:
    """Raise if the cases are not those that the manifest records, naming which ones."""
    path = folder / MANIFEST
    if not path.exists():
        if cases:
            raise UserError(f"{folder} has {len(cases)} cases but no {MANIFEST}; {remedy(folder)}")
        return
    try:
        manifest = json.loads(path.read_bytes())
        version, recorded = str(manifest["version"]), dict(manifest["hashes"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); {remedy(folder)}") from error
    found = {case.case_id: case_hash(case) for case in cases}
    problems = [
        f"{named(ids)} {what}"
        for what, ids in (
            ("changed", sorted(i for i in found.keys() & recorded.keys() if found[i] != recorded[i])),
            ("missing", sorted(recorded.keys() - found.keys())),
            ("added", sorted(found.keys() - recorded.keys())),
        )
        if ids
    ]
    if problems:
        raise UserError(
            f"{folder} is not the version {version} that {MANIFEST} records: {', '.join(problems)} by hand; "
            f"{remedy(folder)}"
        )


def remedy(folder: Path) -> str:
    """Say how a folder and its manifest come to agree again."""
    return (
        f"put the files back (git checkout {folder}), or make the edit a new version: flywheel golden verify --accept"
    )


def named(ids: Sequence[str]) -> str:
    """Name up to three ids and count the rest."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"{', '.join(map(repr, ids[:3]))}{more}"


def write_dataset(folder: Path, cases: Iterable[GoldenCase]) -> str:
    """Write the cases as the folder's version and return its name.

    All files are written aside first, the manifest last. From then on the version counts: whoever opens
    the folder next finishes a write that was cut off.
    """
    ordered = sorted(cases, key=lambda case: case.case_id)
    refuse_repeated(ordered, "the new version")
    folder.mkdir(parents=True, exist_ok=True)
    discard_write(folder)
    for role in ROLES:
        write_aside(folder / f"{role}.jsonl", b"".join(case_line(c) + b"\n" for c in ordered if c.role == role))
    version = dataset_version(ordered)
    write_aside(folder / CARD, card(version, ordered).encode())
    manifest = {
        "schema": SCHEMA,
        "version": version,
        "counts": {role: dict(sorted(Counter(c.status for c in ordered if c.role == role).items())) for role in ROLES},
        "hashes": {case.case_id: case_hash(case) for case in ordered},
    }
    write_aside(folder / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    finish_write(folder)
    return version


def aside(path: Path) -> Path:
    """Where a file waits until its version is complete."""
    return path.with_name(path.name + ".new")


def write_aside(path: Path, content: bytes) -> None:
    """Write and flush a file beside the one it will replace."""
    with aside(path).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def discard_write(folder: Path) -> None:
    """Drop what an unfinished write left, unless it was complete: then finish it."""
    finish_write(folder)
    for path in folder.glob("*.new"):
        path.unlink(missing_ok=True)


def finish_write(folder: Path) -> None:
    """Put files that wait aside in their places, if all of them were written."""
    if not aside(folder / MANIFEST).exists():
        return
    for name in (*(f"{role}.jsonl" for role in ROLES), CARD, MANIFEST):
        try:
            aside(folder / name).replace(folder / name)
        except FileNotFoundError:
            continue  # moved before the cut, or by another reader a moment ago


STRING: dict[str, Any] = {"dtype": "string"}
FEATURES: tuple[dict[str, Any], ...] = (
    {"name": "added_in", **STRING},
    {"name": "answerable", "dtype": "bool"},
    {"name": "case_id", **STRING},
    {
        "name": "expectation",
        "struct": [
            {"name": "abstain", "dtype": "bool"},
            {"name": "must_include", "list": "string"},
            {"name": "supported", "dtype": "bool"},
        ],
    },
    {"name": "failure_type", **STRING},
    {"name": "group", **STRING},
    {"name": "label_ids", "list": "string"},
    {"name": "mode_id", **STRING},
    {"name": "passage_hashes", "list": "string"},
    {"name": "passage_ids", "list": "string"},
    {"name": "passages", "list": [{"name": "id", **STRING}, {"name": "text", **STRING}]},
    {"name": "reference", **STRING},
    {"name": "role", **STRING},
    {"name": "severity", **STRING},
    {"name": "source_trace", **STRING},
    {"name": "status", **STRING},
    {"name": "user_input", **STRING},
)
"""Types of a case's fields, in the words of the `datasets` library: an all-empty column has no type to infer."""


def card(version: str, cases: Sequence[GoldenCase]) -> str:
    """Write the card that lets `datasets.load_dataset(folder)` give the roles as splits.

    The front matter is JSON, which is YAML. A role without cases is left out: the library loads no empty split.
    """
    counts = Counter(case.role for case in cases)
    splits = [{"split": role, "path": f"{role}.jsonl"} for role in ROLES if counts[role]]
    head: dict[str, Any] = {"dataset_info": {"config_name": "default", "features": list(FEATURES)}}
    if splits:
        head["configs"] = [{"config_name": "default", "data_files": splits}]
    rows = "\n".join(f"| {role} | {counts[role]} |" for role in ROLES)
    return f"""---
{json.dumps(head, indent=1)}
---
# Golden cases, version {version}

Questions with what a right answer must do. `train` may teach a detector or a prompt, `dev` may tune one,
`gate` only judges changes. Written by Flywheel: edit cases with `flywheel golden`, not by hand.

| role | cases |
|---|---|
{rows}

    import datasets
    cases = datasets.load_dataset("./golden_dataset")
"""

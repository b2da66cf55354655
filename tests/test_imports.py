"""Imports go one way: annotation_app -> flywheel -> eval, each module only to what stands before it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("eval", "flywheel", "annotation_app")
MAY_IMPORT = {"eval": {"eval"}, "flywheel": {"eval", "flywheel"}, "annotation_app": set(PACKAGES)}
WALLS = {
    "mlflow": ("eval/tracking.py",),
    "ragas": ("eval/metrics/ragas.py",),
    "fastapi": ("flywheel/serving/",),
    "qdrant_client": ("flywheel/serving/",),
    "streamlit": ("annotation_app/",),
    "sqlalchemy": ("flywheel/labels/",),
}
"""Each of these libraries hides behind one wall: it can be replaced without touching another file."""

HEAVY = {
    "torch",
    "ragas",
    "mlflow",
    "streamlit",
    "umap",
    "ray",
    "sentence_transformers",
    "transformers",
    "hdbscan",
    "altair",
}
"""These load inside the function that needs them, but for the modules behind their wall."""

STAGES = (
    "trace", "settings", "governance", "workspace", "serving", "under_test", "sources", "plan", "modes", "labels",
    "warehouse", "ingest", "overlap", "signals", "scoring", "triage", "collect", "estimate", "firewall", "golden",
    "recalibrate", "enqueue", "report", "policy", "week", "quality", "weekly_report", "phase_one", "verdict", "track",
    "phase_two", "look", "sample", "demo", "cli",
)  # fmt: skip
"""The modules of `flywheel` in the order data flows: one may import what comes before it, never what comes after.

The warehouse stores the records of `plan`, `modes` and `labels`, which know nothing of it.
"""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of the three packages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module, top_level_only: bool = False) -> Iterator[str]:
    """Yield the dotted names that a module imports; those only for types are left out."""
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def without_type_checking(tree: ast.Module) -> ast.Module:
    """Drop `if TYPE_CHECKING:` blocks."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]
    return ast.Module(body=kept, type_ignores=[])


def test_packages_import_one_way():
    turned_back = [
        f"{path}: {name}"
        for path, tree in modules()
        for name in imported(tree)
        if name.split(".")[0] in PACKAGES and name.split(".")[0] not in MAY_IMPORT[path.parts[0]]
    ]
    assert turned_back == []


def test_each_library_stays_behind_its_wall():
    outside = [
        f"{path}: {name}"
        for path, tree in modules()
        for name in imported(tree)
        for library, rooms in WALLS.items()
        if name.split(".")[0] == library and not path.as_posix().startswith(rooms)
    ]
    assert outside == []


def test_heavy_libraries_load_inside_the_function_that_needs_them():
    eager = [
        f"{path}: {name}"
        for path, tree in modules()
        for name in imported(without_type_checking(tree), top_level_only=True)
        if name.split(".")[0] in HEAVY and path.parts[0] != "annotation_app"
    ]
    assert eager == []


def test_a_stage_imports_only_stages_before_it():
    turned_back = []
    for path, tree in modules():
        if path.parts[0] != "flywheel" or path.parts[1] == "__init__.py":
            continue
        own = STAGES.index(path.parts[1].removesuffix(".py"))
        for name in imported(without_type_checking(tree)):
            parts = name.split(".")
            if parts[0] == "flywheel" and len(parts) > 1 and parts[1] in STAGES and STAGES.index(parts[1]) > own:
                turned_back.append(f"{path}: {name}")
    assert sorted(set(turned_back)) == []


def test_every_stage_has_its_place_in_the_order():
    there = {path.stem if path.is_file() else path.name for path in (ROOT / "flywheel").iterdir()}
    assert there - {"__init__", "__pycache__", "py"} - set(STAGES) == set()

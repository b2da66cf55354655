"""What every test may ask for: third-party data where it is at hand, and settings that keep libraries quiet."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("FLYWHEEL_DATA", ROOT.parent / "shared" / "data"))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAGAS_DO_NOT_TRACK", "true")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of third-party data."""
    return DATA


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests on third-party data where it is missing; fail instead where it is required."""
    if DATA.is_dir():
        return
    if os.environ.get("FLYWHEEL_REQUIRE_DATA") == "1":
        raise pytest.UsageError(f"FLYWHEEL_REQUIRE_DATA=1, but there is no folder {DATA}; set FLYWHEEL_DATA")
    left_out = [item for item in items if item.get_closest_marker("realdata")]
    config.stash[LEFT_OUT] = len(left_out)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests on third-party data were left out."""
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} tests on third-party data left out: no folder {DATA} (FLYWHEEL_DATA)")

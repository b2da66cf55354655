"""A folder that Flywheel works in: its settings, and where its stores lie."""

from dataclasses import dataclass
from pathlib import Path

from flywheel.settings import Settings, read_settings


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder and its settings. Paths and SQLite URLs in the settings are relative to the folder."""

    root: Path
    settings: Settings

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.root / self.settings.paths.warehouse

    @property
    def traces(self) -> Path:
        """The landing folder."""
        return self.root / self.settings.paths.traces

    @property
    def golden_dataset(self) -> Path:
        """The folder of golden cases."""
        return self.root / self.settings.paths.golden_dataset

    @property
    def runs(self) -> Path:
        """The folder of suite runs."""
        return self.root / self.settings.paths.runs

    @property
    def labels_url(self) -> str:
        """The label store."""
        return self.absolute_url(self.settings.labels.url)

    @property
    def tracking_uri(self) -> str:
        """The MLflow store."""
        return self.absolute_url(self.settings.tracking.uri)

    def report(self, week: str) -> Path:
        """The folder of a week's report."""
        return self.root / self.settings.paths.reports / week

    def absolute_url(self, url: str) -> str:
        """Anchor a relative SQLite URL in the workspace; leave every other URL as it is."""
        prefix = "sqlite:///"
        if not url.startswith(prefix) or url.startswith((f"{prefix}/", f"{prefix}:memory:")):
            return url
        return f"{prefix}{(self.root / url.removeprefix(prefix)).resolve()}"


def open_workspace(folder: Path) -> Workspace:
    """Read the settings of a folder."""
    return Workspace(folder.resolve(), read_settings(folder))

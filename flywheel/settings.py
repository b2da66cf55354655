"""`flywheel.toml` and the `FLYWHEEL_*` environment over it. Unknown keys are errors; secrets are never here."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from eval.errors import UserError

FILE_NAME = "flywheel.toml"


class Section(BaseModel):
    """A table of `flywheel.toml`: fixed once read, and it knows every key it may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Section):
    """Where things lie, relative to the workspace."""

    traces: Path = Path("traces")
    warehouse: Path = Path("warehouse.duckdb")
    golden_dataset: Path = Path("golden_dataset")
    reports: Path = Path("reports")
    runs: Path = Path("runs")


class Ingest(Section):
    """`group` is the path of the field that names a trace's source document or session: the unit of resampling.

    A file that is one JSON document has to fit into `max_document_bytes`; an archive may unpack to `max_unpacking`
    times its size. A line of JSON in a format of others may hold many records, and `max_envelope_bytes`.
    """

    group: str = "session_id"
    max_line_bytes: int = Field(default=1024 * 1024, gt=0)
    max_document_bytes: int = Field(default=256 * 1024 * 1024, gt=0)
    max_nesting: int = Field(default=64, gt=0)
    max_unpacking: int = Field(default=200, gt=0)
    max_envelope_bytes: int = Field(default=64 * 1024 * 1024, gt=0)


class Warehouse(Section):
    """Limits of the DuckDB process."""

    memory_limit: str = Field(default="1GB", pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")
    threads: int | None = Field(default=None, gt=0)


class Labels(Section):
    """`url` is any SQLAlchemy URL; a SQLite path is relative to the workspace."""

    url: str = "sqlite:///labels.db"
    lease_seconds: int = Field(default=900, gt=0)
    guideline_version: str = "1"


class Governance(Section):
    """What personal data is looked for, and where it is masked.

    `redact` "outputs" masks it in labels, reports, MLflow and whatever is sent to a judge; "store" before anything is
    stored at all; "off" nowhere. `pii` may name functions of yours as `module:function`; `recognisers` maps names of
    your own to regular expressions. National phone numbers are those of `region`.
    """

    redact: Literal["outputs", "store", "off"] = "outputs"
    pii: tuple[str, ...] = ("email", "phone", "iban", "credit_card", "ip_address", "national_id")
    recognisers: dict[str, str] = {}
    region: str = Field(default="US", pattern="^[A-Z]{2}$")


class Scoring(Section):
    """Which metrics of `METRICS` score every trace; `groundedness` is always among them."""

    metrics: tuple[str, ...] = ("groundedness",)
    hhem_path: Path | None = None


class Triage(Section):
    """From these on a trace is flagged. `unsupported_from` null takes the threshold of the detector in force."""

    unsupported_from: float | None = Field(default=None, ge=0, le=1)
    slow_ms: float = Field(default=15_000, gt=0)
    low_rating: int = Field(default=2, ge=1, le=5)
    retrieval_overlap_below: float = Field(default=0.05, ge=0, le=1)


class Modes(Section):
    """`min_size` is the fewest traces a failure mode has; cosines at and above `match` are the same mode.

    A mode is resolved after `resolved_weeks` weeks without a trace; above `fit_rows` failures the rest is assigned.
    """

    min_size: int = Field(default=5, ge=2)
    match: float = Field(default=0.75, ge=0, le=1)
    fit_rows: int = Field(default=20_000, gt=0)
    resolved_weeks: int = Field(default=2, ge=1)


class Plan(Section):
    """How many traces a week's draw holds, and how many traces people see besides, as exemplars of modes."""

    labels: int = Field(default=40, gt=0)
    score_bins: int = Field(default=6, ge=1)
    floor: int = Field(default=3, ge=1)
    exemplars: int = Field(default=6, ge=0)


class Golden(Section):
    """Shares of the roles; a near-duplicate group gets its role by hash before any label is seen."""

    train: float = Field(default=0.5, ge=0, le=1)
    dev: float = Field(default=0.1, ge=0, le=1)


class Suite(Section):
    """The pipeline under test: `http://…`, `module:function`, or a JSONL file of recorded answers."""

    pipeline: str | None = None
    metrics: tuple[str, ...] = ("retrieval_hit", "token_f1", "abstention_correct", "groundedness")
    repeats: int = Field(default=1, ge=1)
    timeout_seconds: float = Field(default=30.0, gt=0)
    concurrency: int = Field(default=4, ge=1)


class Gate(Section):
    """Margins are in proportions (0.05 is 5 points); `tiers` maps a metric to critical, supporting or advisory.

    `metrics` null compares all that both runs measured.
    """

    alpha: float = Field(default=0.05, gt=0, lt=1)
    margin: float = Field(default=0.05, ge=0, le=1)
    margins: dict[str, float] = {}
    tiers: dict[str, Literal["critical", "supporting", "advisory"]] = {}
    coverage_floor: float = Field(default=0.95, ge=0, le=1)
    on_inconclusive: Literal["fail", "warn", "pass"] = "warn"
    metrics: tuple[str, ...] | None = None


class Tracking(Section):
    """MLflow; a SQLite path is relative to the workspace."""

    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"
    experiment: str = "flywheel"


class Serving(Section):
    """The pipeline under test that we ship. `endpoint` null answers extractively, without a model."""

    knowledge_base: Path = Path("knowledge_base")
    index: Path = Path("index")
    collection: str = "passages"
    top_k: int = Field(default=4, ge=1)
    abstain_below: float = Field(default=0.44, ge=-1, le=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8400, ge=0, le=65535)
    endpoint: str | None = None
    model: str | None = None
    api_key_variable: str = "OPENAI_API_KEY"
    timeout_seconds: float = Field(default=30.0, gt=0)
    prompt_version: str = "v1"
    qdrant_url: str | None = None


class Settings(BaseSettings):
    """All settings, with their defaults; `FLYWHEEL_PLAN__LABELS=60` overrides `labels` of `[plan]`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="FLYWHEEL_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    paths: Paths = Paths()
    ingest: Ingest = Ingest()
    warehouse: Warehouse = Warehouse()
    labels: Labels = Labels()
    governance: Governance = Governance()
    scoring: Scoring = Scoring()
    triage: Triage = Triage()
    modes: Modes = Modes()
    plan: Plan = Plan()
    golden: Golden = Golden()
    suite: Suite = Suite()
    gate: Gate = Gate()
    tracking: Tracking = Tracking()
    serving: Serving = Serving()
    allow_egress: tuple[str, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file."""
        return env_settings, init_settings


def read_settings(folder: Path) -> Settings:
    """Read `flywheel.toml` of a workspace; where there is none, the defaults hold."""
    path = folder / FILE_NAME
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is no valid TOML: {error}; mend that line, or delete the file to use the defaults"
        ) from error
    try:
        return Settings(**tables)
    except ValidationError as error:
        raise UserError(f"{path}, or FLYWHEEL_* in the environment: {explain(error)}") from error
    except SettingsError as error:
        raise UserError(f"FLYWHEEL_* in the environment: {error}; write that value as JSON") from error


def explain(error: ValidationError) -> str:
    """Say each wrong setting with its place, and what it may be."""
    said = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            said.append(f"there is no setting {place!r}; {known_keys(problem['loc'])}")
        else:
            said.append(f"{place}: {problem['msg']}, got {problem['input']!r}")
    return "; ".join(said)


def known_keys(place: tuple[int | str, ...]) -> str:
    """List the keys that may stand where an unknown one stood."""
    model: type[BaseModel] = Settings
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return "remove it"
        model = field.annotation
    return f"known here: {', '.join(sorted(model.model_fields))}"

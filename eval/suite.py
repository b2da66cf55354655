"""A run: cases x repeats x metrics, kept in a folder and taken up again where it was cut off."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from eval.cases import GoldenCase, case_line, dataset_version, read_dataset
from eval.errors import OperationalError, UserError
from eval.expectation import NAME as EXPECTATION
from eval.expectation import TITLE, score_expectations
from eval.metrics import Kind, Metric
from eval.pipeline import Answer, Pipeline
from eval.sample import Sample, Score

SCHEMA = "flywheel.run/1"
BATCH = 32
"""Answers that are scored together and written at once: at most so many are asked for again after a cut."""

CAME = ("ok", "not_recorded")
"""Statuses of answers that need no second asking."""


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a gate must know of a metric; `instrument` is empty where its scores name none."""

    title: str
    kind: Kind
    higher_is_better: bool
    is_judge: bool
    instrument: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One answer to one case with its scores by metric."""

    case_id: str
    repeat: int
    answer: Answer
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run with all it needs to be compared; `cases` are as they were asked, results in their order."""

    name: str
    folder: Path
    pipeline: str
    dataset_version: str
    git_sha: str | None
    started: str
    finished: str
    repeats: int
    metrics: Mapping[str, MetricFacts]
    counts: Mapping[str, int]
    cost_usd: float
    cases: Mapping[str, GoldenCase]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """What to ask, how often, and what to measure. `version` names the dataset the cases are from."""

    cases: Sequence[GoldenCase]
    version: str
    metrics: Mapping[str, Metric]
    repeats: int = 1


def read_suite(dataset: Path, metrics: Mapping[str, Metric], repeats: int = 1, role: str = "gate") -> Suite:
    """Take the active cases of one role of a golden dataset."""
    version = read_dataset(dataset)
    cases = [case for case in version.cases if case.role == role and case.status == "active"]
    if not cases:
        raise OperationalError(
            f"{dataset} (version {version.version}) has no active cases of the role {role!r}, so nothing can be "
            "measured; labelled failures make some (flywheel run --continue), or name another folder with --dataset"
        )
    return Suite(cases, version.version, metrics, repeats)


def run_suite(
    suite: Suite, pipeline: Pipeline, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Run:
    """Ask every case `repeats` times, score the answers, and give the finished run.

    A folder that holds part of the same run is finished, one that holds all of it is only read. Answers
    that failed before the cut are asked for again. `progress` is told how many of how many are done.
    Raises OperationalError if the pipeline answered none of its first questions, or of all.
    """
    if not suite.cases:
        raise OperationalError("the suite has no cases, so nothing can be measured; name a dataset that has some")
    begin(folder, suite, pipeline)
    if (folder / "run.json").exists():
        return read_run(folder)
    done = kept_results(folder / "results.jsonl")
    wanted = [(case, repeat) for case in suite.cases for repeat in range(suite.repeats)]
    missing = [(case, repeat) for case, repeat in wanted if (case.case_id, repeat) not in done]
    report = progress or (lambda _done, _all: None)
    report(len(wanted) - len(missing), len(wanted))
    with (folder / "results.jsonl").open("ab") as file, ThreadPoolExecutor(pipeline.concurrency) as threads:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            answers = list(threads.map(lambda asked: pipeline.ask(*asked), batch))
            for result in score_batch(batch, answers, suite.metrics):
                file.write(result_line(result))
            file.flush()
            report(len(wanted) - len(missing) + start + len(batch), len(wanted))
            if start == 0 and not done and not any(answer.status in CAME for answer in answers):
                break  # the pipeline is down: the other questions would only wait for it
    finish(folder, suite)
    return read_run(folder)


def request_of(suite: Suite, pipeline: Pipeline) -> dict[str, Any]:
    """What makes two runs the same work."""
    return {
        "pipeline": pipeline.spec,
        "content": pipeline.content,
        "dataset_version": suite.version,
        "cases": dataset_version(suite.cases),
        "repeats": suite.repeats,
        "metrics": sorted(suite.metrics),
    }


def begin(folder: Path, suite: Suite, pipeline: Pipeline) -> None:
    """Write down what the folder is going to hold; refuse one that holds something else."""
    folder.mkdir(parents=True, exist_ok=True)
    path, request = folder / "request.json", request_of(suite, pipeline)
    if path.exists():
        begun = json.loads(path.read_bytes())
        differing = [key for key in request if request[key] != begun.get(key)]
        if differing:
            said = ", ".join(f"{key} {begun.get(key)!r}, not {request[key]!r}" for key in differing)
            raise UserError(f"{folder} holds another run ({said}); choose another folder, or delete that one")
        return
    replace_file(folder / "cases.jsonl", b"".join(case_line(case) + b"\n" for case in suite.cases))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    replace_file(path, json.dumps({**request, "started": started, "git_sha": git_sha()}, indent=1).encode())


def git_sha() -> str | None:
    """Give the commit of the working directory, None outside a repository."""
    try:
        told = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    except FileNotFoundError:
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None


def kept_results(path: Path) -> set[tuple[str, int]]:
    """Say which answers a cut-off run still has, dropping a torn last line and answers that failed."""
    kept: dict[tuple[str, int], bytes] = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if found["status"] in CAME:
            kept[found["case_id"], found["repeat"]] = line + b"\n"
    replace_file(path, b"".join(kept.values()))
    return set(kept)


def score_batch(
    asked: Sequence[tuple[GoldenCase, int]], answers: Sequence[Answer], metrics: Mapping[str, Metric]
) -> Iterator[Result]:
    """Score the answers that came, each metric over all of them at once."""
    came = [
        (case, repeat, answer) for (case, repeat), answer in zip(asked, answers, strict=True) if answer.status == "ok"
    ]
    samples = [sample_of(case, repeat, answer) for case, repeat, answer in came]
    by_metric = {name: {s.sample_id: s for s in metric.score(samples)} for name, metric in metrics.items() if samples}
    expected = score_expectations(samples, {sample_id(case, repeat): case for case, repeat, _ in came})
    by_metric[EXPECTATION] = {score.sample_id: score for score in expected}
    for (case, repeat), answer in zip(asked, answers, strict=True):
        name = sample_id(case, repeat)
        scores = {metric: found[name] for metric, found in by_metric.items() if name in found}
        yield Result(case.case_id, repeat, answer, scores)


def sample_id(case: GoldenCase, repeat: int) -> str:
    """Name one answer to one case."""
    return f"{case.case_id}#{repeat}"


def sample_of(case: GoldenCase, repeat: int, answer: Answer) -> Sample:
    """What the metrics see: the passages are the case's where it fixes them, otherwise those retrieved."""
    return Sample(
        id=sample_id(case, repeat),
        user_input=case.user_input,
        response=answer.response,
        passages=case.passages or answer.passages,
        reference=case.reference,
        reference_passage_ids=case.passage_ids,
        answerable=case.answerable,
        group=case.group,
    )


def result_line(result: Result) -> bytes:
    """Write one result as a line of JSON."""
    scores = {
        name: {key: value for key, value in asdict(score).items() if key not in ("sample_id", "metric")}
        for name, score in result.scores.items()
    }
    line = {"case_id": result.case_id, "repeat": result.repeat, **asdict(result.answer), "scores": scores}
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def finish(folder: Path, suite: Suite) -> None:
    """Put the results in order and write `run.json`, unless not one answer came."""
    results = read_results(folder)
    counts = Counter(result.answer.status for result in results)
    if not counts["ok"]:
        failed = results[0].answer
        raise OperationalError(
            f"the pipeline answered none of {len(results)} questions ({failed.status}: {failed.reason}); "
            "start it or correct its address, or check the case ids of recorded answers, and give the command again"
        )
    order = {case.case_id: place for place, case in enumerate(suite.cases)}
    results.sort(key=lambda result: (order[result.case_id], result.repeat))
    replace_file(folder / "results.jsonl", b"".join(map(result_line, results)))
    costs = [result.answer.cost_usd + sum(score.cost_usd for score in result.scores.values()) for result in results]
    request = json.loads((folder / "request.json").read_bytes())
    run = {
        "schema": SCHEMA,
        **{key: request[key] for key in ("pipeline", "dataset_version", "repeats", "started", "git_sha")},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": {name: asdict(facts) for name, facts in facts_of(suite, results).items()},
        "counts": dict(sorted(counts.items())),
        "cost_usd": sum(costs),
    }
    replace_file(folder / "run.json", json.dumps(run, indent=1).encode())


def facts_of(suite: Suite, results: Sequence[Result]) -> dict[str, MetricFacts]:
    """Note what each metric is and which instrument scored; two instruments in one run are an error."""
    facts = {
        name: MetricFacts(m.title, m.kind, m.higher_is_better, m.is_judge, instrument_of(name, results))
        for name, m in suite.metrics.items()
    }
    return facts | {EXPECTATION: MetricFacts(TITLE, "binary", True, False, instrument_of(EXPECTATION, results))}


def instrument_of(metric: str, results: Sequence[Result]) -> str:
    """Give the one instrument that scored a metric, "" where the scores name none."""
    used = {r.scores[metric].instrument for r in results if metric in r.scores} - {""}
    if len(used) > 1:
        raise UserError(
            f"{metric} was scored by {len(used)} instruments in one run ({', '.join(sorted(used))}); "
            "the run was taken up again after its instrument changed: delete the folder and start again"
        )
    return next(iter(used), "")


def read_run(folder: Path) -> Run:
    """Read a finished run."""
    path = folder / "run.json"
    if not path.exists():
        begun = (folder / "request.json").exists()
        raise UserError(
            f"{folder} holds a run that was cut off; give its `flywheel eval run` again to finish it"
            if begun
            else f"{folder} holds no run; make one with flywheel eval run --out {folder}"
        )
    try:
        found = json.loads(path.read_bytes())
        facts = {name: MetricFacts(**fact) for name, fact in found["metrics"].items()}
        cases = read_cases(folder / "cases.jsonl")
        results = tuple(read_results(folder))
        return Run(
            folder.name,
            folder,
            metrics=facts,
            cases=cases,
            results=results,
            **{key: found[key] for key in ("pipeline", "dataset_version", "git_sha", "started", "finished", "repeats")},
            **{key: found[key] for key in ("counts", "cost_usd")},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, msgspec.MsgspecError) as error:
        raise UserError(f"{folder} holds a run that cannot be read ({error!r}); make it again") from error


def read_cases(path: Path) -> dict[str, GoldenCase]:
    """Read the cases of a run as they were asked."""
    cases = (msgspec.json.decode(line, type=GoldenCase) for line in path.read_bytes().split(b"\n") if line)
    return {case.case_id: case for case in cases}


def read_results(folder: Path) -> list[Result]:
    """Read a run's results in the order of the file."""
    return [read_result(line) for line in (folder / "results.jsonl").read_bytes().split(b"\n") if line]


def read_result(line: bytes) -> Result:
    """Read one line of `results.jsonl`."""
    found = json.loads(line)
    answer = msgspec.convert({name: found[name] for name in Answer.__dataclass_fields__}, Answer)
    name = f"{found['case_id']}#{found['repeat']}"
    scores = {metric: Score(name, metric, **score) for metric, score in found["scores"].items()}
    return Result(found["case_id"], found["repeat"], answer, scores)


def results_sha256(folder: Path) -> str:
    """Hash a run's results, so that a blessed run cannot change unseen."""
    return sha256((folder / "results.jsonl").read_bytes()).hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file aside, then put it in its place."""
    waiting = path.with_name(path.name + ".new")
    waiting.write_bytes(content)
    waiting.replace(path)

"""Tasks of a frozen draw into the label store, each with a copy of what the annotator must see."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import duckdb

from flywheel.governance.masking import Mask, mask_by_default, mask_maybe, mask_name, note_mask
from flywheel.labels.records import (
    Draw,
    StratumPlan,
    Task,
    TaskPassage,
    TaskPayload,
    TaskSentence,
    Turn,
    task_id,
)
from flywheel.warehouse.draws import FrozenDraw, PopulationRow, population, purposive

MOST_TURNS = 20


def build_tasks(
    db: duckdb.DuckDBPyConnection, draw: FrozenDraw, mask: Mask = mask_by_default
) -> tuple[Draw, list[Task]]:
    """Make the draw and its tasks: the random ones in their order, then the exemplars."""
    people = population(db, draw.draw_id)
    fingerprint = sha256("\n".join(f"{row.trace_id},{row.revision}" for row in people).encode()).hexdigest()
    record = Draw(
        draw.draw_id,
        draw.week,
        draw.seed,
        len(people),
        fingerprint,
        tuple(StratumPlan(s["name"], s["size"], s["allocated"]) for s in draw.strata),
        draw.instrument,
        datetime.now(UTC),
    )
    drawn = sorted((row for row in people if row.position is not None), key=lambda row: row.position or 0)
    exemplars = purposive(db, draw.draw_id)
    shown = [row.trace_id for row in drawn] + [trace_id for trace_id, _, _ in exemplars]
    payloads = read_payloads(db, shown, mask)
    tasks = [random_task(draw, row, payloads[row.trace_id]) for row in drawn]
    for trace_id, revision, reason in exemplars:
        name = task_id(draw.draw_id, trace_id)
        place = len(tasks)
        payload, why = payloads[trace_id], mask(reason)
        tasks.append(
            Task(name, draw.draw_id, draw.week, trace_id, revision, "purposive", None, place, None, why, payload)
        )
    return record, tasks


def random_task(draw: FrozenDraw, row: PopulationRow, payload: TaskPayload) -> Task:
    """Make the task of a trace that was drawn by chance, saying so in words."""
    stratum = next(s for s in draw.strata if s["name"] == row.stratum)
    bin_edges = row.stratum.partition(": ")[2]
    kind = f"with a predicted risk of {bin_edges}" if bin_edges else f"that are apart: {row.stratum}"
    reason = f"random draw: 1 of {stratum['allocated']} out of the {stratum['size']} traces {kind}"
    return Task(
        task_id(draw.draw_id, row.trace_id),
        draw.draw_id,
        draw.week,
        row.trace_id,
        row.revision,
        "random",
        row.stratum,
        row.position or 0,
        row.inclusion_probability,
        reason,
        payload,
    )


def read_payloads(
    db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str], mask: Mask = mask_by_default
) -> dict[str, TaskPayload]:
    """Copy out of the warehouse what an annotator must see of some traces, masked."""
    db.register("wanted", _table(trace_ids))
    sentences: dict[str, list[TaskSentence]] = {}
    for trace_id, *sentence in db.execute(
        """
        select trace_id, start_offset, end_offset, unsupported, passage_id, reason
        from sentence_score join wanted using (trace_id) order by trace_id, index
        """
    ).fetchall():
        sentences.setdefault(trace_id, []).append(TaskSentence(*sentence))
    rows = db.execute(
        """
        select t.trace_id, t.user_input, coalesce(t.response, ''), t.retrieved_contexts, t.metadata, t.model,
               t.prompt_version, t.tenant_id, g.failure_type
        from trace t join wanted using (trace_id) left join triage g using (trace_id)
        """
    ).fetchall()
    db.unregister("wanted")
    return {row[0]: payload(*row[1:], sentences=sentences.get(row[0], []), mask=mask) for row in rows}


def payload(
    user_input: str,
    response: str,
    contexts: list[dict[str, Any]],
    metadata: str | None,
    model: str | None,
    prompt_version: str | None,
    tenant_id: str | None,
    failure_type: Any,
    *,
    sentences: Sequence[TaskSentence],
    mask: Mask = mask_by_default,
) -> TaskPayload:
    """Lay out one trace for people, masked; the hash is that of the texts that they see."""
    note = note_mask((user_input, response, *(context["text"] for context in contexts)), mask)
    question, answer = mask(user_input), mask(response)
    return TaskPayload(
        question,
        answer,
        tuple(
            TaskPassage(context["id"], mask(context["text"]), mask_maybe(context["source"], mask))
            for context in contexts
        ),
        tuple(Turn(mask(turn.user_input), mask_maybe(turn.response, mask)) for turn in history(metadata)),
        tuple(replace(sentence, reason=note(sentence.reason)) for sentence in sentences),
        mask_maybe(model, mask),
        mask_maybe(prompt_version, mask),
        None if tenant_id is None else mask_name(tenant_id, mask),
        failure_type,
        sha256(f"{question}\x1f{answer}".encode()).hexdigest(),
    )


def history(metadata: str | None) -> tuple[Turn, ...]:
    """The earlier turns of a conversation, from `metadata.history` where it is a list of speaker and text."""
    told = json.loads(metadata or "{}").get("history")
    turns: list[Turn] = []
    for entry in told if isinstance(told, list) else []:
        if not isinstance(entry, dict):
            continue
        text = entry.get("text") or entry.get("content")
        if not isinstance(text, str):
            continue
        if entry.get("speaker", entry.get("role")) in ("agent", "assistant") and turns and turns[-1].response is None:
            turns[-1] = Turn(turns[-1].user_input, text)
        else:
            turns.append(Turn(text))
    return tuple(turns[-MOST_TURNS:])


def _table(trace_ids: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.table({"trace_id": pa.array(list(trace_ids), pa.string())})

"""The golden dataset grows from what people said of failures; every case knows its trace and its labels.

A group of cases (a source document, a session) gets its role once, by hash, before any label is seen: cases of the
gate never train anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from eval.cases import Expectation, GoldenCase, GoldenDataset, read_dataset, write_dataset
from eval.sample import Passage, Sample
from flywheel.firewall import NOTHING, Roles, Side, role_of
from flywheel.governance.masking import Mask, mask_by_default, mask_case, mask_maybe, mask_sample
from flywheel.warehouse.draws import GoldLabel


@dataclass(frozen=True, slots=True)
class Growth:
    """What a week added: new cases, failures whose case was there before, and the version they make.

    `ungrounded` are failures without a case: their passages were not delivered, and nobody said what is right.
    """

    version: str
    cases: int
    added: tuple[GoldenCase, ...]
    repeated: int
    ungrounded: int = 0


def case_id(sample: Sample, is_retrieval_tested: bool) -> str:
    """Name the case of a question: with its fixed passages, or, where retrieval is tested too, alone."""
    parts = [sample.user_input.strip()]
    if not is_retrieval_tested:
        parts += sorted(sha256(passage.text.encode()).hexdigest() for passage in sample.passages)
    return "c-" + sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def make_case(
    sample: Sample,
    label: GoldLabel,
    relevant: Sequence[str],
    mode_id: str | None,
    week: str,
    roles: Roles,
    trained: Side,
    mask: Mask = mask_by_default,
    incomplete: Sequence[Passage] | None = None,
) -> GoldenCase:
    """Turn a labelled failure into a case, masked; what is on the side of training loses its place in the gate.

    A failure that should have been an abstention expects one, and an abstention that should have been an answer
    expects none. With a corrected answer the case has a reference; where
    people also named the passages that hold the answer, the pipeline must find them itself. So it must where the
    delivery left passages out; those that it did hold are `incomplete` then. Otherwise the case fixes the passages and
    expects an answer that they support. What people typed is masked too, and the masked texts name the case.
    """
    must_abstain = label.failure_type == "missed_abstention"
    must_answer = label.failure_type == "wrong_abstention"
    is_retrieval_tested = must_abstain or bool(relevant) or incomplete is not None
    reference = None if must_abstain else label.corrected_response
    role = role_of(sample.group, roles)
    if role == "gate" and trained.holds(sample, is_question_enough=is_retrieval_tested):
        role = "train"
    hashes = tuple(hash_of(sample.passages if incomplete is None else incomplete, one) for one in relevant)
    case = GoldenCase(
        case_id(mask_sample(sample, mask), is_retrieval_tested),
        sample.user_input,
        passages=() if is_retrieval_tested else sample.passages,
        passage_ids=tuple(relevant),
        passage_hashes=hashes if all(hashes) else (),
        reference=reference,
        expectation=Expectation(
            abstain=True if must_abstain else False if must_answer else None,
            supported=None if is_retrieval_tested else True,
        ),
        answerable=False if must_abstain else True if must_answer or reference else None,
        failure_type=label.failure_type,
        mode_id=mode_id,
        severity=label.severity,
        group=sample.group,
        role=role,
        source_trace=sample.id,
        label_ids=(label.task_id,),
        added_in=week,
    )
    return mask_case(case, mask)


def mask_label(label: GoldLabel, mask: Mask) -> GoldLabel:
    """Mask what people typed; the label store keeps it as they did."""
    return replace(
        label, corrected_response=mask_maybe(label.corrected_response, mask), note=mask_maybe(label.note, mask)
    )


def hash_of(passages: Sequence[Passage], passage_id: str) -> str:
    """Hash the text of a passage that the trace holds; empty where it does not hold it, or only its id."""
    text = next((passage.text for passage in passages if passage.id == passage_id), None)
    return sha256(text.encode()).hexdigest() if text else ""


def has_ground(label: GoldLabel, relevant: Sequence[str]) -> bool:
    """Say whether a label tells what is right of an answer whose passages are not all there."""
    return label.failure_type == "missed_abstention" or bool(relevant) or bool(label.corrected_response)


def grow(
    folder: Path,
    week: str,
    labels: Sequence[GoldLabel],
    samples: Mapping[str, Sample],
    relevant: Mapping[str, Sequence[str]],
    modes: Mapping[str, str],
    roles: Roles,
    trained: Side = NOTHING,
    mask: Mask = mask_by_default,
    incomplete: Mapping[str, Sequence[Passage]] | None = None,
) -> Growth:
    """Add a case for each labelled failure that has none yet, masked, and write the new version.

    Growing twice with the same labels gives the same version: a case that is there stays as it is, under the name of
    its unmasked text too; cases that an earlier try of the same week added count as added. `incomplete` are the
    passages of those traces whose delivery left some out; where it is not given, that is every trace without any.
    """
    if incomplete is None:
        incomplete = {name: () for name, sample in samples.items() if not sample.passages}
    dataset = read_dataset(folder)
    known = {case.case_id: case for case in dataset.cases}
    added: dict[str, GoldenCase] = {}
    repeated = ungrounded = 0
    for label in sorted(labels, key=lambda label: label.task_id):
        sample = samples.get(label.trace_id)
        if label.verdict != "fail" or sample is None:
            continue
        named, held = relevant.get(label.task_id, ()), incomplete.get(label.trace_id)
        if held is not None and not has_ground(label, named):
            ungrounded += 1
            continue
        mode = modes.get(label.trace_id)
        case = make_case(sample, label, named, mode, week, roles, trained, mask, held)
        unmasked = case_id(sample, is_retrieval_tested=case.expectation.supported is None)
        there = known.get(case.case_id) or known.get(unmasked) or added.get(case.case_id)
        if there is None:
            added[case.case_id] = case
        elif there.added_in == week and there.source_trace == sample.id:
            added[there.case_id] = there
        else:
            repeated += 1
    version = write_if_changed(
        folder, dataset, [*known.values(), *(c for c in added.values() if c.case_id not in known)]
    )
    total = len(known | added)
    return Growth(version, total, tuple(added.values()), repeated, ungrounded)


def write_if_changed(folder: Path, dataset: GoldenDataset, cases: Sequence[GoldenCase]) -> str:
    """Write a new version only where a case came to it."""
    return dataset.version if len(cases) == len(dataset.cases) else write_dataset(folder, cases)

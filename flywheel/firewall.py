"""Keeps what trains the detector and what the gate asks apart, by source and by text.

A group (a source document, a session) gets its role by hash before any label is seen. The same question may still come
back under another group, and the shares of the roles may be changed: so text and history are looked at too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from eval.cases import GoldenCase, Role
from eval.sample import Passage, Sample
from flywheel.governance.masking import Mask, as_it_is, mask_by_default, mask_case, mask_name, mask_sample


@dataclass(frozen=True, slots=True)
class Roles:
    """Which shares of the groups are for training and for trying things out; the rest is for the gate."""

    train: float
    dev: float


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the firewall: groups, questions, and questions with their passages.

    Golden cases are masked and traces are not, so `mask` is put on both before their texts are compared.
    """

    groups: frozenset[str] = frozenset()
    questions: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    mask: Mask = as_it_is

    def holds(self, sample: Sample, is_question_enough: bool = False) -> bool:
        """Whether a sample is on this side: its group, its text, or (where retrieval is tested) its question."""
        if not self.groups.isdisjoint((sample.group, mask_name(sample.group, self.mask))):
            return True
        sample = mask_sample(sample, self.mask)
        question = question_of(sample.user_input)
        if question in self.questions:
            return True
        if is_question_enough:
            return any(content.startswith(question) for content in self.contents)
        return content_of(sample.user_input, sample.passages) in self.contents


NOTHING = Side()


def role_of(group: str, roles: Roles) -> Role:
    """Give a group its role: the same one for ever, whatever is known of it later."""
    place = int(sha256(f"role\x1f{group}".encode()).hexdigest()[:12], 16) / 16**12
    if place < roles.train:
        return "train"
    return "dev" if place < roles.train + roles.dev else "gate"


def question_of(user_input: str) -> str:
    """Hash a question, whatever its case and spacing."""
    return sha256(" ".join(user_input.casefold().split()).encode()).hexdigest()


def content_of(user_input: str, passages: Iterable[Passage]) -> str:
    """Hash a question with its passages in any order; it begins with the hash of the question."""
    parts = sorted(sha256(passage.text.encode()).hexdigest() for passage in passages)
    return question_of(user_input) + sha256("".join(parts).encode()).hexdigest()


def gate_side(
    cases: Iterable[GoldenCase], labelled: Iterable[Sample], roles: Roles, mask: Mask = mask_by_default
) -> Side:
    """What may never train: the cases of the gate, and labelled traces that may become some."""
    gate = [mask_case(case, mask) for case in cases if case.role == "gate"]
    coming = [mask_sample(sample, mask) for sample in labelled if role_of(sample.group, roles) == "gate"]
    return Side(
        frozenset(case.group for case in gate),
        frozenset(question_of(case.user_input) for case in gate if not case.passages),
        frozenset(content_of(case.user_input, case.passages) for case in gate if case.passages)
        | frozenset(content_of(sample.user_input, sample.passages) for sample in coming),
        mask,
    )


def training_side(groups: frozenset[str], labelled: Mapping[str, Sample], mask: Mask = mask_by_default) -> Side:
    """What has trained a detector: its groups, and the texts of their labelled traces."""
    trained = [mask_sample(sample, mask) for sample in labelled.values() if sample.group in groups]
    return Side(groups, frozenset(), frozenset(content_of(s.user_input, s.passages) for s in trained), mask)

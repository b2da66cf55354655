import gzip
import hashlib
import json
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from flywheel.modes import Failure, KnownMode, find_modes

TOPICS = {
    "contradiction": "the opening hours on monday and sunday are wrong",
    "unsupported_claim": "guests praise the friendly waiters and fresh salads",
    "missed_abstention": "the refund policy covers damaged parcels",
    "incomplete_answer": "only half of the installation steps appear",
}
ASIDES = ["yesterday", "often", "perhaps", "again", "really", "never", "always", "once", "surely"]


def hashed(texts):
    """An embedder that needs no model: each word is a direction."""
    rows = np.zeros((len(texts), 384), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            rng = np.random.default_rng(int(hashlib.sha256(word.strip(".").encode()).hexdigest()[:8], 16))
            rows[row] += rng.normal(size=384)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def week_of_failures(each=12, types=tuple(TOPICS), model="m1"):
    return [
        Failure(f"{kind}-{i}", 1, kind, "P2", "tell me", "", f"{TOPICS[kind]} {ASIDES[i % 9]}", {"model": model})
        for kind in types
        for i in range(each)
    ]


def find(failures, known=(), week="2026-W40", embed=hashed, **more):
    return find_modes(failures, known, week, embed, min_size=5, match=0.75, seed=0, **more)


def registry(found):
    return [KnownMode(m.mode_id, m.title, m.centroid, m.first_week, m.last_week, m.size, m.state) for m in found.modes]


def test_each_kind_of_failure_is_a_mode_with_its_members():
    found = find(week_of_failures())
    assert [mode.size for mode in found.modes] == [12] * 4
    assert [mode.mode_id for mode in found.modes] == ["FM-0001", "FM-0002", "FM-0003", "FM-0004"]
    for mode in found.modes:
        kinds = {member.trace_id.split("-")[0] for member in found.members if member.mode_id == mode.mode_id}
        assert kinds == set(mode.failure_types)
        assert len(kinds) == 1
        assert len(set(mode.exemplars)) == 3
        assert mode.borderline not in mode.exemplars


def test_order_of_failures_changes_nothing():
    failures = week_of_failures()
    shuffled = random.Random(1).sample(failures, len(failures))
    assert find(shuffled) == find(failures)


def test_modes_come_back_resolve_and_regress_under_one_id():
    first = find(week_of_failures())
    some = tuple(TOPICS)[:3]
    gone = next(mode for mode in first.modes if "incomplete_answer" in mode.failure_types).mode_id

    second = find(week_of_failures(types=some), registry(first), "2026-W41")
    assert {mode.mode_id: mode.state for mode in second.modes}[gone] == "resolved"
    assert [mode.size for mode in second.modes if mode.mode_id == gone] == [0]
    assert sum(mode.state == "ongoing" for mode in second.modes) == 3

    third = find(week_of_failures(), registry(second), "2026-W42")
    assert {mode.mode_id: mode.state for mode in third.modes}[gone] == "regressed"
    assert {mode.mode_id for mode in third.modes} == {mode.mode_id for mode in first.modes}
    assert {mode.first_week for mode in third.modes} == {"2026-W40"}


def test_another_kind_of_failure_is_new_with_the_next_id():
    first = find(week_of_failures(types=tuple(TOPICS)[:3]))
    second = find(week_of_failures(), registry(first), "2026-W41")
    assert [(mode.mode_id, mode.first_week) for mode in second.modes if mode.state == "new"] == [
        ("FM-0004", "2026-W41")
    ]


def test_three_unlike_failures_are_a_list_of_three():
    found = find(week_of_failures(each=1, types=tuple(TOPICS)[:3]))
    assert [mode.size for mode in found.modes] == [1, 1, 1]
    assert all(mode.exemplars and mode.borderline is None for mode in found.modes)


def test_ten_failures_fall_into_their_kinds():
    found = find(week_of_failures(each=5, types=tuple(TOPICS)[:2]))
    assert [mode.size for mode in found.modes] == [5, 5]


def test_a_week_without_failures_resolves_what_was_known():
    found = find([], registry(find(week_of_failures())), "2026-W41")
    assert {mode.state for mode in found.modes} == {"resolved"}
    assert found.members == ()
    assert find([]).modes == ()


def test_model_behind_one_mode_is_over_represented_there():
    failures = [
        replace(failure, attributes={"model": "small" if failure.failure_type == "contradiction" else "large"})
        for failure in week_of_failures()
    ]
    (mode,) = (mode for mode in find(failures).modes if "contradiction" in mode.failure_types)
    assert [(lift.value, lift.lift, lift.count) for lift in mode.over_represented] == [("small", 4.0, 12)]


def test_registry_from_the_same_week_is_refused():
    known = registry(find(week_of_failures(each=1)))
    with pytest.raises(ValueError, match="as it stood before"):
        find([], known, "2026-W40")


def test_each_phrase_is_embedded_once_in_order():
    seen = []

    def noting(texts):
        seen.extend(texts)
        return hashed(texts)

    find([*week_of_failures(each=4), *week_of_failures(each=4)], embed=noting)
    assert seen == sorted(set(seen))


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.realdata
def test_modes_of_a_real_week_agree_with_people(data_dir):
    from sklearn.metrics import v_measure_score

    from eval.embedding import load_embedder

    weeks = data_dir / "weeks"
    primary = {row["trace_id"]: row["primary"] for row in read_lines(weeks / "modes.jsonl.gz")}
    labels = {row["trace_id"]: row for row in read_lines(weeks / "labels.jsonl.gz")}
    traces = {t["trace_id"]: t for t in read_lines(weeks / "2026-W41.jsonl.gz") if t["trace_id"] in primary}
    failures = [
        Failure(
            key, 1, labels[key]["failure_type"], "P2", trace["user_input"], trace["response"],
            labels[key]["spans"][0]["text"], {"model": trace["model"]},
        )
        for key, trace in traces.items()
    ]  # fmt: skip
    found = find(failures, embed=load_embedder())
    assert 3 <= len(found.modes) <= 20
    assert Counter(member.mode_id for member in found.members)[None] < 0.4 * len(failures)
    people = [primary[member.trace_id] for member in found.members]
    assert v_measure_score(people, [member.mode_id or "" for member in found.members]) > 0.45

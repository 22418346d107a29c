"""Captured work: when it is captured, when replayed, when neither; and the decision, for every reason against it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded_graph import FailingGraph, RecordedGraph

from anabranch.engine.captured import LIMIT, REPEATS, Facts, Replays, decide
from anabranch.engine.cuda_graphs import aside

REASONS: dict[str, tuple[Facts, str]] = {
    "device": (Facts("cpu"), "the device is cpu"),
    "eagerly": (Facts("cuda", run_eagerly=True), "run_eagerly=True"),
    "custom step": (Facts("cuda", custom_step=True), "its own step"),
    "compiled": (Facts("cuda", jit_compile=True), "torch.compile"),
    "asked for none": (Facts("cuda", jit_compile=False), "jit_compile=False"),
    "opaque": (Facts("cuda", opaque=("a", "b")), "branch on values or have state in Python: a, b"),
    "third-party": (Facts("cuda", third_party=("Net",)), "hooks or are not torch's own, so may act in Python: Net"),
    "watching": (Facts("cuda", watching=("mean",)), "gathered in Python: mean"),
    "reseeded": (Facts("cuda", reseeded=("noise",)), "generator at every call: noise"),
    "unknown": (Facts("cuda", unknown=("mine",)), "`capturable = True` on them says: mine"),
    "hooked": (Facts("cuda", hooked=("dense/kernel",)), "these weights have hooks, which run in Python: dense/kernel"),
    "around": (Facts("cuda", around="torch.autocast"), "torch.autocast is on around the step"),
    "accumulates": (Facts("cuda", accumulates=True), "gradient_accumulation_steps"),
    "optimizer": (Facts("cuda", optimizer="Lion"), "the update of Lion"),
    "unfit": (Facts("cuda", unfit="too large"), "too large"),
    "failure": (Facts("cuda", failure="OutOfMemoryError: full"), "capturing failed: OutOfMemoryError: full"),
}


@pytest.mark.parametrize("name", REASONS)
def test_each_reason_against(name: str) -> None:
    facts, words = REASONS[name]
    decision = decide(facts)
    assert not decision.used
    assert words in decision.why
    assert str(decision).startswith("steps are not replayed as CUDA graphs: ")


def test_every_fact_can_be_a_reason() -> None:
    # the table above changes each field from what a plain model on a GPU has
    plain = Facts("cuda")
    assert decide(plain).used
    assert str(decide(plain)).startswith("steps are replayed as CUDA graphs: from the 4th batch")
    changed = {field for facts, _ in REASONS.values() for field in Facts._fields if facts != plain
               and getattr(facts, field) != getattr(plain, field)}  # fmt: skip
    assert changed == set(Facts._fields) - {"training", "recomputes"}  # on a CPU alone


def test_what_a_cpu_does_in_one_program() -> None:
    plain = Facts("cpu", training=True)
    assert str(decide(plain)).startswith("steps are replayed as one program without autograd: from the 4th batch")
    assert str(decide(plain._replace(recomputes=True))).startswith(
        "steps are not replayed as one program without autograd: remat="
    )
    assert decide(Facts("cuda", training=True, recomputes=True)).used
    for facts, words in list(REASONS.values())[1:]:
        assert words in decide(facts._replace(device="cpu", training=True)).why


class Work:
    """Doubles into a result and adds to a state; counts how often Python ran."""

    def __init__(self, graph: Any = RecordedGraph) -> None:
        self.state = torch.zeros(())
        self.ran = 0
        self.bound_to: Any = 0
        graph.made = 0
        self.replays = Replays(self, lambda: self.bound_to, graph)

    def __call__(self, inputs: Any) -> list[torch.Tensor]:
        self.ran += 1
        self.state.add_(inputs[0].sum())
        return [inputs[0] * 2]

    def take(self, *inputs: Any) -> Any:
        found = self.replays.replay(inputs)
        return aside(lambda: self(inputs))[0] if found is None else found[0]


def ones(size: int = 2, value: float = 1.0) -> torch.Tensor:
    return torch.full((size,), value)


def test_captured_once_sizes_are_known_and_replayed_since() -> None:
    work = Work()
    results = [work.take(ones(value=number)).clone() for number in range(8)]
    assert [result.tolist() for result in results] == [[2.0 * number] * 2 for number in range(8)]
    assert work.state == 2 * sum(range(8))  # the capture itself did nothing
    assert work.ran == REPEATS + 1
    assert work.replays.replayed == 8 - REPEATS


def test_inputs_are_copied_in_and_results_lie_where_they_did() -> None:
    work = Work()
    for _ in range(REPEATS):
        work.take(ones())
    given = ones(value=3.0)
    first = work.take(given)
    assert first.tolist() == [6.0, 6.0]
    given.fill_(100.0)  # the caller's own
    assert work.take(ones(value=4.0)).data_ptr() == first.data_ptr()
    assert first.tolist() == [8.0, 8.0]


def test_sizes_that_are_counted_wherever_they_come_are_each_captured() -> None:
    work = Work()
    work.replays = Replays(work, lambda: work.bound_to, RecordedGraph, in_row=False)
    for number in range(6):
        for size in (3, 3, 1):
            assert work.take(ones(size)).tolist() == [2.0] * size
        assert RecordedGraph.made == (0 if number == 0 else 1 if number < REPEATS else 2)
    assert work.replays.replayed == 6 * 3 - 2 * REPEATS


def test_sizes_that_never_settle_are_forgotten() -> None:
    work = Work()
    work.replays = Replays(work, lambda: work.bound_to, RecordedGraph, in_row=False)
    for _ in range(REPEATS + 2):
        for size in range(1, 70):
            work.take(ones(size))
    assert RecordedGraph.made == 0


def test_another_size_runs_as_usual_and_captures_nothing() -> None:
    work = Work()
    for _ in range(6):
        for _ in range(3):
            work.take(ones())
        assert work.take(ones(1)).tolist() == [2.0]
    assert RecordedGraph.made == 0  # never four in a row
    for _ in range(5):
        work.take(ones())
    for _ in range(6):
        work.take(ones())
        work.take(ones(1))
    assert RecordedGraph.made == 1
    assert work.state == 29 * 2 + 12  # as many of size two and of size one


def test_sizes_types_and_absence_are_distinguished_and_few_graphs_cached() -> None:
    work = Work()
    kinds = [(ones(size), None) for size in range(2, 2 + LIMIT - 2)]
    kinds += [(ones(2), ones(2)), (ones(2).double(), None), (ones(50), None), (ones(60), None)]
    for kind in kinds:
        for _ in range(REPEATS + 2):
            work.take(*kind)
    assert RecordedGraph.made == LIMIT
    assert work.replays.replayed == LIMIT * 2


def test_what_the_work_is_bound_to_has_changed() -> None:
    work = Work()
    for _ in range(REPEATS + 2):
        work.take(ones())
    work.bound_to = 1
    for _ in range(REPEATS):
        work.take(ones())
    assert (RecordedGraph.made, work.replays.replayed) == (1, 2)
    work.take(ones())
    assert (RecordedGraph.made, work.replays.replayed) == (2, 3)
    assert work.state == 2 * (2 * REPEATS + 3)


def test_a_failure_is_for_good_and_does_nothing() -> None:
    work = Work(FailingGraph)
    for _ in range(8):
        assert work.take(ones()).tolist() == [2.0, 2.0]
    assert work.replays.failure == "RuntimeError: operation not permitted when stream is capturing"
    assert FailingGraph.made == 1
    assert work.state == 16


def test_what_reads_the_device_cannot_be_captured() -> None:
    class Reading(Work):
        def __call__(self, inputs: Any) -> list[torch.Tensor]:
            return super().__call__(inputs) if inputs[0].sum() > 0 else []

    work = Reading()
    for _ in range(8):
        work.take(ones())
    assert "not permitted" in work.replays.failure
    assert work.state == 16


def test_what_runs_next_to_a_replay_runs_before_it() -> None:
    work, seen = Work(), []
    for _ in range(REPEATS + 2):
        if work.replays.replay([ones()], lambda: seen.append(float(work.state))) is None:
            work([ones()])
    assert seen == [6.0, 8.0]


@pytest.mark.gpu
def test_a_cuda_graph_replays() -> None:
    state = torch.zeros((), device="cuda")

    def work(inputs: Any) -> list[torch.Tensor]:
        state.add_(inputs[0].sum())
        return [inputs[0] * 2]

    replays = Replays(work)
    for number in range(8):
        given = [torch.full((2,), float(number), device="cuda")]
        found = replays.replay(given)
        result = (aside(lambda given=given: work(given)) if found is None else found)[0]  # type: ignore[misc]
        assert result.tolist() == [2.0 * number] * 2
    assert replays.replayed == 8 - REPEATS
    assert float(state) == 2 * sum(range(8))

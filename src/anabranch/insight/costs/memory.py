"""How many bytes live at once while a model runs: a replay of its forward and backward pass that allocates nothing.

A block is a storage. It is free when nobody holds it: neither a variable, which is let go after the last stage that
takes it, as in the code of torch.fx; nor autograd, until the stage that saved it has run backward; nor the caller, who holds
inputs and outputs. Gradients of a value that several calls take are added in place, unless one was passed on as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from anabranch.insight.costs.work import Stage

Key: TypeAlias = "int | tuple[int, int]"
"""A value by its number, or what is between two stages of a call: the call's and the stage's number."""
SCALAR = 4  # bytes of the loss's gradient, which outputs' gradients are views of


class Run(NamedTuple):
    """One call: the values in and out by number, bytes of each input, whether it is trained, and its stages.

    ``weights`` are the bytes of each trainable weight by the weight.
    """

    inputs: Sequence[int]
    outputs: Sequence[int]
    sizes: Sequence[int]
    stages: Sequence[Stage]
    weights: Mapping[object, int]


class Peaks(NamedTuple):
    """The most bytes at once, weights aside; what autograd has saved when the forward pass ends."""

    inference: int
    training: int
    saved: int


class _Saved(NamedTuple):
    """A stage on its way to the backward pass: blocks that it holds, where its gradient comes from and goes to."""

    stage: Stage
    held: list[int]
    targets: Sequence[Key]
    sources: list[tuple[Key, int]]
    weights: Mapping[object, int]


class _Memory:
    """Blocks with the number of those that hold them."""

    def __init__(self) -> None:
        self.live = self.peak = 0
        self._sizes: list[int] = []
        self._holders: list[int] = []

    def new(self, size: int) -> int:
        self.live += size
        self.peak = max(self.peak, self.live)
        self._sizes.append(size)
        self._holders.append(1)
        return len(self._sizes) - 1

    def hold(self, block: int) -> int:
        self._holders[block] += 1
        return block

    def drop(self, block: int) -> None:
        self._holders[block] -= 1
        if not self._holders[block]:
            self.live -= self._sizes[block]


def peaks(runs: Sequence[Run], inputs: Mapping[int, int], outputs: Collection[int]) -> Peaks:
    """Return the most bytes that live at once in both modes; ``inputs``: the bytes of each value that comes in."""
    inference = _Memory()
    _forward(inference, runs, inputs, outputs, None)
    training, tape = _Memory(), _Tape()
    _forward(training, runs, inputs, outputs, tape)
    saved = training.live - sum(inputs.values())
    _backward(training, tape, outputs)
    return Peaks(inference.peak, training.peak, saved)


class _Tape:
    """What autograd notes: the stages to run backward, and the values that have gradients."""

    def __init__(self) -> None:
        self.saved: list[_Saved] = []
        self.differentiable: set[Key] = set()


def _forward(
    memory: _Memory, runs: Sequence[Run], inputs: Mapping[int, int], outputs: Collection[int], tape: _Tape | None
) -> None:
    last = {number: place for place, run in enumerate(runs) for number in run.inputs}
    stay = {*inputs, *outputs}
    ends: list[list[int]] = [[] for _ in runs]
    for place, run in enumerate(runs):
        for number in run.outputs:
            if number not in stay:
                ends[last.get(number, place)].append(number)
    blocks = {number: memory.new(size) for number, size in inputs.items()}
    for place, run in enumerate(runs):
        given = [blocks[number] for number in run.inputs]
        made = _called(memory, place, run, given, [blocks[number] for number in ends[place] if number in blocks], tape)
        blocks.update(dict.fromkeys(run.outputs, made))
        for _ in run.outputs:
            memory.hold(made)
        memory.drop(made)
        for _ in set(ends[place]).intersection(run.outputs):  # nobody takes them
            memory.drop(made)


def _called(memory: _Memory, place: int, run: Run, given: list[int], over: list[int], tape: _Tape | None) -> int:
    """Run the stages of one call; the blocks ``over`` are not needed after the first."""
    current, keys, sizes = given, list[Key](run.inputs), list(run.sizes)
    stages = [stage for stage in run.stages if tape is not None or not stage.training]
    own: int | None = None
    for index, stage in enumerate(stages):
        made = memory.new(stage.size) if stage.size or not current else memory.hold(current[0])
        extra = memory.new(stage.extra) if stage.extra else None
        targets: Sequence[Key] = run.outputs if index == len(stages) - 1 else [(place, index)]
        trained = run.weights if stage.weights else {}
        if tape is not None and (trained or any(key in tape.differentiable for key in keys)):
            saved = [*current] * (stage.saves in ("input", "both")) + [made] * (stage.saves in ("output", "both"))
            held = [memory.hold(block) for block in saved] + ([] if extra is None else [extra])
            sources = [(key, size) for key, size in zip(keys, sizes, strict=True) if key in tape.differentiable]
            tape.saved.append(_Saved(stage, held, targets, sources, trained))
            tape.differentiable.update(targets)
        elif extra is not None:
            memory.drop(extra)
        for block in over if own is None else [own]:
            memory.drop(block)
        own, current, keys, sizes = made, [made], list(targets), [stage.size or sum(sizes)]
    if own is None:
        own = memory.hold(given[0])
        for block in over:
            memory.drop(block)
    return own


def _backward(memory: _Memory, tape: _Tape, outputs: Collection[int]) -> None:
    gradients: dict[Key, tuple[int, bool]] = {}
    for number in outputs:
        if number in tape.differentiable:
            gradients[number] = memory.new(SCALAR), False
    trained: set[object] = set()
    for stage, held, targets, sources, weights in reversed(tape.saved):
        arrived = [gradients.pop(key)[0] for key in targets if key in gradients]
        if arrived:
            for weight, size in weights.items():
                block = memory.new(size)
                if weight in trained:
                    memory.drop(block)
                trained.add(weight)
            for key, size in sources:
                made = (memory.hold(arrived[0]), False) if stage.passes else (memory.new(size), True)
                gradients[key] = _sum(memory, gradients[key], made, size) if key in gradients else made
        for block in (*arrived, *held):
            memory.drop(block)


def _sum(memory: _Memory, old: tuple[int, bool], new: tuple[int, bool], size: int) -> tuple[int, bool]:
    """Add a gradient to the one that came before: in place where nobody else has it."""
    if old[1]:
        memory.drop(new[0])
        return old
    made = memory.new(size)
    memory.drop(old[0])
    memory.drop(new[0])
    return made, True

"""Rules about batch normalization: what before it has no effect, or another one in training than afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.graph.flatten import Step
from anabranch.insight.linting import kinds
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import Program, described
from anabranch.insight.linting.rulebook import rule

_MOST_BETWEEN = 3  # calls between dropout and the normalization


@rule(
    "AB401", "info", "a bias before batch normalization",
    why="The normalization subtracts the mean, and the bias with it, so that it only costs memory and time",
    source="Ioffe & Szegedy 2015, section 3.2",
)  # fmt: skip
def bias_before_batch_normalization(program: Program) -> Iterator[Found]:
    """Find affine maps with a bias whose result goes into batch normalizations alone."""
    for step in program.needed_steps:
        operation = step.node.operation
        if not kinds.is_linear(operation) or not kinds.has_bias(operation) or not operation.trainable:
            continue
        takers = list(program.takers(step.outputs[0]))
        if takers and step.outputs[0] not in program.ends and all(_normalizes(taker, step, program) for taker in takers):
            yield program.at(step, f"{described(step)} has a bias, which {described(takers[0])} cancels.", "use_bias=False")


def _normalizes(taker: Step, step: Step, program: Program) -> bool:
    axis = kinds.batch_axis(taker.node.operation)
    if axis is None:
        return False
    rank = len(program.specs[step.outputs[0]].shape)
    channels = 1 if step.node.operation._axis_layout_() == "channels_first" else rank - 1
    return axis % rank == channels


@rule(
    "AB402", "info", "dropout before batch normalization",
    why="Dropout changes the variance in training only, so that the moving variance does not fit inference (variance shift)",
    source="Li et al. 2019, Understanding the Disharmony between Dropout and Batch Normalization, section 3",
)  # fmt: skip
def dropout_before_batch_normalization(program: Program) -> Iterator[Found]:
    """Find dropout whose result reaches a batch normalization through affine maps alone."""
    for step in program.needed_steps:
        operation = step.node.operation
        if not kinds.drops(operation):
            continue
        here = step
        for _ in range(_MOST_BETWEEN):
            following = [taker for value in here.outputs for taker in program.takers(value)]
            normal = next((each for each in following if kinds.batch_axis(each.node.operation) is not None), None)
            if normal is not None:
                yield program.at(
                    step, f"{described(step)} comes before {described(normal)}.", "dropout after the last batch normalization"
                )
                break
            if len(following) != 1 or not (
                kinds.is_linear(following[0].node.operation) or kinds.moves(following[0].node.operation)
            ):
                break
            here = following[0]

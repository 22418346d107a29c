"""Rules about the range of values: what a rectifier or a product makes 0, and activations after each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from anabranch import _tree
from anabranch.graph import Tensor
from anabranch.graph.flatten import Step
from anabranch.insight.linting import kinds
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import Program, described
from anabranch.insight.linting.rulebook import rule

Range: TypeAlias = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
ZERO: Range = (0.0, 0.0)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -700.0), 700.0)))


# What an activation makes of a range; of others nothing is known
_AFTER: dict[str, Callable[[Range], Range]] = {
    "relu": lambda r: (max(r[0], 0.0), max(r[1], 0.0)),
    "relu6": lambda r: (min(max(r[0], 0.0), 6.0), min(max(r[1], 0.0), 6.0)),
    "sigmoid": lambda r: (_sigmoid(r[0]), _sigmoid(r[1])),
    "hard_sigmoid": lambda r: (0.0, 1.0),
    "softmax": lambda r: (0.0, 1.0),
    "sparsemax": lambda r: (0.0, 1.0),
    "tanh": lambda r: (math.tanh(r[0]), math.tanh(r[1])),
    "softplus": lambda r: (0.0, math.inf),
    "exponential": lambda r: (0.0, math.inf),
    "leaky_relu": lambda r: (-math.inf if r[0] < 0 else r[0], r[1]),
}
# Functions, by name
_FUNCTIONS: dict[str, Callable[..., Range]] = {
    "negative": lambda r: (-r[1], -r[0]),
    "absolute": lambda r: r if r[0] >= 0 else (0.0, max(-r[0], r[1])),
    "abs": lambda r: r if r[0] >= 0 else (0.0, max(-r[0], r[1])),
    "square": lambda r: (0.0, math.inf) if r != ZERO else ZERO,
    "exp": lambda r: (0.0, math.inf),
    "zeros_like": lambda r: ZERO,
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "multiply": lambda a, b: _product(a, b),
    "concatenate": lambda a, b: (min(a[0], b[0]), max(a[1], b[1])),
}
_MAKE_ZEROS = frozenset(("zeros_like",))


def _product(a: Range, b: Range) -> Range:
    corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(corners), max(corners)


def ranges_of(program: Program) -> dict[int, Range]:
    """Return the range of each value, as far as it follows from activations and arithmetic."""
    found: dict[int, Range] = dict.fromkeys(program.inputs, ANY)
    for step in program.steps:
        given = [found[value] for value in step.inputs]
        after = _after(step, given)
        for value in step.outputs:
            found[value] = after
    return found


def _after(step: Step, given: Sequence[Range]) -> Range:
    """Return the range of what a step gives."""
    operation = step.node.operation
    name = kinds.activation_of(operation)
    if name:
        rule_of = _AFTER.get(name)
        return ANY if rule_of is None else rule_of(given[0] if kinds.is_activation(operation) else ANY)
    known = kinds.kind_of(operation)
    if known.pools or kinds.moves(operation):
        return given[0]
    if known.drops:
        low, high = given[0]
        dropped = kinds.drops(operation) == 1
        return ZERO if dropped else (-math.inf if low < 0 else 0.0, math.inf if high > 0 else 0.0)
    merge = kinds.merge_of(operation)
    function = _FUNCTIONS.get(merge)
    if function is None:
        return ANY
    operands = _operands(step, given) if operation._is_function_ else given
    try:
        result = operands[0]
        if len(operands) == 1:
            return _sound(function(result))
        for operand in operands[1:]:
            result = function(result, operand)
    except TypeError:  # a function of our names with other arguments
        return ANY
    return _sound(result)


def _sound(found: Range) -> Range:
    """Return a range without NaN, which ∞ - ∞ gives."""
    low, high = found
    return (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)


def _operands(step: Step, given: Sequence[Range]) -> list[Range]:
    """Return the range of each operand, numbers too, in order."""
    following = iter(given)
    found = []
    for leaf in _tree.leaves((step.node.args, list(step.node.kwargs.values()))):
        if isinstance(leaf, Tensor):
            found.append(next(following))
        elif isinstance(leaf, (int, float)):
            found.append((float(leaf), float(leaf)))
        else:
            found.append(ANY)
    return found


@rule(
    "AB303", "warning", "a branch that is always 0",
    why="Whatever comes before it has no effect and gets no gradient",
    source="Lu et al. 2019, Dying ReLU and Initialization, section 1",
)  # fmt: skip
def dead_branch(program: Program) -> Iterator[Found]:
    """Find calls whose result is 0 although what they take is not."""
    ranges = program.cached(ranges_of)
    for step in program.needed_steps:
        if not step.inputs or any(ranges[value] != ZERO for value in step.outputs):
            continue
        if any(ranges[value] == ZERO and program.maker(value) is not None for value in step.inputs):
            by_zeros = [value for value in step.inputs if _are_zeros(program, value)]
            if not by_zeros or len(by_zeros) == len(step.inputs):
                continue  # an earlier step is reported
        if step.node.operation._is_function_ and step.node.operation.name in _MAKE_ZEROS:
            continue
        low, high = ranges[step.inputs[0]]
        reason = f" of values from {low:g} to {high:g}" if kinds.activation_of(step.node.operation) and high <= 0 else ""
        yield program.at(
            step, f"{described(step)}{reason} is always 0.", "leave out the factor, or the activation, that makes it 0"
        )


def _are_zeros(program: Program, value: int) -> bool:
    maker = program.maker(value)
    return maker is not None and maker.node.operation._is_function_ and maker.node.operation.name in _MAKE_ZEROS


@rule(
    "AB304", "info", "an activation that changes nothing",
    why="A rectifier of values that are never negative gives them as they are",
    source="Glorot et al. 2011, section 3.1",
)  # fmt: skip
def idle_activation(program: Program) -> Iterator[Found]:
    """Find rectifiers of what is never negative."""
    ranges = program.cached(ranges_of)
    for step in program.needed_steps:
        name = kinds.activation_of(step.node.operation)
        if name not in ("relu", "relu6", "leaky_relu") or not kinds.is_activation(step.node.operation):
            continue
        low, high = ranges[step.inputs[0]]
        if low >= 0 and high > 0 and (name != "relu6" or high <= 6):
            before = program.maker(step.inputs[0])
            what = f" after {described(before)}" if before else ""
            yield program.at(step, f"{described(step)}{what} changes nothing: its input is never negative.", "leave it out")


@rule(
    "AB305", "warning", "a saturating pair of activations",
    why="After values that are never negative, sigmoid stays at or above 0.5 and softmax is far from certain, so part of what "
    "they should express cannot be learned",
    source="Goodfellow et al. 2016, Deep Learning, section 6.2.2",
)  # fmt: skip
def saturating_pair(program: Program) -> Iterator[Found]:
    """Find sigmoid and softmax of what a rectifier or another of them gives."""
    for step in program.needed_steps:
        operation = step.node.operation
        name = kinds.activation_of(operation)
        if name not in ("sigmoid", "softmax") or not kinds.is_activation(operation):
            continue
        before = _last_activation(program, step.inputs[0])
        if before is None:
            continue
        first = kinds.activation_of(before.node.operation)
        limit = " never falls below 0.5" if name == "sigmoid" else (
            " of values from 0 to 1 is never certain" if first in kinds.PROBABILITIES else " cannot tell negative logits apart"
        )  # fmt: skip
        yield program.at(
            step, f"{name} after {first} ({described(before)}){limit}.",
            f"give {described(before)} no activation" if not kinds.is_activation(before.node.operation)
            else "leave out one of the two",
        )  # fmt: skip


def _last_activation(program: Program, value: int) -> Step | None:
    """Return the rectifier, sigmoid or softmax that a value comes from without a change; None where there is none."""
    step = program.maker(value)
    while step is not None and len(step.inputs) == 1 and kinds.moves(step.node.operation):
        step = program.maker(step.inputs[0])
    found = "" if step is None else kinds.activation_of(step.node.operation)
    return step if found in kinds.RECTIFIERS | kinds.PROBABILITIES else None

"""Rules about gradients: weights that no loss reaches, and the calls that let no gradient pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from anabranch.graph import Operation, spec_leaves
from anabranch.graph.flatten import Step
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import Program, described, trained_weights
from anabranch.insight.linting.rulebook import rule
from anabranch.insight.linting.structure import names_of

_STEPWISE = frozenset((
    "argmax", "argmin", "argsort", "bincount", "ceil", "detach", "digitize", "equal", "floor", "floor_divide", "greater",
    "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "not_equal", "one_hot", "ones_like", "rint", "round", "searchsorted", "sign", "stop_gradient", "trunc",
    "zeros_like",
))  # fmt: skip
"""Functions through which no gradient passes: their values do not change with their inputs, or in steps alone."""
_ON_PURPOSE = frozenset(("detach", "stop_gradient"))


class _Untrained(NamedTuple):
    """Operations whose weights get no gradient, by what stops it: the position of a step, or the name of an output."""

    by_step: dict[int, list[Step]]
    by_output: dict[str, list[Step]]


def stops_gradients(step: Step) -> bool:
    """Return whether no gradient passes a call: its result is of integers or booleans, or changes in steps."""
    operation = step.node.operation
    if operation._is_function_ and operation.name in _STEPWISE:
        return True
    dtypes = [spec.dtype for spec in spec_leaves(step.node.output_specs)]
    floats = any("float" in dtype or "complex" in dtype for dtype in dtypes)
    return bool(step.inputs and dtypes) and not floats and not operation.weights


def untrained(program: Program) -> _Untrained:
    """Return which operations with weights to train no loss reaches, and why; each step is looked at twice."""
    lossless = {output.value: output.name for output in program.outputs if program.has_losses and output.loss is None}
    reached = {output.value for output in program.outputs if not program.has_losses or output.loss is not None}
    blocked: dict[int, int] = {}  # a value -> the position of the step that stops its gradient
    trained: set[Operation] = set()
    waiting: dict[Operation, tuple[Step, int | str]] = {}
    beyond: dict[int, str] = dict(lossless)
    for position in range(len(program.steps) - 1, -1, -1):
        step = program.steps[position]
        operation = step.node.operation
        adds = operation._captures_ or operation.activity_regularizer is not None
        if adds or not reached.isdisjoint(step.outputs):
            trained.add(operation)
            if adds or not stops_gradients(step):
                reached.update(step.inputs)
            else:
                blocked.update({value: position for value in step.inputs if value not in blocked})
            continue
        stop: int | str | None = next((blocked[value] for value in step.outputs if value in blocked), None)
        if stop is None:
            stop = next((beyond[value] for value in step.outputs if value in beyond), None)
        if stop is None:
            continue  # a dead end
        waiting.setdefault(operation, (step, stop))
        for value in step.inputs:
            if isinstance(stop, int):
                blocked.setdefault(value, stop)
            else:
                beyond.setdefault(value, stop)
    found = _Untrained({}, {})
    for operation, (step, stop) in waiting.items():
        if operation in trained or not any(weight.regularizer is None for weight in trained_weights(operation)):
            continue
        if isinstance(stop, int):
            found.by_step.setdefault(stop, []).append(step)
        else:
            found.by_output.setdefault(stop, []).append(step)
    return found


@rule(
    "AB301", "info", "weights that no loss reaches",
    why="They keep their initial values, and what they compute is noise",
    source="Rumelhart et al. 1986, Learning representations by back-propagating errors",
)  # fmt: skip
def unreached_weights(program: Program) -> Iterator[Found]:
    """Find trainable weights that lead to outputs without a loss alone."""
    for name, steps in program.cached(untrained).by_output.items():
        paths = list(dict.fromkeys(step.path for step in reversed(steps)))
        yield program.at(
            steps[-1], f"No loss reaches the weights of {names_of(paths)}: only the output {name!r} follows, which has none.",
            f"compile(loss={{…, {name!r}: …}}), or trainable = False where that is meant",
        )  # fmt: skip


@rule(
    "AB302", "warning", "a call that lets no gradient pass to weights before it",
    why="Its derivative is 0 wherever it exists, so that the weights before it are never trained",
    source="Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons, section 1",
)  # fmt: skip
def blocked_gradient(program: Program) -> Iterator[Found]:
    """Find calls such as argmax that are all that connects trainable weights with a loss."""
    for position, steps in program.cached(untrained).by_step.items():
        step = program.steps[position]
        paths = list(dict.fromkeys(each.path for each in reversed(steps)))
        meant = step.node.operation.name in _ON_PURPOSE or not program.has_losses
        yield program.at(
            step, f"No gradient passes {described(step)}, so the weights of {names_of(paths)} are never trained.",
            "softmax in the place of argmax, a straight-through estimator in that of round (x + stop_gradient(round(x) - x)), "
            "or trainable = False where that is meant",
            "info" if meant else "",
        )  # fmt: skip

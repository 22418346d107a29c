"""Rules about the graph: inputs and calls that lead nowhere, work done twice, accidental broadcasts, residual joins."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch import _tree
from anabranch._errors import shortened
from anabranch.graph import Shape, Tensor
from anabranch.graph.facts import pointwise
from anabranch.graph.flatten import Step
from anabranch.insight.linting import kinds
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import Program, described
from anabranch.insight.linting.rulebook import rule

_MOST_ALIKE = 8  # calls on the same values that a further one is compared with
_FARTHEST = 200  # steps that a join's branches are followed back at most


@rule(
    "AB101", "warning", "an input that no output needs",
    why="Data for it must be given and change nothing, so a connection is probably missing",
    source="Keras guide to the functional API, models with several inputs",
    warned=False,  # Model(…) has done so
)  # fmt: skip
def unused_input(program: Program) -> Iterator[Found]:
    """Find inputs from which no output follows."""
    for number, tensor in program.inputs.items():
        if number not in program.needed:
            path = program.graph.names.get(tensor.node.operation, tensor.name)
            yield Found(
                path, tensor.node.site, f"No output depends on the input {path!r}.",
                f"use it, or leave it out of Model(inputs=…): {path!r}",
            )  # fmt: skip


@rule(
    "AB102", "warning", "a call in a nested model whose result nothing uses",
    why="It is computed in vain, and its weights are never trained",
    source="dead code elimination, Aho et al. 2006, section 8.5",
)  # fmt: skip
def dead_end(program: Program) -> Iterator[Found]:
    """Find the last calls of branches inside nested models that lead to none of the outer model's outputs."""
    for step in program.steps:
        if any(program.taken_by[value] or value in program.needed for value in step.outputs):
            continue
        yield program.at(
            step, f"Nothing uses the result of {described(step)}, an output of a nested model.",
            "a nested model without that output: Model(inner.input, …)",
            "" if step.node.operation.weights else "info",
        )  # fmt: skip


@rule(
    "AB103", "info", "a subgraph that is computed twice",
    why="Equal calls on equal inputs give equal results at twice the time and memory",
    source="common subexpressions, Aho et al. 2006, section 8.5",
)  # fmt: skip
def duplicate_subgraph(program: Program) -> Iterator[Found]:
    """Find calls that repeat an earlier one on the same values, the last of each chain of them."""
    known: dict[object, list[int]] = {}
    same: dict[int, int] = {}  # a value -> the earlier value that equals it
    twins: dict[int, int] = {}  # the position of a step -> that of the step it repeats
    for position, step in enumerate(program.steps):
        taken = tuple(same.get(value, value) for value in step.inputs)
        alike = known.setdefault((step.node.operation._base_name_, taken), [])
        if alike and (key := _key(step)) is not None:
            first = next((each for each in alike if _key(program.steps[each]) == key), None)
            if first is not None:
                twins[position] = first
                same.update(zip(step.outputs, (same.get(v, v) for v in program.steps[first].outputs), strict=True))
                continue
        if len(alike) < _MOST_ALIKE:
            alike.append(position)
    for position, first in twins.items():
        step = program.steps[position]
        takers = {taker for value in step.outputs for taker in program.taken_by[value]}
        if takers and takers <= twins.keys():
            continue  # the end of the chain is reported
        length = _chain(program, twins, position)
        what = f"{described(step)} repeats {described(program.steps[first])} at {program.steps[first].node.site}"
        yield program.at(
            step, f"{what}{f', with the {length - 1} calls before it' if length > 1 else ''}.", "use the first result twice"
        )


def _chain(program: Program, twins: dict[int, int], position: int) -> int:
    """Return how many repeated calls in a row end at a step, along its first inputs."""
    length = 0
    here: int | None = position
    while here is not None and here in twins and length < _FARTHEST:
        length += 1
        inputs = program.steps[here].inputs
        here = program.made_by.get(inputs[0]) if inputs else None
    return length


def _key(step: Step) -> object:
    """Return what two calls of the same values with equal results have in common; None where these may differ each time."""
    node, operation = step.node, step.node.operation
    if operation._captures_ or operation._watched_ or kinds.kind_of(operation).random:
        return None
    if operation._is_function_ and operation._facts_.mask is None:
        return None  # of others it is not known whether they draw random numbers
    constants = [leaf for leaf in _tree.leaves((node.args, list(node.kwargs.values()))) if not isinstance(leaf, Tensor)]
    if not all(leaf is None or isinstance(leaf, (int, float, str, slice)) or leaf is Ellipsis for leaf in constants):
        return None
    called = (repr(constants), tuple(node.kwargs))
    if operation._is_function_:
        return operation.name, called
    if operation.weights or operation._sublayers_():
        return operation, called
    settings = {name: value for name, value in operation._settings_by_name_().items() if name != "name"}
    return type(operation), repr(settings), called


@rule(
    "AB104", "warning", "a broadcast along the batch",
    why="Shapes are aligned from the last axis, so samples of one tensor meet positions of the other and the batch is mixed",
    source="NumPy, Broadcasting, general rules",
)  # fmt: skip
def accidental_broadcast(program: Program) -> Iterator[Found]:
    """Find functions element by element of tensors whose batches are not aligned."""
    for step in program.needed_steps:
        operation = step.node.operation
        if len(step.inputs) < 2 or not operation._is_function_ or operation._facts_.mask is not pointwise:
            continue
        shapes = [program.specs[value].shape for value in step.inputs]
        rank = max(map(len, shapes))
        lower = next((shape for shape in shapes if 0 < len(shape) < rank and shape[0] is None), None)
        if lower is None or not any(len(shape) == rank and shape[0] is None for shape in shapes):
            continue
        wider: Shape = next(shape for shape in shapes if len(shape) == rank)
        wanted = (None, *[1] * (rank - len(lower)), *lower[1:])
        yield program.at(
            step,
            f"{described(step)} stretches {lower} over {wider}: the batch of the one is aligned with axis "
            f"{rank - len(lower)} of the other.",
            f"bring both to one rank, batch first: layers.Reshape({wanted[1:]})(x), or layers.Flatten()(x) for the other",
        )


@rule(
    "AB105", "warning", "a residual join after the activation of one branch only",
    why="One branch can only add, the other both add and subtract: the sum is biased, and the block cannot be the identity",
    source="He et al. 2016, Identity Mappings in Deep Residual Networks, section 4.1",
    warned=False,  # such a block trains, if worse
)  # fmt: skip
def half_activated_join(program: Program) -> Iterator[Found]:
    """Find sums of a rectified branch and a linear one, neither of which is the shortcut of the other."""
    for step in program.needed_steps:
        ends = _branches(program, step)
        active = [end for end in ends if end is not None and kinds.activation_of(end.node.operation) in kinds.RECTIFIERS]
        plain = [end for end in ends if end is not None and kinds.ends_linearly(end.node.operation)]
        if len(ends) != 2 or len(active) != 1 or len(plain) != 1:
            continue
        if _precedes(program, active[0], plain[0]) is not False or _precedes(program, plain[0], active[0]) is not False:
            continue
        yield program.at(
            step,
            f"{described(step)} adds {described(active[0])}, which ends in {kinds.activation_of(active[0].node.operation)}, "
            f"and {described(plain[0])}, which does not.",
            "no activation before the join, one after it: relu(add([x, shortcut]))",
        )


@rule(
    "AB106", "info", "a residual branch that ends in a rectifier",
    why="What a branch after relu adds is never negative, so the sum only grows along the network; CIFAR-10 error 7.8 % "
    "against 6.6 % without it (ResNet-110)",
    source="He et al. 2016, Identity Mappings in Deep Residual Networks, section 4.1, table 2",
)  # fmt: skip
def rectified_residual(program: Program) -> Iterator[Found]:
    """Find sums of a shortcut and a rectified branch that begins at the same tensor."""
    for step in program.needed_steps:
        ends = _branches(program, step)
        if len(ends) != 2:
            continue
        for value, end, other in zip(step.inputs, ends, reversed(step.inputs), strict=True):
            if end is None or kinds.activation_of(end.node.operation) not in kinds.RECTIFIERS or value == other:
                continue
            if _value_precedes(program, other, end):
                name = kinds.activation_of(end.node.operation)
                yield program.at(
                    step, f"The branch that {described(step)} adds to its shortcut ends in {name} ({described(end)}).",
                    "leave that activation out, and apply it to the sum",
                )  # fmt: skip
                break


def _branches(program: Program, step: Step) -> list[Step | None]:
    """Return the last step of each branch of a sum, without those that only move values; [] where it is no sum."""
    if kinds.merge_of(step.node.operation) != "add" or len(step.inputs) < 2:
        return []
    return [_last(program, value) for value in step.inputs]


def _last(program: Program, value: int) -> Step | None:
    step = program.maker(value)
    for _ in range(_FARTHEST):
        if step is None or len(step.inputs) != 1 or not kinds.passes_on(step.node.operation):
            return step
        step = program.maker(step.inputs[0])
    return step


def _precedes(program: Program, first: Step, later: Step) -> bool | None:
    return _value_precedes(program, first.outputs[0], later)


def _value_precedes(program: Program, value: int, later: Step) -> bool | None:
    """Return whether a step needs a value; None where it is too far to tell."""
    border = program.made_by.get(value, -1)
    stack, seen = list(later.inputs), set(later.inputs)
    for _ in range(_FARTHEST):
        if not stack:
            return False
        here = stack.pop()
        if here == value:
            return True
        position = program.made_by.get(here, -1)
        if position > border:
            fresh = [each for each in program.steps[position].inputs if each not in seen]
            seen.update(fresh)
            stack += fresh
    return None


def names_of(paths: list[str]) -> str:
    """Return paths in a row for a sentence, of many the first."""
    return shortened(paths) if len(paths) <= 3 else f"{', '.join(paths[:3])} and {len(paths) - 3} more"

"""Rules about outputs and their losses: activations, logits, numbers of units, targets."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.graph import Shape
from anabranch.graph.flatten import Step
from anabranch.graph.shapes import normalise_axis
from anabranch.insight.linting import kinds
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import LossFacts, Output, Program, described
from anabranch.insight.linting.rulebook import rule

_CATEGORICAL = ("one-hot", "indices")


def _ends(program: Program) -> Iterator[tuple[Output, LossFacts, Step, str]]:
    """Yield each output with a cross-entropy, its last step but for those that move values, and the activation it ends in."""
    for output in program.outputs:
        if output.loss is None or not output.loss.labels:
            continue
        step = program.maker(output.value)
        while step is not None and len(step.inputs) == 1 and kinds.moves(step.node.operation):
            step = program.maker(step.inputs[0])
        if step is not None:
            yield output, output.loss, step, kinds.activation_of(step.node.operation)


@rule(
    "AB201", "error", "an activation before a loss that takes logits",
    why="The loss applies it once more, which bounds what it sees: softmax of softmax of C classes is below e / (e + C - 1)",
    source="Goodfellow et al. 2016, Deep Learning, section 6.2.2.3",
)  # fmt: skip
def activation_before_logits(program: Program) -> Iterator[Found]:
    """Find softmax or sigmoid before a loss with ``from_logits=True``."""
    for output, loss, step, name in _ends(program):
        if loss.from_logits and name in kinds.PROBABILITIES:
            yield program.at(
                step, f"The output {output.name!r} ends in {name}, and its loss {loss.name!r} has from_logits=True.",
                "from_logits=False, or no activation at the end",
            )  # fmt: skip


@rule(
    "AB202", "warning", "logits before a loss that takes probabilities",
    why="Values outside [0, 1] are clipped before the logarithm, so that most of them give no gradient",
    source="Goodfellow et al. 2016, Deep Learning, section 6.2.2",
)  # fmt: skip
def logits_as_probabilities(program: Program) -> Iterator[Found]:
    """Find outputs of an affine map, or of an activation that is no probability, before a loss without ``from_logits``."""
    for output, loss, step, name in _ends(program):
        unbounded = name in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "swish", "tanh", "selu", "softplus")
        if not loss.from_logits and (unbounded or kinds.is_linear(step.node.operation)):
            wanted = "sigmoid" if loss.labels == "binary" else "softmax"
            ends = f"ends in {name}" if name else "has no activation"
            yield program.at(
                step, f"The output {output.name!r} {ends}, and its loss {loss.name!r} takes probabilities.",
                f"a loss with from_logits=True, which is more accurate too, or activation={wanted!r} at the end",
            )  # fmt: skip


@rule(
    "AB203", "error", "softmax over a single value",
    why="It is 1 whatever goes in, so that nothing is learned",
    source="Goodfellow et al. 2016, Deep Learning, section 6.2.2.3",
)  # fmt: skip
def softmax_of_one(program: Program) -> Iterator[Found]:
    """Find softmax along axes of size 1."""
    for step in program.needed_steps:
        if kinds.activation_of(step.node.operation) != "softmax" or not step.outputs:
            continue
        shape = program.specs[step.outputs[0]].shape
        if _classes(shape, kinds.softmax_axis(step.node)) == 1:
            yield program.at(
                step, f"{described(step)} takes softmax over an axis of size 1, of shape {shape}.",
                "activation='sigmoid' and binary_crossentropy for two classes, or a unit for each class",
            )  # fmt: skip


def _classes(shape: Shape, axis: int | None) -> int | None:
    if axis is None or not shape or not -len(shape) <= axis < len(shape):
        return None
    return shape[normalise_axis(axis, len(shape))]


@rule(
    "AB204", "error", "a categorical loss over a single unit",
    why="The probability of the only class is 1 once it is normalized, so that the loss is constant",
    source="Goodfellow et al. 2016, Deep Learning, section 6.2.2.2",
)  # fmt: skip
def categorical_of_one(program: Program) -> Iterator[Found]:
    """Find categorical cross-entropies of outputs with one unit."""
    for output, loss, step, name in _ends(program):
        shape = program.specs[output.value].shape
        if loss.labels in _CATEGORICAL and _classes(shape, loss.axis) == 1 and name != "softmax":  # which AB203 reports
            yield program.at(
                step, f"The output {output.name!r} of shape {shape} has one unit, and {loss.name!r} wants one for each class.",
                "loss='binary_crossentropy' with activation='sigmoid', or a unit for each class",
            )  # fmt: skip


@rule(
    "AB205", "warning", "sigmoid before a categorical loss",
    why="Its values are probabilities of separate labels: they do not add up to 1, and the loss of wrong classes is lost",
    source="Goodfellow et al. 2016, Deep Learning, sections 6.2.2.2 and 6.2.2.3",
)  # fmt: skip
def sigmoid_with_categorical(program: Program) -> Iterator[Found]:
    """Find sigmoid outputs before categorical cross-entropies of probabilities."""
    for output, loss, step, name in _ends(program):
        if loss.labels in _CATEGORICAL and not loss.from_logits and name in ("sigmoid", "hard_sigmoid"):
            if _classes(program.specs[output.value].shape, loss.axis) == 1:
                continue  # which AB204 reports
            yield program.at(
                step, f"The output {output.name!r} ends in {name}, and its loss is {loss.name!r}.",
                "activation='softmax' for one class of several, loss='binary_crossentropy' for several labels at once",
            )  # fmt: skip


@rule(
    "AB206", "info", "softmax before a binary loss",
    why="The loss takes each value as a label by itself, while softmax lets one of them be true alone",
    source="Goodfellow et al. 2016, Deep Learning, sections 6.2.2.2 and 6.2.2.3",
)  # fmt: skip
def softmax_with_binary(program: Program) -> Iterator[Found]:
    """Find softmax outputs before binary cross-entropies."""
    for output, loss, step, name in _ends(program):
        if loss.labels == "binary" and name == "softmax" and program.specs[output.value].shape[-1] != 1:
            yield program.at(
                step, f"The output {output.name!r} ends in softmax, and its loss is {loss.name!r}.",
                "loss='categorical_crossentropy' for one class of several, activation='sigmoid' for several labels at once",
            )  # fmt: skip


@rule(
    "AB207", "error", "targets that the loss cannot take",
    why="fit refuses them before the first step",
    source="the loss's documentation",
)  # fmt: skip
def unfit_targets(program: Program) -> Iterator[Found]:
    """Find targets whose shape or values do not fit output and loss, where targets are given."""
    for refusal in program.refusals:
        parts = [
            refusal.fact,
            *(f"{name} {text}" for name, text in (("expected", refusal.expected), ("got", refusal.got)) if text),
        ]
        yield Found("", None, "; ".join(part.rstrip(".") for part in parts) + ".", refusal.repair or "targets of that shape")

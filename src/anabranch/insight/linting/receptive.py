"""Rules about receptive fields: of the convolutions in a model, beside the size of its input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from anabranch.graph.flatten import Step
from anabranch.insight.costs import spans
from anabranch.insight.costs.work import Call
from anabranch.insight.linting import kinds
from anabranch.insight.linting.findings import Found
from anabranch.insight.linting.program import Program, described
from anabranch.insight.linting.rulebook import rule

_SMALL = 0.5  # of the input, below which a field is much smaller


class _Seen(NamedTuple):
    """The spatial sizes of the only input, and the receptive field of each value along its axes."""

    sizes: tuple[int, ...]
    fields: dict[int, spans.Field]


def _seen(program: Program) -> _Seen | None:
    """Return what values see of the input; None where there are several inputs, or sizes are not known."""
    (number, tensor), *others = program.inputs.items()
    if others or not 3 <= len(tensor.shape) <= 5:
        return None
    fields = {number: spans.of_input(len(tensor.shape))}
    layout = None
    for step in program.steps:
        node = step.node
        inputs, outputs = ([program.specs[value] for value in values] for values in (step.inputs, step.outputs))
        call = Call(node.operation, inputs, outputs, node.args, node.kwargs)
        if kinds.kind_of(node.operation).affine and len(tensor.shape) == len(inputs[0].shape):
            layout = layout or node.operation._axis_layout_()
        try:
            field = spans.after(call, [fields[value] for value in step.inputs])
        except (TypeError, ValueError):  # sizes that are not known
            return None
        fields.update(dict.fromkeys(step.outputs, field))
    if layout is None:
        return None
    sizes = tensor.shape[2:] if layout == "channels_first" else tensor.shape[1:-1]
    known = tuple(size for size in sizes if size is not None)
    return _Seen(known, fields) if len(known) == len(sizes) else None


def _sizes(field: spans.Field, step: Step) -> tuple[int | None, ...]:
    """Return what a position sees along each spatial axis; None is all."""
    return tuple(None if span is None else span.size for span in spans.spatial(field, step.node.operation._axis_layout_()))


@rule(
    "AB501", "info", "convolutions whose input sees the whole image already",
    why="Layers after the one whose receptive field exceeds the image add little to accuracy, and cost as much as others",
    source="Richter et al. 2021, Should You Go Deeper? Optimizing CNN Architectures without Training, section 4",
)  # fmt: skip
def wide_receptive_field(program: Program) -> Iterator[Found]:
    """Find the first spatial convolution whose input has a receptive field as large as the model's input."""
    seen = program.cached(_seen)
    if seen is None or not any(kinds.pools_all(step.node.operation) for step in program.needed_steps):
        return  # what gives a value for each position needs more than one look at the whole
    window = [step for step in program.needed_steps if kinds.slides(step.node.operation)]
    wide = [step for step in window if _covers(_sizes(seen.fields[step.inputs[0]], step), seen.sizes)]
    if wide:
        yield program.at(
            wide[0],
            f"From {described(wide[0])} on, {len(wide)} of {len(window)} convolutions with windows take values that see all of "
            f"the input {_written(seen.sizes)}: {_written(_sizes(seen.fields[wide[0].inputs[0]], wide[0]))}.",
            "larger inputs, fewer layers, or smaller strides before",
        )


@rule(
    "AB502", "info", "a receptive field much smaller than the image",
    why="What is pooled saw small parts by themselves, so that their arrangement is lost; the effective field is smaller still",
    source="Luo et al. 2016, Understanding the Effective Receptive Field in Deep Convolutional Neural Networks, section 3",
)  # fmt: skip
def narrow_receptive_field(program: Program) -> Iterator[Found]:
    """Find the last global pooling, where its values see less than half of the input along each axis; others may be gates."""
    seen = program.cached(_seen)
    if seen is None:
        return
    pools = [step for step in program.needed_steps if kinds.pools_all(step.node.operation)]
    for step in pools[-1:]:
        sizes = _sizes(seen.fields[step.inputs[0]], step)
        if len(sizes) == len(seen.sizes) and all(
            size is not None and size < _SMALL * whole for size, whole in zip(sizes, seen.sizes, strict=True)
        ):
            yield program.at(
                step, f"{described(step)} takes values that see {_written(sizes)} of the input {_written(seen.sizes)}.",
                "more layers, strides, pooling or dilation before it",
            )  # fmt: skip


def _covers(sizes: tuple[int | None, ...], whole: tuple[int, ...]) -> bool:
    return len(sizes) == len(whole) and all(size is None or size >= one for size, one in zip(sizes, whole, strict=True))


def _written(sizes: tuple[int | None, ...]) -> str:
    return "×".join("all" if size is None else str(size) for size in sizes)

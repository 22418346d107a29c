"""Receptive fields: how much of the input each position of a value sees along each axis, and how far positions are apart.

From one window to the next (Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", §2):
size ← size + (reach - 1) · stride; stride ← stride · s; padding ← padding + p · stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from anabranch import config, layers
from anabranch.graph import facts
from anabranch.graph.records import NamedFunction
from anabranch.graph.shapes import same_padding
from anabranch.insight.costs.work import Call
from anabranch.layers import convolutional, merging, pooling, resizing, transposed
from anabranch.layers.pointwise import Pointwise


class Span(NamedTuple):
    """What a position sees along one axis of the input.

    Args:
        size: how many positions over the widest path; None: all.
        least: how many over the narrowest path, such as the skips of a ResNet; None: all.
        stride: by how many input positions neighbors are apart.
        padding: how many input positions the first one reaches before the input's start.
    """

    size: int | None = 1
    least: int | None = 1
    stride: float = 1
    padding: float = 0


Field: TypeAlias = "tuple[Span | None, ...]"
"""A span for each axis after the batch; None where positions mean nothing, as of channels, or nothing is known."""
ALL = Span(None, None, 1, 0)


def of_input(rank: int) -> Field:
    """Return the field of an input: every position sees itself."""
    return (Span(),) * max(0, rank - 1)


def merged(fields: Sequence[Field]) -> Field:
    """Return the field of a value each position of which follows from the same position of several; axes align at the right."""
    rank = max(map(len, fields), default=0)
    wide = [(None,) * (rank - len(field)) + field for field in fields]
    return tuple(_widest([span for span in spans if span is not None]) for spans in zip(*wide, strict=True))


def _widest(spans: list[Span]) -> Span | None:
    if not spans:
        return None
    sizes, leasts = [span.size for span in spans], [span.least for span in spans if span.least is not None]
    return Span(
        None if None in sizes else max(size or 0 for size in sizes), min(leasts, default=None),
        max(span.stride for span in spans), max(span.padding for span in spans),
    )  # fmt: skip


def _slid(span: Span | None, reach: int, stride: float, pad: float) -> Span | None:
    """Return the span behind a window."""
    if span is None or span.size is None:
        return span
    more = round((reach - 1) * span.stride)
    least = None if span.least is None else span.least + more
    return Span(span.size + more, least, span.stride * stride, span.padding + pad * span.stride)


def _spatial(call: Call) -> range:
    """Return the axes, without the batch, that a window slides along."""
    rank = len(call.inputs[0].shape)
    return range(1, rank - 1) if call.operation._axis_layout_() == "channels_first" else range(rank - 2)


def _windows(call: Call, field: Field, window: Sequence[int], dilation: Sequence[int], channels: bool) -> Field:
    layer, lengths = call.operation, call.inputs[0].shape[1:]
    found: list[Span | None] = [None] * len(field) if channels else list(field)
    for axis, size, gap, stride in zip(_spatial(call), window, dilation, layer.strides, strict=True):
        reach = (size - 1) * gap + 1
        pad = {"valid": 0, "causal": reach - 1}.get(layer.padding)
        if pad is None:
            pad = same_padding(lengths[axis] or 0, size, stride, gap)[0]
        found[axis] = _slid(field[axis], reach, stride, pad)
    return tuple(found)


def _conv(call: Call, field: Field) -> Field:
    return _windows(call, field, call.operation.kernel_size, call.operation.dilation_rate, True)


def _pool(call: Call, field: Field) -> Field:
    return _windows(call, field, call.operation.pool_size, [1] * (len(field) - 1), False)


def _transposed(call: Call, field: Field) -> Field:
    layer = call.operation
    found: list[Span | None] = [None] * len(field)
    for axis, reach, stride in zip(_spatial(call), layer.reach(), layer.strides, strict=True):
        found[axis] = _slid(field[axis], -(-reach // stride), 1 / stride, 0)
    return tuple(found)


def _upsampled(call: Call, field: Field) -> Field:
    found, reach = list(field), {"nearest": 1, "bilinear": 2}.get(call.operation.interpolated(), 4)
    size = call.operation.size
    for axis, factor in zip(_spatial(call), (size,) if isinstance(size, int) else size, strict=True):
        found[axis] = _slid(field[axis], reach, 1 / factor, 0)
    return tuple(found)


def _moved(call: Call, field: Field, pairs: Sequence[tuple[int, int]], sign: int) -> Field:
    found = list(field)
    for axis, (before, _) in zip(_spatial(call), pairs, strict=True):
        found[axis] = _slid(field[axis], 1, 1, sign * before)
    return tuple(found)


def _global(call: Call, field: Field) -> Field:
    return (ALL,) * (len(call.outputs[0].shape) - 1)


def _dense(call: Call, field: Field) -> Field:
    return (*field[:-1], field[-1] if field and field[-1] == ALL else None)


_RULES: dict[type, Callable[[Any, Field], Field]] = {
    convolutional.Windowed: _conv,
    transposed.ConvTranspose: _transposed,
    pooling.Pooling: _pool,
    pooling.GlobalPooling: _global,
    resizing.UpSampling: _upsampled,
    resizing.ZeroPadding: lambda call, field: _moved(call, field, call.operation.padding, 1),
    resizing.Cropping: lambda call, field: _moved(call, field, call.operation.cropping, -1),
    layers.Dense: _dense,
    layers.Flatten: _global,
    layers.Reshape: _global,
    layers.RepeatVector: _global,
    layers.Dot: _global,
    layers.Embedding: lambda call, field: (*field, None),
    layers.Permute: lambda call, field: tuple(field[axis - 1] for axis in call.operation.dims),
    Pointwise: lambda call, field: field,
    layers.Activation: lambda call, field: field,
    layers.Identity: lambda call, field: field,
    layers.BatchNormalization: lambda call, field: field,
}


def after(call: Call, fields: Sequence[Field]) -> Field:
    """Return the field of what a call gives; axes of which nothing is known are None."""
    operation = call.operation
    for kind in type(operation).__mro__:
        if kind in _RULES:
            return _RULES[kind](call, fields[0])
    if isinstance(operation, merging.Joining) or (
        isinstance(operation, NamedFunction) and operation._facts_.mask is facts.pointwise
    ):
        return merged(fields)
    return (None,) * max(0, len(call.outputs[0].shape) - 1)


def spatial(field: Field, layout: str | None) -> Field:
    """Return the spans of the axes that have positions: not the channels', which are known once a kernel mixed them."""
    if len(field) < 2:
        return tuple(span for span in field if span is not None and span.size is None)
    if None in field:
        return tuple(span for span in field if span is not None)
    return field[1:] if (layout or config.image_data_format()) == "channels_first" else field[:-1]

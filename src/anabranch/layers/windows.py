"""What layers with windows that slide along spatial axes share: their axes' names, and checks of shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank, window_length

AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


def channels_of(shape: Shape, rank: int, data_format: str) -> int | None:
    """Return the number of channels of ``shape`` after checking its rank."""
    first = data_format == "channels_first"
    if len(shape) != rank + 2:
        check_rank(shape, rank + 2, f"batch, channels, {AXES[rank]}" if first else f"batch, {AXES[rank]}, channels")
    return shape[1 if first else -1]


def known_channels(shape: Shape, rank: int, data_format: str) -> int:
    """Return the number of channels of ``shape``; raise where it is not known."""
    channels = channels_of(shape, rank, data_format)
    if channels is None:
        raise ShapeError(
            "The number of channels must be known: the kernel has as many.",
            expected="a size, not None", got=str(shape), repair="give Input its channels, such as Input((None, None, 3))",
        )  # fmt: skip
    return channels


def check_channels(channels: int, made_for: int | None, shape: Shape) -> None:
    """Raise where a built layer is called on other channels than its kernel was made for."""
    if made_for is not None and channels != made_for:
        raise ShapeError(
            f"Got {channels} channels where the kernel was made for {made_for}.",
            expected=f"{made_for} channels", got=f"{channels} in {shape}",
            repair=f"a layer of its own for each, or a 1×1 projection to {made_for} channels before",
        )  # fmt: skip


def windows_shape(
    shape: Shape,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation: tuple[int, ...],
    channels: int | None,
) -> Shape:
    """Return the shape after a window slid along the spatial axes of ``shape``."""
    first = data_format == "channels_first"
    spatial = shape[2:] if first else shape[1:-1]
    lengths = list(map(window_length, spatial, window, strides, itertools.repeat(padding), dilation))
    for axis, length in enumerate(lengths):
        if length is not None and length < 1:
            reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
            raise ShapeError(
                f"A window of {reach[axis]} does not fit into {spatial[axis]}: nothing would be left.",
                expected=f"at least {' × '.join(map(str, reach))} positions",
                got=f"{' × '.join(map(str, spatial))}, in {shape}",
                repair='padding="same", a smaller window, less pooling before, or a larger Input',
            )
    return spatial_shape(shape, lengths, channels, data_format)


def spatial_shape(shape: Shape, lengths: list[int | None], channels: int | None, data_format: str) -> Shape:
    """Return a shape with the batch of ``shape``, these spatial lengths and channels, in the order of ``data_format``."""
    return (shape[0], channels, *lengths) if data_format == "channels_first" else (shape[0], *lengths, channels)


def pairs(value: object, rank: int, name: str) -> tuple[tuple[int, int], ...]:
    """Return Keras's forms (n, one per axis, or a pair per axis) as a pair for each spatial axis."""
    found = (value,) * rank if isinstance(value, int) else _items(value)
    if rank == 1 and len(found) == 2 and all(isinstance(item, int) for item in found):
        found = (found,)
    if len(found) == rank:
        wide = [(item, item) if isinstance(item, int) else _items(item) for item in found]
        known = [(a, b) for a, b in (p for p in wide if len(p) == 2) if is_integer(a) and is_integer(b) and a >= 0 <= b]
        if len(known) == rank:
            return tuple(known)
    raise ArgumentError(
        f"{name} does not fit {rank} spatial axes.", expected="n, one per axis, or a pair per axis", got=shown(value)
    )


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else ()

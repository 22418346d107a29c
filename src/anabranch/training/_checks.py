"""Whether data fit a model: ranks, sizes, lengths, labels; each mistake with what was expected, what came and the repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from anabranch._errors import ArgumentError, DataError, ShapeError


def whole(value: Any, name: str, least: int = 1) -> int:
    """Return ``value`` as an int of at least ``least``, or raise ArgumentError."""
    index = getattr(type(value), "__index__", None)
    if index is None or isinstance(value, bool) or value.__index__() < least:
        kind = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
        raise ArgumentError(f"{name} cannot be used.", expected=kind, got=repr(value))
    return int(value)


def optional_whole(value: Any, name: str) -> int | None:
    """Return a positive int, or None."""
    return None if value is None else whole(value, name)


def fit_input(tensor: torch.Tensor, shape: Sequence[int | None], name: str) -> torch.Tensor:
    """Return ``tensor`` in the rank of the Input, or raise ShapeError.

    As in Keras, a last axis of one is added or dropped where that alone is missing.
    """
    if tensor.ndim == len(shape) - 1 and shape[-1] == 1 and agrees(tensor.shape[1:], shape[1:-1]):
        return tensor.unsqueeze(-1)
    if tensor.ndim == len(shape) + 1 and tensor.shape[-1] == 1 and agrees(tensor.shape[1:-1], shape[1:]):
        return tensor.squeeze(-1)
    if tensor.ndim != len(shape) or not agrees(tensor.shape[1:], shape[1:]):
        raise _input_error(tuple(tensor.shape), tuple(shape), name)
    return tensor


def agrees(sizes: Sequence[int], shape: Sequence[int | None]) -> bool:
    """Return whether sizes are those of a shape whose unknown sizes are None."""
    return len(sizes) == len(shape) and all(want is None or want == size for size, want in zip(sizes, shape, strict=True))


def _input_error(sizes: tuple[int, ...], shape: tuple[int | None, ...], name: str) -> ShapeError:
    if len(sizes) != len(shape):
        aspect = "rank"
    elif len(shape) > 2 and agrees(sizes[1:-1], shape[1:-1]):
        aspect = "number of channels"
    else:
        aspect = "shape"
    return ShapeError(
        f"The data for input {name!r} have another {aspect}.",
        expected=written(shape),
        got=written(sizes),
        repair=_input_repair(sizes, shape),
    )


def written(shape: tuple[int | None, ...]) -> str:
    """Return a shape for messages.

    >>> written((None, 32, 32, 3))
    '(batch, 32, 32, 3)'
    """
    named = tuple("batch" if axis == 0 and size is None else size for axis, size in enumerate(shape))
    return str(named).replace("'", "")


def _input_repair(sizes: tuple[int, ...], shape: tuple[int | None, ...]) -> str | None:
    if agrees(sizes, shape[1:]):
        return "x[None] makes a batch of one sample"
    if len(sizes) == len(shape) - 1 and agrees(sizes[1:], shape[1:-1]):
        channels = shape[-1]
        if channels is None:
            return "x[..., None] adds the channel axis"
        return f"np.repeat(x[..., None], {channels}, axis=-1) adds the channel axis, or make the Input's last size 1"
    if len(sizes) == len(shape) > 3 and agrees((*sizes[2:], sizes[1]), shape[1:]):
        return "the channels stand first: np.moveaxis(x, 1, -1)"
    if len(sizes) == len(shape) > 3 and agrees((sizes[-1], *sizes[1:-1]), shape[1:]):
        return "the channels stand last: np.moveaxis(x, -1, 1)"
    if len(sizes) == len(shape) > 3 and agrees(sizes[1:-1], shape[1:-1]) and sizes[-1] == 1:
        return f"np.repeat(x, {shape[-1]}, axis=-1) gives a grey image its channels"
    return None


def same_length(named: Sequence[tuple[str, torch.Tensor]]) -> int:
    """Return how many samples all tensors hold; DataError where they differ or there are none."""
    for name, tensor in named:
        if tensor.ndim == 0:
            raise ShapeError(f"{name} is a single number.", expected="one row for each sample", got="a scalar")
    lengths = {tensor.shape[0] for _, tensor in named}
    if len(lengths) > 1:
        raise DataError(
            "The data have different numbers of samples.",
            expected="one length for all",
            got=", ".join(f"{name}: {tensor.shape[0]}" for name, tensor in named),
        )
    count = lengths.pop()
    if count == 0:
        raise DataError(f"{named[0][0]} holds no samples.", expected="at least one", got=f"shape {tuple(named[0][1].shape)}")
    return count

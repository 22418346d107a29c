"""Checks of data against a model's inputs: rank and sizes, numbers of samples, NaN and infinity."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch._errors import DataError, ShapeError
from anabranch.graph.call_site import warn

_CHUNK = 1 << 24  # values looked at together while the first one that is not finite is searched for


def match_input(tensor: torch.Tensor, shape: Sequence[int | None], name: str) -> torch.Tensor:
    """Return ``tensor`` with the rank of the Input, or raise ShapeError.

    As in Keras, a last axis of size one is added or dropped where only that differs.
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


def written(shape: tuple[int | None, ...]) -> str:
    """Return a shape for messages.

    >>> written((None, 32, 32, 3))
    '(batch, 32, 32, 3)'
    """
    named = tuple("batch" if axis == 0 and size is None else size for axis, size in enumerate(shape))
    return str(named).replace("'", "")


def _input_error(sizes: tuple[int, ...], shape: tuple[int | None, ...], name: str) -> ShapeError:
    if len(sizes) != len(shape):
        aspect = "rank"
    elif len(shape) > 2 and agrees(sizes[1:-1], shape[1:-1]):
        aspect = "number of channels"
    else:
        aspect = "shape"
    return ShapeError(
        f"The data for input {name!r} have the wrong {aspect}.",
        expected=written(shape),
        got=written(sizes),
        repair=_input_repair(sizes, shape),
    )


def _input_repair(sizes: tuple[int, ...], shape: tuple[int | None, ...]) -> str | None:
    if agrees(sizes, shape[1:]):
        return "x[None] makes a batch of one sample"
    if len(sizes) == len(shape) - 1 and agrees(sizes[1:], shape[1:-1]):
        channels = shape[-1]
        if channels is None:
            return "x[..., None] adds the channel axis"
        return f"np.repeat(x[..., None], {channels}, axis=-1) adds the channel axis, or make the Input's last size 1"
    if len(sizes) == len(shape) > 3 and agrees((*sizes[2:], sizes[1]), shape[1:]):
        return "the channels come first: np.moveaxis(x, 1, -1)"
    if len(sizes) == len(shape) > 3 and agrees((sizes[-1], *sizes[1:-1]), shape[1:]):
        return "the channels come last: np.moveaxis(x, -1, 1)"
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
            expected="the same number for all",
            got=", ".join(f"{name}: {tensor.shape[0]}" for name, tensor in named),
        )
    count = lengths.pop()
    if count == 0:
        raise DataError(f"{named[0][0]} holds no samples.", expected="at least one", got=f"shape {tuple(named[0][1].shape)}")
    return count


def first_not_finite(tensor: torch.Tensor) -> tuple[int, ...] | None:
    """Return the index of the first NaN or infinite value; one pass over float data, none over integers."""
    if not tensor.is_floating_point() or tensor.ndim == 0 or bool(torch.isfinite(tensor.sum())):
        return None
    rows = max(1, _CHUNK // max(1, tensor[0].numel()))
    for start in range(0, tensor.shape[0], rows):
        bad = torch.nonzero(~torch.isfinite(tensor[start : start + rows]))
        if len(bad):
            row, *rest = (int(i) for i in bad[0])
            return start + row, *rest
    return None


def warn_of_not_finite(tensor: torch.Tensor, where: str) -> None:
    """Warn of the first NaN or infinite value; a model may remove it itself."""
    index = first_not_finite(tensor)
    if index is not None:
        warn(
            f"{where} holds {float(tensor[index])} at index {list(index)}. Unless the model removes it, the loss becomes "
            "NaN: clean the data first, e.g. np.nan_to_num(x), or drop the sample."
        )

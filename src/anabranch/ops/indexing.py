"""Elements by their places: taking, slicing, writing into a copy, sorting, searching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import along, taken
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    check_numbers,
    check_rank,
    common,
    dtype,
    one_axis,
    one_of,
    rank,
    recorded,
    shape as shape_of,
    sizes,
    tensor,
    whole,
)

OUTSIDE = frozenset(
    ("in_top_k", "scatter", "scatter_update", "slice", "slice_update", "top_k")
)  # Keras has them in no namespace of this family


@operation(mask=along())
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return the elements at ``indices`` along an axis, whose place the axes of the indices take; -1 is the last one.

    Args:
        x: the input, of any shape.
        indices: the indices, integers; -1 is the last.
        axis: the axis or axes; None: all of them.

    Example:
        >>> take([10, 20, 30], [0, -1])
        tensor([10, 30], dtype=torch.int32)
    """
    x, indices = tensor(x), tensor(indices).long()
    x, place = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, rank(x)))
    size = sizes(x)[place]
    flat = torch.where(indices < 0, indices + size, indices).reshape(-1)
    found = torch.index_select(x, place, flat)
    known, inner = sizes(x), sizes(indices)
    return found.reshape((*known[:place], *inner, *known[place + 1 :]))


@operation()
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return for each position of ``indices`` the element of x that is there but for its position along the axis.

    Args:
        x: the input, of any shape.
        indices: the indices, integers.
        axis: the axis or axes; None: all of them.

    Example:
        >>> take_along_axis([[10, 20]], [[1]], axis=1)
        tensor([[20]], dtype=torch.int32)
    """
    x, indices = tensor(x), tensor(indices).long()
    if axis is None:
        x, indices, place = x.reshape(-1), indices.reshape(-1), 0
    else:
        place = one_axis(axis, rank(x))
    return torch.take_along_dim(x, torch.where(indices < 0, indices + sizes(x)[place], indices), place)


@operation(rules.indexed_by, taken)
def get_item(x: TensorLike, key: Any) -> Tensor:
    """Return x[key].

    Args:
        x: the input, of any shape.
        key: integers, slices, ... and None.

    Example:
        >>> get_item([5, 6, 7], (Ellipsis, -1))
        tensor(7, dtype=torch.int32)
    """
    return tensor(x)[key]


@operation()
def slice(inputs: TensorLike, start_indices: Sequence[int] | Tensor, shape: Sequence[int] | Tensor) -> Tensor:
    """Return the block of a shape that begins at ``start_indices``; a size of -1 reaches to the end.

    Args:
        inputs: the input.
        start_indices: the first position along each axis.
        shape: the sizes of the block; -1 reaches to the end.

    Example:
        >>> import torch
        >>> slice(torch.arange(6), (2,), (3,))
        tensor([2, 3, 4])
    """
    inputs = tensor(inputs)
    starts, lengths = _numbers(start_indices), _numbers(shape)
    if not len(starts) == len(lengths) == rank(inputs):
        raise ShapeError(
            "start_indices and shape do not fit the axes.",
            expected=f"{rank(inputs)} numbers each", got=f"start_indices={starts}, shape={lengths}",
        )  # fmt: skip
    for place, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        whole_axis = isinstance(start, int) and start == 0 and (length == -1 or length == shape_of(inputs)[place])
        if not whole_axis:
            inputs = inputs.narrow(place, start, sizes(inputs)[place] - start if length == -1 else length)
    return inputs


@operation()
def slice_update(inputs: TensorLike, start_indices: Sequence[int] | Tensor, updates: TensorLike) -> Tensor:
    """Return a copy of ``inputs`` with the block ``updates`` at ``start_indices``.

    Args:
        inputs: the input.
        start_indices: the first position along each axis.
        updates: the new values.

    Example:
        >>> slice_update([0, 0, 0], (1,), [5, 6])
        tensor([0, 5, 6], dtype=torch.int32)
    """
    inputs = tensor(inputs)
    return _written(inputs, tensor(updates).to(runtime.dtype_of(dtype(inputs))), _numbers(start_indices), 0)


def _written(inputs: Tensor, updates: Tensor, starts: list[int], axis: int) -> Tensor:
    """Return ``inputs`` with the block written, axis by axis: each region inside the one before."""
    if axis == len(starts):
        return updates
    start, length = starts[axis], sizes(updates)[axis]
    inner = _written(inputs.narrow(axis, start, length), updates, starts, axis + 1)
    return torch.slice_scatter(inputs, inner, axis, start, start + length)


def _numbers(values: Sequence[int] | Tensor) -> list[int]:
    return values.tolist() if isinstance(values, torch.Tensor) else list(values)


@operation()
def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Return zeros of a shape with ``values`` added at ``indices`` (…, k), each of which is a place along the first k axes.

    Args:
        indices: the indices, integers.
        values: the values.
        shape: the sizes along each axis.

    Example:
        >>> scatter([[0], [2]], [1.0, 2.0], (3,))
        tensor([1., 0., 2.])
    """
    values = tensor(values)
    indices = tensor(indices).long()
    made = recorded(torch.zeros, tuple(shape), dtype=runtime.dtype_of(dtype(values)), device=values.device)
    return made.index_put(_places(indices), values, accumulate=True)


@operation()
def scatter_update(inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None) -> Tensor:
    """Return a copy of ``inputs`` with ``updates`` at ``indices`` (…, k): instead of what is there, or combined with it.

    ``reduction``: None, "add", "max", "min" or "mul".

    Args:
        inputs: the input.
        indices: the indices, integers.
        updates: the new values.
        reduction: None, "add", "max", "min" or "mul": how values are combined.

    Example:
        >>> scatter_update([0.0, 0.0], [[1]], [5.0])
        tensor([0., 5.])
    """
    one_of("reduction", reduction, (None, "add", "max", "min", "mul"))
    inputs, indices, updates = tensor(inputs), tensor(indices).long(), tensor(updates)
    places = _places(indices)
    if reduction in (None, "add"):
        return inputs.index_put(places, updates.to(runtime.dtype_of(dtype(inputs))), accumulate=reduction == "add")
    known = sizes(inputs)
    if any(not isinstance(size, int) for size in known) or len(places) != len(known):
        raise ArgumentError(
            f"scatter_update with reduction={reduction!r} needs a place along every axis, whose sizes are known.",
            got=f"inputs {shape_of(inputs)}, indices {shape_of(indices)}",
        )
    flat: int | Tensor = 0
    for place, size in zip(places, known, strict=True):
        flat = flat * size + place
    how = {"max": "amax", "min": "amin", "mul": "prod"}[str(reduction)]
    return inputs.reshape(-1).scatter_reduce(0, torch.as_tensor(flat).reshape(-1), updates.reshape(-1), how).reshape(known)


def _places(indices: Tensor) -> tuple[Tensor, ...]:
    width = shape_of(indices)[-1]
    if width is None:
        raise ShapeError("Along how many axes the indices are is not known.", got=str(shape_of(indices)))
    return tuple(indices[..., place] for place in range(width))


@operation()
def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """Return where x is not 0, one vector of positions for each axis.

    Args:
        x: the input, of any shape.

    Example:
        >>> nonzero([0, 3, 4])
        (tensor([1, 2], dtype=torch.int32),)
    """
    x = tensor(x)
    check_numbers(x, "nonzero", "ops.where(x, a, b) chooses everywhere; ops.count_nonzero counts")
    found = torch.nonzero(x)
    return tuple(found[:, place].to(torch.int32) for place in range(rank(x)))


@operation()
def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Return positions in a flat tensor as positions along each axis of a shape.

    Args:
        indices: positions in the flat tensor.
        shape: the sizes along each axis.

    Example:
        >>> unravel_index([5], (2, 3))
        (tensor([1], dtype=torch.int32), tensor([2], dtype=torch.int32))
    """
    flat, found = tensor(indices), []
    for size in reversed(tuple(shape)):
        found.append(flat % size)
        flat = flat // size
    return tuple(reversed(found))


# Order


@operation(mask=along())
def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return x in ascending order along an axis, flattened where it is None.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.

    Example:
        >>> sort([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([[1., 2.],
                [3., 5.]])
    """
    return _ordered(x, axis)[0]


@operation(mask=along())
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return the positions that put x in ascending order along an axis, int32; equals keep their order.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.

    Example:
        >>> argsort([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([[0, 1],
                [0, 1]], dtype=torch.int32)
    """
    return _ordered(x, axis)[1].to(torch.int32)


def _ordered(x: TensorLike, axis: int | None) -> tuple[Tensor, Tensor]:
    x = tensor(x)
    x, place = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, rank(x)))
    return torch.sort(x, dim=place, stable=True)


@operation()
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the ``k`` greatest along the last axis and where they stand (int32).

    Args:
        x: the input, of any shape.
        k: how many.
        sorted: whether the result or the ids are in order; it does not change the result.

    Example:
        >>> top_k([1.0, 3.0, 2.0], 2)
        (tensor([3., 2.]), tensor([1, 2], dtype=torch.int32))
    """
    x = tensor(x)
    size = shape_of(x)[-1] if rank(x) else 0
    if size is not None and not 0 <= k <= size:
        raise ArgumentError(
            f"There are no {k} along the last axis.", expected=f"k from 0 to {size}", got=f"x {shape_of(x)}, k={k}"
        )
    found = torch.topk(x, k, sorted=sorted)
    return found[0], found[1].to(torch.int32)


@operation()
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Return whether the class ``targets`` (B,) is among the ``k`` greatest of ``predictions`` (B, C); equals share a place.

    Args:
        targets: the class indices (B,).
        predictions: the scores (B, C).
        k: how many.

    Example:
        >>> in_top_k([1], [[0.1, 0.9]], 1)
        tensor([True])
    """
    targets, predictions = tensor(targets).long(), tensor(predictions)
    check_rank(predictions, (2,), "(batch, classes)", "predictions")
    chosen = torch.gather(predictions, 1, targets.unsqueeze(1))
    return torch.sum(predictions > chosen, 1) < k


@operation()
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Return where ``values`` belong in an ascending sequence, before (left) or after (right) its equals; int32.

    Args:
        sorted_sequence: an ascending sequence.
        values: the values.
        side: "left" or "right": before or after equal values.

    Example:
        >>> searchsorted([1.0, 3.0], [2.0])
        tensor([1], dtype=torch.int32)
    """
    one_of("side", side, ("left", "right"))
    sequence, values = common(sorted_sequence, values)
    return torch.searchsorted(sequence.contiguous(), values, right=side == "right").to(torch.int32)


@operation()
def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """Return the bin of each element: i where bins[i-1] ≤ x < bins[i]; int32.

    Args:
        x: the input, of any shape.
        bins: the ascending borders.

    Example:
        >>> digitize([0.5, 2.5], [1.0, 2.0])
        tensor([0, 2], dtype=torch.int32)
    """
    return torch.bucketize(whole(x), tensor(bins), right=True).to(torch.int32)


@operation()
def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Return how often each integer from 0 on comes, or the sums of its weights: (n,) -> (max + 1 or ``minlength``,).

    Args:
        x: the input, of any shape.
        weights: what each counts for; None: 1.
        minlength: the least length of the result.
        sparse: only False: tensors are dense.

    Example:
        >>> bincount([0, 1, 1])
        tensor([1, 2], dtype=torch.int32)
    """
    if sparse:
        raise ArgumentError("Torch has no sparse counts.", expected="sparse=False", got="sparse=True")
    x = tensor(x)
    check_rank(x, (1, 2), "(n,) or (B, n)")
    if rank(x) == 1:
        found = torch.bincount(x, None if weights is None else tensor(weights), minlength)
        return found.to(torch.int32) if weights is None else found.to(tensor(weights).dtype)
    count = max(int(x.max()) + 1, minlength)
    added = torch.ones_like(x, dtype=torch.int32) if weights is None else tensor(weights)
    return torch.zeros((x.shape[0], count), dtype=added.dtype, device=x.device).scatter_add(1, x.long(), added)

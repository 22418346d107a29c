"""Elements by their places: taking, slicing, writing into a copy, sorting, searching."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch import runtime
from anabranch._errors import ArgumentError
from anabranch.graph import rules
from anabranch.graph.facts import along, taken
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Key, Tensor, TensorLike
from anabranch.ops._values import (
    check_numbers,
    check_rank,
    common,
    one_axis,
    one_of,
    rank,
    sizes,
    tensor,
    whole,
    whole_indices,
)


@operation(mask=along())
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return the elements at ``indices`` along an axis, whose position the axes of ``indices`` take.

    Args:
        indices: the indices, integers; negative ones count from the end.

    >>> take([10, 20, 30], [0, -1])
    tensor([10, 30], dtype=torch.int32)
    """
    x, indices = tensor(x), whole_indices(indices, "indices")
    x, place = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, rank(x)))
    size = sizes(x)[place]
    flat = torch.where(indices < 0, indices + size, indices).reshape(-1)
    found = torch.index_select(x, place, flat)
    known, inner = sizes(x), sizes(indices)
    return found.reshape((*known[:place], *inner, *known[place + 1 :]))


@operation()
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return the elements at ``indices`` along an axis, with all other positions unchanged.

    Args:
        indices: the indices, integers, of x's rank; negative ones count from the end.

    >>> take_along_axis([[10, 20]], [[1]], axis=1)
    tensor([[20]], dtype=torch.int32)
    """
    x, indices = tensor(x), whole_indices(indices, "indices")
    if axis is None:
        x, indices, place = x.reshape(-1), indices.reshape(-1), 0
    else:
        place = one_axis(axis, rank(x))
    return torch.take_along_dim(x, torch.where(indices < 0, indices + sizes(x)[place], indices), place)


@operation(rules.indexed_by, taken)
def get_item(x: TensorLike, key: Key) -> Tensor:
    """Return x[key].

    Args:
        key: integers, slices, ``...``, None, or a tuple of these.

    >>> get_item([5, 6, 7], (Ellipsis, -1))
    tensor(7, dtype=torch.int32)
    """
    return tensor(x)[key]  # type: ignore[index]  # torch has no name for nests of these


@operation()
def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """Return the indices where x is not 0, one vector for each axis.

    >>> nonzero([0, 3, 4])
    (tensor([1, 2], dtype=torch.int32),)
    """
    x = tensor(x)
    check_numbers(x, "nonzero", "ops.where(x, a, b) chooses everywhere; ops.count_nonzero counts")
    found = torch.nonzero(x)
    return tuple(found[:, place].to(torch.int32) for place in range(rank(x)))


@operation()
def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Return indices into a flattened tensor as indices along each axis of a shape.

    Args:
        indices: indices into the flattened tensor.

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
    """Return x sorted in ascending order along an axis.

    >>> sort([[2.0, 1.0], [3.0, 5.0]])
    tensor([[1., 2.],
            [3., 5.]])
    """
    return _ordered(x, axis)[0]


@operation(mask=along())
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return the indices that sort x in ascending order along an axis, int32; equal elements keep their order.

    >>> argsort([[2.0, 1.0], [3.0, 5.0]])
    tensor([[1, 0],
            [0, 1]], dtype=torch.int32)
    """
    return _ordered(x, axis)[1].to(torch.int32)


def _ordered(x: TensorLike, axis: int | None) -> tuple[Tensor, Tensor]:
    x = tensor(x)
    x, place = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, rank(x)))
    return torch.sort(x, dim=place, stable=True)


@operation()
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Return the indices at which ``values`` can be inserted so that the sequence stays sorted, int32.

    Args:
        sorted_sequence: an ascending sequence.
        values: the values to insert.
        side: "left": before equal elements; "right": after them.

    >>> searchsorted([1.0, 3.0], [2.0])
    tensor([1], dtype=torch.int32)
    """
    one_of("side", side, ("left", "right"))
    sequence, values = common(sorted_sequence, values)
    return torch.searchsorted(sequence.contiguous(), values, right=side == "right").to(torch.int32)


@operation()
def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """Return for each x the index i with bins[i - 1] ≤ x < bins[i], int32.

    Args:
        bins: the borders, ascending.

    >>> digitize([0.5, 2.5], [1.0, 2.0])
    tensor([0, 2], dtype=torch.int32)
    """
    return torch.bucketize(whole(x), tensor(bins), right=True).to(torch.int32)


@operation()
def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Return how often each integer from 0 on occurs, or the sum of its weights: (n,) -> (max + 1,).

    Args:
        x: integers ≥ 0, (n,) or (B, n).
        weights: the weight of each element; None: 1.
        minlength: the least length of the result.

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
    count = max(int(x.max()) + 1 if x.numel() else 0, minlength)
    added = torch.ones_like(x, dtype=torch.int32) if weights is None else tensor(weights)
    return runtime.create(torch.zeros, (x.shape[0], count), dtype=added.dtype, device=x.device).scatter_add(1, x.long(), added)

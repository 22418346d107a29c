"""Elements by their places: taking, slicing, writing into a copy, sorting, searching."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch import runtime
from anabranch._errors import ArgumentError, OutOfRangeError
from anabranch.graph import rules
from anabranch.graph.facts import along, dropped, taken
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Key, Tensor, TensorLike
from anabranch.ops._values import (
    check_inside,
    check_numbers,
    check_rank,
    common,
    dtype,
    floats,
    number_of,
    one_axis,
    one_of,
    rank,
    shape,
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
    if type(count := sizes(x)[place]) is int:
        check_inside(indices, -count, count, "indices of take_along_axis")
    return torch.take_along_dim(x, torch.where(indices < 0, indices + count, indices), place)


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


@operation(rules.partitioned, along())
def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """Return indices that put the element which is ``kth`` in order there, smaller ones before it, greater ones behind; int32.

    Args:
        kth: the position, which is in order afterwards; negative ones count from the end.

    >>> argpartition([3.0, 1.0, 2.0], 0)
    tensor([1, 2, 0], dtype=torch.int32)
    """
    found = _ordered(x, axis)[1]
    place = 0 if axis is None else one_axis(axis, rank(found))
    size = shape(found)[place]
    if size is not None and not -size <= number_of("kth", kth) < size:
        raise OutOfRangeError(f"There is no position {kth} among {size}.", expected=f"{-size} to {size - 1}", got=f"kth={kth}")
    return found.to(torch.int32)


@operation(rules.unique, dropped)
def unique(
    x: TensorLike, sorted: bool = True, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, size: int | None = None, fill_value: float | None = None,
) -> Tensor | tuple[Tensor, ...]:  # fmt: skip
    """Return the elements that differ, or the slices along an axis that do.

    Args:
        sorted: whether they ascend.
        return_index: whether the index of the first of each is returned too.
        return_inverse: whether the position of each element of x among them is returned too.
        return_counts: whether it is returned how often each occurs, too.
        size: how many are returned, the others left out; None: all of them.
        fill_value: what fills up to ``size``; None: 0.

    >>> unique([3, 1, 1], return_counts=True)
    (tensor([1, 3], dtype=torch.int32), tensor([2, 1], dtype=torch.int32))
    """
    x = tensor(x)
    place = 0 if axis is None else one_axis(axis, rank(x))
    found, inverse, counts = torch.unique(
        x, sorted, return_inverse=True, return_counts=True, dim=None if axis is None else place
    )
    results = [_of_size(found, place, size, fill_value or 0)]
    if return_index:
        flat = inverse.reshape(-1)
        first = torch.zeros_like(counts).scatter_reduce(
            0, flat, torch.arange(flat.shape[0], device=flat.device), "amin", include_self=False
        )
        results.append(_of_size(first, 0, size, 1).to(torch.int32))
    if return_inverse:
        results.append(inverse.to(torch.int32))
    if return_counts:
        results.append(_of_size(counts, 0, size, 0).to(torch.int32))
    return results[0] if len(results) == 1 else tuple(results)


def _of_size(found: Tensor, place: int, size: int | None, fill_value: float) -> Tensor:
    """Return the first elements along an axis, filled up where there are fewer."""
    if size is None:
        return found
    wanted = number_of("size", size, 0)
    rest = sizes(found)[place + 1 :]
    filling = (
        torch.full_like(found.narrow(place, 0, 1), fill_value) if found.numel() else found.new_full((1, *rest), fill_value)
    )
    return torch.cat([found, filling.repeat_interleave(wanted, place)], place).narrow(place, 0, wanted)


@operation(mask=dropped)
def histogram(x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Return how many elements are in each of the bins of one width, and the borders of these: (n,) -> (bins,), (bins + 1,).

    Args:
        x: a vector (n,).
        bins: how many bins.
        range: the least and the greatest border, between which is counted; None: the least and the greatest element.

    >>> histogram([1.0, 2.0, 3.0, 3.0], 2)
    (tensor([1., 3.]), tensor([1., 2., 3.]))
    """
    x = floats(x)
    check_rank(x, (0, 1), "(n,)")
    x, count = x.reshape(-1), number_of("bins", bins, 1)
    if range is not None:
        low, high = (torch.full_like(x[:1].sum(), border) for border in _borders(range))
    elif shape(x) == (0,):
        low, high = torch.zeros_like(x.sum()), torch.ones_like(x.sum())
    else:
        low, high = x.min(), x.max()
    half = torch.where(low == high, 0.5, 0.0).to(x)
    low, high = low - half, high + half
    wide = runtime.dtype_of("float64" if dtype(x) == "float64" else "float32")  # torch 2.6 cannot promote a traced dtype
    steps = runtime.create(torch.arange, count + 1, device=x.device)
    borders = low + steps * ((high - low).to(wide) / count)  # as NumPy has them: a border at 0 is 0
    borders = torch.where(steps == count, high, borders).to(x)
    inside = (x >= borders[0]) & (x <= borders[-1])
    which = torch.searchsorted(borders, x, right=True).clamp(1, count) - 1
    return torch.zeros_like(borders[:-1]).index_add(0, which, inside.to(x)), borders


def _borders(range: Sequence[float]) -> Sequence[float]:
    if len(range) != 2 or range[1] < range[0]:
        raise ArgumentError("range must be two ascending numbers.", got=repr(range))
    return range


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

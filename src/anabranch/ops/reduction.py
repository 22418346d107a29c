"""One number of many along axes: sums, means, extremes, where these stand, quantiles, norms."""

from __future__ import annotations

from collections.abc import Callable

from anabranch import runtime
from anabranch._errors import ArgumentError
from anabranch.graph import rules
from anabranch.graph.facts import along
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import common, dtype, floats, one_axis, one_of, rank, recorded, some_axes, sum_options, tensor, whole

OUTSIDE = frozenset(
    ("logsumexp", "norm", "segment_max", "segment_min", "segment_prod", "segment_sum")
)  # Keras has them in no namespace of this family


@operation(rules.total, along())
def sum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ x over the axes; integers stay int32 or int64.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> sum([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([3., 8.])
    """
    x = tensor(x)
    axes = some_axes(axis, rank(x))
    return torch.sum(x, axes, keepdim=keepdims, **sum_options(x)) if axes else whole(x)


@operation(rules.total, along())
def prod(x: TensorLike, axis: Axes = None, keepdims: bool = False, dtype: str | None = None) -> Tensor:
    """Return the product over the axes, computed in ``dtype``; integers stay int32 or int64.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> prod([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([ 2., 15.])
    """
    x = tensor(x)
    options = {"dtype": runtime.dtype_of(dtype)} if dtype else sum_options(x)
    for place in sorted(some_axes(axis, rank(x)), reverse=True):  # torch takes one at a time
        x = torch.prod(x, place, keepdim=keepdims, **options)
    return x


@operation(rules.mean, along())
def mean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ x / n over the axes, as floats.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> mean([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1.5000, 4.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.mean(x, axes, keepdim=keepdims) if axes else x


@operation(mask=along())
def average(x: TensorLike, axis: Axes = None, weights: TensorLike | None = None) -> Tensor:
    """Return Σ w · x / Σ w over the axes; the weights have x's shape, or one axis: that of ``axis``.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        weights: the weight of each element; None: equal weights.

    Example:
        >>> average([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1.5000, 4.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    if weights is None:
        return torch.mean(x, axes) if axes else x
    x, weights = common(x, floats(weights))
    if rank(weights) == 1 and len(axes) == 1:
        weights = weights.reshape([-1 if place == axes[0] else 1 for place in range(rank(x))])
    weights = weights.expand_as(x)
    return torch.sum(x * weights, axes) / torch.sum(weights, axes) if axes else x


@operation(rules.mean, along())
def var(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ (x - mean)² / n over the axes.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> var([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0.2500, 1.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.var(x, axes, correction=0, keepdim=keepdims) if axes else torch.zeros_like(x)


@operation(rules.mean, along())
def std(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return √(Σ (x - mean)² / n) over the axes.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> std([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0.5000, 1.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.std(x, axes, correction=0, keepdim=keepdims) if axes else torch.zeros_like(x)


@operation(rules.extreme, along())
def max(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: TensorLike | None = None) -> Tensor:
    """Return the greatest over the axes, ``initial`` among them.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.
        initial: a value that takes part.

    Example:
        >>> max([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([2., 5.])
    """
    found = _extreme(torch.amax, x, axis, keepdims)
    return found if initial is None else torch.maximum(found, tensor(initial).to(found))


@operation(rules.extreme, along())
def min(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: TensorLike | None = None) -> Tensor:
    """Return the least over the axes, ``initial`` among them.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.
        initial: a value that takes part.

    Example:
        >>> min([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1., 3.])
    """
    found = _extreme(torch.amin, x, axis, keepdims)
    return found if initial is None else torch.minimum(found, tensor(initial).to(found))


@operation(rules.extreme, along())
def amax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the greatest over the axes.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> amax([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([2., 5.])
    """
    return _extreme(torch.amax, x, axis, keepdims)


@operation(rules.extreme, along())
def amin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the least over the axes.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> amin([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1., 3.])
    """
    return _extreme(torch.amin, x, axis, keepdims)


@operation(rules.extreme, along())
def ptp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the greatest minus the least over the axes.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> ptp([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1., 2.])
    """
    return _extreme(torch.amax, x, axis, keepdims) - _extreme(torch.amin, x, axis, keepdims)


def _extreme(function: Callable[..., Tensor], x: TensorLike, axis: Axes, keepdims: bool) -> Tensor:
    x = tensor(x)
    axes = some_axes(axis, rank(x))
    return function(x, axes, keepdim=keepdims) if axes else x


@operation(rules.position, along())
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the greatest along an axis, int32; in the flattened x where it is None.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> argmax([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1, 1], dtype=torch.int32)
    """
    return _place(torch.argmax, x, axis, keepdims)


@operation(rules.position, along())
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the least along an axis, int32; in the flattened x where it is None.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> argmin([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0, 0], dtype=torch.int32)
    """
    return _place(torch.argmin, x, axis, keepdims)


def _place(function: Callable[..., Tensor], x: TensorLike, axis: int | None, keepdims: bool) -> Tensor:
    x = whole(x)
    place = None if axis is None else one_axis(axis, rank(x))
    return function(x, place, keepdims).to(torch.int32)


@operation(mask=along())
def count_nonzero(x: TensorLike, axis: Axes = None) -> Tensor:
    """Return how many are not 0 over the axes, int32.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.

    Example:
        >>> count_nonzero([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([2, 2], dtype=torch.int32)
    """
    found = tensor(x) != 0
    axes = some_axes(axis, rank(found))
    return torch.sum(found, axes, dtype=torch.int32) if axes else found.to(torch.int32)


@operation(rules.mean, along())
def logsumexp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return log Σ exp(x) over the axes without overflow.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> logsumexp([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([2.3133, 5.1269])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.logsumexp(x, axes, keepdims) if axes else x


# Quantiles


@operation(mask=along())
def median(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the middle one over the axes, the mean of both where there are two.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> median([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1.5000, 4.0000])
    """
    return _quantile(x, 0.5, axis, "linear", keepdims)


@operation()
def quantile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the numbers below which is a fraction ``q`` (0 … 1); the axes of ``q`` come first.

    ``method`` says what is between two elements: linear, lower, higher, midpoint, nearest.

    Args:
        x: the input, of any shape.
        q: the fractions, a number or a vector.
        axis: the axis or axes; None: all of them.
        method: what is between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> quantile([1.0, 2.0, 4.0], 0.5)
        tensor(2.)
    """
    return _quantile(x, q, axis, method, keepdims)


@operation()
def percentile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the numbers below which ``q`` (0 … 100) per cent lie; the axes of ``q`` come first.

    Args:
        x: the input, of any shape.
        q: the percentages, a number or a vector.
        axis: the axis or axes; None: all of them.
        method: what is between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> percentile([1.0, 2.0, 4.0], 50.0)
        tensor(2.)
    """
    return _quantile(x, tensor(q) / 100, axis, method, keepdims)


def _quantile(
    x: TensorLike, q: TensorLike, axis: Axes, method: str, keepdims: bool, function: Callable[..., Tensor] | None = None
) -> Tensor:
    one_of("method", method, ("linear", "lower", "higher", "midpoint", "nearest"))
    x = floats(x)
    total = rank(x)
    axes = some_axes(axis, total)
    rest = [place for place in range(total) if place not in axes]
    shares = q if isinstance(q, float) else tensor(q).to(x.dtype)
    flat = x.permute(*rest, *axes).flatten(len(rest)) if total else x.reshape(1)
    found = (function or torch.quantile)(flat, shares, -1, interpolation=method)
    if keepdims:
        for place in sorted(axes, reverse=True):
            found = found.unsqueeze(place - total)
    return found


# Distances


@operation()
def norm(x: TensorLike, ord: TensorLike | None = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the norm over the axes: of vectors (one axis, 2-norm unless ``ord`` says) or matrices (two, Frobenius's).

    Args:
        x: the input, of any shape.
        ord: the order of the norm; None: 2 for vectors, Frobenius for matrices.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> norm([3.0, 4.0])
        tensor(5.)
    """
    x = floats(x)
    axes = None if axis is None else some_axes(axis, rank(x))
    if axes is not None and len(axes) > 2:
        raise ArgumentError(
            "A norm has one axis or two.", expected="axis=i of vectors, axis=(i, j) of matrices", got=repr(axis)
        )
    if ord is None:
        return torch.linalg.vector_norm(x, dim=axes, keepdim=keepdims)
    return torch.linalg.norm(x, ord, axes, keepdims)


# Of segments


@operation()
def segment_sum(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the sums of the rows of each segment: data (n, …), ids (n,) -> (num_segments, …).

    Args:
        data: the rows (n, …).
        segment_ids: the segment of each row (n,).
        num_segments: how many segments there are; None: as many as the ids say.
        sorted: whether the result or the ids are in order; it does not change the result.

    Example:
        >>> segment_sum([1.0, 2.0, 4.0], [0, 0, 1])
        tensor([3., 4.])
    """
    return _segments(data, segment_ids, num_segments, "sum", 0)


@operation()
def segment_max(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the greatest of the rows of each segment, the least number of the type for an empty one.

    Args:
        data: the rows (n, …).
        segment_ids: the segment of each row (n,).
        num_segments: how many segments there are; None: as many as the ids say.
        sorted: whether the result or the ids are in order; it does not change the result.

    Example:
        >>> segment_max([1.0, 2.0, 4.0], [0, 0, 1])
        tensor([2., 4.])
    """
    return _segments(data, segment_ids, num_segments, "amax", None)


@operation()
def segment_min(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the least of the rows of each segment, the greatest number of the type for an empty one.

    Args:
        data: the rows (n, …).
        segment_ids: the segment of each row (n,).
        num_segments: how many segments there are; None: as many as the ids say.
        sorted: whether the result or the ids are in order; it does not change the result.

    Example:
        >>> segment_min([1.0, 2.0, 4.0], [0, 0, 1])
        tensor([1., 4.])
    """
    return _segments(data, segment_ids, num_segments, "amin", None)


@operation()
def segment_prod(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the products of the rows of each segment, 1 for an empty one.

    Args:
        data: the rows (n, …).
        segment_ids: the segment of each row (n,).
        num_segments: how many segments there are; None: as many as the ids say.
        sorted: whether the result or the ids are in order; it does not change the result.

    Example:
        >>> segment_prod([1.0, 2.0, 4.0], [0, 0, 1])
        tensor([2., 4.])
    """
    return _segments(data, segment_ids, num_segments, "prod", 1)


def _segments(data: TensorLike, ids: TensorLike, count: int | None, how: str, empty: int | None) -> Tensor:
    data, ids = tensor(data), tensor(ids).long()
    count = int(ids.max()) + 1 if count is None else count
    if empty is None:
        kind = runtime.dtype_of(dtype(data))
        limits = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
        low = -float("inf") if kind.is_floating_point else limits.min
        high = float("inf") if kind.is_floating_point else limits.max
        empty = low if how == "amax" else high  # type: ignore[assignment]  # ∞ is a float
    wide = ids.reshape(-1, *(1,) * (rank(data) - 1)).expand_as(data)
    size = (count, *(data.shape[place] for place in range(1, rank(data))))
    made = recorded(torch.full, size, empty, dtype=runtime.dtype_of(dtype(data)), device=data.device)
    return made.scatter_reduce(0, wide, data, how)

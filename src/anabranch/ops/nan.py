"""Reductions that pass over NaN, as if it were not there."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.graph.facts import along
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import dtype, floats, one_axis, rank, some_axes, sum_options, tensor
from anabranch.ops.arithmetic import _running
from anabranch.ops.reduction import _quantile


@operation(mask=along())
def nansum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ x over the axes; 0 where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nansum([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([3., 8.])
    """
    x = _filled(x, 0)
    axes = some_axes(axis, rank(x))
    return torch.sum(x, axes, keepdim=keepdims, **sum_options(x)) if axes else x


@operation(mask=along())
def nanprod(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the product over the axes; 1 where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanprod([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([ 2., 15.])
    """
    x = _filled(x, 1)
    options = sum_options(x)
    for place in sorted(some_axes(axis, rank(x)), reverse=True):
        x = torch.prod(x, place, keepdim=keepdims, **options)
    return x


@operation(mask=along())
def nanmean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the mean over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanmean([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1.5000, 4.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.nanmean(x, axes, keepdim=keepdims) if axes else x


@operation(mask=along())
def nanvar(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the variance over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanvar([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0.2500, 1.0000])
    """
    return _variance(x, axis, keepdims)


@operation(mask=along())
def nanstd(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanstd([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0.5000, 1.0000])
    """
    return torch.sqrt(_variance(x, axis, keepdims))


def _variance(x: TensorLike, axis: Axes, keepdims: bool) -> Tensor:
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.nanmean(torch.square(x - torch.nanmean(x, axes, keepdim=True)), axes, keepdim=keepdims) if axes else x - x


@operation(mask=along())
def nanmax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the greatest over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanmax([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([2., 5.])
    """
    return _extreme(torch.amax, x, axis, keepdims, -1)


@operation(mask=along())
def nanmin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the least over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanmin([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1., 3.])
    """
    return _extreme(torch.amin, x, axis, keepdims, 1)


def _extreme(function: Callable[..., Tensor], x: TensorLike, axis: Axes, keepdims: bool, sign: int) -> Tensor:
    x = tensor(x)
    axes = some_axes(axis, rank(x))
    if "float" not in dtype(x) or not axes:
        return function(x, axes, keepdim=keepdims) if axes else x
    missing = torch.isnan(x)
    found = function(torch.where(missing, sign * torch.inf, x), axes, keepdim=keepdims)
    return torch.where(torch.all(missing, axes, keepdim=keepdims), torch.nan, found)


@operation()
def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the greatest along an axis, int32; -1 where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanargmax([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1, 1], dtype=torch.int32)
    """
    return _place(torch.argmax, x, axis, keepdims, -1)


@operation()
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the least along an axis, int32; -1 where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanargmin([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([0, 0], dtype=torch.int32)
    """
    return _place(torch.argmin, x, axis, keepdims, 1)


def _place(function: Callable[..., Tensor], x: TensorLike, axis: int | None, keepdims: bool, sign: int) -> Tensor:
    x = tensor(x)
    place = None if axis is None else one_axis(axis, rank(x))
    if "float" not in dtype(x):
        return function(x, place, keepdims).to(torch.int32)
    missing = torch.isnan(x)
    found = function(torch.where(missing, sign * torch.inf, x), place, keepdims).to(torch.int32)
    none = torch.all(missing, some_axes(axis, rank(x)), keepdim=keepdims)
    return torch.where(none, -1, found)


@operation()
def nanmedian(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the middle one over the axes; NaN where there is no number.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanmedian([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([1.5000, 4.0000])
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, torch.nanquantile)


@operation()
def nanquantile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the numbers below which is a fraction ``q`` (0 … 1); the axes of ``q`` come first.

    Args:
        x: the input, of any shape.
        q: the fractions, a number or a vector.
        axis: the axis or axes; None: all of them.
        method: what is between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanquantile([1.0, 2.0, 4.0], 0.5)
        tensor(2.)
    """
    return _quantile(x, q, axis, method, keepdims, torch.nanquantile)


@operation()
def nanpercentile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the numbers below which ``q`` (0 … 100) per cent lie; the axes of ``q`` come first.

    Args:
        x: the input, of any shape.
        q: the percentages, a number or a vector.
        axis: the axis or axes; None: all of them.
        method: what is between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> nanpercentile([1.0, 2.0, 4.0], 50.0)
        tensor(2.)
    """
    return _quantile(x, tensor(q) / 100, axis, method, keepdims, torch.nanquantile)


@operation(mask=along())
def nancumsum(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the sums of all elements up to each along an axis; along the flattened x where it is None.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> nancumsum([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([[1., 3.],
                [3., 8.]])
    """
    return _running(torch.cumsum, _filled(x, 0), axis, dtype)


@operation(mask=along())
def nancumprod(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the products of all elements up to each along an axis; along the flattened x where it is None.

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> nancumprod([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([[ 1.,  2.],
                [ 3., 15.]])
    """
    return _running(torch.cumprod, _filled(x, 1), axis, dtype)


def _filled(x: TensorLike, value: int) -> Tensor:
    x = tensor(x)
    return torch.where(torch.isnan(x), value, x) if "float" in dtype(x) else x

"""Reductions that pass over NaN, as if it were not there."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.graph.facts import along
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import dtype, floats, one_axis, rank, reduced, some_axes, sum_options, tensor, whole
from anabranch.ops.arithmetic import _running
from anabranch.ops.reduction import _of_one, _quantile

ARGUMENTS = {
    "q": "the fractions from 0 to 1, of percentiles the percentages from 0 to 100: a number or a vector.",
    "method": "what is between two elements, as in :func:`quantile`.",
}


@operation(mask=along())
def nansum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ x over the axes, NaN counting as 0.

    >>> nansum([[1.0, float("nan")], [3.0, 5.0]], axis=1)
    tensor([1., 8.])
    """
    x = _filled(x, 0)
    return reduced(torch.sum, x, axis, keepdims, **sum_options(x))


@operation(mask=along())
def nanprod(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return ∏ x over the axes, NaN counting as 1.

    >>> nanprod([2.0, float("nan"), 4.0])
    tensor(8.)
    """
    x = _filled(x, 1)
    options = sum_options(x)
    for place in sorted(some_axes(axis, rank(x)), reverse=True):
        x = torch.prod(x, place, keepdim=keepdims, **options)
    return x.to(options["dtype"]) if options else x


@operation(mask=along())
def nanmean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the mean over the axes, without NaN; NaN where all are NaN.

    >>> nanmean([[1.0, float("nan")], [3.0, 5.0]], axis=1)
    tensor([1., 4.])
    """
    return reduced(torch.nanmean, floats(x), axis, keepdims)


@operation(mask=along())
def nanvar(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the variance Σ (x - mean)² / n over the axes, without NaN; NaN where all are NaN.

    >>> nanvar([1.0, float("nan"), 3.0])
    tensor(1.)
    """
    return _variance(x, axis, keepdims)


@operation(mask=along())
def nanstd(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation over the axes, without NaN; NaN where all are NaN.

    >>> nanstd([2.0, float("nan"), 6.0])
    tensor(2.)
    """
    return torch.sqrt(_variance(x, axis, keepdims))


def _variance(x: TensorLike, axis: Axes, keepdims: bool) -> Tensor:
    x = floats(x)
    axes = some_axes(axis, rank(x))
    if not axes:
        return x - x
    missing = torch.isnan(x)
    squares = torch.where(missing, 0, torch.square(x - torch.nanmean(x, axes, keepdim=True)))  # NaN where x is infinite
    return torch.sum(squares, axes, keepdim=keepdims) / torch.sum(~missing, axes, keepdim=keepdims)


@operation(mask=along())
def nanmax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over the axes, without NaN; NaN where all are NaN.

    >>> nanmax([[1.0, float("nan")], [3.0, 5.0]], axis=1)
    tensor([1., 5.])
    """
    return _extreme(torch.amax, x, axis, keepdims, -1)


@operation(mask=along())
def nanmin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the minimum over the axes, without NaN; NaN where all are NaN.

    >>> nanmin([float("nan"), 3.0])
    tensor(3.)
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
    """Return the index of the maximum along an axis, without NaN, int32; -1 where all are NaN.

    >>> nanargmax([[1.0, float("nan")], [3.0, 5.0]], axis=1)
    tensor([0, 1], dtype=torch.int32)
    """
    return _place(torch.argmax, x, axis, keepdims, -1)


@operation()
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the minimum along an axis, without NaN, int32; -1 where all are NaN.

    >>> nanargmin([float("nan"), 3.0])
    tensor(1, dtype=torch.int32)
    """
    return _place(torch.argmin, x, axis, keepdims, 1)


def _place(function: Callable[..., Tensor], x: TensorLike, axis: int | None, keepdims: bool, sign: int) -> Tensor:
    x = tensor(x)
    place = None if axis is None else one_axis(axis, rank(x))
    if "float" not in dtype(x):
        return function(whole(x), place, keepdims).to(torch.int32)
    missing = torch.isnan(x)
    found = function(torch.where(missing, sign * torch.inf, x), place, keepdims).to(torch.int32)
    none = torch.all(missing, some_axes(axis, rank(x)), keepdim=keepdims)
    return torch.where(none, -1, found)


@operation(mask=along())
def nanmedian(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the median over the axes, without NaN; NaN where all are NaN.

    >>> nanmedian([[1.0, float("nan"), 2.0], [3.0, 4.0, 5.0]], axis=1)
    tensor([1.5000, 4.0000])
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, skip_nan=True)


@operation(mask=_of_one)
def nanquantile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the ``q``-quantiles over the axes, without NaN; the axes of ``q`` come first.

    >>> nanquantile([1.0, float("nan"), 2.0], 0.5)
    tensor(1.5000)
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=True)


@operation(mask=_of_one)
def nanpercentile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the ``q``-th percentiles over the axes, without NaN; the axes of ``q`` come first.

    >>> nanpercentile([1.0, float("nan"), 3.0], 100)
    tensor(3.)
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=True, whole=100)


@operation(mask=along())
def nancumsum(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the cumulative sum along an axis, NaN counting as 0.

    >>> nancumsum([1.0, float("nan"), 2.0])
    tensor([1., 1., 3.])
    """
    return _running(torch.cumsum, _filled(x, 0), axis, dtype)


@operation(mask=along())
def nancumprod(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the cumulative product along an axis, NaN counting as 1.

    >>> nancumprod([2.0, float("nan"), 3.0])
    tensor([2., 2., 6.])
    """
    return _running(torch.cumprod, _filled(x, 1), axis, dtype)


def _filled(x: TensorLike, value: int) -> Tensor:
    x = tensor(x)
    return torch.where(torch.isnan(x), value, x) if "float" in dtype(x) else x

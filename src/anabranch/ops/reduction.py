"""One number of many along axes: sums, means, extremes, where these stand, quantiles, norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anabranch import runtime
from anabranch._errors import OutOfRangeError, ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import Inputs, along
from anabranch.ops._public import operation
from anabranch.ops._torch import fakes, fx, kernels, np, torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import (
    dtype as dtype_of,
    float_pair,
    floats,
    one_axis,
    one_of,
    rank,
    reduced,
    shape,
    sizes,
    some_axes,
    sum_options,
    tensor,
    torch_dtype,
    whole,
)

ARGUMENTS = {
    "q": "the fractions from 0 to 1, of percentiles the percentages from 0 to 100: a number or a vector.",
    "method": 'what is between two elements: "linear", "lower", "higher", "midpoint" or "nearest".',
    "initial": "a value that takes part; None: none.",
}


@operation(rules.total, along())
def sum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return Σ x over the axes.

    >>> sum([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([3., 8.])
    """
    x = tensor(x)
    return reduced(torch.sum, x, axis, keepdims, **sum_options(x))


@operation(rules.total, along())
def prod(x: TensorLike, axis: Axes = None, keepdims: bool = False, dtype: str | None = None) -> Tensor:
    """Return ∏ x over the axes.

    >>> prod([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([ 2., 15.])
    """
    x = tensor(x)
    options = {"dtype": runtime.dtype_of(dtype)} if dtype else sum_options(x)
    made = options.get("dtype", runtime.dtype_of(dtype_of(x)))
    wide = torch.float32 if made == torch.float16 else made  # which overflows on the way
    for place in sorted(some_axes(axis, rank(x)), reverse=True):  # torch takes one at a time
        x = torch.prod(x, place, keepdim=keepdims, dtype=wide)
    return x.to(made)


@operation(rules.mean, along())
def mean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the mean, Σ x / n, over the axes.

    >>> mean([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1.5000, 4.0000])
    """
    return reduced(torch.mean, floats(x), axis, keepdims)


@operation(mask=along())
def average(x: TensorLike, axis: Axes = None, weights: TensorLike | None = None) -> Tensor:
    """Return the weighted average, Σ w · x / Σ w, over the axes.

    Args:
        weights: w, of x's shape, or a vector along ``axis``; None: equal weights.

    >>> average([1.0, 2.0], weights=[3.0, 1.0])
    tensor(1.2500)
    """
    given, x = x, floats(x)
    axes = some_axes(axis, rank(x))
    if weights is None:
        return torch.mean(x, axes) if axes else x
    x, weights = float_pair(given, weights)
    if rank(weights) == 1 and len(axes) == 1:
        weights = weights.reshape([-1 if place == axes[0] else 1 for place in range(rank(x))])
    weights = weights.expand_as(x)
    return torch.sum(x * weights, axes) / torch.sum(weights, axes) if axes else x


@operation(rules.mean, along())
def var(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the variance, Σ (x - mean)² / n, over the axes.

    >>> var([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([0.2500, 1.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.var(x, axes, correction=0, keepdim=keepdims) if axes else torch.zeros_like(x)


@operation(rules.mean, along())
def std(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation, √(Σ (x - mean)² / n), over the axes.

    >>> std([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([0.5000, 1.0000])
    """
    x = floats(x)
    axes = some_axes(axis, rank(x))
    return torch.std(x, axes, correction=0, keepdim=keepdims) if axes else torch.zeros_like(x)


@operation(rules.extreme, along())
def max(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: TensorLike | None = None) -> Tensor:
    """Return the maximum over the axes.

    Args:
        initial: a value that takes part.

    >>> max([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([2., 5.])
    """
    return _extreme(torch.amax, torch.maximum, tensor(x), axis, keepdims, initial)


@operation(rules.extreme, along())
def min(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: TensorLike | None = None) -> Tensor:
    """Return the minimum over the axes.

    Args:
        initial: a value that takes part.

    >>> min([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1., 3.])
    """
    return _extreme(torch.amin, torch.minimum, tensor(x), axis, keepdims, initial)


def _extreme(
    function: Callable[..., Tensor], both: Callable[[Tensor, Tensor], Tensor],
    x: Tensor, axis: Axes, keepdims: bool, initial: TensorLike | None,
) -> Tensor:  # fmt: skip
    if initial is None:
        return reduced(function, x, axis, keepdims)
    least = tensor(initial).to(runtime.dtype_of(dtype_of(x)))
    if 0 in shape(x):  # an empty axis has the initial value alone
        return torch.zeros_like(torch.sum(x, some_axes(axis, rank(x)), keepdim=keepdims), dtype=least.dtype) + least
    return both(reduced(function, x, axis, keepdims), least)


@operation(rules.extreme, along())
def amax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over the axes.

    >>> amax([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([2., 5.])
    """
    return reduced(torch.amax, tensor(x), axis, keepdims)


@operation(rules.extreme, along())
def amin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the minimum over the axes.

    >>> amin([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1., 3.])
    """
    return reduced(torch.amin, tensor(x), axis, keepdims)


@operation(rules.extreme, along())
def ptp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the maximum minus the minimum over the axes.

    >>> ptp([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1., 2.])
    """
    return reduced(torch.amax, tensor(x), axis, keepdims) - reduced(torch.amin, tensor(x), axis, keepdims)


@operation(rules.position, along())
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the maximum along an axis, int32.

    >>> argmax([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1, 1], dtype=torch.int32)
    """
    return _place(torch.argmax, x, axis, keepdims)


@operation(rules.position, along())
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the minimum along an axis, int32.

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
    """Return how many elements along the axes are not 0, int32.

    >>> count_nonzero([[1, 0], [3, 5]], axis=1)
    tensor([1, 2], dtype=torch.int32)
    """
    found = tensor(x) != 0
    axes = some_axes(axis, rank(found))
    return torch.sum(found, axes, dtype=torch.int32) if axes else found.to(torch.int32)


# Quantiles


def _of_one(arguments: Mapping[str, object], inputs: Inputs) -> int:
    """Say that it acts along its axes if ``q`` is a number; the axis of a vector comes before masked ones."""
    return along()(arguments, inputs) if isinstance(arguments["q"], (int, float)) else 0


@operation(mask=along())
def median(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the median over the axes; the mean of the two middle elements where their number is even.

    >>> median([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1.5000, 4.0000])
    """
    return _quantile(x, 0.5, axis, "linear", keepdims)


@operation(mask=_of_one)
def quantile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the ``q``-quantiles over the axes; the axes of ``q`` come first.

    >>> quantile([1.0, 2.0, 4.0], 0.5)
    tensor(2.)
    """
    return _quantile(x, q, axis, method, keepdims)


@operation(mask=_of_one)
def percentile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the ``q``-th percentiles over the axes; the axes of ``q`` come first.

    >>> percentile([1.0, 2.0, 4.0], 50.0)
    tensor(2.)
    """
    return _quantile(x, q, axis, method, keepdims, whole=100)


def _quantile(
    x: TensorLike, q: TensorLike, axis: Axes, method: str, keepdims: bool, skip_nan: bool = False, whole: float = 1
) -> Tensor:
    """Return the quantiles at ``q / whole``."""
    one_of("method", method, ("linear", "lower", "higher", "midpoint", "nearest"))
    x = floats(x)
    kind, total = dtype_of(x), rank(x)
    axes = some_axes(axis, total)
    rest = [place for place in range(total) if place not in axes]
    flat = x.permute(*rest, *axes).flatten(len(rest)) if axes else x.unsqueeze(-1)
    size = sizes(flat)[-1]
    many = isinstance(size, int) and size > 2**24
    wide = "float64" if many or kind == "float64" else "float32"  # ranks need the digits
    flat = flat if kind == wide else flat.to(torch_dtype(wide))
    ranks, several = _ranks(flat, size, q, whole, skip_nan)
    found = kernels.quantile(flat, ranks, method, skip_nan)
    if not isinstance(ranks, float):
        found = found.movedim(-1, 0) if several else found.squeeze(-1)
    found = found if kind == wide else found.to(torch_dtype(kind))
    if keepdims:
        for place in sorted(axes, reverse=True):
            found = found.unsqueeze(place - total)
    return found


def _ranks(x: Tensor, size: int, q: TensorLike, whole: float, skip_nan: bool) -> tuple[float | Tensor, bool]:
    """Return where ``q / whole`` is between the first and the last element along the last axis, and whether ``q`` is a vector.

    Known ranks are a number; others a vector, of each row where NaN is skipped.
    """
    kind = dtype_of(x)
    if isinstance(size, int) and not size:
        raise ShapeError("x has no elements along its axes.", expected="one or more", got=str(shape(x)))
    if isinstance(q, (int, float)):
        within, axes = 0 <= q <= whole, 0
        if within and isinstance(size, int) and not skip_nan:
            number = np.dtype(kind).type  # as tensors are multiplied
            return float(number(q) / number(whole) * number(size - 1)), False
        fractions = x.new_full((1,), q)
    else:
        fractions = tensor(q).to(torch_dtype(kind))
        known = not isinstance(fractions, (fx.Proxy, fakes.FakeTensor)) and fractions.device.type == "cpu"
        axes = rank(fractions)
        read = fractions.flatten().tolist() if known else _numbers(q)  # an accelerator is not waited for
        within = all(0 <= each <= whole for each in read)
    if not within:
        raise OutOfRangeError("A fraction is out of range.", expected=f"q from 0 to {whole}", got=f"q={q}")
    if axes > 1:
        raise ShapeError("q has too many axes.", expected="a number or a vector", got=f"q={q}")
    fractions = (fractions / whole if whole != 1 else fractions).reshape(-1)
    if not skip_nan:
        return fractions * (size - 1), axes == 1
    return (fractions * (size - 1 - x.isnan().sum(-1, keepdim=True))).clamp(min=0), axes == 1


def _numbers(q: TensorLike) -> list[float]:
    """Return the numbers of a list; none of what is on a device."""
    return [each for each in q if isinstance(each, (int, float))] if isinstance(q, (list, tuple)) else []


# Distances


# Of segments

"""Truth values: comparisons, logic, what kind of number it is, and whether all or any are true."""

from __future__ import annotations

import operator
from typing import Any

import torch

from anabranch.ops._public import public
from anabranch.ops._values import common, dtype, operands, pair, rank, some_axes, tensor


@public
def equal(x1: Any, x2: Any) -> Any:
    """Return x1 = x2."""
    return operator.eq(*operands(x1, x2))


@public
def not_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≠ x2."""
    return operator.ne(*operands(x1, x2))


@public
def less(x1: Any, x2: Any) -> Any:
    """Return x1 < x2."""
    return operator.lt(*operands(x1, x2))


@public
def less_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≤ x2."""
    return operator.le(*operands(x1, x2))


@public
def greater(x1: Any, x2: Any) -> Any:
    """Return x1 > x2."""
    return operator.gt(*operands(x1, x2))


@public
def greater_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≥ x2."""
    return operator.ge(*operands(x1, x2))


@public
def logical_and(x1: Any, x2: Any) -> Any:
    """Return whether both are true (not 0)."""
    return torch.logical_and(*pair(x1, x2))


@public
def logical_or(x1: Any, x2: Any) -> Any:
    """Return whether at least one is true (not 0)."""
    return torch.logical_or(*pair(x1, x2))


@public
def logical_xor(x1: Any, x2: Any) -> Any:
    """Return whether exactly one is true (not 0)."""
    return torch.logical_xor(*pair(x1, x2))


@public
def logical_not(x: Any) -> Any:
    """Return whether it is false (0)."""
    return torch.logical_not(tensor(x))


@public
def isnan(x: Any) -> Any:
    """Return where there is no number."""
    return torch.isnan(tensor(x))


@public
def isinf(x: Any) -> Any:
    """Return where there is ∞ or -∞."""
    return torch.isinf(tensor(x))


@public
def isposinf(x: Any) -> Any:
    """Return where there is ∞."""
    return torch.isposinf(tensor(x))


@public
def isneginf(x: Any) -> Any:
    """Return where there is -∞."""
    return torch.isneginf(tensor(x))


@public
def isfinite(x: Any) -> Any:
    """Return where there is neither ∞ nor NaN."""
    return torch.isfinite(tensor(x))


@public
def isclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Return |x1 - x2| ≤ atol + rtol · |x2|."""
    return _close(x1, x2, rtol, atol, equal_nan)


def _close(x1: Any, x2: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    first, second = common(x1, x2)
    return torch.isclose(first, second, rtol, atol, equal_nan)


@public
def allclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Return whether |x1 - x2| ≤ atol + rtol · |x2| everywhere, as one truth value."""
    return torch.all(_close(x1, x2, rtol, atol, equal_nan))


@public
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Return for each element of x1 whether it is one of x2, or where ``invert`` whether it is none."""
    return torch.isin(*common(x1, x2), assume_unique=assume_unique, invert=invert)


@public
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether all along the axes are true (not 0)."""
    return _over(torch.all, x, axis, keepdims)


@public
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether one along the axes is true (not 0)."""
    return _over(torch.any, x, axis, keepdims)


def _over(function: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x = tensor(x)
    x = x if dtype(x) == "bool" else x != 0
    axes = some_axes(axis, rank(x))
    return function(x, axes, keepdim=keepdims) if axes else x

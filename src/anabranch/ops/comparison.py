"""Truth values: comparisons, logic, what kind of number it is, and whether all or any are true."""

from __future__ import annotations

import operator
from typing import Any

from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.graph.operators import COMPARISON
from anabranch.ops._public import operation, stating
from anabranch.ops._torch import torch
from anabranch.ops._values import common, dtype, operands, pair, rank, some_axes, tensor


@stating(COMPARISON)
def equal(x1: Any, x2: Any) -> Any:
    """Return x1 = x2."""
    return operator.eq(*operands(x1, x2))


@stating(COMPARISON)
def not_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≠ x2."""
    return operator.ne(*operands(x1, x2))


@stating(COMPARISON)
def less(x1: Any, x2: Any) -> Any:
    """Return x1 < x2."""
    return operator.lt(*operands(x1, x2))


@stating(COMPARISON)
def less_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≤ x2."""
    return operator.le(*operands(x1, x2))


@stating(COMPARISON)
def greater(x1: Any, x2: Any) -> Any:
    """Return x1 > x2."""
    return operator.gt(*operands(x1, x2))


@stating(COMPARISON)
def greater_equal(x1: Any, x2: Any) -> Any:
    """Return x1 ≥ x2."""
    return operator.ge(*operands(x1, x2))


@stating(COMPARISON)
def logical_and(x1: Any, x2: Any) -> Any:
    """Return whether both are true (not 0)."""
    return torch.logical_and(*pair(x1, x2))


@stating(COMPARISON)
def logical_or(x1: Any, x2: Any) -> Any:
    """Return whether at least one is true (not 0)."""
    return torch.logical_or(*pair(x1, x2))


@stating(COMPARISON)
def logical_xor(x1: Any, x2: Any) -> Any:
    """Return whether exactly one is true (not 0)."""
    return torch.logical_xor(*pair(x1, x2))


@operation(rules.boolean, pointwise)
def logical_not(x: Any) -> Any:
    """Return whether it is false (0)."""
    return torch.logical_not(tensor(x))


@operation(rules.boolean, pointwise)
def isnan(x: Any) -> Any:
    """Return where there is no number."""
    return torch.isnan(tensor(x))


@operation(rules.boolean, pointwise)
def isinf(x: Any) -> Any:
    """Return where there is ∞ or -∞."""
    return torch.isinf(tensor(x))


@operation(rules.boolean, pointwise)
def isposinf(x: Any) -> Any:
    """Return where there is ∞."""
    return torch.isposinf(tensor(x))


@operation(rules.boolean, pointwise)
def isneginf(x: Any) -> Any:
    """Return where there is -∞."""
    return torch.isneginf(tensor(x))


@operation(rules.boolean, pointwise)
def isfinite(x: Any) -> Any:
    """Return where there is neither ∞ nor NaN."""
    return torch.isfinite(tensor(x))


@operation(mask=pointwise)
def isclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Return |x1 - x2| ≤ atol + rtol · |x2|."""
    return _close(x1, x2, rtol, atol, equal_nan)


def _close(x1: Any, x2: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    first, second = common(x1, x2)
    return torch.isclose(first, second, rtol, atol, equal_nan)


@operation()
def allclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Return whether |x1 - x2| ≤ atol + rtol · |x2| everywhere, as one truth value."""
    return torch.all(_close(x1, x2, rtol, atol, equal_nan))


@operation()
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Return for each element of x1 whether it is one of x2, or where ``invert`` whether it is none."""
    return torch.isin(*common(x1, x2), assume_unique=assume_unique, invert=invert)


@operation(rules.truth, along())
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether all along the axes are true (not 0)."""
    return _over(torch.all, x, axis, keepdims)


@operation(rules.truth, along())
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether one along the axes is true (not 0)."""
    return _over(torch.any, x, axis, keepdims)


def _over(function: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x = tensor(x)
    x = x if dtype(x) == "bool" else x != 0
    axes = some_axes(axis, rank(x))
    return function(x, axes, keepdim=keepdims) if axes else x

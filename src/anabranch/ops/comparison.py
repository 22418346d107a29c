"""Booleans: comparisons, logic, what kind of number it is, and whether all or any are true."""

from __future__ import annotations

import operator
from collections.abc import Callable

from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.graph.operators import COMPARISON
from anabranch.ops._public import operation, stating
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import common, compared, dtype, pair, reduced, tensor, whole

ARGUMENTS = {
    "rtol": "the relative tolerance.",
    "atol": "the absolute tolerance.",
    "equal_nan": "whether NaN equals NaN.",
}


@stating(COMPARISON)
def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 = x2, element by element.

    >>> equal([1.0, 4.0], [1.0, 3.0])
    tensor([ True, False])
    """
    return operator.eq(*compared(x1, x2))


@stating(COMPARISON)
def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 ≠ x2, element by element.

    >>> not_equal([1.0, 4.0], [1.0, 3.0])
    tensor([False,  True])
    """
    return operator.ne(*compared(x1, x2))


@stating(COMPARISON)
def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 < x2, element by element.

    >>> less([1.0, 4.0], [2.0, 3.0])
    tensor([ True, False])
    """
    return operator.lt(*compared(x1, x2))


@stating(COMPARISON)
def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 ≤ x2, element by element.

    >>> less_equal([1.0, 3.0, 4.0], 3.0)
    tensor([ True,  True, False])
    """
    return operator.le(*compared(x1, x2))


@stating(COMPARISON)
def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 > x2, element by element.

    >>> greater([1.0, 4.0], [2.0, 3.0])
    tensor([False,  True])
    """
    return operator.gt(*compared(x1, x2))


@stating(COMPARISON)
def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether x1 ≥ x2, element by element.

    >>> greater_equal([1.0, 3.0, 4.0], 3.0)
    tensor([False,  True,  True])
    """
    return operator.ge(*compared(x1, x2))


@stating(COMPARISON)
def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether both are true; numbers are true where they are not 0.

    >>> logical_and([True, True], [True, False])
    tensor([ True, False])
    """
    return torch.logical_and(*pair(x1, x2))


@stating(COMPARISON)
def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether at least one is true; numbers are true where they are not 0.

    >>> logical_or([True, False], [False, False])
    tensor([ True, False])
    """
    return torch.logical_or(*pair(x1, x2))


@stating(COMPARISON)
def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether exactly one is true; numbers are true where they are not 0.

    >>> logical_xor([1, 0, 2], [True, True, False])
    tensor([False,  True,  True])
    """
    return torch.logical_xor(*pair(x1, x2))


@operation(rules.boolean, pointwise)
def logical_not(x: TensorLike) -> Tensor:
    """Return whether x is false; numbers are false where they are 0.

    >>> logical_not([-1.5, 0.0, 2.0])
    tensor([False,  True, False])
    """
    return torch.logical_not(tensor(x))


@operation(rules.boolean, pointwise)
def isnan(x: TensorLike) -> Tensor:
    """Return True where x is NaN.

    >>> isnan([1.0, float("nan")])
    tensor([False,  True])
    """
    return torch.isnan(tensor(x))


@operation(rules.boolean, pointwise)
def isinf(x: TensorLike) -> Tensor:
    """Return True where x is ∞ or -∞.

    >>> isinf([1.0, float("inf"), float("-inf"), float("nan")])
    tensor([False,  True,  True, False])
    """
    return torch.isinf(tensor(x))


@operation(rules.boolean, pointwise)
def isposinf(x: TensorLike) -> Tensor:
    """Return True where x is ∞.

    >>> isposinf([float("inf"), float("-inf")])
    tensor([ True, False])
    """
    return torch.isposinf(tensor(x))


@operation(rules.boolean, pointwise)
def isneginf(x: TensorLike) -> Tensor:
    """Return True where x is -∞.

    >>> isneginf([float("inf"), float("-inf")])
    tensor([False,  True])
    """
    return torch.isneginf(tensor(x))


@operation(rules.boolean, pointwise)
def isfinite(x: TensorLike) -> Tensor:
    """Return True where x is neither NaN, ∞ nor -∞.

    >>> isfinite([1.0, float("inf"), float("nan")])
    tensor([ True, False, False])
    """
    return torch.isfinite(tensor(x))


@operation(mask=pointwise)
def isclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Return whether |x1 - x2| ≤ atol + rtol · |x2|, element by element.

    >>> isclose([1.0], [1.0 + 1e-9])
    tensor([True])
    """
    return _close(x1, x2, rtol, atol, equal_nan)


def _close(x1: TensorLike, x2: TensorLike, rtol: float, atol: float, equal_nan: bool) -> Tensor:
    first, second = common(x1, x2)
    return torch.isclose(first, second, rtol, atol, equal_nan)


@operation()
def allclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Return whether |x1 - x2| ≤ atol + rtol · |x2| for all elements.

    >>> allclose([1.0], [1.0 + 1e-9])
    tensor(True)
    """
    return torch.all(_close(x1, x2, rtol, atol, equal_nan))


@operation()
def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return for each element of x1 whether it is among those of x2; the opposite where ``invert`` is True.

    Args:
        x1: the elements, of any shape.
        x2: the values to compare with, of any shape.
        assume_unique: whether no value occurs twice, which is faster.
        invert: whether to return the opposite.

    >>> isin([1, 2], [2, 3])
    tensor([False,  True])
    """
    return torch.isin(*map(whole, common(x1, x2)), assume_unique=assume_unique, invert=invert)


@operation(rules.truth, along())
def all(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return whether all elements along the axes are true; numbers are true where they are not 0.

    >>> all([[True, True], [True, False]], axis=1)
    tensor([ True, False])
    """
    return _over(torch.all, x, axis, keepdims)


@operation(rules.truth, along())
def any(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return whether any element along the axes is true; numbers are true where they are not 0.

    >>> any([[0, 3], [0, 0]], axis=1)
    tensor([ True, False])
    """
    return _over(torch.any, x, axis, keepdims)


def _over(function: Callable[..., Tensor], x: TensorLike, axis: Axes, keepdims: bool) -> Tensor:
    x = tensor(x)
    x = x if dtype(x) == "bool" else x != 0
    return reduced(function, x, axis, keepdims)

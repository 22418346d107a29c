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
from anabranch.ops._values import common, dtype, operands, pair, rank, some_axes, tensor


@stating(COMPARISON)
def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 = x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> equal([1.0, 4.0], [2.0, 3.0])
        tensor([False, False])
    """
    return operator.eq(*operands(x1, x2))


@stating(COMPARISON)
def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 ≠ x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> not_equal([1.0, 4.0], [2.0, 3.0])
        tensor([True, True])
    """
    return operator.ne(*operands(x1, x2))


@stating(COMPARISON)
def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 < x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> less([1.0, 4.0], [2.0, 3.0])
        tensor([ True, False])
    """
    return operator.lt(*operands(x1, x2))


@stating(COMPARISON)
def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 ≤ x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> less_equal([1.0, 4.0], [2.0, 3.0])
        tensor([ True, False])
    """
    return operator.le(*operands(x1, x2))


@stating(COMPARISON)
def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 > x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> greater([1.0, 4.0], [2.0, 3.0])
        tensor([False,  True])
    """
    return operator.gt(*operands(x1, x2))


@stating(COMPARISON)
def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 ≥ x2.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> greater_equal([1.0, 4.0], [2.0, 3.0])
        tensor([False,  True])
    """
    return operator.ge(*operands(x1, x2))


@stating(COMPARISON)
def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether both are true (not 0).

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> logical_and([True, True], [True, False])
        tensor([ True, False])
    """
    return torch.logical_and(*pair(x1, x2))


@stating(COMPARISON)
def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether at least one is true (not 0).

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> logical_or([True, True], [True, False])
        tensor([True, True])
    """
    return torch.logical_or(*pair(x1, x2))


@stating(COMPARISON)
def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return whether exactly one is true (not 0).

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> logical_xor([True, True], [True, False])
        tensor([False,  True])
    """
    return torch.logical_xor(*pair(x1, x2))


@operation(rules.boolean, pointwise)
def logical_not(x: TensorLike) -> Tensor:
    """Return whether it is false (0).

    Args:
        x: the input, of any shape.

    Example:
        >>> logical_not([-1.5, 0.0, 2.0])
        tensor([False,  True, False])
    """
    return torch.logical_not(tensor(x))


@operation(rules.boolean, pointwise)
def isnan(x: TensorLike) -> Tensor:
    """Return where there is no number.

    Args:
        x: the input, of any shape.

    Example:
        >>> isnan([-1.5, 0.0, 2.0])
        tensor([False, False, False])
    """
    return torch.isnan(tensor(x))


@operation(rules.boolean, pointwise)
def isinf(x: TensorLike) -> Tensor:
    """Return where there is ∞ or -∞.

    Args:
        x: the input, of any shape.

    Example:
        >>> isinf([-1.5, 0.0, 2.0])
        tensor([False, False, False])
    """
    return torch.isinf(tensor(x))


@operation(rules.boolean, pointwise)
def isposinf(x: TensorLike) -> Tensor:
    """Return where there is ∞.

    Args:
        x: the input, of any shape.

    Example:
        >>> isposinf([-1.5, 0.0, 2.0])
        tensor([False, False, False])
    """
    return torch.isposinf(tensor(x))


@operation(rules.boolean, pointwise)
def isneginf(x: TensorLike) -> Tensor:
    """Return where there is -∞.

    Args:
        x: the input, of any shape.

    Example:
        >>> isneginf([-1.5, 0.0, 2.0])
        tensor([False, False, False])
    """
    return torch.isneginf(tensor(x))


@operation(rules.boolean, pointwise)
def isfinite(x: TensorLike) -> Tensor:
    """Return where there is neither ∞ nor NaN.

    Args:
        x: the input, of any shape.

    Example:
        >>> isfinite([-1.5, 0.0, 2.0])
        tensor([True, True, True])
    """
    return torch.isfinite(tensor(x))


@operation(mask=pointwise)
def isclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Return |x1 - x2| ≤ atol + rtol · |x2|.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        equal_nan: whether NaN equals NaN.

    Example:
        >>> isclose([1.0], [1.0 + 1e-9])
        tensor([True])
    """
    return _close(x1, x2, rtol, atol, equal_nan)


def _close(x1: TensorLike, x2: TensorLike, rtol: float, atol: float, equal_nan: bool) -> Tensor:
    first, second = common(x1, x2)
    return torch.isclose(first, second, rtol, atol, equal_nan)


@operation()
def allclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Return whether |x1 - x2| ≤ atol + rtol · |x2| everywhere, as one boolean.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        equal_nan: whether NaN equals NaN.

    Example:
        >>> allclose([1.0], [1.0 + 1e-9])
        tensor(True)
    """
    return torch.all(_close(x1, x2, rtol, atol, equal_nan))


@operation()
def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return for each element of x1 whether it is one of x2, or where ``invert`` whether it is none.

    Args:
        x1: the first operand.
        x2: the values that are looked for.
        assume_unique: whether no value comes twice, which is faster.
        invert: whether to return the opposite.

    Example:
        >>> isin([1, 2], [2, 3])
        tensor([False,  True])
    """
    return torch.isin(*common(x1, x2), assume_unique=assume_unique, invert=invert)


@operation(rules.truth, along())
def all(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return whether all along the axes are true (not 0).

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> all([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([True, True])
    """
    return _over(torch.all, x, axis, keepdims)


@operation(rules.truth, along())
def any(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return whether one along the axes is true (not 0).

    Args:
        x: the input, of any shape.
        axis: the axis or axes; None: all of them.
        keepdims: whether reduced axes stay, with size 1.

    Example:
        >>> any([[1.0, 2.0], [3.0, 5.0]], axis=1)
        tensor([True, True])
    """
    return _over(torch.any, x, axis, keepdims)


def _over(function: Callable[..., Tensor], x: TensorLike, axis: Axes, keepdims: bool) -> Tensor:
    x = tensor(x)
    x = x if dtype(x) == "bool" else x != 0
    axes = some_axes(axis, rank(x))
    return function(x, axes, keepdim=keepdims) if axes else x

"""Functions of two or more numbers, element by element with broadcasting; and running sums along an axis."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from anabranch._errors import ArgumentError
from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.graph.operators import ARITHMETIC, DIFFERENCE, DIVISION
from anabranch.ops._public import operation, stating
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    check_numbers,
    common,
    dtype as dtype_of,
    float_pair,
    floats,
    numbers,
    one_axis,
    operands,
    pair,
    rank,
    tensor,
    torch_dtype,
    whole,
)


def _exact(
    function: Callable[[Any, Any], Any], taken: Callable[[TensorLike, TensorLike], tuple[Tensor, Tensor]],
    x1: TensorLike, x2: TensorLike,
) -> Tensor:  # fmt: skip
    """Return what an operator gives for two operands; for two integers of Python's what Python has, as tensors would wrap."""
    if type(x1) is int and type(x2) is int:
        return tensor(function(x1, x2))
    return function(*taken(x1, x2))  # type: ignore[no-any-return]  # of tensors


@stating(ARITHMETIC)
def add(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 + x2, element by element.

    >>> add([1.0, 4.0], [2.0, 3.0])
    tensor([3., 7.])
    """
    return _exact(operator.add, operands, x1, x2)


@stating(DIFFERENCE)
def subtract(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 - x2, element by element.

    >>> subtract([1.0, 4.0], [2.0, 3.0])
    tensor([-1.,  1.])
    """
    return _exact(operator.sub, numbers, x1, x2)


@stating(ARITHMETIC)
def multiply(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 · x2, element by element.

    >>> multiply([1.0, 4.0], [2.0, 3.0])
    tensor([ 2., 12.])
    """
    return _exact(operator.mul, operands, x1, x2)


@stating(DIVISION)
def divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, element by element; integers are divided as floats.

    >>> divide([1.0, 4.0], [2.0, 3.0])
    tensor([0.5000, 1.3333])
    """
    return operator.truediv(*operands(x1, x2))


@stating(DIVISION)
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, as :func:`divide` does.

    >>> true_divide([1.0, 4.0], [2.0, 3.0])
    tensor([0.5000, 1.3333])
    """
    return operator.truediv(*operands(x1, x2))


@operation(rules.float_pair, pointwise)
def nextafter(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the next float after x1 in the direction of x2.

    >>> nextafter([1.0], [2.0]) > 1
    tensor([True])
    """
    first, second = float_pair(x1, x2)
    return torch.nextafter(*common(first, second))


@operation(rules.float_pair, pointwise)
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, and 0 where x2 is 0; the gradient is 0 there too.

    >>> divide_no_nan([1.0, 4.0], [2.0, 0.0])
    tensor([0.5000, 0.0000])
    """
    x1, x2 = pair(x1, x2)
    zero = x2 == 0
    return torch.where(zero, 0.0, torch.div(x1, torch.where(zero, 1, x2)))


@stating(DIFFERENCE)
def floor_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return ⌊x1 / x2⌋.

    >>> floor_divide([-1, 7], 2)
    tensor([-1,  3], dtype=torch.int32)
    """
    return operator.floordiv(*numbers(x1, x2))


@stating(DIFFERENCE)
def mod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 - x2 · ⌊x1 / x2⌋, the remainder with the sign of x2.

    Args:
        x2: the divisor; the two broadcast.

    >>> mod([-1, 7], 4)
    tensor([3, 3], dtype=torch.int32)
    """
    return operator.mod(*numbers(x1, x2))


@operation(rules.float_pair, pointwise)
def fmod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the remainder of x1 / x2 with the sign of x1.

    Args:
        x2: the divisor; the two broadcast.

    >>> fmod([-1.0, 7.0], [4.0, 4.0])
    tensor([-1.,  3.])
    """
    return torch.fmod(*numbers(*pair(x1, x2)))


@stating(DIFFERENCE)
def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 to the power of x2, element by element.

    >>> power([1.0, 4.0], [2.0, 3.0])
    tensor([ 1., 64.])
    """
    if type(x2) is int and x2 < 0:
        return operator.pow(*numbers(x1, x2))
    if type(x1) is int and type(x2) is int and x2 > 64 and abs(x1) > 1:
        raise ArgumentError("An integer does not fit 64 bits.", got=f"{x1} ** {x2}", repair="a float")
    return _exact(operator.pow, numbers, x1, x2)


@operation(rules.float_pair, pointwise)
def maximum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return max(x1, x2), element by element; NaN where either is NaN.

    >>> maximum([1.0, 4.0], [2.0, 3.0])
    tensor([2., 4.])
    """
    return torch.maximum(*pair(x1, x2))


@operation(rules.float_pair, pointwise)
def minimum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return min(x1, x2), element by element; NaN where either is NaN.

    >>> minimum([1.0, 4.0], [2.0, 3.0])
    tensor([1., 3.])
    """
    return torch.minimum(*pair(x1, x2))


@operation(rules.float_pair, pointwise)
def fmax(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return max(x1, x2), element by element; where one of them is NaN, the other.

    >>> fmax([1.0, float("nan")], [2.0, 3.0])
    tensor([2., 3.])
    """
    return torch.fmax(*pair(x1, x2))


@operation(rules.float_pair, pointwise)
def fmin(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return min(x1, x2), element by element; where one of them is NaN, the other.

    >>> fmin([1.0, float("nan")], [2.0, 3.0])
    tensor([1., 3.])
    """
    return torch.fmin(*pair(x1, x2))


@operation(mask=pointwise)
def arctan2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the angle in (-π, π] of the point (x2, x1), in radians.

    Args:
        x1: the ordinates of the points.
        x2: the abscissas; the two broadcast.

    >>> arctan2([1.0, 4.0], [2.0, 3.0])
    tensor([0.4636, 0.9273])
    """
    return torch.atan2(*float_pair(x1, x2))


@operation(mask=pointwise)
def hypot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return √(x1² + x2²).

    >>> hypot([3.0, 5.0], [4.0, 12.0])
    tensor([ 5., 13.])
    """
    return torch.hypot(*float_pair(x1, x2))


@operation(mask=pointwise)
def heaviside(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return 0 where x1 < 0, x2 where x1 = 0, 1 where x1 > 0.

    Args:
        x2: the values where x1 is 0; the two broadcast.

    >>> heaviside([-1.0, 0.0, 4.0], 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.heaviside(*float_pair(x1, x2))


@operation(mask=pointwise)
def ldexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 · 2^x2.

    Args:
        x2: the exponents; the two broadcast.

    >>> ldexp([1.0, 4.0], [2.0, 3.0])
    tensor([ 4., 32.])
    """
    return torch.ldexp(*pair(x1, x2))


@operation(mask=pointwise)
def logaddexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return log(exp(x1) + exp(x2)) without overflow.

    >>> logaddexp([1.0, 4.0], [2.0, 3.0])
    tensor([2.3133, 4.3133])
    """
    return torch.logaddexp(*float_pair(x1, x2))


@operation(mask=pointwise)
def logaddexp2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return log₂(2^x1 + 2^x2) without overflow.

    >>> logaddexp2([1.0, 4.0], [2.0, 3.0])
    tensor([2.5850, 4.5850])
    """
    return torch.logaddexp2(*float_pair(x1, x2))


@operation(rules.clipped, pointwise)
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """Return min(max(x, x_min), x_max).

    Args:
        x_min: the lower bounds, which broadcast.
        x_max: the upper bounds, which broadcast.

    >>> clip([-2.0, 0.5], -1.0, 1.0)
    tensor([-1.0000,  0.5000])
    """
    x = whole(x)
    if isinstance(x_min, (int, float)) and isinstance(x_max, (int, float)):
        return torch.clamp(x, x_min, x_max)
    return torch.clamp(x, tensor(x_min), tensor(x_max))


@operation(rules.chosen, pointwise)
def where(condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None) -> Tensor:
    """Return x1 where the condition is true, x2 elsewhere; of the condition alone, the indices where it is true: (rank, n).

    The second form has no symbolic tensors, as n depends on the values.

    Args:
        condition: booleans; numbers are true where they are not 0.

    >>> where([True, False], 1.0, 2.0)
    tensor([1., 2.])
    """
    condition = _true(condition)
    if x1 is None or x2 is None:
        check_numbers(condition, "where without x1 and x2", "ops.where(condition, x1, x2) chooses everywhere")
        return torch.nonzero(condition).T
    return torch.where(condition, *pair(x1, x2))


def _true(condition: TensorLike) -> Tensor:
    condition = tensor(condition)
    return condition if dtype_of(condition) == "bool" else condition != 0


@operation()
def select(condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: TensorLike = 0) -> Tensor:
    """Return for each element the first choice whose condition is true, ``default`` where none is.

    Args:
        condlist: the conditions, booleans.
        choicelist: the choices, one for each condition.
        default: the value where no condition is true.

    >>> select([[True, False]], [[1.0, 2.0]])
    tensor([1., 0.])
    """
    result = tensor(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = torch.where(_true(condition), tensor(choice), result)
    return result


@operation(mask=pointwise)
def nan_to_num(x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Return x with numbers in place of NaN, ∞ and -∞.

    Args:
        nan: replaces NaN.
        posinf: replaces ∞; None: the greatest number of the dtype.
        neginf: replaces -∞; None: the least number of the dtype.

    >>> nan_to_num([float("nan"), 1.0])
    tensor([0., 1.])
    """
    return torch.nan_to_num(tensor(x), nan, posinf, neginf)


# Along an axis


@operation(mask=along())
def cumsum(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the cumulative sum along an axis: yᵢ = x₀ + … + xᵢ.

    >>> cumsum([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([[1., 3.],
            [3., 8.]])
    """
    return _running(torch.cumsum, x, axis, dtype)


@operation(mask=along())
def cumprod(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Return the cumulative product along an axis: yᵢ = x₀ · … · xᵢ.

    >>> cumprod([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([[ 1.,  2.],
            [ 3., 15.]])
    """
    return _running(torch.cumprod, x, axis, dtype)


def _running(function: Callable[..., Tensor], x: TensorLike, axis: int | None, dtype: str | None) -> Tensor:
    x = whole(x)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, rank(x)))
    if dtype == "bool":
        return function((x != 0).to(torch.int32), axis).to(torch.bool)
    return function(x, axis, dtype=torch_dtype(dtype or dtype_of(x)))


@operation()
def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Return xᵢ₊₁ - xᵢ along an axis, ``n`` times.

    Args:
        a: the input.
        n: how many times differences are taken.

    >>> diff([1.0, 4.0, 9.0])
    tensor([3., 5.])
    """
    a = tensor(a)
    return torch.diff(a, n, one_axis(axis, rank(a)))


@operation()
def trapezoid(y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Return the integral along an axis by the trapezoidal rule.

    Args:
        y: the values at the points.
        x: the positions of the points; None: equal distances.
        dx: the distance between points where ``x`` is None.

    >>> trapezoid([1.0, 2.0, 3.0])
    tensor(4.)
    """
    if x is None:
        y = floats(y)
        return torch.trapezoid(y, dx=dx, dim=one_axis(axis, rank(y)))
    y, x = float_pair(y, x)
    return torch.trapezoid(y, x, dim=one_axis(axis, rank(y)))

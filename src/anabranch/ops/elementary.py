"""Functions of one number each: powers and roots, exponentials, rounding, angles. Integers become floats where needed."""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import dtype, floats, is_bool, tensor, whole

# Sign and size


@operation(rules.unchanged, pointwise)
def absolute(x: TensorLike) -> Tensor:
    """Return |x|, element by element.

    >>> absolute([-1.5, 0.0, 2.0])
    tensor([1.5000, 0.0000, 2.0000])
    """
    x = tensor(x)
    return x if is_bool(x) else torch.abs(x)


abs = absolute


@operation(rules.float_unchanged, pointwise)
def negative(x: TensorLike) -> Tensor:
    """Return -x.

    >>> negative([-1.5, 0.0, 2.0])
    tensor([ 1.5000, -0.0000, -2.0000])
    """
    return torch.neg(whole(x))


@operation(rules.unchanged, pointwise)
def sign(x: TensorLike) -> Tensor:
    """Return -1 where x < 0, 0 where x = 0, 1 where x > 0.

    >>> sign([-1.5, 0.0, 2.0])
    tensor([-1.,  0.,  1.])
    """
    return torch.sign(tensor(x))


@operation(rules.boolean, pointwise)
def signbit(x: TensorLike) -> Tensor:
    """Return True where the sign bit is set: x < 0, or -0.0.

    >>> signbit([-1.5, -0.0, 0.0])
    tensor([ True,  True, False])
    """
    return torch.signbit(tensor(x))


# Powers and roots


@operation(rules.float_unchanged, pointwise)
def square(x: TensorLike) -> Tensor:
    """Return x².

    >>> square([-1.5, 0.0, 2.0])
    tensor([2.2500, 0.0000, 4.0000])
    """
    return torch.square(whole(x))


@operation(rules.as_float, pointwise)
def sqrt(x: TensorLike) -> Tensor:
    """Return √x.

    >>> sqrt([1.0, 4.0])
    tensor([1., 2.])
    """
    return torch.sqrt(floats(x))


@operation(rules.as_float, pointwise)
def cbrt(x: TensorLike) -> Tensor:
    """Return ∛x, of negative numbers too.

    >>> cbrt([-8.0, 27.0])
    tensor([-2.,  3.])
    """
    x = floats(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@operation(rules.float_unchanged, pointwise)
def reciprocal(x: TensorLike) -> Tensor:
    """Return 1 / x.

    >>> reciprocal([-1.5, 0.0, 2.0])
    tensor([-0.6667,     inf,  0.5000])
    """
    return torch.reciprocal(tensor(x))


# Exponentials and logarithms


@operation(rules.as_float, pointwise)
def exp(x: TensorLike) -> Tensor:
    """Return eˣ.

    >>> exp([0.0, 1.0])
    tensor([1.0000, 2.7183])
    """
    return torch.exp(floats(x))


@operation(rules.as_float, pointwise)
def exp2(x: TensorLike) -> Tensor:
    """Return 2ˣ.

    >>> exp2([-1.0, 0.5, 3.0])
    tensor([0.5000, 1.4142, 8.0000])
    """
    return torch.exp2(floats(x))


@operation(rules.as_float, pointwise)
def expm1(x: TensorLike) -> Tensor:
    """Return exp(x) - 1, exact for small x too.

    >>> expm1([1e-6])
    tensor([1.0000e-06])
    """
    return torch.expm1(floats(x))


@operation(rules.as_float, pointwise)
def log(x: TensorLike) -> Tensor:
    """Return the natural logarithm, log x; NaN for x < 0.

    >>> log([1.0, 4.0])
    tensor([0.0000, 1.3863])
    """
    return torch.log(floats(x))


@operation(rules.as_float, pointwise)
def log1p(x: TensorLike) -> Tensor:
    """Return log(1 + x), exact for small x too.

    >>> log1p([1e-6])
    tensor([1.0000e-06])
    """
    return torch.log1p(floats(x))


@operation(rules.as_float, pointwise)
def log2(x: TensorLike) -> Tensor:
    """Return the base-2 logarithm, log₂ x; NaN for x < 0.

    >>> log2([0.5, 8.0])
    tensor([-1.,  3.])
    """
    return torch.log2(floats(x))


@operation(rules.as_float, pointwise)
def log10(x: TensorLike) -> Tensor:
    """Return the base-10 logarithm, log₁₀ x; NaN for x < 0.

    >>> log10([0.1, 1000.0])
    tensor([-1.,  3.])
    """
    return torch.log10(floats(x))


# Rounding


@operation(rules.as_float, pointwise)
def floor(x: TensorLike) -> Tensor:
    """Return ⌊x⌋, the greatest integer ≤ x, as a float.

    >>> floor([-1.5, 2.7])
    tensor([-2.,  2.])
    """
    return torch.floor(floats(x))


@operation(rules.as_float, pointwise)
def ceil(x: TensorLike) -> Tensor:
    """Return ⌈x⌉, the least integer ≥ x, as a float.

    >>> ceil([-1.5, 2.2])
    tensor([-1.,  3.])
    """
    return torch.ceil(floats(x))


@operation(rules.float_unchanged, pointwise)
def trunc(x: TensorLike) -> Tensor:
    """Return x rounded towards 0.

    >>> trunc([-1.5, 2.7])
    tensor([-1.,  2.])
    """
    x = tensor(x)
    return x if dtype(x) == "bool" else torch.trunc(x)


@operation(mask=pointwise)
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Return x rounded to a number of decimals; halves go to the even neighbor.

    Args:
        decimals: how many decimals; negative ones round to tens, hundreds, …

    >>> round([1.25, 2.5], 1)
    tensor([1.2000, 2.5000])
    """
    x = tensor(x)
    if "float" in dtype(x):
        return torch.round(x, decimals=decimals)
    return torch.round(floats(x), decimals=decimals).to(getattr(torch, dtype(x)))


# Of the normal distribution


# Of integers, and by other names


@operation(rules.as_float, pointwise)
def fabs(x: TensorLike) -> Tensor:
    """Return |x| as a float.

    >>> fabs([-1, 2])
    tensor([1., 2.])
    """
    return torch.abs(floats(x))


@operation(rules.as_float, pointwise)
def i0(x: TensorLike) -> Tensor:
    """Return I₀(x), the modified Bessel function of the first kind of order 0.

    >>> i0([-1.5, 0.0, 2.0])
    tensor([1.6467, 1.0000, 2.2796])
    """
    return torch.i0(floats(x))


# Angles, in radians: trigonometric and hyperbolic functions, and their inverses


@operation(rules.as_float, pointwise)
def sin(x: TensorLike) -> Tensor:
    """Return the sine of x in radians.

    >>> sin([0.0, 0.5, 2.0])
    tensor([0.0000, 0.4794, 0.9093])
    """
    return torch.sin(floats(x))


@operation(rules.as_float, pointwise)
def cos(x: TensorLike) -> Tensor:
    """Return the cosine of x in radians.

    >>> cos([-1.5, 0.0, 2.0])
    tensor([ 0.0707,  1.0000, -0.4161])
    """
    return torch.cos(floats(x))


@operation(rules.as_float, pointwise)
def tan(x: TensorLike) -> Tensor:
    """Return the tangent, sin(x) / cos(x), of x in radians.

    >>> tan([-1.5, 0.0, 2.0])
    tensor([-14.1014,   0.0000,  -2.1850])
    """
    return torch.tan(floats(x))


@operation(rules.as_float, pointwise)
def arcsin(x: TensorLike) -> Tensor:
    """Return the angle in [-π/2, π/2] whose sine is x, in radians; NaN outside [-1, 1].

    >>> arcsin([0.0, 0.5])
    tensor([0.0000, 0.5236])
    """
    return torch.arcsin(floats(x))


@operation(rules.as_float, pointwise)
def arccos(x: TensorLike) -> Tensor:
    """Return the angle in [0, π] whose cosine is x, in radians; NaN outside [-1, 1].

    >>> arccos([0.0, 0.5])
    tensor([1.5708, 1.0472])
    """
    return torch.arccos(floats(x))


@operation(rules.as_float, pointwise)
def arctan(x: TensorLike) -> Tensor:
    """Return the angle in (-π/2, π/2) whose tangent is x, in radians.

    >>> arctan([-1.5, 0.0, 2.0])
    tensor([-0.9828,  0.0000,  1.1071])
    """
    return torch.arctan(floats(x))


@operation(rules.as_float, pointwise)
def deg2rad(x: TensorLike) -> Tensor:
    """Return x · π / 180: degrees as radians.

    >>> deg2rad([0.0, 90.0, 180.0])
    tensor([0.0000, 1.5708, 3.1416])
    """
    return torch.deg2rad(floats(x))


@operation(rules.as_float, pointwise)
def rad2deg(x: TensorLike) -> Tensor:
    """Return x · 180 / π: radians as degrees.

    >>> rad2deg([0.0, 1.0])
    tensor([ 0.0000, 57.2958])
    """
    return torch.rad2deg(floats(x))


@operation(rules.as_float, pointwise)
def sinc(x: TensorLike) -> Tensor:
    """Return sin(πx) / (πx); 1 where x is 0.

    >>> sinc([0.0, 0.5])
    tensor([1.0000, 0.6366])
    """
    return torch.sinc(floats(x))

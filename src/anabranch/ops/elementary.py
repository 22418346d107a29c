"""Functions of one number each: powers and roots, exponentials, angles, rounding. Whole numbers become floats where needed."""

from __future__ import annotations

from typing import Any

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._values import dtype, floats, tensor, whole

# Sign and size


@operation(rules.float_kept, pointwise)
def absolute(x: Any) -> Any:
    """Return |x|."""
    return torch.abs(whole(x))


abs = absolute


@operation(rules.float_kept, pointwise)
def negative(x: Any) -> Any:
    """Return -x."""
    return torch.neg(tensor(x))


@operation(rules.float_kept, pointwise)
def sign(x: Any) -> Any:
    """Return -1, 0 or 1."""
    return torch.sign(whole(x))


@operation(rules.boolean, pointwise)
def signbit(x: Any) -> Any:
    """Return whether the sign is minus, which that of -0.0 is."""
    return torch.signbit(tensor(x))


# Powers and roots


@operation(rules.float_kept, pointwise)
def square(x: Any) -> Any:
    """Return x²."""
    return torch.square(whole(x))


@operation(rules.as_float, pointwise)
def sqrt(x: Any) -> Any:
    """Return √x."""
    return torch.sqrt(floats(x))


@operation(rules.as_float, pointwise)
def cbrt(x: Any) -> Any:
    """Return the cube root, of negative numbers too."""
    x = floats(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@operation(rules.as_float, pointwise)
def rsqrt(x: Any) -> Any:
    """Return 1 / √x."""
    return torch.rsqrt(floats(x))


@operation(rules.float_kept, pointwise)
def reciprocal(x: Any) -> Any:
    """Return 1 / x."""
    return torch.reciprocal(tensor(x))


# Exponentials and logarithms


@operation(rules.as_float, pointwise)
def exp(x: Any) -> Any:
    """Return e to the power of x."""
    return torch.exp(floats(x))


@operation(rules.as_float, pointwise)
def exp2(x: Any) -> Any:
    """Return 2 to the power of x."""
    return torch.exp2(floats(x))


@operation(rules.as_float, pointwise)
def expm1(x: Any) -> Any:
    """Return exp(x) - 1, exact where x is near 0."""
    return torch.expm1(floats(x))


@operation(rules.as_float, pointwise)
def log(x: Any) -> Any:
    """Return the natural logarithm."""
    return torch.log(floats(x))


@operation(rules.as_float, pointwise)
def log1p(x: Any) -> Any:
    """Return log(1 + x), exact where x is near 0."""
    return torch.log1p(floats(x))


@operation(rules.as_float, pointwise)
def log2(x: Any) -> Any:
    """Return the logarithm to the base 2."""
    return torch.log2(floats(x))


@operation(rules.as_float, pointwise)
def log10(x: Any) -> Any:
    """Return the logarithm to the base 10."""
    return torch.log10(floats(x))


# Angles, in radians


@operation(rules.as_float, pointwise)
def sin(x: Any) -> Any:
    """Return the sine of x radians."""
    return torch.sin(floats(x))


@operation(rules.as_float, pointwise)
def cos(x: Any) -> Any:
    """Return the cosine of x radians."""
    return torch.cos(floats(x))


@operation(rules.as_float, pointwise)
def tan(x: Any) -> Any:
    """Return the tangent of x radians."""
    return torch.tan(floats(x))


@operation(rules.as_float, pointwise)
def arcsin(x: Any) -> Any:
    """Return the angle in [-π/2, π/2] whose sine is x."""
    return torch.arcsin(floats(x))


@operation(rules.as_float, pointwise)
def arccos(x: Any) -> Any:
    """Return the angle in [0, π] whose cosine is x."""
    return torch.arccos(floats(x))


@operation(rules.as_float, pointwise)
def arctan(x: Any) -> Any:
    """Return the angle in (-π/2, π/2) whose tangent is x."""
    return torch.arctan(floats(x))


@operation(rules.as_float, pointwise)
def sinh(x: Any) -> Any:
    """Return (exp(x) - exp(-x)) / 2."""
    return torch.sinh(floats(x))


@operation(rules.as_float, pointwise)
def cosh(x: Any) -> Any:
    """Return (exp(x) + exp(-x)) / 2."""
    return torch.cosh(floats(x))


@operation(rules.as_float, pointwise)
def tanh(x: Any) -> Any:
    """Return sinh(x) / cosh(x)."""
    return torch.tanh(floats(x))


@operation(rules.as_float, pointwise)
def arcsinh(x: Any) -> Any:
    """Return the number whose sinh is x."""
    return torch.arcsinh(floats(x))


@operation(rules.as_float, pointwise)
def arccosh(x: Any) -> Any:
    """Return the number ≥ 0 whose cosh is x."""
    return torch.arccosh(floats(x))


@operation(rules.as_float, pointwise)
def arctanh(x: Any) -> Any:
    """Return the number whose tanh is x."""
    return torch.arctanh(floats(x))


@operation(rules.as_float, pointwise)
def deg2rad(x: Any) -> Any:
    """Return degrees as radians."""
    return torch.deg2rad(floats(x))


@operation(rules.as_float, pointwise)
def rad2deg(x: Any) -> Any:
    """Return radians as degrees."""
    return torch.rad2deg(floats(x))


@operation(rules.as_float, pointwise)
def sinc(x: Any) -> Any:
    """Return sin(πx) / (πx), 1 at 0."""
    return torch.sinc(floats(x))


# Rounding


@operation(rules.as_float, pointwise)
def floor(x: Any) -> Any:
    """Return the greatest whole number ≤ x, as a float."""
    return torch.floor(floats(x))


@operation(rules.as_float, pointwise)
def ceil(x: Any) -> Any:
    """Return the least whole number ≥ x, as a float."""
    return torch.ceil(floats(x))


@operation(rules.float_kept, pointwise)
def trunc(x: Any) -> Any:
    """Return x without what follows the point."""
    x = tensor(x)
    return x if dtype(x) == "bool" else torch.trunc(x)


@operation(mask=pointwise)
def round(x: Any, decimals: int = 0) -> Any:
    """Return x rounded to ``decimals`` places, halves to the even neighbour."""
    x = tensor(x)
    if "float" in dtype(x):
        return torch.round(x, decimals=decimals)
    return torch.round(floats(x), decimals=decimals).to(getattr(torch, dtype(x)))


# Of the normal distribution


@operation(rules.as_float, pointwise)
def erf(x: Any) -> Any:
    """Return 2 / √π · ∫₀ˣ exp(-t²) dt."""
    return torch.erf(floats(x))


@operation(rules.as_float, pointwise)
def erfc(x: Any) -> Any:
    """Return 1 - erf(x), exact where erf(x) is near 1."""
    return torch.erfc(floats(x))


@operation(rules.as_float, pointwise)
def erfinv(x: Any) -> Any:
    """Return the number whose erf is x."""
    return torch.erfinv(floats(x))


# Of whole numbers, and by other names


@operation(rules.as_float, pointwise)
def fabs(x: Any) -> Any:
    """Return |x| as a float."""
    return torch.abs(floats(x))


@operation(rules.as_float, pointwise)
def i0(x: Any) -> Any:
    """Return the modified Bessel function of the first kind, of order 0."""
    return torch.i0(floats(x))

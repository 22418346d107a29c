"""Functions of one number each: powers and roots, exponentials, angles, rounding. Whole numbers become floats where needed."""

from __future__ import annotations

from typing import Any

import torch

from anabranch.ops._public import public
from anabranch.ops._values import dtype, floats, tensor, whole

# Sign and size


@public
def absolute(x: Any) -> Any:
    """Return |x|."""
    return torch.abs(whole(x))


abs = absolute


@public
def negative(x: Any) -> Any:
    """Return -x."""
    return torch.neg(tensor(x))


@public
def sign(x: Any) -> Any:
    """Return -1, 0 or 1."""
    return torch.sign(whole(x))


@public
def signbit(x: Any) -> Any:
    """Return whether the sign is minus, which that of -0.0 is."""
    return torch.signbit(tensor(x))


# Powers and roots


@public
def square(x: Any) -> Any:
    """Return x²."""
    return torch.square(whole(x))


@public
def sqrt(x: Any) -> Any:
    """Return √x."""
    return torch.sqrt(floats(x))


@public
def cbrt(x: Any) -> Any:
    """Return the cube root, of negative numbers too."""
    x = floats(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@public
def rsqrt(x: Any) -> Any:
    """Return 1 / √x."""
    return torch.rsqrt(floats(x))


@public
def reciprocal(x: Any) -> Any:
    """Return 1 / x."""
    return torch.reciprocal(tensor(x))


# Exponentials and logarithms


@public
def exp(x: Any) -> Any:
    """Return e to the power of x."""
    return torch.exp(floats(x))


@public
def exp2(x: Any) -> Any:
    """Return 2 to the power of x."""
    return torch.exp2(floats(x))


@public
def expm1(x: Any) -> Any:
    """Return exp(x) - 1, exact where x is near 0."""
    return torch.expm1(floats(x))


@public
def log(x: Any) -> Any:
    """Return the natural logarithm."""
    return torch.log(floats(x))


@public
def log1p(x: Any) -> Any:
    """Return log(1 + x), exact where x is near 0."""
    return torch.log1p(floats(x))


@public
def log2(x: Any) -> Any:
    """Return the logarithm to the base 2."""
    return torch.log2(floats(x))


@public
def log10(x: Any) -> Any:
    """Return the logarithm to the base 10."""
    return torch.log10(floats(x))


# Angles, in radians


@public
def sin(x: Any) -> Any:
    """Return the sine of x radians."""
    return torch.sin(floats(x))


@public
def cos(x: Any) -> Any:
    """Return the cosine of x radians."""
    return torch.cos(floats(x))


@public
def tan(x: Any) -> Any:
    """Return the tangent of x radians."""
    return torch.tan(floats(x))


@public
def arcsin(x: Any) -> Any:
    """Return the angle in [-π/2, π/2] whose sine is x."""
    return torch.arcsin(floats(x))


@public
def arccos(x: Any) -> Any:
    """Return the angle in [0, π] whose cosine is x."""
    return torch.arccos(floats(x))


@public
def arctan(x: Any) -> Any:
    """Return the angle in (-π/2, π/2) whose tangent is x."""
    return torch.arctan(floats(x))


@public
def sinh(x: Any) -> Any:
    """Return (exp(x) - exp(-x)) / 2."""
    return torch.sinh(floats(x))


@public
def cosh(x: Any) -> Any:
    """Return (exp(x) + exp(-x)) / 2."""
    return torch.cosh(floats(x))


@public
def tanh(x: Any) -> Any:
    """Return sinh(x) / cosh(x)."""
    return torch.tanh(floats(x))


@public
def arcsinh(x: Any) -> Any:
    """Return the number whose sinh is x."""
    return torch.arcsinh(floats(x))


@public
def arccosh(x: Any) -> Any:
    """Return the number ≥ 0 whose cosh is x."""
    return torch.arccosh(floats(x))


@public
def arctanh(x: Any) -> Any:
    """Return the number whose tanh is x."""
    return torch.arctanh(floats(x))


@public
def deg2rad(x: Any) -> Any:
    """Return degrees as radians."""
    return torch.deg2rad(floats(x))


@public
def rad2deg(x: Any) -> Any:
    """Return radians as degrees."""
    return torch.rad2deg(floats(x))


@public
def sinc(x: Any) -> Any:
    """Return sin(πx) / (πx), 1 at 0."""
    return torch.sinc(floats(x))


# Rounding


@public
def floor(x: Any) -> Any:
    """Return the greatest whole number ≤ x, as a float."""
    return torch.floor(floats(x))


@public
def ceil(x: Any) -> Any:
    """Return the least whole number ≥ x, as a float."""
    return torch.ceil(floats(x))


@public
def trunc(x: Any) -> Any:
    """Return x without what follows the point."""
    x = tensor(x)
    return x if dtype(x) == "bool" else torch.trunc(x)


@public
def round(x: Any, decimals: int = 0) -> Any:
    """Return x rounded to ``decimals`` places, halves to the even neighbour."""
    x = tensor(x)
    if "float" in dtype(x):
        return torch.round(x, decimals=decimals)
    return torch.round(floats(x), decimals=decimals).to(getattr(torch, dtype(x)))


# Of the normal distribution


@public
def erf(x: Any) -> Any:
    """Return 2 / √π · ∫₀ˣ exp(-t²) dt."""
    return torch.erf(floats(x))


@public
def erfc(x: Any) -> Any:
    """Return 1 - erf(x), exact where erf(x) is near 1."""
    return torch.erfc(floats(x))


@public
def erfinv(x: Any) -> Any:
    """Return the number whose erf is x."""
    return torch.erfinv(floats(x))


# Of whole numbers, and by other names


@public
def fabs(x: Any) -> Any:
    """Return |x| as a float."""
    return torch.abs(floats(x))


@public
def i0(x: Any) -> Any:
    """Return the modified Bessel function of the first kind, of order 0."""
    return torch.i0(floats(x))

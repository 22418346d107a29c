"""Functions of angles in radians: trigonometric and hyperbolic, and their inverses."""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import floats


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
def sinh(x: TensorLike) -> Tensor:
    """Return (exp(x) - exp(-x)) / 2.

    >>> sinh([-1.5, 0.0, 2.0])
    tensor([-2.1293,  0.0000,  3.6269])
    """
    return torch.sinh(floats(x))


@operation(rules.as_float, pointwise)
def cosh(x: TensorLike) -> Tensor:
    """Return (exp(x) + exp(-x)) / 2.

    >>> cosh([-1.5, 0.0, 2.0])
    tensor([2.3524, 1.0000, 3.7622])
    """
    return torch.cosh(floats(x))


@operation(rules.as_float, pointwise)
def tanh(x: TensorLike) -> Tensor:
    """Return (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    >>> tanh([-1.5, 0.0, 2.0])
    tensor([-0.9051,  0.0000,  0.9640])
    """
    return torch.tanh(floats(x))


@operation(rules.as_float, pointwise)
def arcsinh(x: TensorLike) -> Tensor:
    """Return log(x + √(x² + 1)), the inverse of sinh.

    >>> arcsinh([-1.5, 0.0, 2.0])
    tensor([-1.1948,  0.0000,  1.4436])
    """
    return torch.arcsinh(floats(x))


@operation(rules.as_float, pointwise)
def arccosh(x: TensorLike) -> Tensor:
    """Return log(x + √(x² - 1)), the inverse of cosh; NaN below 1.

    >>> arccosh([1.0, 2.0])
    tensor([0.0000, 1.3170])
    """
    return torch.arccosh(floats(x))


@operation(rules.as_float, pointwise)
def arctanh(x: TensorLike) -> Tensor:
    """Return log((1 + x) / (1 - x)) / 2, the inverse of tanh; NaN outside [-1, 1].

    >>> arctanh([0.0, 0.5])
    tensor([0.0000, 0.5493])
    """
    return torch.arctanh(floats(x))


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

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
    """Return the sine of x radians.

    Args:
        x: the input, of any shape.

    Example:
        >>> sin([-1.5, 0.0, 2.0])
        tensor([-0.9975,  0.0000,  0.9093])
    """
    return torch.sin(floats(x))


@operation(rules.as_float, pointwise)
def cos(x: TensorLike) -> Tensor:
    """Return the cosine of x radians.

    Args:
        x: the input, of any shape.

    Example:
        >>> cos([-1.5, 0.0, 2.0])
        tensor([ 0.0707,  1.0000, -0.4161])
    """
    return torch.cos(floats(x))


@operation(rules.as_float, pointwise)
def tan(x: TensorLike) -> Tensor:
    """Return the tangent of x radians.

    Args:
        x: the input, of any shape.

    Example:
        >>> tan([-1.5, 0.0, 2.0])
        tensor([-14.1014,   0.0000,  -2.1850])
    """
    return torch.tan(floats(x))


@operation(rules.as_float, pointwise)
def arcsin(x: TensorLike) -> Tensor:
    """Return the angle in [-π/2, π/2] whose sine is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arcsin([0.0, 0.5])
        tensor([0.0000, 0.5236])
    """
    return torch.arcsin(floats(x))


@operation(rules.as_float, pointwise)
def arccos(x: TensorLike) -> Tensor:
    """Return the angle in [0, π] whose cosine is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arccos([0.0, 0.5])
        tensor([1.5708, 1.0472])
    """
    return torch.arccos(floats(x))


@operation(rules.as_float, pointwise)
def arctan(x: TensorLike) -> Tensor:
    """Return the angle in (-π/2, π/2) whose tangent is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arctan([-1.5, 0.0, 2.0])
        tensor([-0.9828,  0.0000,  1.1071])
    """
    return torch.arctan(floats(x))


@operation(rules.as_float, pointwise)
def sinh(x: TensorLike) -> Tensor:
    """Return (exp(x) - exp(-x)) / 2.

    Args:
        x: the input, of any shape.

    Example:
        >>> sinh([-1.5, 0.0, 2.0])
        tensor([-2.1293,  0.0000,  3.6269])
    """
    return torch.sinh(floats(x))


@operation(rules.as_float, pointwise)
def cosh(x: TensorLike) -> Tensor:
    """Return (exp(x) + exp(-x)) / 2.

    Args:
        x: the input, of any shape.

    Example:
        >>> cosh([-1.5, 0.0, 2.0])
        tensor([2.3524, 1.0000, 3.7622])
    """
    return torch.cosh(floats(x))


@operation(rules.as_float, pointwise)
def tanh(x: TensorLike) -> Tensor:
    """Return sinh(x) / cosh(x).

    Args:
        x: the input, of any shape.

    Example:
        >>> tanh([-1.5, 0.0, 2.0])
        tensor([-0.9051,  0.0000,  0.9640])
    """
    return torch.tanh(floats(x))


@operation(rules.as_float, pointwise)
def arcsinh(x: TensorLike) -> Tensor:
    """Return the number whose sinh is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arcsinh([-1.5, 0.0, 2.0])
        tensor([-1.1948,  0.0000,  1.4436])
    """
    return torch.arcsinh(floats(x))


@operation(rules.as_float, pointwise)
def arccosh(x: TensorLike) -> Tensor:
    """Return the number ≥ 0 whose cosh is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arccosh([1.0, 2.0])
        tensor([0.0000, 1.3170])
    """
    return torch.arccosh(floats(x))


@operation(rules.as_float, pointwise)
def arctanh(x: TensorLike) -> Tensor:
    """Return the number whose tanh is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> arctanh([0.0, 0.5])
        tensor([0.0000, 0.5493])
    """
    return torch.arctanh(floats(x))


@operation(rules.as_float, pointwise)
def deg2rad(x: TensorLike) -> Tensor:
    """Return degrees as radians.

    Args:
        x: the input, of any shape.

    Example:
        >>> deg2rad([-1.5, 0.0, 2.0])
        tensor([-0.0262,  0.0000,  0.0349])
    """
    return torch.deg2rad(floats(x))


@operation(rules.as_float, pointwise)
def rad2deg(x: TensorLike) -> Tensor:
    """Return radians as degrees.

    Args:
        x: the input, of any shape.

    Example:
        >>> rad2deg([-1.5, 0.0, 2.0])
        tensor([-85.9437,   0.0000, 114.5916])
    """
    return torch.rad2deg(floats(x))


@operation(rules.as_float, pointwise)
def sinc(x: TensorLike) -> Tensor:
    """Return sin(πx) / (πx), 1 at 0.

    Args:
        x: the input, of any shape.

    Example:
        >>> sinc([-1.5, 0.0, 2.0])
        tensor([-2.1221e-01,  1.0000e+00,  2.7828e-08])
    """
    return torch.sinc(floats(x))

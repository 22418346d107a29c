"""Hyperbolic functions and their inverses, element by element. Integers become floats."""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import floats


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

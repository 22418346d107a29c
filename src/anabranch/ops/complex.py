"""Complex numbers: their parts, their angle, their conjugate."""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import dtype, floats, tensor


@operation(rules.unchanged, pointwise)
def real(x: TensorLike) -> Tensor:
    """Return the real part; x itself where it is real.

    >>> real([1 + 2j, 3.0])
    tensor([1., 3.])
    """
    x = tensor(x)
    return torch.real(x) if "complex" in dtype(x) else x


@operation(rules.unchanged, pointwise)
def imag(x: TensorLike) -> Tensor:
    """Return the imaginary part, 0 of what is real.

    >>> imag([1 + 2j, 3.0])
    tensor([2., 0.])
    """
    x = tensor(x)
    return torch.imag(x) if "complex" in dtype(x) else torch.zeros_like(x)


@operation(rules.unchanged, pointwise)
def conjugate(x: TensorLike) -> Tensor:
    """Return the complex conjugate.

    >>> conjugate([1 + 2j])
    tensor([1.-2.j])
    """
    return torch.conj_physical(tensor(x))


conj = conjugate


@operation(rules.as_float, pointwise)
def angle(x: TensorLike) -> Tensor:
    """Return the angle of complex numbers in radians, from -π to π; of a real number 0 or π.

    >>> angle([1j, -1.0, 1.0])
    tensor([1.5708, 3.1416, 0.0000])
    """
    return torch.angle(floats(x))


@operation(rules.boolean, pointwise)
def isreal(x: TensorLike) -> Tensor:
    """Return True where the imaginary part is 0.

    >>> isreal([1 + 2j, 3.0])
    tensor([False,  True])
    """
    return torch.isreal(tensor(x))

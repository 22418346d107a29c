"""Integers: their bits, common divisors and multiples."""

from __future__ import annotations

import operator

from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import operands, pair, tensor

ARGUMENTS = {
    "x": "the first operand, integers.",
    "y": "the second operand, integers; the two broadcast.",
    "x1": "the first operand, integers.",
    "x2": "the second operand, integers; the two broadcast.",
}


@operation(mask=pointwise)
def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the bitwise and.

    >>> bitwise_and([6, 12], [4, 2])
    tensor([4, 0], dtype=torch.int32)
    """
    return operator.and_(*operands(x, y))


@operation(mask=pointwise)
def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the bitwise or.

    >>> bitwise_or([6, 12], [4, 2])
    tensor([ 6, 14], dtype=torch.int32)
    """
    return operator.or_(*operands(x, y))


@operation(mask=pointwise)
def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the bitwise exclusive or.

    >>> bitwise_xor([6, 12], [4, 2])
    tensor([ 2, 14], dtype=torch.int32)
    """
    return operator.xor(*operands(x, y))


@operation(mask=pointwise)
def bitwise_not(x: TensorLike) -> Tensor:
    """Return the bitwise complement; of booleans, logical not.

    Args:
        x: integers or booleans, of any shape.

    >>> bitwise_not([0, 5])
    tensor([-1, -6], dtype=torch.int32)
    """
    return torch.bitwise_not(tensor(x))


bitwise_invert = bitwise_not


@operation(mask=pointwise)
def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x · 2^y: the bits shifted to the left.

    >>> bitwise_left_shift([6, 12], [4, 2])
    tensor([96, 48], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(*pair(x, y))


left_shift = bitwise_left_shift


@operation(mask=pointwise)
def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """Return ⌊x / 2^y⌋: the bits shifted to the right.

    >>> bitwise_right_shift([6, 12], [4, 2])
    tensor([0, 3], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(*pair(x, y))


right_shift = bitwise_right_shift


@operation(mask=pointwise)
def gcd(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the greatest common divisor.

    >>> gcd([6, 12], [4, 2])
    tensor([2, 2], dtype=torch.int32)
    """
    return torch.gcd(*pair(x1, x2))


@operation(mask=pointwise)
def lcm(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the least common multiple.

    >>> lcm([6, 12], [4, 2])
    tensor([12, 12], dtype=torch.int32)
    """
    return torch.lcm(*pair(x1, x2))

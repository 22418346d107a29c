"""Whole numbers: their bits, common divisors and multiples."""

from __future__ import annotations

import operator
from typing import Any

from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._values import operands, pair, tensor


@operation(mask=pointwise)
def bitwise_and(x: Any, y: Any) -> Any:
    """Return the bits that both have."""
    return operator.and_(*operands(x, y))


@operation(mask=pointwise)
def bitwise_or(x: Any, y: Any) -> Any:
    """Return the bits that at least one has."""
    return operator.or_(*operands(x, y))


@operation(mask=pointwise)
def bitwise_xor(x: Any, y: Any) -> Any:
    """Return the bits that exactly one has."""
    return operator.xor(*operands(x, y))


@operation(mask=pointwise)
def bitwise_not(x: Any) -> Any:
    """Return the bits that it lacks."""
    return torch.bitwise_not(tensor(x))


bitwise_invert = bitwise_not


@operation(mask=pointwise)
def bitwise_left_shift(x: Any, y: Any) -> Any:
    """Return x · 2^y."""
    return torch.bitwise_left_shift(*pair(x, y))


left_shift = bitwise_left_shift


@operation(mask=pointwise)
def bitwise_right_shift(x: Any, y: Any) -> Any:
    """Return x / 2^y without what follows the point."""
    return torch.bitwise_right_shift(*pair(x, y))


right_shift = bitwise_right_shift


@operation(mask=pointwise)
def gcd(x1: Any, x2: Any) -> Any:
    """Return the greatest common divisor."""
    return torch.gcd(*pair(x1, x2))


@operation(mask=pointwise)
def lcm(x1: Any, x2: Any) -> Any:
    """Return the least common multiple."""
    return torch.lcm(*pair(x1, x2))

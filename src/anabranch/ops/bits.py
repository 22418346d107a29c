"""Whole numbers: their bits, common divisors and multiples."""

from __future__ import annotations

import operator
from typing import Any

import torch

from anabranch.ops._public import public
from anabranch.ops._values import operands, pair, tensor


@public
def bitwise_and(x: Any, y: Any) -> Any:
    """Return the bits that both have."""
    return operator.and_(*operands(x, y))


@public
def bitwise_or(x: Any, y: Any) -> Any:
    """Return the bits that at least one has."""
    return operator.or_(*operands(x, y))


@public
def bitwise_xor(x: Any, y: Any) -> Any:
    """Return the bits that exactly one has."""
    return operator.xor(*operands(x, y))


@public
def bitwise_not(x: Any) -> Any:
    """Return the bits that it lacks."""
    return torch.bitwise_not(tensor(x))


bitwise_invert = bitwise_not


@public
def bitwise_left_shift(x: Any, y: Any) -> Any:
    """Return x · 2^y."""
    return torch.bitwise_left_shift(*pair(x, y))


left_shift = bitwise_left_shift


@public
def bitwise_right_shift(x: Any, y: Any) -> Any:
    """Return x / 2^y without what follows the point."""
    return torch.bitwise_right_shift(*pair(x, y))


right_shift = bitwise_right_shift


@public
def gcd(x1: Any, x2: Any) -> Any:
    """Return the greatest common divisor."""
    return torch.gcd(*pair(x1, x2))


@public
def lcm(x1: Any, x2: Any) -> Any:
    """Return the least common multiple."""
    return torch.lcm(*pair(x1, x2))

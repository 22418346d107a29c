"""How many threads of a CPU torch computes with: little work is done sooner by one, as several wait for each other.

Torch itself gives an operation element by element to one thread where it has less than ``ELEMENTS`` of them; matrix products
and fused updates it does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

ELEMENTS = 1 << 15
"""Elements of a tensor below which one thread updates it: Adam of 500 small weights takes 2.0 ms in two, 0.65 in one."""

PRODUCTS = 1 << 20
"""Multiplications in a matrix product below which one thread does it.

On two cores, µs in one thread and in two: 2¹⁷ multiplications 4 and 8, 2¹⁹ 12 and 16, 2²⁰ 23 and 23, 2²¹ 44 and 33.
"""


def threads() -> int:
    """Return how many threads torch computes with."""
    return torch.get_num_threads()


@contextlib.contextmanager
def threads_restored() -> Iterator[int]:
    """Give the number of threads, to which it is set back after the block, whatever happens there."""
    usual = torch.get_num_threads()
    try:
        yield usual
    finally:
        if torch.get_num_threads() != usual:
            torch.set_num_threads(usual)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in the block."""
    with threads_restored() as usual:
        if usual > 1:
            torch.set_num_threads(1)
        yield

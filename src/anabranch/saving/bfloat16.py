"""bfloat16, which NumPy lacks, as its bits: the upper half of a float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def bits_of(values: Array) -> Array:
    """Return the bits of float32 values that are bfloat16's."""
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


def from_bits(bits: Array) -> Array:
    """Return bfloat16 as float32, which holds it exactly."""
    return (bits.astype("<u4") << 16).view("<f4")

"""The floats that NumPy lacks, as their bits: bfloat16, the upper half of a float32, and the two of eight bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BITS = {"bfloat16": "<u2", "float8_e4m3fn": "u1", "float8_e5m2": "u1"}  # of each, as an integer of NumPy's
_BIAS = 256  # 2^8: the exponent of e4m3fn counts from 7, that of a float16 from 15


def bits_of(values: Array, dtype: str) -> Array:
    """Return the bits of float32 values that are a narrow float's."""
    import numpy as np

    if dtype == "bfloat16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2")
    if dtype == "float8_e5m2":
        return (values.astype("<f2").view("<u2") >> 8).astype("u1")
    size = np.abs(np.nan_to_num(values, nan=0.0)) / _BIAS
    bits = np.where(np.isnan(values), 0x7F, size.astype("<f2").view("<u2") >> 7)
    found: Array = (bits | (np.signbit(values) << 7)).astype("u1")
    return found


def from_bits(bits: Array, dtype: str) -> Array:
    """Return a narrow float as float32, which holds it exactly."""
    import numpy as np

    if dtype == "bfloat16":
        return (bits.astype("<u4") << 16).view("<f4")
    if dtype == "float8_e5m2":  # the upper half of a float16
        return (bits.astype("<u2") << 8).view("<f2").astype("<f4")
    magnitude = bits & 0x7F
    size = (magnitude.astype("<u2") << 7).view("<f2").astype("<f4") * _BIAS
    return np.where(magnitude == 0x7F, np.float32(np.nan), np.where(bits >> 7, -size, size))

"""Arrays by path in safetensors; floats that NumPy lacks are read as float32, which holds them exactly."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anabranch._errors import FileFormatError
from anabranch.saving import bfloat16
from anabranch.saving.matching import Stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def written(arrays: Mapping[str, Array]) -> bytes:
    """Return a file of these arrays."""
    import numpy as np
    from safetensors.numpy import save

    return save({path: np.array(values, order="C") for path, values in arrays.items()})


def stored(data: bytes, source: str) -> dict[str, Stored]:
    """Return the arrays of a file by path.

    Args:
        data: the file.
        source: what errors call it.

    Raises:
        FileFormatError: the file is damaged.
    """
    from safetensors import SafetensorError, deserialize

    try:
        held = deserialize(data)  # type: ignore[no-untyped-call]  # of a module in Rust
    except SafetensorError as error:
        raise FileFormatError(f"{source} is damaged or no safetensors file.", got=str(error)) from error
    return {path: Stored(tuple(tensor["shape"]), functools.partial(_values, path, tensor)) for path, tensor in held}


_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4",
    "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "?", "BF16": "<u2", "F8_E5M2": "u1", "F8_E4M3": "u1",
}  # fmt: skip


def _values(name: str, tensor: Mapping[str, Any]) -> Array:
    """Return the values of one tensor of a file; floats that NumPy lacks become float32, which holds them exactly."""
    import numpy as np

    kind = tensor["dtype"]
    if kind not in _TYPES:
        raise FileFormatError(f"{name!r} has a type that no weight has.", expected=", ".join(_TYPES), got=kind)
    values = np.frombuffer(tensor["data"], _TYPES[kind]).reshape(tensor["shape"])
    if kind == "BF16":
        return bfloat16.from_bits(values)
    if kind == "F8_E5M2":  # the upper half of a float16
        return (values.astype("<u2") << 8).view("<f2").astype("<f4")
    if kind == "F8_E4M3":  # a float16 whose exponent counts from 7 instead of 15; its last value is NaN
        size = ((values & 0x7F).astype("<u2") << 7).view("<f2").astype("<f4") * 256
        return np.where((values & 0x7F) == 0x7F, np.float32(np.nan), np.where(values >> 7, -size, size))
    return values

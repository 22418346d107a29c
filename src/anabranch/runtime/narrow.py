"""Arrays of the narrow floats that torch has and NumPy lacks, which ``ml_dtypes`` adds to it: bfloat16, float8."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from anabranch._errors import DtypeError
from anabranch.graph.rules import SIGNED

_NARROW = frozenset((
    "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
))  # fmt: skip


def is_narrow(array: np.ndarray[Any, Any]) -> bool:
    """Return whether an array has one of these types, and this version of torch has it as well."""
    return array.dtype.name in _NARROW and array.dtype.name in vars(torch)


def holds_numbers(array: np.ndarray[Any, Any]) -> bool:
    """Return whether an array has a type that a tensor can have: booleans, integers, floats, complex, these too."""
    return array.dtype.kind in "biufc" or is_narrow(array)


def from_array(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a tensor that shares the memory of an array, of the same type."""
    if array.dtype.isbuiltin == 1 or not is_narrow(array):
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(f"u{array.dtype.itemsize}")).view(getattr(torch, array.dtype.name))


def signed(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array; unsigned integers of more than 8 bits, for which torch has few functions, as wider ones with a sign."""
    if array.dtype.name not in SIGNED:
        return array
    if array.dtype.itemsize == 8 and (array >= 2**63).any():
        raise DtypeError("An integer does not fit 64 bits with a sign.", got=f"uint64 up to {array.max()}", repair="floats")
    return array.astype(SIGNED[array.dtype.name])


def computable(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a tensor that shares the memory of an array; float8, in which torch computes nothing, as float32."""
    tensor = from_array(array)
    return tensor.float() if tensor.dtype.itemsize == 1 and tensor.is_floating_point() else tensor

"""Narrow types: floats that NumPy has from ``ml_dtypes`` alone (bfloat16, float8), and integers that must fit fewer bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from anabranch._errors import DataError, DtypeError
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
    """Return a tensor of an array's type, on its memory unless torch cannot read that: another byte order, steps backwards."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(step < 0 for step in array.strides):
        array = array.copy()
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


def check_fits(tensor: torch.Tensor, dtype: torch.dtype, what: str) -> None:
    """Raise where values on the host do not fit the integers that they are cast to, which would wrap without a word.

    Args:
        tensor: the values.
        dtype: what they are cast to.
        what: what they are, in the error.
    """
    if dtype.is_floating_point or dtype.is_complex or dtype is torch.bool or tensor.dtype in (dtype, torch.bool):
        return
    limits = torch.iinfo(dtype)
    if tensor.is_complex() or (not tensor.is_floating_point() and _within(torch.iinfo(tensor.dtype), limits)):
        return
    low, high = ends(tensor) or (0, 0)
    if not limits.min <= low <= high <= limits.max:
        kind = str(dtype).removeprefix("torch.")
        raise DataError(
            f"{what} holds what does not fit {kind}.", expected=f"integers from {limits.min} to {limits.max}",
            got=str(low if low < limits.min else high), repair="dtype='int64', where the values are right",
        )  # fmt: skip


def ends(tensor: torch.Tensor) -> tuple[float, float] | None:
    """Return the least and the greatest value; None of what is traced, or on a device, which would have to be waited for."""
    if type(tensor) not in _PLAIN or not tensor.is_cpu or not tensor.numel():
        return None
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # inside torch.vmap
        return None
    with torch._C._DisableTorchDispatch():  # constants have values while a call is described
        values = tensor.long() if str(tensor.dtype).startswith("torch.uint") else tensor.detach()
        low, high = torch.aminmax(values)
        return low.item(), high.item()


_PLAIN = (torch.Tensor, torch.nn.Parameter)


def _within(inner: torch.iinfo, outer: torch.iinfo) -> bool:
    return outer.min <= inner.min and inner.max <= outer.max


def computable(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a tensor that shares the memory of an array; float8, in which torch computes nothing, as float32."""
    tensor = from_array(array)
    return tensor.float() if tensor.dtype.itemsize == 1 and tensor.is_floating_point() else tensor

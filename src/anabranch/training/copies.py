"""Copies of tensors in a nest of plain values, taken at once and read later by the thread that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_BITS = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8}
"""Integers of the size of what NumPy lacks."""


class Copy:
    """A copy of a tensor on its device; a call returns it as an array."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor.detach().as_subclass(torch.Tensor).clone()

    def __call__(self) -> np.ndarray[Any, Any]:
        """Return the values, C-contiguous, on the host; of floats that NumPy lacks their bits."""
        tensor = self._tensor.cpu().contiguous()
        found: np.ndarray[Any, Any] = tensor.view(_BITS.get(tensor.dtype, tensor.dtype)).numpy()
        return found


def copied(nest: Any) -> Any:
    """Return a nest with a copy in the place of each tensor and array."""
    if isinstance(nest, torch.Tensor):
        dense = nest.layout is torch.strided and not nest.is_contiguous()
        strides = list(nest.stride()) if dense else None
        return {"tensor": Copy(nest), "dtype": str(nest.dtype).removeprefix("torch."), "strides": strides}
    if isinstance(nest, np.ndarray):
        return nest.copy()
    if isinstance(nest, Mapping):
        return {key: copied(value) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        return [copied(value) for value in nest] if isinstance(nest, list) else tuple(map(copied, nest))
    return nest


def restored(nest: Any) -> Any:
    """Return a nest with tensors in the place of what ``copied`` made of them, in their layout."""
    if isinstance(nest, dict):
        if nest.keys() != {"tensor", "dtype", "strides"}:
            return {key: restored(value) for key, value in nest.items()}
        tensor = torch.from_numpy(np.array(nest["tensor"])).view(getattr(torch, nest["dtype"]))
        if nest["strides"] is None:
            return tensor
        return torch.empty_strided(tensor.shape, nest["strides"], dtype=tensor.dtype).copy_(tensor)
    if isinstance(nest, (list, tuple)):
        return [restored(value) for value in nest] if isinstance(nest, list) else tuple(map(restored, nest))
    return nest

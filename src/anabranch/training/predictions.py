"""Predictions: the outputs of all batches, copied into arrays that are allocated once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from anabranch._errors import ShapeError


class Collector:
    """Gathers outputs on the CPU; a batch is copied while the device computes the next one."""

    def __init__(self, samples: int | None) -> None:
        self._samples = samples
        self._whole: list[torch.Tensor] | None = None
        self._parts: list[list[torch.Tensor]] = []
        self._waiting: tuple[list[torch.Tensor], int] | None = None
        self._filled = 0

    def add(self, outputs: list[torch.Tensor], size: int) -> None:
        """Take one batch's outputs."""
        self._store()
        self._waiting = outputs, size

    def _store(self) -> None:
        if self._waiting is None:
            return
        outputs, size = self._waiting
        self._waiting = None
        if self._samples is None or any(output.ndim == 0 or output.shape[0] != size for output in outputs):
            self._parts.append([output.cpu() for output in outputs])
            return
        if self._whole is None:
            self._whole = [torch.empty((self._samples, *o.shape[1:]), dtype=o.dtype) for o in outputs]
        for whole, output in zip(self._whole, outputs, strict=True):
            if whole.shape[1:] != output.shape[1:]:
                raise ShapeError(
                    "The outputs of the batches have different shapes and cannot be joined into one array.",
                    expected=f"(batch, {', '.join(map(str, whole.shape[1:]))})",
                    got=str(tuple(output.shape)),
                    repair="predict_on_batch returns one batch at a time",
                )
            whole[self._filled : self._filled + size].copy_(output)
        self._filled += size

    def arrays(self) -> list[np.ndarray[Any, Any]]:
        """Return one array for each output, its batches joined."""
        self._store()
        if self._whole is not None and not self._parts:
            return [numpy(whole[: self._filled]) for whole in self._whole]
        joined = [torch.cat(parts) if parts[0].ndim else torch.stack(parts) for parts in zip(*self._parts, strict=True)]
        return [numpy(tensor) for tensor in joined]


def owned(output: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return one batch's output as an array that owns its memory; a scalar as an array of one."""
    return numpy(output.clone() if output.ndim else output.reshape(1))


def numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor as an array; bfloat16, which NumPy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    array: np.ndarray[Any, Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array

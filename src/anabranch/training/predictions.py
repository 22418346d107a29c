"""Predictions: the outputs of all batches, copied into arrays that are allocated once."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch

from anabranch._asked import described
from anabranch._errors import DtypeError, ShapeError
from anabranch.training.moving import Mark, Mover

_AHEAD = 4
"""How many batches of outputs may be on their way, each in pinned memory of its own."""

Fetched = tuple[torch.Tensor, Mark | None]


class Collector:
    """Gathers outputs on the host; those of a device are copied to pinned memory while it computes the next batches.

    Args:
        samples: how many there will be; None where unknown.
        mover: the device's queues; None for outputs of the host.
    """

    def __init__(self, samples: int | None, mover: Mover | None = None) -> None:
        self._samples, self._mover = samples, mover
        self._whole: list[torch.Tensor] | None = None
        self._parts: list[list[torch.Tensor]] = []
        self._waiting: deque[tuple[list[Fetched], int]] = deque()
        self._filled = 0

    def add(self, outputs: list[torch.Tensor], size: int) -> None:
        """Take one batch's outputs."""
        self._waiting.append(([self._fetched(output) for output in outputs], size))
        while len(self._waiting) > (_AHEAD if self._mover else 1):
            self._store()

    def _fetched(self, output: torch.Tensor) -> Fetched:
        return (output, None) if self._mover is None or not self._mover.has(output) else self._mover.fetch(output)

    def _store(self) -> None:
        found, size = self._waiting.popleft()
        for _, mark in found:
            if mark is not None:
                mark.synchronize()
        outputs = [output for output, _ in found]
        if self._samples is None or any(output.ndim == 0 or output.shape[0] != size for output in outputs):
            # what stays is not pinned, however many batches there are
            self._parts.append([output.cpu() if mark is None else output.clone() for output, mark in found])
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
        while self._waiting:
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
    if tensor.is_meta or tensor.layout is not torch.strided:
        raise DtypeError("An output has no values.", expected="a dense tensor with values", got=described(tensor))
    tensor = tensor.detach().cpu()
    array: np.ndarray[Any, Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array

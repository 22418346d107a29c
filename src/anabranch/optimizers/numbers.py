"""The numbers of one update, learning rate and step size: floats, or tensors that a captured update reads."""

from __future__ import annotations

import torch

from anabranch.optimizers.update import Number


class StepNumbers:
    """Learning rate and step size of the next update.

    A CUDA graph goes on reading the tensors it was captured with, so there they are written in place.
    """

    def __init__(self) -> None:
        self.current: tuple[Number, Number] = (0.0, 0.0)
        self.tensors: tuple[torch.Tensor, ...] = ()  # where captured updates read them
        self._written: tuple[float, float] | None = None  # what these hold

    def hold(self, device: torch.device | None) -> None:
        """Use tensors on a device from now on; None for floats."""
        if device is not None and self.tensors and self.tensors[0].device == device:
            return  # captured updates read these
        self.tensors = () if device is None else (torch.zeros((), device=device), torch.zeros((), device=device))
        self._written = None

    def set(self, rate: float, size: float) -> None:
        """Set the numbers of the next update."""
        self.current = rate, size
        if not self.tensors:
            return
        held, sent = self.tensors
        if self._written != (rate, size):
            held.fill_(rate)
            sent.fill_(size)
            self._written = rate, size
        self.current = held, sent

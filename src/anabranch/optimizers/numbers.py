"""The numbers of one update (learning rate, step size, a rule's own): floats, or tensors that a captured update reads."""

from __future__ import annotations

import torch

from anabranch.optimizers.update import Number


class StepNumbers:
    """Learning rate and step size of the next update, and what further numbers its rule follows from the count of updates.

    A CUDA graph goes on reading the tensors it was captured with, so there they are written in place.
    """

    def __init__(self) -> None:
        self.current: tuple[Number, ...] = (0.0, 0.0)
        self.tensors: tuple[torch.Tensor, ...] = ()  # where captured updates read them
        self._written: tuple[float, ...] | None = None  # what these hold

    @property
    def further(self) -> tuple[Number, ...]:
        """What the rule takes besides the step size."""
        return self.current[2:]

    def hold(self, device: torch.device | None, count: int) -> None:
        """Use ``count`` tensors on a device from now on; None for floats."""
        if device is not None and self.tensors and self.tensors[0].device == device:
            return  # captured updates read these
        self.tensors = () if device is None else tuple(torch.zeros((), device=device) for _ in range(count))
        self._written = None

    def set(self, rate: float, size: float, *further: float) -> None:
        """Set the numbers of the next update."""
        self.current = numbers = rate, size, *further
        if not self.tensors:
            return
        if self._written != numbers:
            for held, value in zip(self.tensors, numbers, strict=True):
                held.fill_(value)
            self._written = numbers
        self.current = self.tensors

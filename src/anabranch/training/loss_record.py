"""Running means of losses on the device, read only when asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from anabranch import runtime

_FOLD = 512


class LossRecord:
    """The loss of each step and its number of samples; the mean is over samples, so that a smaller last batch counts less."""

    def __init__(self) -> None:
        self._recent: list[torch.Tensor] = []
        self._folded: list[torch.Tensor] = []
        self._sizes: list[int] = []

    def add(self, value: torch.Tensor, size: int) -> None:
        """Record one step's value, a detached tensor on any device, of which the mean counts; does not synchronize."""
        self._recent.append(value)
        self._sizes.append(size)
        if len(self._recent) == _FOLD:
            self._fold()

    @contextlib.contextmanager
    def set_aside(self) -> Iterator[list[torch.Tensor]]:
        """Return what is recorded inside the block, and drop it afterwards: a step is captured without taking place."""
        before = self._recent, self._sizes
        self._recent, self._sizes = [], []
        try:
            yield self._recent
        finally:
            self._recent, self._sizes = before

    def reset(self) -> None:
        """Drop all steps."""
        self._recent, self._folded, self._sizes = [], [], []

    def _fold(self) -> None:
        if self._recent:
            self._folded.append(torch.stack([value.mean() if value.ndim else value for value in self._recent]))
            self._recent = []

    def values(self) -> torch.Tensor | None:
        """Return the value of each step, shape (steps,), on the CPU; None before the first."""
        self._fold()
        if not self._folded:
            return None
        self._folded = [torch.cat(self._folded)]
        return self._folded[0].cpu()

    def state(self) -> tuple[torch.Tensor | None, list[int]]:
        """Return the values, on their device, and the sizes."""
        self._fold()
        self._folded = [torch.cat(self._folded)] if self._folded else []
        return (self._folded[0] if self._folded else None), list(self._sizes)

    def set_state(self, state: tuple[torch.Tensor | None, list[int]]) -> None:
        """Set what ``state`` returned."""
        values, self._sizes = state
        self._recent, self._folded = [], [] if values is None else [values.to(runtime.device())]

    def mean(self) -> float:
        """Return the mean over samples seen, 0 before the first step; reads the device."""
        values = self.values()
        if values is None:
            return 0.0
        sizes = torch.tensor(self._sizes, dtype=torch.float64)
        # In float32 as Keras's running mean is, after a sum in float64.
        return float(((values.double() * sizes).sum() / sizes.sum()).float())

    def first_nan(self) -> int | None:
        """Return the first step whose value was NaN, counting from 0."""
        values = self.values()
        if values is None:
            return None
        bad = torch.nonzero(torch.isnan(values))
        return int(bad[0, 0]) if len(bad) else None

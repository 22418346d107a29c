"""Dividing gradients by what the loss was multiplied by, and by how many batches they are the sum of."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anabranch.optimizers.parts.step import Step


@dataclass(frozen=True)
class Scale:
    """Divide the gradients: g ← g / divisor."""

    divisor: float

    def __call__(self, step: Step) -> None:
        """Divide in place."""
        if gradients := step.given():
            torch._foreach_div_(gradients, self.divisor)

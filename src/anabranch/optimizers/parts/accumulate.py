"""Accumulating gradients over several batches, so that one update follows from all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch.optimizers.parts._by_parameter import ByParameter, followed


class Accumulated:
    """The sums of gradients so far, and of how many batches they are."""

    def __init__(self) -> None:
        self.sums: ByParameter = {}
        self.count = 0

    def follow(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Forget weights that are no longer trained; sums move to their weights' device."""
        trained = set(parameters)
        self.sums = followed({p: total for p, total in self.sums.items() if p in trained})

    @torch.no_grad()
    def add(self, parameters: Sequence[torch.nn.Parameter], steps: int) -> bool:
        """Add the gradients; return True, the sums in the gradients' place, where they are those of ``steps`` batches.

        What autograd added to the sum itself is there already.
        """
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            total = self.sums.setdefault(parameter, gradient)
            if total is not gradient:
                total.add_(gradient)
        if self.count + 1 < steps:
            self.count += 1
            return False
        for parameter in parameters:
            parameter.grad = self.sums.get(parameter)
        self.sums = {}
        return True

"""The exponential moving average of the weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch.optimizers.parts._by_parameter import ByParameter, followed
from anabranch.optimizers.parts.step import Step


class Averages:
    """Average the weights after each batch: a ← momentum · a + (1 - momentum) · w; the first average is the weights.

    ``overwrite`` puts the averages in the weights' place every so many updates.
    """

    def __init__(self) -> None:
        self.momentum = 0.0
        self.overwrite: int | None = None
        self.values: ByParameter = {}

    def follow(self) -> None:
        """Move the averages to their weights' devices; those of weights that are not trained now stay."""
        self.values = followed(self.values)

    def __call__(self, step: Step) -> None:
        """Average the weights."""
        averages = self.values
        known = [parameter for parameter in step.parameters if step.done and parameter in averages]
        if len(known) < len(step.parameters):
            new = step.parameters if not known else [p for p in step.parameters if p not in averages]
            averages.update({parameter: parameter.detach().clone() for parameter in new})
        if known:
            torch._foreach_lerp_([averages[parameter] for parameter in known], [*known], 1 - self.momentum)
        if self.overwrite and (step.done + 1) % self.overwrite == 0:
            self.put(step.parameters)

    @torch.no_grad()
    def put(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Put the averages in the weights' place."""
        known = [parameter for parameter in parameters if parameter in self.values]
        if known:
            torch._foreach_copy_([*known], [self.values[parameter] for parameter in known])

"""What the parts of an update work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch

from anabranch.graph import Weight
from anabranch.optimizers.update import Number


class Step(NamedTuple):
    """One update: the weights, their gradients, and the numbers of this update."""

    weights: Sequence[Weight]
    parameters: Sequence[torch.nn.Parameter]
    gradients: Sequence[torch.Tensor | None]  # changed in place
    rate: Number  # the learning rate
    size: Number  # the step size, which a rule may derive from the learning rate
    done: int  # how many updates there were before

    def given(self) -> list[torch.Tensor]:
        """Return the gradients that are there."""
        return [gradient for gradient in self.gradients if gradient is not None]


Part: TypeAlias = Callable[[Step], None]

"""Weight decay apart from the gradient (Loshchilov & Hutter 2019), and which weights it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from anabranch.graph import Weight
from anabranch.optimizers.parts.step import Step
from anabranch.optimizers.update import descend


class Decay:
    """Shrink weights before the update: w ← w · (1 - learning rate · factor)."""

    def __init__(self) -> None:
        self.factor = 0.0
        self.excluded: list[Weight] = []
        self.patterns: list[str] = []
        self._listed: frozenset[int] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def exclude(self, weights: Iterable[Weight], patterns: Iterable[str]) -> None:
        """Leave these weights alone, and those in whose name a pattern is found."""
        self.excluded, self.patterns = list(weights), list(patterns)
        self._listed = frozenset(map(id, self.excluded))
        self._pattern = re.compile("|".join(self.patterns)) if self.patterns else None

    def __call__(self, step: Step) -> None:
        """Shrink the weights that have a gradient."""
        listed, pattern = self._listed, self._pattern
        decayed: list[torch.Tensor] = [
            parameter
            for weight, parameter, gradient in zip(step.weights, step.parameters, step.gradients, strict=True)
            if gradient is not None and id(weight) not in listed and not (pattern and pattern.search(weight.name))
        ]
        if decayed:
            descend(decayed, decayed, step.rate * self.factor)

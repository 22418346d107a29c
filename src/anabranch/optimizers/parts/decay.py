"""Weight decay apart from the gradient (Loshchilov & Hutter 2019), and which weights it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch

from anabranch.graph import Weight
from anabranch.optimizers.parts.step import Step
from anabranch.optimizers.update import descend

Exclusions: TypeAlias = tuple[list[int], list[str]]


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

    def exclusions(self, weights: Sequence[Weight]) -> Exclusions:
        """Return which weights are left alone, by their position among ``weights``, and the patterns."""
        return [number for number, weight in enumerate(weights) if id(weight) in self._listed], list(self.patterns)

    def exclude_by_position(self, weights: Sequence[Weight], exclusions: Exclusions | None) -> None:
        """Leave alone what ``exclusions`` returned of weights in the same order; None, of an older state, changes nothing."""
        if exclusions is not None:
            positions, patterns = exclusions
            self.exclude([weights[number] for number in positions], patterns)

    def __call__(self, step: Step) -> None:
        """Shrink the weights that have a gradient."""
        gradients = step.gradients
        decayed: list[torch.Tensor] = [p for p, g in zip(step.parameters, gradients, strict=True) if g is not None]
        if self.excluded or self.patterns:
            chosen = [w for w, g in zip(step.weights, gradients, strict=True) if g is not None]
            decayed = [p for p, weight in zip(decayed, chosen, strict=True) if self._shrinks(weight)]
        if decayed:
            descend(decayed, decayed, step.rate * self.factor)

    def _shrinks(self, weight: Weight) -> bool:
        return id(weight) not in self._listed and not (self._pattern and self._pattern.search(weight.name))

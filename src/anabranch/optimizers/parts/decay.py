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
    """Shrink weights before the update: w ← w · (1 - learning rate · factor); each factor has its weights."""

    def __init__(self) -> None:
        self._chosen: dict[float, list[int]] = {}
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

    def choose(self, weights: Sequence[Weight], factors: Iterable[float | None]) -> bool:
        """Shrink these weights from now on, each by its factor, but for the excluded ones; return whether there are any."""
        self._chosen = {}
        for position, (weight, factor) in enumerate(zip(weights, factors, strict=True)):
            if factor and self._shrinks(weight):
                self._chosen.setdefault(factor, []).append(position)
        return bool(self._chosen)

    def __call__(self, step: Step) -> None:
        """Shrink the weights that have a gradient."""
        for factor, positions in self._chosen.items():
            decayed: list[torch.Tensor] = [step.parameters[i] for i in positions if step.gradients[i] is not None]
            if decayed:
                descend(decayed, decayed, step.rate * factor)

    def _shrinks(self, weight: Weight) -> bool:
        return id(weight) not in self._listed and not (self._pattern and self._pattern.search(weight.name))

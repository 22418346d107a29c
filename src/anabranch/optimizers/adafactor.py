"""Adafactor (Shazeer & Stern 2018): mean squares of rows and columns in the place of one for each value."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch

from anabranch import runtime
from anabranch._fields import Field, boolean, number
from anabranch.graph import Home, Weight
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Number
from anabranch.optimizers.variables import computed


class Adafactor(Optimizer):
    """Divide the gradient by the root of a mean square that its rows and columns give (Shazeer & Stern 2018, Algorithm 4).

    β = 1 - t^decay; r ← β r + (1 - β) mean of g² + ε₁ over the last axis, c over the last but one; v = r cᵀ / mean(r);
    u = g / sqrt(v); w ← w - max(ε₂, RMS(w)) · ρ · u / max(1, RMS(u) / d), with ρ = min(lr, 1 / sqrt(t)). A vector has its
    mean square v.

    Example:
        >>> Adafactor(0.01, relative_step=False)
        Adafactor(learning_rate=0.01, relative_step=False)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    beta_2_decay: Field[float, float] = number(default=-0.8, most=0, doc="the exponent of 1 - β in the count of updates.")
    epsilon_1: Field[float, float] = number(default=1e-30, least=0, doc="ε₁, which is added to squares.")
    epsilon_2: Field[float, float] = number(default=1e-3, least=0, doc="ε₂, what small weights count as at least.")
    clip_threshold: Field[float, float] = number(default=1.0, above=0, doc="d, the greatest RMS of u.")
    relative_step: Field[bool, bool] = boolean(
        default=True, doc="whether ρ is at most 1 / sqrt(t); otherwise it is the learning rate."
    )

    def build(self, weights: Sequence[Weight]) -> None:
        """Take charge of weights.

        Args:
            weights: the weights that ``step`` updates from now on.
        """
        super().build(weights)
        self._factors = [self._state_of(weight) for weight in self.weights]

    def _state_of(self, weight: Weight) -> tuple[Weight, ...]:
        shape = weight.shape
        if len(shape) < 2:
            return (self.add_variable_from_reference(weight, "velocity"),)
        name = weight.path.replace("/", "_")
        rows = self.add_variable(shape[:-1], dtype=weight.dtype, name=f"{name}_rows")
        return rows, self.add_variable((*shape[:-2], shape[-1]), dtype=weight.dtype, name=f"{name}_columns")

    def _own_variables_(self, home: Home) -> list[Weight]:
        """Return rows, columns and mean square of each weight; a vector has zeros in the place of rows and columns.

        Args:
            home: whose path their paths begin with.
        """
        found: list[Weight] = []
        for weight, factors in zip(self.weights, self._factors if self.weights else (), strict=True):
            name = weight.path.replace("/", "_")
            if len(factors) == 1:
                absent = (computed(f"{name}_{part}", (), lambda: torch.zeros(()), home) for part in ("rows", "columns"))
                found += [*absent, *factors]
                continue
            made = functools.partial(_shown_mean_square, *factors)
            found += [*factors, computed(f"{name}_velocity", weight.shape, made, home)]
        return found

    @torch.no_grad()
    def update_step(self, gradient: torch.Tensor, variable: Weight, learning_rate: Number) -> None:
        """Update one weight from its gradient.

        Args:
            gradient: the gradient, with the axes of the weight.
            variable: the weight, one that the optimizer was built with.
            learning_rate: the learning rate.
        """
        weight, factors = runtime.shown(variable), self._factors[self._get_variable_index(variable)]
        step = self._updates_ + 1
        moved = step**self.beta_2_decay
        squares = gradient.square() + self.epsilon_1
        if len(factors) == 2:
            rows, columns = map(runtime.native, factors)
            rows.lerp_(squares.mean(-1), moved)
            columns.lerp_(squares.mean(-2), moved)
            scale = _mean_square(rows, columns)
        else:
            scale = runtime.native(factors[0]).lerp_(squares, moved)
        direction = gradient / scale.sqrt()
        rate = min(float(learning_rate), 1 / math.sqrt(step)) if self.relative_step else learning_rate
        size = _rms(weight).clamp(min=self.epsilon_2) * rate
        weight.sub_(direction * (size / (_rms(direction) / self.clip_threshold).clamp(min=1.0)))


def _mean_square(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return (rows / rows.mean(-1, keepdim=True)).unsqueeze(-1) * columns.unsqueeze(-2)


def _shown_mean_square(rows: Weight, columns: Weight) -> torch.Tensor:
    return _mean_square(runtime.native(rows), runtime.native(columns))


def _rms(values: torch.Tensor) -> torch.Tensor:
    return values.square().mean().sqrt()

"""Muon (Jordan et al. 2024): orthogonal steps for matrices, Adam's for all other weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Field, boolean, field, integer, number
from anabranch.graph import Weight
from anabranch.optimizers.adam import descend_by_moments
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.settings import DECAY_DOC
from anabranch.optimizers.update import Lists, Number, Slots, Tensors
from anabranch.optimizers.variables import Slot


def _patterns(value: Any, owner: object, name: str) -> list[str]:
    found = [] if value is None else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, str) for each in found):
        raise ArgumentTypeError(f"{name} of Muon must be a list of patterns.", expected="e.g. ['head']", got=shown(value))
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ArgumentTypeError(f"{name} of Muon has what is no regular expression.", got=repr(pattern)) from error
    return list(found)


class Muon(Optimizer):
    """Give the steps of matrices orthogonal directions (Jordan et al. 2024; scaled as in Liu et al. 2025, §2.2).

    m ← μ m + g; d = g + μ m; w ← w - lr · κ · sqrt(max(rows, columns)) · U Vᵀ of d = U S Vᵀ, nearly: Newton and Schulz's
    iteration x ← a x + (b x xᵀ + c (x xᵀ)²) x of d / ‖d‖. Vectors, kernels, embeddings, excluded layers go by Adam.

    Example:
        >>> Muon(0.02, exclude_layers=["head"])
        Muon(learning_rate=0.02, exclude_layers=['head'])
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    adam_beta_1: Field[float, float] = number(default=0.9, least=0, below=1, doc="Adam's β₁.")
    adam_beta_2: Field[float, float] = number(default=0.999, least=0, below=1, doc="Adam's β₂.")
    adam_weight_decay: Field[float | None, float | None] = number(
        default=0.004, least=0, optional=True, doc="the weight decay of weights that go by Adam; None for no decay."
    )
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc="Adam's ε.")
    weight_decay: Field[float | None, float | None] = number(default=0.004, least=0, optional=True, doc=DECAY_DOC)
    exclude_layers: Field[Sequence[str] | None, list[str]] = field(
        default=None, convert=_patterns, kw_only=True, doc="patterns: weights in whose path one is found go by Adam."
    )
    exclude_embeddings: Field[bool, bool] = boolean(
        default=True, kw_only=True, doc="whether weights with ``embedding`` in their path go by Adam."
    )
    muon_a: Field[float, float] = number(default=3.4445, kw_only=True, doc="a of the iteration.")
    muon_b: Field[float, float] = number(default=-4.7750, kw_only=True, doc="b of the iteration.")
    muon_c: Field[float, float] = number(default=2.0315, kw_only=True, doc="c of the iteration.")
    adam_lr_ratio: Field[float, float] = number(
        default=1, least=0, kw_only=True, doc="Adam's learning rate, times that of Muon."
    )
    momentum: Field[float, float] = number(default=0.95, least=0, most=1, kw_only=True, doc="μ, how much of the mean stays.")
    ns_steps: Field[int, int] = integer(default=5, least=0, kw_only=True, doc="how many iterations there are.")
    nesterov: Field[bool, bool] = boolean(default=True, kw_only=True, doc="whether d is g + μ m; m otherwise.")
    rms_rate: Field[float | None, float | None] = number(
        default=0.2, least=0, optional=True, kw_only=True, doc="κ; None for steps that the shape does not scale."
    )

    _field_order_ = (
        "learning_rate", "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "weight_decay", "clipnorm", "clipvalue",
        "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
        "gradient_accumulation_steps", "name",
    )  # fmt: skip
    by_element = False

    @property
    def slots(self) -> Slots:
        """Both moments; matrices have the first alone."""
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def slots_of(self, index: int) -> Slots:
        """Return the slots of one weight.

        Args:
            index: which of ``weights``.
        """
        return {"exp_avg": 0.0} if self.is_orthogonal(self.weights[index]) else self.slots

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("exp_avg", "momentum"), Slot("exp_avg_sq", "velocity")]]

    @checked
    def is_orthogonal(self, weight: Weight) -> bool:
        """Return whether a weight's steps are Muon's; Adam's otherwise.

        Args:
            weight: a weight.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Layer()
            >>> [Muon().is_orthogonal(layer.add_weight(shape)) for shape in ((2, 3), (3,))]
            [True, False]
        """
        excluded = self.exclude_embeddings and "embedding" in weight.path.lower()
        return len(weight.shape) == 2 and not excluded and not any(re.search(each, weight.path) for each in self.exclude_layers)

    def decay_of(self, weight: Weight) -> float | None:
        """Return the weight decay of one weight.

        Args:
            weight: one of ``weights``.
        """
        return self.weight_decay if self.is_orthogonal(weight) else self.adam_weight_decay

    def further_numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """Return Adam's step size."""
        corrections = math.sqrt(1 - self.adam_beta_2**step) / (1 - self.adam_beta_1**step)
        return (learning_rate * self.adam_lr_ratio * corrections,)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        weights, gradients, state, _ = lists
        if "exp_avg_sq" in state:
            descend_by_moments(lists, self.further[0], self.adam_beta_1, self.adam_beta_2, self.epsilon)
            return
        means = state["exp_avg"]
        torch._foreach_mul_(means, self.momentum)
        torch._foreach_add_(means, gradients)
        ahead = torch._foreach_add(gradients, means, alpha=self.momentum) if self.nesterov else means
        matrices = [step.reshape(self._matrix_shape(weight)) for weight, step in zip(weights, ahead, strict=True)]
        for weight, step in zip(weights, self._orthogonal(matrices), strict=True):
            scale = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(step.shape))
            weight.sub_(step.reshape(weight.shape) * (rate * scale))

    def _matrix_shape(self, parameter: torch.Tensor) -> tuple[int, ...]:
        """Return the shape of a matrix, which torch's layout may have in one axis: the biases of attention, (heads, size).

        A kernel is one for a subclass whose ``is_orthogonal`` says so: filters × all else.
        """
        if parameter.dim() == 2:
            return tuple(parameter.shape)
        if parameter.dim() > 2:
            return len(parameter), -1
        return next(weight.shape for weight in self.weights if weight.tensor is parameter)

    def _orthogonal(self, matrices: Tensors) -> list[torch.Tensor]:
        """Return what the iteration makes of matrices, those of one shape at once."""
        found: list[torch.Tensor] = list(matrices)
        shapes: dict[tuple[int, ...], list[int]] = {}
        for position, matrix in enumerate(found):
            shapes.setdefault(tuple(matrix.shape), []).append(position)
        for (rows, columns), positions in shapes.items():
            x = torch.stack([found[position] for position in positions])
            x = x.mT if rows > columns else x
            x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
            for _ in range(self.ns_steps):
                square = x @ x.mT
                x = torch.baddbmm(
                    x, torch.baddbmm(square, square, square, beta=self.muon_b, alpha=self.muon_c), x, beta=self.muon_a
                )
            for position, step in zip(positions, (x.mT if rows > columns else x).unbind(), strict=True):
                found[position] = step
        return found

"""What training asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from anabranch import _tree
from anabranch.graph import AnyModel
from anabranch.training.checkpointing import Remat
from anabranch.training.compiled import Compiled
from anabranch.training.strategy import Strategy

if TYPE_CHECKING:
    from anabranch.callbacks import History


class Trainable(AnyModel, Protocol):
    """A model, as training sees it."""

    _compiled_: Compiled | None
    """What ``compile`` made."""
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    history: History | None
    _held_losses_: Sequence[Any]

    @property
    def _overrides_(self) -> frozenset[str]:
        """Which methods of a step are a user's."""

    @property
    def _training_strategy_(self) -> Strategy:
        """Where the model trains."""

    def _as_onnx_(self) -> tuple[Any, dict[str, torch.Tensor]]:
        """Return what inference computes as a ``ModelProto``, and the weights by their names in it."""

    def get_build_config(self) -> dict[str, Any]:
        """Return what goes in, where no graph says it."""

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights."""

    @property
    def _has_call_(self) -> bool:
        """Whether the model has a ``call`` of its own."""

    @property
    def run_eagerly(self) -> bool:
        """Whether layers run one by one."""

    @property
    def jit_compile(self) -> bool | str:
        """Whether torch.compile compiles the model."""

    @property
    def steps_per_execution(self) -> int:
        """How many steps there are between two calls of callbacks."""

    @property
    def _remat_(self) -> Remat:
        """Which layers are recomputed in the backward pass, or how many bytes may be saved for it."""

    @property
    def losses(self) -> list[Any]:
        """What the last call added to the loss."""

    @property
    def metrics(self) -> list[Any]:
        """The metrics in use."""

    def train_step(self, data: object) -> dict[str, Any]:
        """Take one training step and return its logs."""

    def test_step(self, data: object) -> dict[str, Any]:
        """Evaluate one batch and return its logs."""

    def predict_step(self, data: object) -> _tree.Nest:
        """Return the outputs for one batch."""

    def compute_loss(
        self, x: object = None, y: object = None, y_pred: object = None, sample_weight: object = None, training: bool = True
    ) -> torch.Tensor:
        """Return the loss of one batch."""

    def reset_metrics(self) -> None:
        """Reset all metrics."""

    def compute_metrics(self, x: object, y: object, y_pred: object, sample_weight: object = None) -> dict[str, Any]:
        """Update the metrics of ``compile`` and return all results."""

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the results of ``metrics`` by name."""

    def zero_grad(self) -> None:
        """Drop all gradients."""

    def __call__(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return the outputs."""


def has_custom_step(model: Trainable) -> bool:
    """Return whether training or testing goes through a method that a user wrote."""
    return bool(model._overrides_ - {"predict_step"})

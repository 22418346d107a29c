"""A torchmetrics object, or a collection of them, among our metrics; torchmetrics itself is never imported."""

from __future__ import annotations

import sys
from typing import Any

import torch

from anabranch._arguments import guarded
from anabranch._asked import method, module_of
from anabranch._errors import ArgumentError
from anabranch.graph import snake_case
from anabranch.losses._agreement import tensors
from anabranch.losses.loss import Tensor
from anabranch.metrics.metric import Metric


def is_torchmetrics(value: object) -> bool:
    """Return whether ``value`` is a torchmetrics object; only where the user has imported torchmetrics can it be one."""
    room = sys.modules.get("torchmetrics")
    kinds = tuple(vars(room)[name] for name in ("Metric", "MetricCollection") if name in vars(room)) if room is not None else ()
    return bool(kinds) and isinstance(value, kinds)


class TorchMetric(Metric):
    """A torchmetrics object under our protocol: it takes predictions first, classes on axis 1, and no sample weights."""

    def __init__(self, metric: Any, name: str | None = None) -> None:
        super().__init__(name=name or snake_case(type(metric).__name__))
        self.metric = metric
        self._classifies = any("classification" in module_of(type(part)) for part in (metric, *_parts(metric)))

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch: ``metric.update(y_pred, y_true)``."""
        if sample_weight is not None:
            raise ArgumentError(
                f"torchmetrics' {type(self.metric).__name__} takes no sample weights.",
                repair="list it under metrics, not weighted_metrics",
            )
        true, pred = tensors(y_true, y_pred)
        self.metric.to(pred.device)
        self.metric.update(*_in_torchmetrics_order(true, pred, self._classifies))

    def result(self) -> Any:
        """Return ``metric.compute()``, a tensor or a dict of them; 0 before the first batch."""
        if not any(part.update_called for part in _parts(self.metric)):
            return torch.zeros(())
        return self.metric.compute()

    def reset_state(self) -> None:
        """Forget all batches."""
        self.metric.reset()

    def _saved_state_(self) -> Any:
        """Return the state of each part, and of how many batches it is."""
        return [(dict(part.metric_state), part._update_count) for part in _parts(self.metric)]

    @guarded
    def _load_saved_state_(self, state: Any) -> None:
        """Set what ``_saved_state_`` returned.

        Args:
            state: the state.
        """
        for part, (values, count) in zip(_parts(self.metric), state, strict=True):
            for name, value in values.items():
                setattr(part, name, value)
            part._update_count, part._computed = count, None

    def get_config(self) -> dict[str, Any]:
        """Raise ArgumentError: such an object cannot become JSON."""
        raise ArgumentError(f"torchmetrics' {type(self.metric).__name__} cannot become JSON.")


def _parts(metric: Any) -> list[Any]:
    return list(metric.values()) if method(metric, "values") and method(metric, "keys") else [metric]


def _in_torchmetrics_order(true: Tensor, pred: Tensor, classifies: bool) -> tuple[Tensor, Tensor]:
    """Return predictions and targets: integers for classes, no last axis of one, the class axis second."""
    if true.ndim == pred.ndim and true.shape[-1] == 1:
        true = true.squeeze(-1)
    if pred.ndim == true.ndim + 1 and pred.shape[-1] == 1:
        pred = pred.squeeze(-1)
    if pred.ndim == true.ndim + 1 and pred.ndim > 2:
        pred = pred.movedim(-1, 1)
    return pred, true.to(torch.int64) if classifies else true.to(pred.dtype)

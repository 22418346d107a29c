"""F scores: precision and recall in one number, for each class or averaged."""

from __future__ import annotations

from typing import Any, Literal

import torch

from anabranch import config
from anabranch._asked import described
from anabranch._errors import ShapeError
from anabranch._fields import Field, choice, number, state
from anabranch.losses._agreement import tensors
from anabranch.losses.loss import DType, Tensor, named
from anabranch.metrics.metric import Metric, Variable, move, typed

_COUNTS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
Average = Literal["micro", "macro", "weighted"] | None
AVERAGE_DOC = (
    "None gives a score for each class, 'micro' one of all counts, 'macro' the mean, 'weighted' the mean by frequency."
)
THRESHOLD_DOC = "scores above it count as predicted, in (0, 1]; None takes each sample's largest."


def averaged() -> Any:
    """Declare the field ``average``."""
    return choice(None, "micro", "macro", "weighted", default=None, doc=AVERAGE_DOC, fixed=True)


class FBetaScore(Metric):
    """Compute (1 + β²)·P·R / (β²·P + R) of one-hot labels (B, C) and scores (B, C).

    Example:
        >>> FBetaScore(average="micro", beta=2.0)([[1, 0], [0, 1]], [[0.8, 0.2], [0.7, 0.3]])
        tensor(0.5000)
    """

    average: Field[Average, Average] = averaged()
    beta: Field[float, float] = number(default=1.0, above=0, doc="how much recall counts against precision.")
    threshold: Field[float | None, float | None] = number(default=None, above=0, most=1, optional=True, doc=THRESHOLD_DOC)
    name: Field[str | None, str] = named("fbeta_score")
    dtype: Field[DType, str] = typed()
    true_positives: Variable = state(init=False)
    false_positives: Variable = state(init=False)
    false_negatives: Variable = state(init=False)
    intermediate_weights: Variable = state(init=False)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the counts of a batch."""
        y_true, y_pred = tensors(y_true, y_pred)
        if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
            raise ShapeError(
                f"{self.name} compares one-hot labels with scores.",
                expected="y_true and y_pred (batch, classes)",
                got=f"y_true {tuple(y_true.shape)}, y_pred {tuple(y_pred.shape)}",
                repair="utils.to_categorical(y) makes class indices one-hot",
            )
        if self.threshold is not None:
            self._warn_of_logits_(y_pred, "For logits pass their sigmoid.")
        dtype = getattr(torch, self._state_dtype_)
        self._build(y_pred)
        true, pred = y_true.to(dtype), y_pred.to(dtype)
        if self.threshold is None:
            chosen = (pred >= pred.amax(-1, keepdim=True)) & (pred.abs() > 1e-9)
        else:
            chosen = pred > self.threshold
        pred = chosen.to(dtype)
        counts = (pred * true, pred * (1 - true), (1 - pred) * true, true)
        weight = None if sample_weight is None else tensors(sample_weight, pred)[0].to(dtype).reshape(-1, 1)
        if weight is not None and weight.shape[0] not in (1, pred.shape[0]):
            raise ShapeError(
                "sample_weight has one value for each sample.", expected=f"({pred.shape[0]},)", got=described(sample_weight)
            )
        for variable, count in zip(self._variables, counts, strict=True):
            if weight is not None:
                count = count * weight
            variable.add_(count.sum() if self.average == "micro" else count.sum(0))

    def _build(self, pred: Tensor) -> None:
        if not self._variables:
            for name in _COUNTS:
                setattr(self, name, self.add_variable(() if self.average == "micro" else (pred.shape[1],), "zeros", name=name))
            move(self._variables, pred.device)

    def result(self) -> Tensor:
        """Return the score: (classes,) where ``average`` is None, else a scalar."""
        if not self._variables:
            return torch.zeros(())
        tp, fp, fn, often = (variable.value for variable in self._variables)
        least = config.epsilon()
        precision, recall = tp / (tp + fp + least), tp / (tp + fn + least)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + least)
        score = score.to(getattr(torch, self.dtype))
        if self.average == "weighted":
            return (score * often / (often.sum() + least)).sum()
        return score if self.average is None else score.mean()


class F1Score(FBetaScore):
    """Compute 2·P·R / (P + R), the FBetaScore with β = 1.

    Example:
        >>> F1Score()([[1, 0], [0, 1], [0, 1]], [[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]])
        tensor([0.6667, 0.6667])
    """

    beta = 1.0  # type: ignore[assignment]  # no setting here
    average: Field[Average, Average] = averaged()
    threshold: Field[float | None, float | None] = number(default=None, above=0, most=1, optional=True, doc=THRESHOLD_DOC)
    name: Field[str | None, str] = named("f1_score")

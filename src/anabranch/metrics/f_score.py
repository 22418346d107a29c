"""F scores: precision and recall in one number, for each class or averaged."""

from __future__ import annotations

from typing import Any

import torch

from anabranch import config
from anabranch._errors import ArgumentError, ShapeError
from anabranch.losses.loss import Tensor
from anabranch.metrics.metric import Metric, Variable, move

_COUNTS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """(1 + β²)·P·R / (β²·P + R) of one-hot y_true (B, C) and scores y_pred (B, C).

    Without ``threshold`` the largest score of a sample is what is predicted. ``average`` is None (one score for each class),
    ``"micro"`` (over all counts), ``"macro"`` (mean of classes) or ``"weighted"`` (by how often each class is true).
    """

    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in _AVERAGES:
            raise ArgumentError("Unknown average.", expected="None, 'micro', 'macro' or 'weighted'", got=repr(average))
        if not isinstance(beta, (int, float)) or not beta > 0:
            raise ArgumentError("beta weighs recall against precision.", expected="a number above 0", got=repr(beta))
        if threshold is not None and not 0 < threshold <= 1:
            raise ArgumentError("threshold is a share.", expected="a number above 0, at most 1", got=repr(threshold))
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the counts of a batch."""
        if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
            raise ShapeError(
                f"{self.name} compares one-hot labels with scores.",
                expected="y_true and y_pred (batch, classes)",
                got=f"y_true {tuple(y_true.shape)}, y_pred {tuple(y_pred.shape)}",
                repair="utils.to_categorical(y) makes class numbers one-hot",
            )
        dtype = getattr(torch, self.dtype)
        self._build(y_pred)
        true, pred = y_true.to(dtype), y_pred.to(dtype)
        if self.threshold is None:
            chosen = (pred >= pred.amax(-1, keepdim=True)) & (pred.abs() > 1e-9)
        else:
            chosen = pred > self.threshold
        pred = chosen.to(dtype)
        counts = (pred * true, pred * (1 - true), (1 - pred) * true, true)
        for variable, count in zip(self._variables, counts, strict=True):
            if sample_weight is not None:
                count = count * sample_weight.to(dtype).reshape(-1, 1)
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
        if self.average == "weighted":
            return (score * often / (often.sum() + least)).sum()
        return score if self.average is None else score.mean()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """2·P·R / (P + R): FBetaScore with β = 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["beta"]
        return config

"""The area under the ROC, precision-recall or precision-recall-gain curve, over thresholds."""

from __future__ import annotations

from typing import Any

import torch

from anabranch import config
from anabranch._errors import ArgumentError, ShapeError
from anabranch.losses.loss import Tensor, divide
from anabranch.metrics._counting import Counting, checked_thresholds
from anabranch.metrics.confusion import COUNTS
from anabranch.metrics.metric import Variable, move

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "minoring", "majoring")


class AUC(Counting):
    """The area under a curve, summed over ``num_thresholds`` (evenly spaced, or the given ``thresholds`` with 0 and 1).

    ``curve`` is ``"ROC"``, ``"PR"`` (interpolated after Davis and Goadrich, 2006) or ``"PRGAIN"`` (Flach and Kull, 2015);
    ``summation_method`` is ``"interpolation"``, ``"minoring"`` or ``"majoring"``. With ``multi_label`` each column of
    (B, labels) has its own area, and their mean, weighted by ``label_weights``, is the result.

    >>> auc = AUC(num_thresholds=3)
    >>> auc.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    >>> auc.result()
    tensor(0.7500)
    """

    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        inner = None if thresholds is None else sorted(checked_thresholds(thresholds, 0.5))
        if inner is None and num_thresholds < 2:
            raise ArgumentError("AUC needs two thresholds.", expected="num_thresholds ≥ 2", got=repr(num_thresholds))
        if inner is None:
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        if num_labels and not multi_label:
            raise ArgumentError("num_labels belongs to multi_label.", repair="pass multi_label=True")
        self.curve = _one_of("curve", curve, _CURVES)
        self.summation_method = _one_of("summation_method", summation_method, _METHODS)
        super().__init__([-config.epsilon(), *inner, 1.0 + config.epsilon()], name, dtype)
        self._given = thresholds is not None
        self.num_thresholds, self.thresholds = len(self._cuts), self._cuts
        self.multi_label, self.num_labels, self.label_weights = multi_label, num_labels, label_weights
        self._by_label, self._from_logits = multi_label, from_logits
        if not multi_label:
            self._add_counts(COUNTS, [self.num_thresholds])
        elif num_labels:
            self._add_counts(COUNTS, [self.num_thresholds, num_labels])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the counts of a batch; y_true is 0 or 1, y_pred from 0 to 1 (or logits with ``from_logits``)."""
        labels = 1
        if self.multi_label:
            if y_pred.ndim != 2 or (self.num_labels and y_pred.shape[1] != self.num_labels):
                raise ShapeError(
                    "AUC keeps the labels apart (multi_label=True).",
                    expected=f"y_pred (batch, {self.num_labels or 'labels'})",
                    got=str(tuple(y_pred.shape)),
                )
            labels = self.num_labels = y_pred.shape[1]
            if not self._variables:
                self._add_counts(COUNTS, [self.num_thresholds, labels])
                move(self._variables, y_pred.device)
        weights = None if self.multi_label else self.label_weights
        pred = y_pred.sigmoid() if self._from_logits else y_pred
        self._add(self._count(y_true, pred, sample_weight, labels=labels, label_weights=weights))

    def result(self) -> Tensor:
        """Return the area, a scalar."""
        if not self._variables:
            return torch.zeros(())
        areas = (self._interpolated_pr() if self._interpolates_pr() else self._riemann()).sum(0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return areas.mean()
        weights = torch.as_tensor(self.label_weights, device=areas.device, dtype=areas.dtype)
        return divide((areas * weights).sum(), weights.sum())

    def _interpolates_pr(self) -> bool:
        return self.curve == "PR" and self.summation_method == "interpolation"

    def _riemann(self) -> Tensor:
        x, y = self._curve()
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2.0,
            "minoring": torch.minimum(y[:-1], y[1:]),
            "majoring": torch.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return (x[:-1] - x[1:]) * heights

    def _curve(self) -> tuple[Tensor, Tensor]:
        tp, fp, tn, fn = (variable.value for variable in self._variables)
        recall = divide(tp, tp + fn)
        if self.curve == "ROC":
            return divide(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, divide(tp, tp + fp)
        odds = divide(tp + fn, tn + fp)
        recall_gain = (1.0 - odds * divide(fn, tp)).clamp_min(0.0)
        nothing = tp == 0
        return (
            torch.where(nothing, torch.zeros_like(tp), recall_gain),
            torch.where(nothing, torch.ones_like(tp), 1.0 - odds * divide(fp, tp)),
        )

    def _interpolated_pr(self) -> Tensor:
        """Integrate between thresholds, where the true positives are linear in all positives."""
        tp, fp, _, fn = (variable.value for variable in self._variables)
        positives = tp + fp
        step = tp[:-1] - tp[1:]
        slope = divide(step, (positives[:-1] - positives[1:]).clamp_min(0))
        intercept = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        ratio = torch.where(both, divide(positives[:-1], positives[1:]), torch.ones_like(step))
        return divide(slope * (step + intercept * ratio.log()), tp[1:] + fn[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        weights = self.label_weights
        own = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else [float(weight) for weight in weights],
            "from_logits": self._from_logits,
        }
        return {**super().get_config(), **own, **({"thresholds": self.thresholds[1:-1]} if self._given else {})}


def _one_of(what: str, value: Any, known: tuple[str, ...]) -> str:
    names = {name.lower(): name for name in known}
    found = names.get(str(getattr(value, "value", value)).lower())
    if found is None:
        raise ArgumentError(f"Unknown {what}.", expected=f"one of {', '.join(known)}", got=repr(value))
    return found

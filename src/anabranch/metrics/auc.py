"""The area under the ROC, precision-recall or precision-recall-gain curve, over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from anabranch import config
from anabranch._errors import ArgumentError, ShapeError
from anabranch._fields import Field, boolean, field, integer, state
from anabranch.losses._agreement import tensors
from anabranch.losses.loss import DType, Tensor, divide, named
from anabranch.metrics._counting import Counting, Thresholds, to_thresholds
from anabranch.metrics.confusion import Given
from anabranch.metrics.metric import Variable, move, typed

Curve = Literal["ROC", "PR", "PRGAIN"]
Method = Literal["interpolation", "minoring", "majoring"]


def _one_of(*known: str) -> Any:
    names = {name.lower(): name for name in known}

    def convert(value: object, owner: object, name: str) -> str:
        found = names.get(str(getattr(value, "value", value)).lower())  # Keras has enumerations of them too
        if found is None:
            raise ArgumentError(f"Unknown {name}.", expected=f"one of {', '.join(known)}", got=repr(value))
        return found

    return convert


def _weights(value: Any, owner: object, name: str) -> list[float] | None:
    return None if value is None else [float(each) for each in value]


class AUC(Counting):
    """Compute the area under a curve over thresholds.

    ``"PR"`` is interpolated after Davis & Goadrich 2006; ``"PRGAIN"`` is that of Flach & Kull 2015. With ``multi_label`` each
    column of (B, labels) has an area of its own, and the result is their mean, weighted by ``label_weights``.

    Example:
        >>> auc = AUC(num_thresholds=3)
        >>> auc.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> auc.result()
        tensor(0.7500)
    """

    num_thresholds: Field[int, int] = integer(default=200, least=2, fixed=True, doc="how many thresholds, 0 and 1 included.")
    curve: Field[Curve, Curve] = field(
        default="ROC", convert=_one_of("ROC", "PR", "PRGAIN"), doc="'ROC', 'PR' (precision and recall) or 'PRGAIN'."
    )
    summation_method: Field[Method, Method] = field(
        default="interpolation",
        convert=_one_of("interpolation", "minoring", "majoring"),
        doc="'interpolation', 'minoring' or 'majoring' between thresholds.",
    )
    name: Field[str | None, str] = named()
    dtype: Field[DType, str] = typed()
    thresholds: Field[Given, Thresholds] = field(
        default=None,
        convert=to_thresholds,
        plain=lambda found: found.given and sorted(found.given),
        doc="thresholds between 0 and 1 in place of evenly spaced ones.",
        fixed=True,
        fresh=True,
    )
    multi_label: Field[bool, bool] = boolean(default=False, fixed=True, doc="whether each column is a label of its own.")
    num_labels: Field[int | None, int | None] = integer(
        default=None, optional=True, fixed=True, doc="how many columns; None takes it from the first batch."
    )
    label_weights: Field[Sequence[float] | None, list[float] | None] = field(
        default=None, convert=_weights, doc="a weight for each label."
    )
    from_logits: Field[bool, bool] = boolean(default=False, doc="whether y_pred holds logits rather than probabilities.")
    true_positives: Variable = state(init=False)
    false_positives: Variable = state(init=False)
    true_negatives: Variable = state(init=False)
    false_negatives: Variable = state(init=False)

    def _check_(self) -> None:
        if self.num_labels and not self.multi_label:
            raise ArgumentError("num_labels needs multi_label.", repair="pass multi_label=True")
        given = self.thresholds.given is not None
        count = self.num_thresholds
        inner = sorted(self.thresholds) if given else [i / (count - 1) for i in range(1, count - 1)]
        self.thresholds[:] = [-config.epsilon(), *inner, 1.0 + config.epsilon()]
        if given:
            self.num_thresholds = len(self.thresholds)
        super()._check_()

    def _cuts(self) -> list[float]:
        return self.thresholds

    def _add_counts(self, shape: Sequence[int]) -> None:
        if not self.multi_label:
            super()._add_counts(shape)
        elif self.num_labels:
            super()._add_counts([*shape, self.num_labels])

    @property
    def _by_label(self) -> bool:
        return self.multi_label

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the counts of a batch; y_true is 0 or 1, y_pred from 0 to 1 (or logits with ``from_logits``)."""
        labels = 1
        if self.multi_label:
            wanted = self._variables[0].shape[1] if self._variables else None
            if y_pred.ndim != 2 or (wanted and y_pred.shape[1] != wanted):
                raise ShapeError(
                    "AUC counts each label (multi_label=True).",
                    expected=f"y_pred (batch, {wanted or 'labels'})",
                    got=str(tuple(y_pred.shape)),
                )
            labels = y_pred.shape[1]
            if not self._variables:
                Counting._add_counts(self, [len(self.thresholds), labels])
                move(self._variables, y_pred.device)
        weights = None if self.multi_label else self.label_weights
        y_true, y_pred = tensors(y_true, y_pred)
        pred = y_pred.sigmoid() if self.from_logits else self._probabilities(y_pred)
        self._add(self._count(y_true, pred, sample_weight, labels=labels, label_weights=weights))

    def _probabilities(self, pred: Tensor) -> Tensor:
        """Return predictions within 0 and 1, as Keras counts others; a CPU's first batch is looked at."""
        self._warn_of_logits_(pred, "For logits pass from_logits=True; values below 0 count as 0, those above 1 as 1.")
        return pred.clamp(0, 1) if pred.is_floating_point() else pred

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
        """Return all settings as JSON; ``thresholds`` where they were given, as Keras writes it."""
        found = super().get_config()
        if found["thresholds"] is None:
            del found["thresholds"]
        return found

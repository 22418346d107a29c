"""Binary metrics: the four counts, precision, recall, and the best of one where another reaches a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from anabranch._fields import Field, field, integer, number, state
from anabranch.losses.loss import DType, Tensor, divide, named
from anabranch.metrics._counting import BELOW_ALL, Counting, Thresholds, to_thresholds
from anabranch.metrics.metric import Variable, typed

THRESHOLDS_DOC = "a prediction above it is positive: a number from 0 to 1, or several; None means 0.5."
TOP_K_DOC = "the k largest predictions of each sample count as positive, the others as negative."
CLASS_ID_DOC = "the one class to count, an index of the last axis; None counts all."

Given = float | Sequence[float] | None


def thresholded() -> Any:
    """Declare the field ``thresholds``."""
    return field(
        default=None, convert=to_thresholds, plain=lambda found: found.given, doc=THRESHOLDS_DOC, fixed=True, fresh=True
    )


class _AtThresholds(Counting):
    """Base of what is counted at thresholds that the user gives."""

    thresholds: Field[Given, Thresholds] = thresholded()
    name: Field[str | None, str] = field(default=None, convert=named().convert, doc=named().doc, kw_only=True)
    dtype: Field[DType, str] = typed()

    def _check_(self) -> None:
        if not self.thresholds:
            self.thresholds.append(self._default())
        super()._check_()

    def _default(self) -> float:
        return 0.5

    def _cuts(self) -> list[float]:
        return self.thresholds

    @property
    def init_thresholds(self) -> float | list[float] | None:
        """The thresholds as they were given."""
        return self.thresholds.given

    def _look(self, pred: Tensor) -> None:
        if self.thresholds.given is None:
            self._warn_of_logits_(pred, "For logits pass thresholds=0, which is a probability of 0.5.")

    def _squeezed(self, found: Tensor) -> Tensor:
        return found[0] if len(self.thresholds) == 1 else found


class _OneCount(_AtThresholds):
    """Base of the four counts; y_true is 0 or 1."""

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the counts of a batch."""
        self._look(y_pred)
        self._add(self._count(y_true, y_pred, sample_weight))

    def result(self) -> Tensor:
        """Return the count: a scalar, or (thresholds,)."""
        return self._squeezed(self._variables[0].value).clone()


class TruePositives(_OneCount):
    """Count labels 1 that are predicted as 1.

    Example:
        >>> TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(2.)
    """

    counts = ("true_positives",)


class FalsePositives(_OneCount):
    """Count labels 0 that are predicted as 1.

    Example:
        >>> FalsePositives()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(1.)
    """

    counts = ("false_positives",)


class TrueNegatives(_OneCount):
    """Count labels 0 that are predicted as 0.

    Example:
        >>> TrueNegatives()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(0.)
    """

    counts = ("true_negatives",)


class FalseNegatives(_OneCount):
    """Count labels 1 that are predicted as 0.

    Example:
        >>> FalseNegatives()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(1.)
    """

    counts = ("false_negatives",)


class _Ratio(_AtThresholds):
    """Base of precision and recall: TP / (TP + another count)."""

    thresholds: Field[Given, Thresholds] = thresholded()
    top_k: Field[int | None, int | None] = integer(default=None, optional=True, doc=TOP_K_DOC)
    class_id: Field[int | None, int | None] = integer(default=None, least=0, optional=True, doc=CLASS_ID_DOC)
    true_positives: Variable = state(init=False)

    def _default(self) -> float:
        return 0.5 if self.top_k is None else BELOW_ALL

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the counts of a batch; y_true is 0 or 1, of the shape of y_pred."""
        if self.top_k is None:
            self._look(y_pred)
        self._add(self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id))

    def result(self) -> Tensor:
        """Return the ratio: a scalar, or (thresholds,); 0 where the denominator is 0."""
        found, other = (variable.value for variable in self._variables)
        return self._squeezed(divide(found, found + other))


class Precision(_Ratio):
    """Compute the fraction of positive predictions that are right: TP / (TP + FP).

    Example:
        >>> Precision()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(0.6667)
    """

    counts = ("true_positives", "false_positives")
    false_positives: Variable = state(init=False)


class Recall(_Ratio):
    """Compute the fraction of labels 1 that are found: TP / (TP + FN).

    Example:
        >>> Recall()([0, 1, 1, 1], [1, 0, 1, 1])
        tensor(0.6667)
    """

    counts = ("true_positives", "false_negatives")
    false_negatives: Variable = state(init=False)


def bound(doc: str) -> Any:
    """Declare the value that another rate must reach."""
    return number(least=0, most=1, doc=doc)


class _At(Counting):
    """Base of the best of the ``wanted`` rate where the ``bounded`` one reaches a value, over evenly spaced thresholds."""

    wanted: ClassVar[str]
    bounded: ClassVar[str]
    num_thresholds: Field[int, int] = integer(
        default=200, fixed=True, doc="how many evenly spaced thresholds are tried.", kw_only=True
    )
    class_id: Field[int | None, int | None] = integer(default=None, least=0, optional=True, doc=CLASS_ID_DOC, kw_only=True)
    name: Field[str | None, str] = named()
    dtype: Field[DType, str] = typed()
    true_positives: Variable = state(init=False)
    false_positives: Variable = state(init=False)
    true_negatives: Variable = state(init=False)
    false_negatives: Variable = state(init=False)

    def _check_(self) -> None:
        count = self.num_thresholds
        self.thresholds = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
        super()._check_()

    def _cuts(self) -> list[float]:
        return self.thresholds

    @property
    def value(self) -> float:
        """The value that must be reached."""
        found: float = getattr(self, self.bounded)
        return found

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the counts of a batch."""
        self._warn_of_logits_(y_pred, "For logits pass their sigmoid.")
        self._add(self._count(y_true, y_pred, sample_weight, class_id=self.class_id))

    def result(self) -> Tensor:
        """Return the best of the wanted rate, a scalar."""
        tp, fp, tn, fn = (variable.value for variable in self._variables)
        true_positive_rate = divide(tp, tp + fn)
        rates = {
            "recall": true_positive_rate, "sensitivity": true_positive_rate, "specificity": divide(tn, tn + fp),
            "precision": divide(tp, tp + fp),
        }  # fmt: skip
        wanted = rates[self.wanted]
        return torch.where(rates[self.bounded] >= self.value, wanted, torch.zeros_like(wanted)).amax()


class SensitivityAtSpecificity(_At):
    """Compute the best TP / (TP + FN) where TN / (TN + FP) reaches ``specificity``.

    Example:
        >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        tensor(0.5000)
    """

    wanted, bounded = "sensitivity", "specificity"
    specificity: Field[float, float] = bound("the specificity to reach, from 0 to 1.")


class SpecificityAtSensitivity(_At):
    """Compute the best TN / (TN + FP) where TP / (TP + FN) reaches ``sensitivity``.

    Example:
        >>> SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        tensor(0.6667)
    """

    wanted, bounded = "specificity", "sensitivity"
    sensitivity: Field[float, float] = bound("the sensitivity to reach, from 0 to 1.")


class PrecisionAtRecall(_At):
    """Compute the best TP / (TP + FP) where TP / (TP + FN) reaches ``recall``.

    Example:
        >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        tensor(0.5000)
    """

    wanted, bounded = "precision", "recall"
    recall: Field[float, float] = bound("the recall to reach, from 0 to 1.")


class RecallAtPrecision(_At):
    """Compute the best TP / (TP + FN) where TP / (TP + FP) reaches ``precision``.

    Example:
        >>> RecallAtPrecision(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        tensor(1.)
    """

    wanted, bounded = "recall", "precision"
    precision: Field[float, float] = bound("the precision to reach, from 0 to 1.")

"""Metrics of yes and no: the four counts, precision, recall, and the best of one at a floor for the other."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from anabranch._errors import ArgumentError
from anabranch.losses.loss import Tensor, divide
from anabranch.metrics._counting import BELOW_ALL, Counting, checked_thresholds
from anabranch.metrics.metric import Variable

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class OneCount(Counting):
    """Base of the four counts at ``thresholds`` (0.5 unless given); y_true is 0 or 1."""

    counted: ClassVar[str]

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(checked_thresholds(thresholds, 0.5), name, dtype)
        self.thresholds, self.init_thresholds = self._cuts, thresholds
        self._add_counts([self.counted], [len(self._cuts)])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the counts of a batch."""
        self._add(self._count(y_true, y_pred, sample_weight))

    def result(self) -> Tensor:
        """Return the count: a scalar, or (thresholds,)."""
        found = self._variables[0].value
        return found[0].clone() if len(self._cuts) == 1 else found.clone()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(OneCount):
    """What is 1 and was predicted so."""

    counted = "true_positives"


class FalsePositives(OneCount):
    """What is 0 and was predicted 1."""

    counted = "false_positives"


class TrueNegatives(OneCount):
    """What is 0 and was predicted so."""

    counted = "true_negatives"


class FalseNegatives(OneCount):
    """What is 1 and was predicted 0."""

    counted = "false_negatives"


class _Share(Counting):
    """Base of precision and recall: true positives by themselves and something beside them."""

    beside: ClassVar[str]
    true_positives: Variable

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(checked_thresholds(thresholds, 0.5 if top_k is None else BELOW_ALL), name, dtype)
        self.thresholds, self.init_thresholds, self.top_k, self.class_id = self._cuts, thresholds, top_k, class_id
        self._add_counts(["true_positives", self.beside], [len(self._cuts)])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the counts of a batch; y_true is 0 or 1, of the shape of y_pred."""
        self._add(self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id))

    def result(self) -> Tensor:
        """Return the share: a scalar, or (thresholds,); 0 where there is nothing to share."""
        found, other = (variable.value for variable in self._variables)
        share = divide(found, found + other)
        return share[0] if len(self._cuts) == 1 else share

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Share):
    """Of what was predicted 1, the share that is: TP / (TP + FP).

    ``top_k`` counts each sample's ``k`` largest as predicted; ``class_id`` looks at one class alone.

    >>> precision = Precision()
    >>> precision.update_state([0, 1, 1, 1], [1, 0, 1, 1])
    >>> precision.result()
    tensor(0.6667)
    """

    beside = "false_positives"
    false_positives: Variable


class Recall(_Share):
    """Of what is 1, the share that was predicted so: TP / (TP + FN); arguments as for Precision."""

    beside = "false_negatives"
    false_negatives: Variable


class _At(Counting):
    """Base of the best of one rate where another reaches a floor, over evenly spaced thresholds."""

    floor: ClassVar[str]
    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: str | None) -> None:
        if not 0 <= value <= 1:
            raise ArgumentError(f"{self.floor} is a share.", expected="a number from 0 to 1", got=repr(value))
        if num_thresholds < 1:
            raise ArgumentError("num_thresholds is too small.", expected="a whole number ≥ 1", got=repr(num_thresholds))
        cuts = [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]
        super().__init__(cuts, name, dtype)
        self.value, self.num_thresholds, self.class_id, self.thresholds = value, num_thresholds, class_id, self._cuts
        self._add_counts(COUNTS, [len(cuts)])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the counts of a batch."""
        self._add(self._count(y_true, y_pred, sample_weight, class_id=self.class_id))

    def _rates(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return sensitivity (which is recall), specificity and precision at each threshold."""
        tp, fp, tn, fn = (variable.value for variable in self._variables)
        return divide(tp, tp + fn), divide(tn, tn + fp), divide(tp, tp + fp)

    def _best(self, wanted: Tensor, floor: Tensor) -> Tensor:
        return torch.where(floor >= self.value, wanted, torch.zeros_like(wanted)).amax()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"num_thresholds": self.num_thresholds, "class_id": self.class_id, self.floor: self.value}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(_At):
    """The best TP / (TP + FN) where TN / (TN + FP) reaches ``specificity``."""

    floor = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the sensitivity, a scalar."""
        sensitivity, specificity, _ = self._rates()
        return self._best(sensitivity, specificity)


class SpecificityAtSensitivity(_At):
    """The best TN / (TN + FP) where TP / (TP + FN) reaches ``sensitivity``."""

    floor = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the specificity, a scalar."""
        sensitivity, specificity, _ = self._rates()
        return self._best(specificity, sensitivity)


class PrecisionAtRecall(_At):
    """The best TP / (TP + FP) where TP / (TP + FN) reaches ``recall``."""

    floor = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the precision, a scalar."""
        recall, _, precision = self._rates()
        return self._best(precision, recall)


class RecallAtPrecision(_At):
    """The best TP / (TP + FN) where TP / (TP + FP) reaches ``precision``."""

    floor = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the recall, a scalar."""
        recall, _, precision = self._rates()
        return self._best(recall, precision)

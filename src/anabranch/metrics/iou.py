"""Intersection over union of classes, from the confusion matrix of all batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from anabranch import config
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ShapeError
from anabranch._fields import Field, boolean, field, integer, number, state
from anabranch.losses._agreement import tensors
from anabranch.losses.loss import NAME_DOC, DType, Tensor, dtype_name, match, to_name
from anabranch.metrics.metric import Metric, Variable

CLASSES_DOC = "how many classes there are."
IDS_DOC = "the classes whose mean is taken."
IGNORED_DOC = "a label whose samples do not count."
KIND_DOC = "the dtype of the result, float32 where it is none of floats; None: int32, as in Keras. Counts are float64."
AXIS_DOC = "the axis of the classes, where there is one."
TRUE_DOC = "whether y_true holds class indices; otherwise one value for each class, of which the largest counts."
PRED_DOC = "whether y_pred holds class indices; otherwise one value for each class, of which the largest counts."


def _kind(value: DType, owner: object, name: str) -> str:
    return "int32" if value is None else dtype_name(value)


def _ids(value: Any, owner: object, name: str) -> list[int]:
    if not isinstance(value, (list, tuple)) or not value or not all(is_integer(each) and each >= 0 for each in value):
        raise ArgumentError(f"{name} must be class indices.", expected="integers ≥ 0", got=shown(value))
    return [int(each) for each in value]


class IoU(Metric):
    """Compute the mean over some classes of TP / (TP + FP + FN); a class that never occurs does not count.

    Example:
        >>> IoU(2, [0])([0, 0, 1, 1], [0, 1, 0, 1])
        tensor(0.3333)
    """

    num_classes: Field[int, int] = integer(doc=CLASSES_DOC, fixed=True)
    target_class_ids: Field[Sequence[int], list[int]] = field(convert=_ids, doc=IDS_DOC)
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=_kind, doc=KIND_DOC, fixed=True, kw_only=True)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=IGNORED_DOC)
    sparse_y_true: Field[bool, bool] = boolean(default=True, doc=TRUE_DOC)
    sparse_y_pred: Field[bool, bool] = boolean(default=True, doc=PRED_DOC)
    axis: Field[int, int] = integer(default=-1, least=None, doc=AXIS_DOC)
    total_cm: Variable = state(init=False)

    def _add_state_(self) -> None:
        if max(self.target_class_ids) >= self.num_classes:
            raise ArgumentError(
                f"{type(self).__name__} has no such class.", expected=f"target_class_ids from 0 to {self.num_classes - 1}",
                got=str(self.target_class_ids),
            )  # fmt: skip
        self.total_cm = self.add_variable(
            (self.num_classes, self.num_classes), "zeros", "float64", name="total_confusion_matrix"
        )

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch to the confusion matrix; labels and predictions that are no class are left out."""
        true, pred = (torch.as_tensor(each, device=self.total_cm.device) for each in (y_true, y_pred))
        for name, given, sparse in (("y_true", true, self.sparse_y_true), ("y_pred", pred, self.sparse_y_pred)):
            if not sparse and (not given.dim() or not given.shape[self.axis]):
                raise ShapeError(
                    f"{name} of {self.name} has a value for each class along axis {self.axis}.", got=str(tuple(given.shape))
                )
        true = true if self.sparse_y_true else true.float().argmax(self.axis)
        pred = pred if self.sparse_y_pred else pred.float().argmax(self.axis)
        if true.numel() != pred.numel():
            raise ShapeError(
                f"{self.name} compares each label with a prediction.", expected="as many labels as predictions",
                got=f"y_true {tuple(true.shape)}, y_pred {tuple(pred.shape)}",
            )  # fmt: skip
        weight = torch.ones_like(true, dtype=self.total_cm.dtype)
        if sample_weight is not None:
            weight = weight * match(tensors(sample_weight, weight)[0].to(weight.dtype), weight)
        true, pred, weight = true.reshape(-1), pred.reshape(-1), weight.reshape(-1)
        counts = (true >= 0) & (true < self.num_classes) & (pred >= 0) & (pred < self.num_classes)
        if self.ignore_class is not None:
            counts &= true != self.ignore_class
        cells = torch.where(counts, true.long() * self.num_classes + pred.long(), 0)
        self.total_cm.view(-1).index_add_(0, cells, torch.where(counts, weight, 0))

    def result(self) -> Tensor:
        """Return the mean, a scalar; 0 where none of the classes has occurred."""
        counted = self.total_cm.value.to(torch.float32)
        both = counted.diagonal()
        either = counted.sum(0) + counted.sum(1) - both
        chosen = torch.tensor(self.target_class_ids, device=counted.device)
        both, either = both[chosen], either[chosen]
        occurs = either > 1e-9
        scores = torch.where(occurs, both / (either + config.epsilon()), 0.0)
        mean = scores.sum() / (occurs.sum() + config.epsilon())
        return mean.to(getattr(torch, self.dtype)) if "float" in self.dtype else mean


class BinaryIoU(IoU):
    """Compute the mean of TP / (TP + FP + FN) of the classes 0 and 1, given probabilities of 1.

    Example:
        >>> BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
        tensor(0.3333)
    """

    num_classes = 2  # type: ignore[assignment]  # no setting here, as those below
    ignore_class = None  # type: ignore[assignment]
    sparse_y_true = sparse_y_pred = True  # type: ignore[assignment]
    axis = -1  # type: ignore[assignment]
    target_class_ids: Field[Sequence[int], list[int]] = field(default=(0, 1), convert=_ids, doc=IDS_DOC)
    threshold: Field[float, float] = number(default=0.5, doc="probabilities from it on are class 1.")
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=_kind, doc=KIND_DOC, fixed=True, kw_only=True)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch to the confusion matrix."""
        if self.threshold == 0.5:
            self._warn_of_logits_(y_pred, "For logits pass threshold=0, which is a probability of 0.5.")
        super().update_state(y_true, torch.as_tensor(y_pred) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Compute the mean over all classes of TP / (TP + FP + FN); a class that never occurs does not count.

    Example:
        >>> MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])
        tensor(0.3333)
    """

    num_classes: Field[int, int] = integer(doc=CLASSES_DOC, fixed=True)
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=_kind, doc=KIND_DOC, fixed=True, kw_only=True)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=IGNORED_DOC)
    sparse_y_true: Field[bool, bool] = boolean(default=True, doc=TRUE_DOC)
    sparse_y_pred: Field[bool, bool] = boolean(default=True, doc=PRED_DOC)
    axis: Field[int, int] = integer(default=-1, least=None, doc=AXIS_DOC)

    @property  # type: ignore[misc]  # no setting here
    def target_class_ids(self) -> list[int]:  # type: ignore[override]  # it follows from num_classes
        """All classes."""
        return list(range(self.num_classes))


class OneHotIoU(IoU):
    """Compute ``IoU`` of labels that are one-hot, and of scores of the classes.

    Example:
        >>> OneHotIoU(2, [0])([[1, 0], [0, 1]], [[0.8, 0.2], [0.7, 0.3]])
        tensor(0.5000)
    """

    sparse_y_true = False  # type: ignore[assignment]  # no setting here
    num_classes: Field[int, int] = integer(doc=CLASSES_DOC, fixed=True)
    target_class_ids: Field[Sequence[int], list[int]] = field(convert=_ids, doc=IDS_DOC)
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=_kind, doc=KIND_DOC, fixed=True, kw_only=True)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=IGNORED_DOC)
    sparse_y_pred: Field[bool, bool] = boolean(default=False, doc=PRED_DOC)
    axis: Field[int, int] = integer(default=-1, least=None, doc=AXIS_DOC)


class OneHotMeanIoU(MeanIoU):
    """Compute ``MeanIoU`` of labels that are one-hot, and of scores of the classes.

    Example:
        >>> OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.8, 0.2], [0.7, 0.3]])
        tensor(0.2500)
    """

    sparse_y_true = False  # type: ignore[assignment]  # no setting here
    num_classes: Field[int, int] = integer(doc=CLASSES_DOC, fixed=True)
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=_kind, doc=KIND_DOC, fixed=True, kw_only=True)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=IGNORED_DOC)
    sparse_y_pred: Field[bool, bool] = boolean(default=False, doc=PRED_DOC)
    axis: Field[int, int] = integer(default=-1, least=None, doc=AXIS_DOC)

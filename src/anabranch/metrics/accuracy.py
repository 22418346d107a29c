"""How often predictions are right: equal, over a threshold, the best class, among the best k."""

from __future__ import annotations

import torch

from anabranch._errors import ArgumentError
from anabranch._fields import Field, boolean, integer, number
from anabranch.losses._agreement import Tensor, Values, agree, class_indices, loss_function, tensors
from anabranch.losses.loss import DType, named
from anabranch.metrics.metric import typed
from anabranch.metrics.reduction import FunctionMetric


def _float(matches: Tensor, y_pred: Tensor) -> Tensor:
    return matches.to(y_pred.dtype if y_pred.dtype == torch.float64 else torch.float32)


@loss_function
def accuracy(y_true: Values, y_pred: Values) -> Tensor:
    """Return 1 where y_true equals y_pred, else 0.

    Args:
        y_true: labels (B, …).
        y_pred: predicted labels of the same shape.

    Example:
        >>> accuracy([[1], [2]], [[1], [3]]).flatten()
        tensor([1., 0.])
    """
    true, pred = agree(y_true, y_pred, "accuracy")
    return _float(true == pred, pred)


@loss_function
def binary_accuracy(y_true: Values, y_pred: Values, threshold: float = 0.5) -> Tensor:
    """Return 1 where (y_pred > ``threshold``) equals y_true, else 0.

    Args:
        y_true: labels 0 and 1 (B, …).
        threshold: predictions above it mean 1.

    Example:
        >>> binary_accuracy([[1], [0]], [[0.6], [0.7]]).flatten()
        tensor([1., 0.])
    """
    true, pred = agree(y_true, y_pred, "binary_accuracy")
    return _float((pred > threshold) == true, pred)


@loss_function
def categorical_accuracy(y_true: Values, y_pred: Values) -> Tensor:
    """Return 1 where y_true and y_pred are largest at the same position of the last axis, else 0.

    Args:
        y_true: one-hot labels (B, …, C).

    Example:
        >>> categorical_accuracy([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
        tensor([1., 0.])
    """
    true, pred = agree(y_true, y_pred, "categorical_accuracy")
    return _float(true.argmax(-1) == pred.argmax(-1), pred)


@loss_function
def sparse_categorical_accuracy(y_true: Values, y_pred: Values) -> Tensor:
    """Return 1 where the class index is that of the largest score, else 0.

    Args:
        y_true: class indices (B, …) or (B, …, 1).
        y_pred: scores (B, …, C).

    Example:
        >>> sparse_categorical_accuracy([1, 0], [[0.4, 0.6], [0.3, 0.7]])
        tensor([1., 0.])
    """
    true, pred = class_indices(y_true, y_pred, "sparse_categorical_accuracy")
    return _float(pred.argmax(-1) == true, pred)


@loss_function
def top_k_categorical_accuracy(y_true: Values, y_pred: Values, k: int = 5) -> Tensor:
    """Return 1 where the class of the one-hot label is among the ``k`` largest scores, else 0.

    Args:
        y_true: one-hot labels (B, …, C).
        k: how many of the largest scores count.

    Example:
        >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.3, 0.5, 0.2]], k=2)
        tensor([0.])
    """
    true, pred = agree(y_true, y_pred, "top_k_categorical_accuracy")
    return _in_top(true.argmax(-1), pred, k)


@loss_function
def sparse_top_k_categorical_accuracy(y_true: Values, y_pred: Values, k: int = 5, from_sorted_ids: bool = False) -> Tensor:
    """Return 1 where the class index is among those of the ``k`` largest scores, else 0.

    Args:
        y_true: class indices (B, …) or (B, …, 1).
        y_pred: scores (B, …, C).
        k: how many of the largest scores count.
        from_sorted_ids: whether y_pred holds class indices, the best first, in place of scores.

    Example:
        >>> sparse_top_k_categorical_accuracy([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]], k=2)
        tensor([1., 0.])
    """
    if not from_sorted_ids:
        true, pred = class_indices(y_true, y_pred, "sparse_top_k_categorical_accuracy")
        return _in_top(true, pred, k)
    true, pred = tensors(y_true, y_pred)
    true = true.unsqueeze(-1) if true.ndim < pred.ndim else true
    return _float((pred[..., :k] == true).any(-1), pred)


def _in_top(true: Tensor, pred: Tensor, k: int) -> Tensor:
    """Count scores that are not below the right class's: no sorting, ties count as found, NaN never does."""
    if k < 1:
        raise ArgumentError("k must be an integer ≥ 1.", got=repr(k))
    right = pred.gather(-1, true.unsqueeze(-1))
    found = (~(pred <= right)).sum(-1) < k
    return _float(found & ~right.squeeze(-1).isnan(), pred)


class Accuracy(FunctionMetric, function=accuracy):
    """Compute how often y_pred equals y_true.

    Example:
        >>> Accuracy()([[1], [2]], [[1], [3]])
        tensor(0.5000)
    """


class BinaryAccuracy(FunctionMetric, function=binary_accuracy):
    """Compute how often y_pred is on the right side of ``threshold``.

    Example:
        >>> BinaryAccuracy()([[1], [0]], [[0.6], [0.7]])
        tensor(0.5000)
    """

    threshold: Field[float, float] = number(default=0.5)

    def _for_logits(self) -> str | None:
        return "For logits pass threshold=0, which is a probability of 0.5." if self.threshold == 0.5 else None


class CategoricalAccuracy(FunctionMetric, function=categorical_accuracy):
    """Compute how often the largest score is at the one-hot label's class.

    Example:
        >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
        tensor(0.5000)
    """


class SparseCategoricalAccuracy(FunctionMetric, function=sparse_categorical_accuracy):
    """Compute how often the largest score is at the class index.

    Example:
        >>> SparseCategoricalAccuracy()([1, 0], [[0.4, 0.6], [0.3, 0.7]])
        tensor(0.5000)
    """


class TopKCategoricalAccuracy(FunctionMetric, function=top_k_categorical_accuracy):
    """Compute how often the one-hot label's class is among the ``k`` largest scores.

    Example:
        >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [1, 0, 0]], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
        tensor(0.5000)
    """

    k: Field[int, int] = integer(default=5)
    name: Field[str | None, str] = named("top_k_categorical_accuracy")
    dtype: Field[DType, str] = typed()


class SparseTopKCategoricalAccuracy(FunctionMetric, function=sparse_top_k_categorical_accuracy):
    """Compute how often the class index is among those of the ``k`` largest scores.

    Example:
        >>> SparseTopKCategoricalAccuracy(k=2)([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
        tensor(0.5000)
    """

    k: Field[int, int] = integer(default=5)
    name: Field[str | None, str] = named("sparse_top_k_categorical_accuracy")
    dtype: Field[DType, str] = typed()
    from_sorted_ids: Field[bool, bool] = boolean(default=False)

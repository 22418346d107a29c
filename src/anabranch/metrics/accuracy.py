"""How often predictions are right: equal, over a threshold, the best class, among the best k."""

from __future__ import annotations

from typing import Any

import torch

from anabranch._errors import ArgumentError
from anabranch.losses._agreement import Tensor, agree, class_numbers, tensors
from anabranch.metrics.reduction import FunctionMetric


def _float(matches: Tensor, y_pred: Tensor) -> Tensor:
    return matches.to(y_pred.dtype if y_pred.dtype == torch.float64 else torch.float32)


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where y_true equals y_pred, else 0; both of one shape."""
    true, pred = agree(y_true, y_pred, "accuracy")
    return _float(true == pred, pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Return 1 where y_pred > ``threshold`` says what y_true (0 or 1) says, else 0; both of one shape."""
    true, pred = agree(y_true, y_pred, "binary_accuracy")
    return _float((pred > threshold) == true, pred)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where the largest value of y_true and of y_pred stand in one place: (B, ..., C) to (B, ...).

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
    tensor([1., 0.])
    """
    true, pred = agree(y_true, y_pred, "categorical_accuracy")
    return _float(true.argmax(-1) == pred.argmax(-1), pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where class numbers y_true (B, ...) or (B, ..., 1) name the largest value of y_pred (B, ..., C)."""
    true, pred = class_numbers(y_true, y_pred, "sparse_categorical_accuracy")
    return _float(pred.argmax(-1) == true, pred)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where the class of one-hot y_true is among the ``k`` largest of y_pred: (B, ..., C) to (B, ...)."""
    true, pred = agree(y_true, y_pred, "top_k_categorical_accuracy")
    return _in_top(true.argmax(-1), pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Tensor:
    """Return 1 where class number y_true (B, ...) is among the ``k`` largest of y_pred (B, ..., C).

    With ``from_sorted_ids`` y_pred holds class numbers, the best first, and its first ``k`` count.
    """
    if not from_sorted_ids:
        true, pred = class_numbers(y_true, y_pred, "sparse_top_k_categorical_accuracy")
        return _in_top(true, pred, k)
    true, pred = tensors(y_true, y_pred)
    true = true.unsqueeze(-1) if true.ndim < pred.ndim else true
    return _float((pred[..., :k] == true).any(-1), pred)


def _in_top(true: Tensor, pred: Tensor, k: int) -> Tensor:
    """Count who is not below the right class: no sorting, ties count as found, NaN never does."""
    if k < 1:
        raise ArgumentError("k counts the classes that are looked at.", expected="a whole number ≥ 1", got=repr(k))
    right = pred.gather(-1, true.unsqueeze(-1))
    found = (~(pred <= right)).sum(-1) < k
    return _float(found & ~right.squeeze(-1).isnan(), pred)


class Accuracy(FunctionMetric):
    """How often y_pred equals y_true."""

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(FunctionMetric):
    """How often y_pred is on the right side of ``threshold``."""

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(FunctionMetric):
    """How often the largest prediction is the one-hot class."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(FunctionMetric):
    """How often the largest prediction is the class number."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(FunctionMetric):
    """How often the one-hot class is among the ``k`` largest predictions."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(FunctionMetric):
    """How often the class number is among the ``k`` largest predictions."""

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)

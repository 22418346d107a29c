"""Losses between probabilities: cross-entropies over classes and over yes or no, Kullback-Leibler, Poisson."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.nn import functional as F

from anabranch import config
from anabranch.losses._agreement import Tensor, agree, check_labels, class_numbers
from anabranch.losses.loss import FunctionLoss, Reduction
from anabranch.runtime import mask_of


def log_probabilities(pred: Tensor, from_logits: bool, axis: int = -1) -> Tensor:
    """Return log-probabilities along ``axis``; what is not logits is divided by its sum and kept from 0 and 1 by ε."""
    if from_logits:
        return F.log_softmax(pred, axis)
    least = config.epsilon()
    return torch.log((pred / pred.sum(axis, keepdim=True)).clamp(least, 1.0 - least))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """Return -log p[class] for class numbers: y_true (B, ...) or (B, ..., 1), y_pred (B, ..., C) to (B, ...).

    Where y_true is ``ignore_class`` the value is 0. Raises ShapeError where y_true does not hold one class number for each
    place, DataError where a number is out of range (on the CPU; other devices stop with their own error).

    >>> sparse_categorical_crossentropy([1], [[0.25, 0.75]])
    tensor([0.2877])
    """
    true, pred = class_numbers(y_true, y_pred, "sparse_categorical_crossentropy", axis)
    return _sparse(true, pred, from_logits, ignore_class, "none")


def _sparse(true: Tensor, pred: Tensor, from_logits: bool, ignore_class: int | None, reduction: str) -> Tensor:
    """Compare class numbers (B, ...) with classes last (B, ..., C), through torch's fused kernel."""
    rows, numbers = pred.reshape(-1, pred.shape[-1]), true.reshape(-1)
    ignored = -100 if ignore_class is None else ignore_class
    try:
        if from_logits:
            values = F.cross_entropy(rows, numbers, ignore_index=ignored, reduction=reduction)
        else:
            values = F.nll_loss(log_probabilities(rows, False), numbers, ignore_index=ignored, reduction=reduction)
    except IndexError:
        check_labels(true, pred.shape[-1], ignore_class=ignore_class, name="y_true")
        raise
    return values.reshape(true.shape) if reduction == "none" else values


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Return -Σ t·log p along ``axis`` for one-hot or soft targets; y_true and y_pred are of one shape (B, ..., C).

    With smoothing, t becomes t·(1 - s) + s / C (Szegedy et al., 2015).
    """
    true, pred = _classes(y_true, y_pred, label_smoothing, "categorical_crossentropy")
    return -(true * log_probabilities(pred, from_logits, axis)).sum(axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return -Σ alpha·(1 - p)^gamma·t·log p along ``axis`` (Lin et al., 2017, section 3)."""
    true, pred = _classes(y_true, y_pred, label_smoothing, "categorical_focal_crossentropy")
    pred = pred.softmax(axis) if from_logits else pred
    log = log_probabilities(pred, False, axis)
    weight = torch.as_tensor(alpha, dtype=pred.dtype, device=pred.device) if isinstance(alpha, (list, tuple)) else alpha
    return -(weight * (1.0 - log.exp()).pow(gamma) * true * log).sum(axis)


def _classes(y_true: Any, y_pred: Any, smoothing: float, what: str) -> tuple[Tensor, Tensor]:
    true, pred = agree(y_true, y_pred, what)
    if pred.shape[-1] == 1:
        warnings.warn(
            f"{what} over a single class never changes (y_pred {tuple(pred.shape)}); for yes or no use binary_crossentropy.",
            stacklevel=3,
        )
    return (true * (1.0 - smoothing) + smoothing / true.shape[-1] if smoothing else true), pred


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Return the mean of -t·log p - (1 - t)·log(1 - p) over ``axis``: (B, ..., C) to (B, ...).

    With smoothing, t becomes t·(1 - s) + s / 2.
    """
    true, pred = agree(y_true, y_pred, "binary_crossentropy")
    return _binary(_smoothed(true, label_smoothing), pred, from_logits).mean(axis)


def _smoothed(true: Tensor, smoothing: float) -> Tensor:
    return true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else true


def _binary(true: Tensor, pred: Tensor, from_logits: bool) -> Tensor:
    if from_logits:
        return F.binary_cross_entropy_with_logits(pred, true, reduction="none")
    least = config.epsilon()
    return F.binary_cross_entropy(pred.clamp(least, 1.0 - least), true, reduction="none")


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the mean over ``axis`` of (1 - q)^gamma times the binary cross-entropy; q is the probability of what is true.

    With class balancing, ones are weighed by ``alpha`` and zeros by 1 - ``alpha`` (Lin et al., 2017, section 3).
    """
    true, pred = agree(y_true, y_pred, "binary_focal_crossentropy")
    true = _smoothed(true, label_smoothing)
    pred = pred.sigmoid() if from_logits else pred
    values = (1.0 - true * pred - (1.0 - true) * (1.0 - pred)).pow(gamma) * _binary(true, pred, False)
    if apply_class_balancing:
        values = (true * alpha + (1.0 - true) * (1.0 - alpha)) * values
    return values.mean(axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """Return (1 - p[class]^q) / q for class numbers; less moved by wrong labels (Zhang and Sabuncu, 2018)."""
    true, pred = class_numbers(y_true, y_pred, "categorical_generalized_cross_entropy")
    return (1 - pred.gather(-1, true.unsqueeze(-1)).squeeze(-1).pow(q)) / q


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Return Σ t·log(t / p) over the last axis; both are kept within ε and 1."""
    true, pred = agree(y_true, y_pred, "kl_divergence")
    true, pred = true.clamp(config.epsilon(), 1.0), pred.clamp(config.epsilon(), 1.0)
    return (true * torch.log(true / pred)).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of p - t·log(p + ε) over the last axis."""
    true, pred = agree(y_true, y_pred, "poisson")
    return (pred - true * torch.log(pred + config.epsilon())).mean(-1)


class SparseCategoricalCrossentropy(FunctionLoss):
    """-log p[class] for class numbers."""

    function = staticmethod(sparse_categorical_crossentropy)
    by_value = False
    from_logits: bool
    ignore_class: int | None
    axis: int

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: Reduction = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss; without weights the mean is taken inside torch's kernel."""
        plain = sample_weight is None and self.ignore_class is None and mask_of(y_pred) is None
        if not plain or self.reduction not in ("sum_over_batch_size", "mean"):
            return super().__call__(y_true, y_pred, sample_weight)
        true, pred = class_numbers(*self._cast(y_true, y_pred), self.name, self.axis)
        return _sparse(true, pred, self.from_logits, None, "mean")

    def _mask(self, y_true: Any, values: Tensor) -> Tensor | None:
        return None if self.ignore_class is None else (y_true != self.ignore_class).reshape(values.shape)


class CategoricalCrossentropy(FunctionLoss):
    """-Σ t·log p over classes, for one-hot or soft targets."""

    function = staticmethod(categorical_crossentropy)
    by_value = False

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class CategoricalFocalCrossentropy(FunctionLoss):
    """-Σ alpha·(1 - p)^gamma·t·log p over classes."""

    function = staticmethod(categorical_focal_crossentropy)
    by_value = False

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            name, reduction, dtype, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """(1 - p[class]^q) / q for class numbers."""

    function = staticmethod(categorical_generalized_cross_entropy)
    by_value = False

    def __init__(
        self,
        q: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, q=q)


class BinaryCrossentropy(FunctionLoss):
    """Mean of -t·log p - (1 - t)·log(1 - p)."""

    function = staticmethod(binary_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class BinaryFocalCrossentropy(FunctionLoss):
    """Mean of (1 - q)^gamma times the binary cross-entropy."""

    function = staticmethod(binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            name, reduction, dtype, apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class KLDivergence(FunctionLoss):
    """Σ t·log(t / p)."""

    function = staticmethod(kl_divergence)
    by_value = False

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "kl_divergence", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class Poisson(FunctionLoss):
    """Mean of p - t·log p."""

    function = staticmethod(poisson)

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "poisson", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)

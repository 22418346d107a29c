"""Losses watched as metrics: errors of real values, cross-entropies, divergences and hinges, averaged over samples."""

from __future__ import annotations

from typing import Any

import torch

from anabranch import losses
from anabranch.losses._agreement import agree, align, class_numbers
from anabranch.losses.loss import Tensor
from anabranch.metrics.reduction import FunctionMetric, Mean


class MeanSquaredError(FunctionMetric):
    """Mean of (t - p)²."""

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(FunctionMetric):
    """Mean of |t - p|."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(FunctionMetric):
    """100 times the mean of |t - p| / |t|."""

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(FunctionMetric):
    """Mean of (log(1 + t) - log(1 + p))²."""

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(FunctionMetric):
    """Mean of log(cosh(p - t))."""

    def __init__(self, name: str | None = "logcosh", dtype: str | None = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of (t - p)² over all samples."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add the squared errors of a batch."""
        true, pred = agree(y_true, y_pred, "root_mean_squared_error")
        super().update_state((pred - true).square(), sample_weight)

    def result(self) -> Tensor:
        """Return the root, a scalar."""
        return super().result().sqrt()


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric):
    """Mean of the cosine of the angle between targets and predictions; 1 where they point one way, unlike the loss."""

    def __init__(self, name: str | None = "cosine_similarity", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)


class KLDivergence(FunctionMetric):
    """Mean of Σ t·log(t / p)."""

    def __init__(self, name: str | None = "kl_divergence", dtype: str | None = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(FunctionMetric):
    """Mean of p - t·log p."""

    def __init__(self, name: str | None = "poisson", dtype: str | None = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(FunctionMetric):
    """Mean of -t·log p - (1 - t)·log(1 - p)."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(FunctionMetric):
    """Mean of -Σ t·log p over classes, for one-hot or soft targets."""

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(FunctionMetric):
    """Mean of -log p[class] for class numbers; what is ``ignore_class`` is left out of the mean, as in the loss."""

    ignore_class: int | None
    axis: int

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add the cross-entropies of a batch."""
        if self.ignore_class is not None:
            true, pred = class_numbers(y_true, y_pred, self.name, self.axis)
            counts = (true != self.ignore_class).to(pred.dtype)
            if sample_weight is None:
                sample_weight = counts
            else:
                weight, counts = align(torch.as_tensor(sample_weight, device=pred.device, dtype=pred.dtype), counts)
                sample_weight = counts * weight.reshape(*weight.shape, *[1] * (counts.ndim - weight.ndim))
        super().update_state(y_true, y_pred, sample_weight)


class Hinge(FunctionMetric):
    """Mean of max(1 - t·p, 0)."""

    def __init__(self, name: str | None = "hinge", dtype: str | None = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(FunctionMetric):
    """Mean of max(1 - t·p, 0)²."""

    def __init__(self, name: str | None = "squared_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(FunctionMetric):
    """Mean of max(best wrong score - right score + 1, 0)."""

    def __init__(self, name: str | None = "categorical_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)

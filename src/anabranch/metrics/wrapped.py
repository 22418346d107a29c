"""Losses as metrics: errors of real values, cross-entropies, divergences and hinges, averaged over samples."""

from __future__ import annotations

import torch

from anabranch import losses
from anabranch._fields import Field, boolean, integer, number
from anabranch.losses._agreement import Values, agree, align, class_indices
from anabranch.losses.loss import Tensor, named
from anabranch.metrics.reduction import FunctionMetric, Mean


class MeanSquaredError(FunctionMetric, function=losses.mean_squared_error):
    """Compute the mean of (t - p)².

    Example:
        >>> MeanSquaredError()([[0.0, 2.0]], [[1.0, 0.0]])
        tensor(2.5000)
    """


class MeanAbsoluteError(FunctionMetric, function=losses.mean_absolute_error):
    """Compute the mean of |t - p|.

    Example:
        >>> MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 0.0]])
        tensor(1.5000)
    """


class MeanAbsolutePercentageError(FunctionMetric, function=losses.mean_absolute_percentage_error):
    """Compute 100 times the mean of |t - p| / |t|.

    Example:
        >>> MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.5, 2.0]])
        tensor(25.)
    """


class MeanSquaredLogarithmicError(FunctionMetric, function=losses.mean_squared_logarithmic_error):
    """Compute the mean of (log(1 + t) - log(1 + p))².

    Example:
        >>> MeanSquaredLogarithmicError()([[1.0]], [[1.0]])
        tensor(0.)
    """


class LogCoshError(FunctionMetric, function=losses.log_cosh, name="logcosh"):
    """Compute the mean of log(cosh(p - t)).

    Example:
        >>> LogCoshError()([[0.0]], [[100.0]])
        tensor(99.3069)
    """


class RootMeanSquaredError(Mean):
    """Compute the square root of the mean of (t - p)² over all samples.

    Example:
        >>> RootMeanSquaredError()([[0.0], [0.0]], [[3.0], [3.0]])
        tensor(3.)
    """

    name: Field[str | None, str] = named("root_mean_squared_error")

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add the squared errors of a batch."""
        true, pred = agree(y_true, y_pred, "root_mean_squared_error")
        super().update_state((pred - true).square(), sample_weight)

    def result(self) -> Tensor:
        """Return the root, a scalar."""
        return super().result().sqrt()


def _cosine(y_true: Values, y_pred: Values, axis: int = -1) -> Tensor:
    """Return the cosine of the angle.

    Args:
        y_true: targets.
        y_pred: predictions.
        axis: the axis of the vectors.
    """
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric, function=_cosine, name="cosine_similarity"):
    """Compute the mean cosine of the angle between targets and predictions; 1 for one direction, unlike the loss.

    Example:
        >>> CosineSimilarity()([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
        tensor(0.5000)
    """

    axis: Field[int, int] = integer(default=-1, least=None)


class KLDivergence(FunctionMetric, function=losses.kl_divergence):
    """Compute the mean of Σ t·log(t / p).

    Example:
        >>> KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """


class Poisson(FunctionMetric, function=losses.poisson):
    """Compute the mean of p - t·log p.

    Example:
        >>> Poisson()([[2.0]], [[1.0]])
        tensor(1.0000)
    """


class _Crossentropy(FunctionMetric):
    """A cross-entropy of probabilities, or of logits with ``from_logits``. Abstract."""

    from_logits: Field[bool, bool]

    def _for_logits(self) -> str | None:
        return None if self.from_logits else "For logits pass from_logits=True."


class BinaryCrossentropy(_Crossentropy, function=losses.binary_crossentropy):
    """Compute the mean of -t·log p - (1 - t)·log(1 - p).

    Example:
        >>> BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])
        tensor(0.6931)
    """

    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0, least=0, most=1)


class CategoricalCrossentropy(_Crossentropy, function=losses.categorical_crossentropy):
    """Compute the mean of -Σ t·log p over classes, for one-hot or soft labels.

    Example:
        >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """

    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0, least=0, most=1)
    axis: Field[int, int] = integer(default=-1, least=None)


class SparseCategoricalCrossentropy(_Crossentropy, function=losses.sparse_categorical_crossentropy):
    """Compute the mean of -log p[class] for class indices; what is ``ignore_class`` does not count, as in the loss.

    Example:
        >>> SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])
        tensor(0.6931)
    """

    from_logits: Field[bool, bool] = boolean(default=False)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True)
    axis: Field[int, int] = integer(default=-1, least=None)

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add the cross-entropies of a batch."""
        if self.ignore_class is not None:
            true, pred = class_indices(y_true, y_pred, self.name, self.axis)
            counts = (true != self.ignore_class).to(pred.dtype)
            if sample_weight is None:
                sample_weight = counts
            else:
                weight, counts = align(torch.as_tensor(sample_weight, device=pred.device, dtype=pred.dtype), counts)
                sample_weight = counts * weight.reshape(*weight.shape, *[1] * (counts.ndim - weight.ndim))
        super().update_state(y_true, y_pred, sample_weight)


class Hinge(FunctionMetric, function=losses.hinge):
    """Compute the mean of max(1 - t·p, 0).

    Example:
        >>> Hinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor(0.2500)
    """


class SquaredHinge(FunctionMetric, function=losses.squared_hinge):
    """Compute the mean of max(1 - t·p, 0)².

    Example:
        >>> SquaredHinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor(0.1250)
    """


class CategoricalHinge(FunctionMetric, function=losses.categorical_hinge):
    """Compute the mean of max(best wrong score - right score + 1, 0).

    Example:
        >>> CategoricalHinge()([[0.0, 1.0]], [[0.25, 0.75]])
        tensor(0.5000)
    """

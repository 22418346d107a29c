"""Losses between probabilities: categorical and binary cross-entropies, Kullback-Leibler, Poisson."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from anabranch import config
from anabranch._arguments import Fraction, NotNegative, Positive
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Field, boolean, field, integer, number
from anabranch.graph.call_site import warn
from anabranch.losses._agreement import Tensor, Values, agree, check_labels, class_indices, loss_function, takes_symbols
from anabranch.losses.loss import FunctionLoss, Labels, Reduction, reduced
from anabranch.runtime import mask_of


def log_probabilities(pred: Tensor, from_logits: bool, axis: int = -1) -> Tensor:
    """Return log-probabilities along ``axis``; probabilities are divided by their sum and clipped to [ε, 1 - ε]."""
    if from_logits:
        return F.log_softmax(pred, axis)
    least = config.epsilon()
    return torch.log((pred / pred.sum(axis, keepdim=True)).clamp(least, 1.0 - least))


@loss_function
def sparse_categorical_crossentropy(
    y_true: Values, y_pred: Values, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """Return -log p[class].

    Args:
        y_true: class indices (B, …) or (B, …, 1).
        y_pred: probabilities or logits (B, …, C).
        ignore_class: a label at whose positions the value is 0.

    Raises:
        ShapeError: y_true does not hold one class index for each position.
        DataError: an index is out of range (on the CPU; other devices stop with an error of their own).

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.25, 0.75]])
        tensor([0.2877])
    """
    true, pred = class_indices(y_true, y_pred, "sparse_categorical_crossentropy", axis)
    return _sparse(true, pred, from_logits, ignore_class, "none")


def _sparse(true: Tensor, pred: Tensor, from_logits: bool, ignore_class: int | None, reduction: str) -> Tensor:
    """Compare class indices (B, ...) with classes last (B, ..., C), through torch's fused kernel."""
    rows, labels = pred.reshape(-1, pred.shape[-1]), true.reshape(-1)
    ignored = -100 if ignore_class is None else ignore_class
    try:
        if from_logits:
            values = F.cross_entropy(rows, labels, ignore_index=ignored, reduction=reduction)
        else:
            values = F.nll_loss(log_probabilities(rows, False), labels, ignore_index=ignored, reduction=reduction)
    except IndexError:
        check_labels(true, pred.shape[-1], ignore_class=ignore_class, name="y_true")
        raise
    return values.reshape(true.shape) if reduction == "none" else values


@loss_function
def categorical_crossentropy(
    y_true: Values, y_pred: Values, from_logits: bool = False, label_smoothing: Fraction = 0.0, axis: int = -1
) -> Tensor:
    """Return -Σ t·log p along ``axis``.

    Args:
        y_true: one-hot or soft labels (B, …, C).
        y_pred: probabilities or logits of the same shape.
        label_smoothing: s in [0, 1]: t becomes t·(1 - s) + s / C (Szegedy et al. 2015).

    Example:
        >>> categorical_crossentropy([[0.0, 1.0]], [[0.25, 0.75]])
        tensor([0.2877])
    """
    true, pred = _classes(y_true, y_pred, label_smoothing, "categorical_crossentropy")
    return -(true * log_probabilities(pred, from_logits, axis)).sum(axis)


@loss_function
def categorical_focal_crossentropy(
    y_true: Values,
    y_pred: Values,
    alpha: NotNegative | Sequence[NotNegative] = 0.25,
    gamma: NotNegative = 2.0,
    from_logits: bool = False,
    label_smoothing: Fraction = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return -Σ alpha·(1 - p)^gamma·t·log p along ``axis`` (Lin et al. 2017, section 3).

    Args:
        y_true: one-hot or soft labels (B, …, C).
        y_pred: probabilities or logits of the same shape.
        alpha: weight of all classes, or a list of one for each.
        label_smoothing: s in [0, 1]: t becomes t·(1 - s) + s / C (Szegedy et al. 2015).

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]], alpha=1.0, gamma=1.0)
        tensor([0.3466])
    """
    true, pred = _classes(y_true, y_pred, label_smoothing, "categorical_focal_crossentropy")
    pred = pred.softmax(axis) if from_logits else pred
    log = log_probabilities(pred, False, axis)
    weight = alpha if isinstance(alpha, (int, float)) else torch.as_tensor(alpha).to(pred)
    return -(weight * (1.0 - log.exp()).pow(gamma) * true * log).sum(axis)


def _classes(y_true: Values, y_pred: Values, smoothing: float, what: str) -> tuple[Tensor, Tensor]:
    true, pred = agree(y_true, y_pred, what)
    if pred.shape[-1] == 1:
        warn(f"{what} over a single class is constant (y_pred {tuple(pred.shape)}); for two classes use binary_crossentropy.")
    return (true * (1.0 - smoothing) + smoothing / true.shape[-1] if smoothing else true), pred


@loss_function
def binary_crossentropy(
    y_true: Values, y_pred: Values, from_logits: bool = False, label_smoothing: Fraction = 0.0, axis: int = -1
) -> Tensor:
    """Return the mean of -t·log p - (1 - t)·log(1 - p) over ``axis``.

    Args:
        y_true: labels from 0 to 1 (B, …, C).
        y_pred: probabilities or logits of the same shape.
        label_smoothing: s in [0, 1]: t becomes t·(1 - s) + s / 2.
        axis: the axis that is averaged over.

    Example:
        >>> binary_crossentropy([[1.0], [0.0]], [[0.75], [0.5]])
        tensor([0.2877, 0.6931])
    """
    true, pred = agree(y_true, y_pred, "binary_crossentropy")
    return _binary(_smoothed(true, label_smoothing), pred, from_logits).mean(axis)


bce = BCE = binary_crossentropy


def _smoothed(true: Tensor, smoothing: float) -> Tensor:
    return true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else true


def _binary(true: Tensor, pred: Tensor, from_logits: bool) -> Tensor:
    if from_logits:
        return F.binary_cross_entropy_with_logits(pred, true, reduction="none")
    # Not F.binary_cross_entropy, which refuses labels a little above 1. 1 - ε needs the 24 bits of float32.
    logits = torch.logit(pred if pred.dtype.itemsize > 2 else pred.float(), config.epsilon())
    return F.binary_cross_entropy_with_logits(logits, true.to(logits.dtype), reduction="none").to(pred.dtype)


@loss_function
def binary_focal_crossentropy(
    y_true: Values,
    y_pred: Values,
    apply_class_balancing: bool = False,
    alpha: Fraction = 0.25,
    gamma: NotNegative = 2.0,
    from_logits: bool = False,
    label_smoothing: Fraction = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the mean over ``axis`` of (1 - q)^gamma times the binary cross-entropy, q the probability of the true label.

    Source: Lin et al. 2017, section 3.

    Args:
        y_true: labels from 0 to 1 (B, …, C).
        y_pred: probabilities or logits of the same shape.
        apply_class_balancing: whether ones are weighted by ``alpha`` and zeros by 1 - ``alpha``.
        alpha: weight of ones, from 0 to 1.
        label_smoothing: s in [0, 1]: t becomes t·(1 - s) + s / 2.
        axis: the axis that is averaged over.

    Example:
        >>> binary_focal_crossentropy([[1.0]], [[0.5]], gamma=1.0)
        tensor([0.3466])
    """
    true, pred = agree(y_true, y_pred, "binary_focal_crossentropy")
    true = _smoothed(true, label_smoothing)
    pred = pred.sigmoid() if from_logits else pred
    values = (1.0 - true * pred - (1.0 - true) * (1.0 - pred)).pow(gamma) * _binary(true, pred, False)
    if apply_class_balancing:
        values = (true * alpha + (1.0 - true) * (1.0 - alpha)) * values
    return values.mean(axis)


@loss_function
def categorical_generalized_cross_entropy(y_true: Values, y_pred: Values, q: Positive) -> Tensor:
    """Return (1 - p[class]^q) / q, which wrong labels move less (Zhang & Sabuncu 2018).

    Args:
        y_true: class indices (B, …) or (B, …, 1).
        y_pred: probabilities (B, …, C).
        q: between 0, cross-entropy, and 1, mean absolute error.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)
        tensor([1.])
    """
    true, pred = class_indices(y_true, y_pred, "categorical_generalized_cross_entropy")
    return (1 - pred.gather(-1, true.unsqueeze(-1)).squeeze(-1).pow(q)) / q


@loss_function
def kl_divergence(y_true: Values, y_pred: Values) -> Tensor:
    """Return Σ t·log(t / p) over the last axis; both are clipped to [ε, 1].

    Args:
        y_true: probabilities (B, …, C).
        y_pred: probabilities of the same shape.

    Example:
        >>> kl_divergence([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
    """
    true, pred = agree(y_true, y_pred, "kl_divergence")
    true, pred = true.clamp(config.epsilon(), 1.0), pred.clamp(config.epsilon(), 1.0)
    return (true * torch.log(true / pred)).sum(-1)


kld = KLD = kullback_leibler_divergence = kl_divergence


@loss_function
def poisson(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of p - t·log(p + ε) over the last axis.

    Args:
        y_true: counts (B, …, C).
        y_pred: expected counts of the same shape, > 0.

    Example:
        >>> poisson([[2.0]], [[1.0]])
        tensor([1.0000])
    """
    true, pred = agree(y_true, y_pred, "poisson")
    return (pred - true * torch.log(pred + config.epsilon())).mean(-1)


class SparseCategoricalCrossentropy(FunctionLoss, function=sparse_categorical_crossentropy, by_value=False):
    """Compute -log p[class] for class indices.

    Example:
        >>> SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])
        tensor(0.6931)
    """

    _labels_: ClassVar[Labels] = "indices"
    from_logits: Field[bool, bool] = boolean(default=False)
    ignore_class: Field[int | None, int | None] = integer(default=None, least=None, optional=True)
    reduction: Field[Reduction, Reduction] = reduced()
    axis: Field[int, int] = integer(default=-1, least=None)

    @takes_symbols
    def __call__(self, y_true: Any, y_pred: Values, sample_weight: Values | None = None) -> Tensor:
        """Return the reduced loss; without weights the mean is computed inside torch's kernel.

        Args:
            y_true: class indices (B, …) or (B, …, 1).
            y_pred: probabilities or logits (B, …, C).
            sample_weight: factors of the values, one for each sample (B,) or of the values' shape.
        """
        plain = sample_weight is None and self.ignore_class is None and mask_of(y_pred) is None
        if not plain or self.reduction not in ("sum_over_batch_size", "mean"):
            return super().__call__(y_true, y_pred, sample_weight)
        true, pred = class_indices(*self._cast_(y_true, y_pred), self.name, self.axis)
        return _sparse(true, pred, self.from_logits, None, "mean" if true.numel() else "sum")

    def _mask_(self, y_true: Tensor, values: Tensor) -> Tensor | None:
        return None if self.ignore_class is None else (y_true != self.ignore_class).reshape(values.shape)


class CategoricalCrossentropy(FunctionLoss, function=categorical_crossentropy, by_value=False):
    """Compute -Σ t·log p over classes, for one-hot or soft labels.

    Example:
        >>> CategoricalCrossentropy(from_logits=True)([[0.0, 1.0]], [[0.0, 0.0]])
        tensor(0.6931)
    """

    _labels_: ClassVar[Labels] = "one-hot"
    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0.0, least=0, most=1)
    axis: Field[int, int] = integer(default=-1, least=None)


def _weight(value: object, owner: object, name: str) -> float | list[float]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(each, (int, float)) for each in value):
        return list(value)
    raise ArgumentTypeError(f"{name} must be a number, or a list of one for each class.", got=repr(value)[:120])


class CategoricalFocalCrossentropy(FunctionLoss, function=categorical_focal_crossentropy, by_value=False):
    """Compute -Σ alpha·(1 - p)^gamma·t·log p over classes (Lin et al. 2017, section 3).

    Example:
        >>> CategoricalFocalCrossentropy(alpha=1.0, gamma=1.0)([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.3466)
    """

    _labels_: ClassVar[Labels] = "one-hot"
    alpha: Field[float | Sequence[float], float | list[float]] = field(default=0.25, convert=_weight)
    gamma: Field[float, float] = number(default=2.0, least=0)
    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0.0, least=0, most=1)
    axis: Field[int, int] = integer(default=-1, least=None)


class CategoricalGeneralizedCrossEntropy(FunctionLoss, function=categorical_generalized_cross_entropy, by_value=False):
    """Compute (1 - p[class]^q) / q for class indices, which wrong labels move less (Zhang & Sabuncu 2018).

    Example:
        >>> CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.75, 0.25]])
        tensor(1.)
    """

    _labels_: ClassVar[Labels] = "indices"
    q: Field[float, float] = number(default=0.5, above=0, below=1)


class BinaryCrossentropy(FunctionLoss, function=binary_crossentropy):
    """Compute the mean of -t·log p - (1 - t)·log(1 - p).

    Example:
        >>> BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])
        tensor(0.6931)
    """

    _labels_: ClassVar[Labels] = "binary"
    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0.0, least=0, most=1)
    axis: Field[int, int] = integer(default=-1, least=None)


class BinaryFocalCrossentropy(FunctionLoss, function=binary_focal_crossentropy):
    """Compute the mean of (1 - q)^gamma times the binary cross-entropy (Lin et al. 2017, section 3).

    Example:
        >>> BinaryFocalCrossentropy(gamma=1.0)([[1.0]], [[0.5]])
        tensor(0.3466)
    """

    _labels_: ClassVar[Labels] = "binary"
    apply_class_balancing: Field[bool, bool] = boolean(default=False)
    alpha: Field[float, float] = number(default=0.25, least=0, most=1)
    gamma: Field[float, float] = number(default=2.0, least=0)
    from_logits: Field[bool, bool] = boolean(default=False)
    label_smoothing: Field[float, float] = number(default=0.0, least=0, most=1)
    axis: Field[int, int] = integer(default=-1, least=None)


class KLDivergence(FunctionLoss, function=kl_divergence, by_value=False):
    """Compute Σ t·log(t / p).

    Example:
        >>> KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """


class Poisson(FunctionLoss, function=poisson):
    """Compute the mean of p - t·log p.

    Example:
        >>> Poisson()([[2.0]], [[1.0]])
        tensor(1.0000)
    """

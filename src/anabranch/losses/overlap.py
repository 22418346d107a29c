"""Losses of overlap between masks: Dice, Tversky."""

from __future__ import annotations

from anabranch import config, registry
from anabranch._arguments import NotNegative
from anabranch._fields import Field, field, number
from anabranch.losses._agreement import Tensor, Values, agree, arithmetic
from anabranch.losses.loss import FunctionLoss, Reduction, named, reduced

Axes = int | tuple[int, ...] | list[int] | None


@arithmetic
def dice(y_true: Values, y_pred: Values, axis: Axes = None) -> Tensor:
    """Return 1 - 2·Σ t·p / (Σ t + Σ p + ε).

    Args:
        y_true: masks of 0 and 1 (B, …).
        y_pred: predictions of the same shape.
        axis: the axis or axes to sum over; None sums over all.

    Returns:
        Values of the axes that are left; a scalar where ``axis`` is None.

    Example:
        >>> dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], axis=1)
        tensor([0.3333])
    """
    true, pred = agree(y_true, y_pred, "dice")
    return 1 - 2.0 * _sum(true * pred, axis) / (_sum(true, axis) + _sum(pred, axis) + config.epsilon())


@arithmetic
def tversky(y_true: Values, y_pred: Values, alpha: NotNegative = 0.5, beta: NotNegative = 0.5, axis: Axes = None) -> Tensor:
    """Return 1 - Σ t·p / (Σ t·p + alpha·Σ t·(1 - p) + beta·Σ (1 - t)·p + ε) (Salehi et al. 2017).

    Args:
        y_true: masks of 0 and 1 (B, …).
        y_pred: predictions of the same shape.
        alpha: weight of false negatives, as Keras computes it; Keras's own text has the two the other way round.
        beta: weight of false positives.
        axis: the axis or axes to sum over; None sums over all.

    Returns:
        Values of the axes that are left; a scalar where ``axis`` is None.

    Example:
        >>> tversky([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], alpha=1.0, beta=0.0, axis=1)
        tensor([0.5000])
    """
    true, pred = agree(y_true, y_pred, "tversky")
    both = _sum(true * pred, axis)
    missed, wrong = _sum(true * (1 - pred), axis), _sum((1 - true) * pred, axis)
    return 1 - both / (both + alpha * missed + beta * wrong + config.epsilon())


def _sum(values: Tensor, axis: Axes) -> Tensor:
    return values.sum() if axis is None else values.sum(axis)


def _axes(value: object, owner: object, name: str) -> int | list[int] | None:
    given = registry.deserialize(value)  # Keras writes tuples as dicts
    return [int(axis) for axis in given] if isinstance(given, (list, tuple)) else given


class Dice(FunctionLoss, function=dice, by_value=False):
    """Compute 1 minus the Dice coefficient.

    Example:
        >>> Dice(axis=1)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.3333)
    """

    reduction: Field[Reduction, Reduction] = reduced()
    name: Field[str | None, str] = named("dice")
    axis: Field[Axes, int | list[int] | None] = field(default=None, convert=_axes)


class Tversky(FunctionLoss, function=tversky, by_value=False):
    """Compute 1 minus the Tversky index.

    Example:
        >>> Tversky(alpha=1.0, beta=0.0, axis=1)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.5000)
    """

    alpha: Field[float, float] = number(default=0.5, least=0)
    beta: Field[float, float] = number(default=0.5, least=0)
    reduction: Field[Reduction, Reduction] = reduced()
    name: Field[str | None, str] = named("tversky")
    axis: Field[Axes, int | list[int] | None] = field(default=None, convert=_axes)

"""Losses of overlap between masks: Dice, Tversky."""

from __future__ import annotations

from typing import Any

from anabranch import config
from anabranch.losses._agreement import Tensor, agree
from anabranch.losses.loss import FunctionLoss, Reduction

Axes = int | tuple[int, ...] | list[int] | None


def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> Tensor:
    """Return 1 - 2·Σ t·p / (Σ t + Σ p + ε) over ``axis``; over everything where it is None."""
    true, pred = agree(y_true, y_pred, "dice")
    return 1 - 2.0 * _sum(true * pred, axis) / (_sum(true, axis) + _sum(pred, axis) + config.epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Tensor:
    """Return 1 - Σ t·p / (Σ t·p + alpha·Σ t·(1 - p) + beta·Σ (1 - t)·p + ε) over ``axis`` (Salehi et al., 2017).

    ``alpha`` weighs what was missed and ``beta`` what was found wrongly: Keras's computation, whose own text names them the
    other way round.
    """
    true, pred = agree(y_true, y_pred, "tversky")
    both = _sum(true * pred, axis)
    missed, wrong = _sum(true * (1 - pred), axis), _sum((1 - true) * pred, axis)
    return 1 - both / (both + alpha * missed + beta * wrong + config.epsilon())


def _sum(values: Tensor, axis: Axes) -> Tensor:
    return values.sum() if axis is None else values.sum(axis)


class Dice(FunctionLoss):
    """1 - the Dice coefficient."""

    function = staticmethod(dice)
    by_value = False

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "dice",
        axis: Axes = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, axis=axis)


class Tversky(FunctionLoss):
    """1 - the Tversky index."""

    function = staticmethod(tversky)
    by_value = False

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "tversky",
        axis: Axes = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, alpha=alpha, beta=beta, axis=axis)

"""Losses of margins: hinge, squared hinge, categorical hinge."""

from __future__ import annotations

from typing import Any

import torch

from anabranch.losses._agreement import Tensor, agree
from anabranch.losses.loss import FunctionLoss, Reduction


def _signed(true: Tensor) -> Tensor:
    """Return labels of -1 and 1; labels that are all 0 or 1 are moved there, decided on the device."""
    binary = ((true == 0) | (true == 1)).all()
    return torch.where(binary, 2.0 * true - 1.0, true)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of max(1 - t·p, 0) over the last axis; t is -1 or 1, and labels of 0 and 1 are taken as those."""
    true, pred = agree(y_true, y_pred, "hinge")
    return (1.0 - _signed(true) * pred).clamp_min(0.0).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of max(1 - t·p, 0)² over the last axis; t is -1 or 1, and labels of 0 and 1 are taken as those."""
    true, pred = agree(y_true, y_pred, "squared_hinge")
    return (1.0 - _signed(true) * pred).clamp_min(0.0).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return max(max((1 - t)·p) - Σ t·p + 1, 0) along the last axis; t is one-hot."""
    true, pred = agree(y_true, y_pred, "categorical_hinge")
    return (((1.0 - true) * pred).amax(-1) - (true * pred).sum(-1) + 1.0).clamp_min(0.0)


class Hinge(FunctionLoss):
    """Mean of max(1 - t·p, 0)."""

    function = staticmethod(hinge)

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "hinge", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)


class SquaredHinge(FunctionLoss):
    """Mean of max(1 - t·p, 0)²."""

    function = staticmethod(squared_hinge)

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "squared_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class CategoricalHinge(FunctionLoss):
    """max(best wrong score - right score + 1, 0)."""

    function = staticmethod(categorical_hinge)
    by_value = False

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "categorical_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

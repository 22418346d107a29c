"""Losses between real values: squared, absolute, relative and logarithmic errors, Huber, log-cosh, cosine similarity."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from anabranch import config
from anabranch.losses._agreement import Tensor, agree
from anabranch.losses.loss import FunctionLoss, Reduction


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of (t - p)² over the last axis: (B, ..., C) to (B, ...).

    >>> mean_squared_error([[0.0, 2.0]], [[1.0, 0.0]])
    tensor([2.5000])
    """
    true, pred = agree(y_true, y_pred, "mean_squared_error")
    return F.mse_loss(pred, true, reduction="none").mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of |t - p| over the last axis: (B, ..., C) to (B, ...)."""
    true, pred = agree(y_true, y_pred, "mean_absolute_error")
    return (true - pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return 100 times the mean of |t - p| / max(|t|, ε) over the last axis; ε is ``config.epsilon()``."""
    true, pred = agree(y_true, y_pred, "mean_absolute_percentage_error")
    return 100.0 * ((true - pred) / true.abs().clamp_min(config.epsilon())).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of (log(1 + t) - log(1 + p))² over the last axis; both are at least ε."""
    true, pred = agree(y_true, y_pred, "mean_squared_logarithmic_error")
    least = config.epsilon()
    return (torch.log(pred.clamp_min(least) + 1.0) - torch.log(true.clamp_min(least) + 1.0)).square().mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean over the last axis of e²/2 where |e| ≤ delta, and of delta·|e| - delta²/2 beyond (Huber, 1964)."""
    true, pred = agree(y_true, y_pred, "huber")
    error = (pred - true).abs()
    return torch.where(error <= delta, 0.5 * error.square(), delta * error - 0.5 * delta**2).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of log(cosh(p - t)) over the last axis, computed so that it does not overflow."""
    true, pred = agree(y_true, y_pred, "log_cosh")
    error = pred - true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return -Σ t·p / (‖t‖·‖p‖) along ``axis``: -1 where both point one way, 1 where they oppose, 0 beside a zero vector."""
    true, pred = agree(y_true, y_pred, "cosine_similarity")
    return -(F.normalize(true, dim=axis) * F.normalize(pred, dim=axis)).sum(axis)


class MeanSquaredError(FunctionLoss):
    """Mean of (t - p)²."""

    function = staticmethod(mean_squared_error)

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "mean_squared_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsoluteError(FunctionLoss):
    """Mean of |t - p|."""

    function = staticmethod(mean_absolute_error)

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "mean_absolute_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """100 times the mean of |t - p| / |t|."""

    function = staticmethod(mean_absolute_percentage_error)

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """Mean of (log(1 + t) - log(1 + p))²."""

    function = staticmethod(mean_squared_logarithmic_error)

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Huber(FunctionLoss):
    """Squared near zero, absolute beyond ``delta``."""

    function = staticmethod(huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """Mean of log(cosh(p - t))."""

    function = staticmethod(log_cosh)

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "log_cosh", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)


class CosineSimilarity(FunctionLoss):
    """Minus the cosine of the angle between targets and predictions along ``axis``."""

    function = staticmethod(cosine_similarity)
    by_value = False

    def __init__(
        self,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, axis=axis)

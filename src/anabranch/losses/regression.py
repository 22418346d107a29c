"""Losses between real values: squared, absolute, relative and logarithmic errors, Huber, log-cosh, cosine similarity."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from anabranch import config
from anabranch._arguments import Positive
from anabranch._fields import Field, integer, number
from anabranch.losses._agreement import Tensor, Values, agree, arithmetic, loss_function
from anabranch.losses.loss import FunctionLoss


@loss_function
def mean_squared_error(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of (t - p)² over the last axis.

    Example:
        >>> mean_squared_error([[0.0, 2.0]], [[1.0, 0.0]])
        tensor([2.5000])
    """
    true, pred = agree(y_true, y_pred, "mean_squared_error")
    return F.mse_loss(pred, true, reduction="none").mean(-1)


mse = MSE = mean_squared_error


@loss_function
def mean_absolute_error(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of |t - p| over the last axis.

    Example:
        >>> mean_absolute_error([[0.0, 2.0]], [[1.0, 0.0]])
        tensor([1.5000])
    """
    true, pred = agree(y_true, y_pred, "mean_absolute_error")
    return (true - pred).abs().mean(-1)


mae = MAE = mean_absolute_error


@loss_function
def mean_absolute_percentage_error(y_true: Values, y_pred: Values) -> Tensor:
    """Return 100 times the mean of |t - p| / max(|t|, ε) over the last axis; ε is ``config.epsilon()``.

    Example:
        >>> mean_absolute_percentage_error([[1.0, 2.0]], [[1.5, 2.0]])
        tensor([25.])
    """
    true, pred = agree(y_true, y_pred, "mean_absolute_percentage_error")
    return 100.0 * ((true - pred) / true.abs().clamp_min(config.epsilon())).abs().mean(-1)


mape = MAPE = mean_absolute_percentage_error


@loss_function
def mean_squared_logarithmic_error(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of (log(1 + t) - log(1 + p))² over the last axis; both are clipped at ε from below.

    Args:
        y_true: targets ≥ 0 (B, …, C).

    Example:
        >>> mean_squared_logarithmic_error([[math.e - 1]], [[0.0]])
        tensor([1.0000])
    """
    true, pred = agree(y_true, y_pred, "mean_squared_logarithmic_error")
    least = config.epsilon()
    return (torch.log(pred.clamp_min(least) + 1.0) - torch.log(true.clamp_min(least) + 1.0)).square().mean(-1)


msle = MSLE = mean_squared_logarithmic_error


@loss_function
def huber(y_true: Values, y_pred: Values, delta: Positive = 1.0) -> Tensor:
    """Return the mean over the last axis of e²/2 where |e| ≤ delta, and of delta·|e| - delta²/2 beyond (Huber 1964).

    Args:
        delta: the error beyond which the loss is linear, > 0.

    Example:
        >>> huber([[0.0], [0.0]], [[0.5], [3.0]])
        tensor([0.1250, 2.5000])
    """
    true, pred = agree(y_true, y_pred, "huber")
    error = (pred - true).abs()
    return torch.where(error <= delta, 0.5 * error.square(), delta * error - 0.5 * delta**2).mean(-1)


@loss_function
def log_cosh(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of log(cosh(p - t)) over the last axis, computed so that it does not overflow.

    Example:
        >>> log_cosh([[0.0]], [[100.0]])
        tensor([99.3069])
    """
    true, pred = agree(y_true, y_pred, "log_cosh")
    error = pred - true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


logcosh = log_cosh


@arithmetic
def cosine_similarity(y_true: Values, y_pred: Values, axis: int = -1) -> Tensor:
    """Return -Σ t·p / (‖t‖·‖p‖): -1 where both have one direction, 1 where they are opposite, 0 beside a zero vector.

    Args:
        y_true: targets (B, …, C).
        y_pred: predictions of the same shape.
        axis: the axis of the vectors.

    Returns:
        Values (B, …), without ``axis``.

    Example:
        >>> cosine_similarity([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
        tensor([-1., -0.])
    """
    true, pred = agree(y_true, y_pred, "cosine_similarity")
    least = config.epsilon()  # shorter vectors count as little
    return -(F.normalize(true, dim=axis, eps=least) * F.normalize(pred, dim=axis, eps=least)).sum(axis)


class MeanSquaredError(FunctionLoss, function=mean_squared_error):
    """Compute the mean of (t - p)².

    Example:
        >>> MeanSquaredError()([[0.0, 2.0]], [[1.0, 0.0]])
        tensor(2.5000)
    """


class MeanAbsoluteError(FunctionLoss, function=mean_absolute_error):
    """Compute the mean of |t - p|.

    Example:
        >>> MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 0.0]])
        tensor(1.5000)
    """


class MeanAbsolutePercentageError(FunctionLoss, function=mean_absolute_percentage_error):
    """Compute 100 times the mean of |t - p| / |t|.

    Example:
        >>> MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.5, 2.0]])
        tensor(25.)
    """


class MeanSquaredLogarithmicError(FunctionLoss, function=mean_squared_logarithmic_error):
    """Compute the mean of (log(1 + t) - log(1 + p))².

    Example:
        >>> MeanSquaredLogarithmicError()([[math.e - 1]], [[0.0]])
        tensor(1.0000)
    """


class Huber(FunctionLoss, function=huber, name="huber_loss"):
    """Compute e²/2 for small errors and delta·|e| - delta²/2 beyond ``delta`` (Huber 1964).

    Example:
        >>> Huber(delta=1.0)([[0.0], [0.0]], [[0.5], [3.0]])
        tensor(1.3125)
    """

    delta: Field[float, float] = number(default=1.0, above=0)


class LogCosh(FunctionLoss, function=log_cosh):
    """Compute the mean of log(cosh(p - t)).

    Example:
        >>> LogCosh()([[0.0]], [[100.0]])
        tensor(99.3069)
    """


class CosineSimilarity(FunctionLoss, function=cosine_similarity, by_value=False):
    """Compute minus the cosine of the angle between targets and predictions.

    Example:
        >>> CosineSimilarity()([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
        tensor(-0.5000)
    """

    axis: Field[int, int] = integer(default=-1, least=None)

"""Losses of margins: hinge, squared hinge, categorical hinge."""

from __future__ import annotations

import torch

from anabranch.losses._agreement import Tensor, Values, agree, loss_function
from anabranch.losses.loss import FunctionLoss


def _shortfall(y_true: Values, y_pred: Values, loss: str) -> Tensor:
    """Return max(1 - t·p, 0) with labels of -1 and 1; labels that are all 0 or 1 are moved there, decided on the device."""
    true, pred = agree(y_true, y_pred, loss)
    binary = ((true == 0) | (true == 1)).all()
    return (1.0 - torch.where(binary, 2.0 * true - 1.0, true) * pred).clamp_min(0.0)


@loss_function
def hinge(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of max(1 - t·p, 0) over the last axis.

    Args:
        y_true: labels -1 and 1 (B, …, C); labels 0 and 1 are taken as those.

    Example:
        >>> hinge([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor([0.5000, 0.0000])
    """
    return _shortfall(y_true, y_pred, "hinge").mean(-1)


@loss_function
def squared_hinge(y_true: Values, y_pred: Values) -> Tensor:
    """Return the mean of max(1 - t·p, 0)² over the last axis.

    Args:
        y_true: as for :func:`hinge`.

    Example:
        >>> squared_hinge([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor([0.2500, 0.0000])
    """
    return _shortfall(y_true, y_pred, "squared_hinge").square().mean(-1)


@loss_function
def categorical_hinge(y_true: Values, y_pred: Values) -> Tensor:
    """Return max(max((1 - t)·p) - Σ t·p + 1, 0) along the last axis.

    Args:
        y_true: one-hot labels (B, …, C).

    Example:
        >>> categorical_hinge([[0.0, 1.0]], [[0.25, 0.75]])
        tensor([0.5000])
    """
    true, pred = agree(y_true, y_pred, "categorical_hinge")
    return (((1.0 - true) * pred).amax(-1) - (true * pred).sum(-1) + 1.0).clamp_min(0.0)


class Hinge(FunctionLoss, function=hinge):
    """Compute the mean of max(1 - t·p, 0).

    Example:
        >>> Hinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor(0.2500)
    """


class SquaredHinge(FunctionLoss, function=squared_hinge):
    """Compute the mean of max(1 - t·p, 0)².

    Example:
        >>> SquaredHinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
        tensor(0.1250)
    """


class CategoricalHinge(FunctionLoss, function=categorical_hinge, by_value=False):
    """Compute max(best wrong score - right score + 1, 0).

    Example:
        >>> CategoricalHinge()([[0.0, 1.0]], [[0.25, 0.75]])
        tensor(0.5000)
    """

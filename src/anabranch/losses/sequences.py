"""Losses of sequences whose labels are not aligned with their steps."""

from __future__ import annotations

from typing import ClassVar

import torch

from anabranch import ops
from anabranch._errors import ShapeError
from anabranch.losses._agreement import Tensor, Values, arithmetic, tensors
from anabranch.losses.loss import FunctionLoss, Labels


@arithmetic
def ctc(y_true: Values, y_pred: Values) -> Tensor:
    """Return -ln of the probability of the labels over all their alignments (Graves et al. 2006, §3).

    Args:
        y_true: labels (B, S) from 1 on, filled up with 0, which is the class of no label.
        y_pred: logits (B, T, classes); all T steps count.

    Returns:
        Values (B,); infinite where a sequence has more labels than steps.

    Example:
        >>> ctc([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]])
        tensor([0.2877])
    """
    true, pred = tensors(y_true, y_pred)
    if true.ndim != 2 or pred.ndim != 3 or len(true) != len(pred):
        raise ShapeError(
            "ctc compares labels with logits.", expected="y_true (B, S), y_pred (B, T, classes)",
            got=f"y_true {tuple(true.shape)}, y_pred {tuple(pred.shape)}",
        )  # fmt: skip
    steps = torch.full(pred.shape[:1], pred.shape[1], dtype=torch.int64, device=pred.device)
    return ops.ctc_loss(true, pred, (true != 0).sum(-1), steps)


class CTC(FunctionLoss, function=ctc, by_value=False):
    """Compute connectionist temporal classification: the loss of labels that are not aligned with their steps.

    Example:
        >>> CTC()([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]])
        tensor(0.2877)
    """

    _labels_: ClassVar[Labels] = "own"

"""Losses of embeddings: those of one class shall be similar, those of different classes not."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.nn import functional as F

from anabranch._arguments import Finite, NotNegative
from anabranch._errors import ShapeError
from anabranch._fields import Field, boolean, number
from anabranch.losses._agreement import Tensor, Values, arithmetic, tensors
from anabranch.losses.loss import FunctionLoss, Labels


@arithmetic
def circle(
    y_true: Values, y_pred: Values, ref_labels: Values | None = None, ref_embeddings: Values | None = None,
    remove_diagonal: bool = True, gamma: NotNegative = 80, margin: Finite = 0.4,
) -> Tensor:  # fmt: skip
    """Return ln(1 + Σ exp(γ · (1 + m - d⁻)₊ · (1 - m - d⁻)) · Σ exp(-γ · (m + d⁺)₊ · (m - d⁺))) (Sun et al. 2020, eq. 6).

    d⁺ are the cosine distances to references of the same class, d⁻ those to references of others.

    Args:
        y_true: class indices (B,) or (B, 1).
        y_pred: embeddings (B, D) of length 1.
        ref_labels: the class indices (R,) of the references; None: y_true.
        ref_embeddings: the references (R, D), of length 1; None: y_pred.
        remove_diagonal: whether an embedding is no reference of itself.
        gamma: γ, the scale.
        margin: m, the distance that is still near.

    Returns:
        Values (B,), 0 where there is no reference of the same class or none of another.

    Example:
        >>> circle([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], gamma=1.0)
        tensor([1.8509, 1.0899, 0.0000])
    """
    true, pred = tensors(y_true, y_pred)
    labels, others = true.reshape(-1), true if ref_labels is None else tensors(ref_labels, pred)[0]
    references = pred if ref_embeddings is None else tensors(pred, ref_embeddings, pred.dtype)[1].to(pred.device)
    others = others.reshape(-1)
    if pred.ndim != 2 or len(labels) != len(pred) or references.ndim != 2 or len(others) != len(references):
        raise ShapeError(
            "circle takes a label for each embedding.", expected="y_true (B,), y_pred (B, D)",
            got=f"y_true {tuple(true.shape)}, y_pred {tuple(pred.shape)}, references {tuple(references.shape)}",
        )  # fmt: skip
    distances = (1 - pred @ references.T).clamp(min=0)
    same = labels.unsqueeze(1).int() == others.int()
    near = same & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device) if remove_diagonal else same
    pulled = -gamma * (margin + distances).clamp(min=0) * (margin - distances)
    pushed = gamma * (1 + margin - distances).clamp(min=0) * (1 - margin - distances)
    least = float("-inf")
    sums = (torch.logsumexp(torch.where(chosen, values, least), 1) for chosen, values in ((near, pulled), (~same, pushed)))
    return F.softplus(sum(sums, torch.zeros_like(distances[:, 0])))


class Circle(FunctionLoss, function=circle, by_value=False):
    """Compute the circle loss of class indices and embeddings of length 1; where it is 0, a sample does not count.

    Example:
        >>> Circle(gamma=1.0)([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        tensor(1.4704)
    """

    _labels_: ClassVar[Labels] = "own"

    gamma: Field[float, float] = number(default=80.0, least=0)
    margin: Field[float, float] = number(default=0.4)
    remove_diagonal: Field[bool, bool] = boolean(default=True)

    def _mask_(self, y_true: Tensor, values: Tensor) -> Tensor | None:
        return values > 0

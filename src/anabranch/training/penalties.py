"""Penalties on weights in the loss; of sums of |w| and of w² those on all weights together, their gradients beside autograd.

The gradient of λ Σw² is 2 λ w. One call adds it to the gradients of all weights, where autograd takes six for each. What is
clipped, accumulated and given to the optimizer is the same sum of gradients; only its rounding may differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import torch

from anabranch import runtime
from anabranch.graph import Weight
from anabranch.optimizers import LossScaleOptimizer, Optimizer
from anabranch.regularizers import L1, L1L2, L2

_DTYPES = (torch.float32, torch.float64)


class Sum(NamedTuple):
    """A penalty: factor · Σ|w| for order 1, factor · Σw² for order 2; over weights of one dtype on one device."""

    order: int
    factor: float
    dtype: torch.dtype
    device: torch.device


Sums: TypeAlias = dict[Sum, list[torch.Tensor]]


def regularized(weights: Iterable[Weight]) -> list[Weight]:
    """Return the weights that have a regularizer."""
    return [weight for weight in weights if weight.regularizer is not None]


def penalties(weights: Iterable[Weight]) -> list[torch.Tensor]:
    """Return each weight's penalty, computed in Keras's axis order."""
    return [runtime.penalty(weight) for weight in weights]


def taken_together(weights: Iterable[Weight]) -> tuple[Sums, list[Weight]]:
    """Return the tensors whose penalties are computed together, and the weights whose are computed one by one."""
    sums: Sums = {}
    others = []
    for weight in weights:
        factors, tensor = _factors(weight.regularizer), runtime.realize(weight)
        if factors is None or not _is_plain(tensor):
            others.append(weight)
            continue
        for order, factor in enumerate(factors, 1):
            if factor:
                sums.setdefault(Sum(order, factor, tensor.dtype, tensor.device), []).append(tensor)
    return sums, others


def scales_by_factor(optimizer: Optimizer) -> bool:
    """Return whether an optimizer scales a loss by multiplying it, as ours do, so that it scales gradients alike."""
    return type(optimizer).scale_loss in (Optimizer.scale_loss, LossScaleOptimizer.scale_loss)


@torch.no_grad()
def values_of(sums: Sums) -> list[torch.Tensor]:
    """Return the penalties, without gradients."""
    found = []
    for (order, factor, _, _), tensors in sums.items():
        norms = torch.stack(torch._foreach_norm(tensors, order))
        found.append((norms * norms if order == 2 else norms).sum() * factor)
    return found


@torch.no_grad()
def add_gradients(sums: Sums, scale: float | torch.Tensor) -> None:
    """Add the gradients of ``scale`` times the penalties to those that the weights have."""
    for (order, factor, _, _), tensors in sums.items():
        gradients = [_gradient(tensor) for tensor in tensors]
        directions = tensors if order == 2 else torch._foreach_sign(tensors)
        amount = factor * order * scale
        if isinstance(amount, torch.Tensor):
            torch._foreach_add_(gradients, torch._foreach_mul(directions, amount))
        else:
            torch._foreach_add_(gradients, directions, alpha=amount)


def _factors(regularizer: object) -> tuple[float, float] | None:
    """Return the factors of Σ|w| and Σw² of a penalty; None where it is another function."""
    if type(regularizer) is L2:  # not a class derived from it, which may compute something else
        return 0.0, regularizer.l2
    if type(regularizer) is L1:
        return regularizer.l1, 0.0
    return (regularizer.l1, regularizer.l2) if type(regularizer) is L1L2 else None


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a weight is memory of floats, whose gradient no function of a user's is waiting for."""
    plain = type(tensor) is torch.nn.Parameter and tensor.layout is torch.strided and tensor.dtype in _DTYPES
    return plain and tensor.requires_grad and not (tensor._backward_hooks or tensor._post_accumulate_grad_hooks)


def _gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Return a weight's gradient, to be changed in place: zeros where the rest of the loss gave none."""
    gradient = tensor.grad
    if gradient is None or gradient.layout is not torch.strided:
        gradient = tensor.grad = torch.zeros_like(tensor) if gradient is None else gradient.to_dense()
    return gradient

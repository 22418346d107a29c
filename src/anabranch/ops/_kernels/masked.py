"""Sums, products and extremes over the places that masks let count."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from anabranch.runtime.masks import either, known_shape, mask_rank, spread

Masks: TypeAlias = Sequence[Tensor | None]


def keep(value: Tensor, mask: Tensor) -> Tensor:
    """Return ``value`` with 0 where its mask is false."""
    return torch.where(_like(mask, value), value, 0)


def masked_mean(value: Tensor, mask: Tensor, axis: int, other: int, keepdims: bool) -> Tensor:
    """Return the mean along ``axis`` over the steps that count; ``other`` is the axis that the mask lacks."""
    share = mask.bool().unsqueeze(other)
    total = torch.where(share, value, 0).sum(axis, keepdim=keepdims)
    return total / share.to(value.dtype).sum(axis, keepdim=keepdims)


def masked_product(inputs: Sequence[Tensor], masks: Masks) -> Tensor:
    """Return the product of values, those that do not count as 1; 0 where none counts, if all have masks."""
    factors = [x if mask is None else torch.where(_like(mask, x), x, 1) for x, mask in zip(inputs, masks, strict=True)]
    result = functools.reduce(operator.mul, factors)
    known = [_like(mask, x) for mask, x in zip(masks, inputs, strict=True) if mask is not None]
    return torch.where(either(known), result, 0) if len(known) == len(masks) else result


def masked_extreme(function: Callable[[Tensor, Tensor], Tensor], inputs: Sequence[Tensor], masks: Masks) -> Tensor:
    """Return the greatest or least of values; where one does not count, the others decide."""
    raised = [None if mask is None else _like(mask, x) for x, mask in zip(inputs, masks, strict=True)]
    result, reach = inputs[0], raised[0]
    for x, mask in zip(inputs[1:], raised[1:], strict=True):
        value = x if mask is None else torch.where(mask, x, result)
        result = result if reach is None else torch.where(reach, result, value)
        reach = None if mask is None or reach is None else torch.logical_or(reach, mask)
        result = function(result, value)
    return result


def _like(mask: Tensor, value: Tensor) -> Tensor:
    """Return a mask with as many axes as its value."""
    shape, rank = known_shape(value), mask_rank(mask)
    return mask.unsqueeze(-1) if shape is None or rank is None else spread(mask, len(shape))

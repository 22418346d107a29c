"""The mask of a value: an attribute that goes with a tensor, or with what stands for one while a model is recorded.

A mask has the leading axes of its value and is true where the value counts: (B, T) of (B, T, C).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.proxy import Proxy

from anabranch.graph import Shape

_NAME = "_keras_mask"  # Keras's name for it, which its guides read


def mask_of(value: Any) -> Any:
    """Return the mask that goes with ``value``, None where there is none."""
    held = getattr(value, "__dict__", None)  # asking a recorded value itself would record the question
    return held.get(_NAME) if held else None


def with_mask(value: Any, mask: Any) -> Any:
    """Return ``value`` with another mask, None for none; the object given keeps the one it has."""
    if mask is mask_of(value):
        return value
    alias = Proxy(value.node, value.tracer) if isinstance(value, Proxy) else value.view_as(value)
    if mask is not None:
        setattr(alias, _NAME, mask)
    return alias


def known_shape(value: Any) -> Shape | None:
    """Return the shape, None where a recorded value's is not known."""
    if isinstance(value, Proxy):
        shape: Shape | None = value.node.meta.get("shape")
        return shape
    return tuple(value.shape)


def mask_rank(mask: Any) -> int | None:
    """Return over how many axes a mask reaches, None where that is not known."""
    shape = known_shape(mask)
    return None if shape is None else len(shape)


def shaped(mask: Any, shape: Shape | None) -> Any:
    """Return the mask, its shape noted where it is a recorded value that does not know it."""
    if isinstance(mask, Proxy) and shape is not None:
        mask.node.meta.setdefault("shape", shape)
    return mask


def together(function: Callable[[Any, Any], Any], masks: list[Any]) -> Any:
    """Return masks combined two by two; those over fewer axes hold along the others."""
    result, *others = masks
    for other in others:
        first, second = known_shape(result), known_shape(other)
        wide = first
        if first is not None and second is not None and len(first) != len(second):
            wide = max(first, second, key=len)
            result, other = spread(result, len(wide)), spread(other, len(wide))
        result = result if result is other else shaped(function(result, other), wide)
    return result


def spread(mask: Any, rank: int) -> Any:
    """Return a mask with axes of size 1 after its own, up to ``rank``."""
    missing = rank - (mask_rank(mask) or rank)
    return mask[(..., *(None,) * missing)] if missing > 0 else mask


def ones_along(value: Any, like: Any) -> Any:
    """Return a mask that is true everywhere, over as many axes of ``value`` as ``like`` has."""
    rank = mask_rank(like) or 2
    return torch.ones_like(value[(..., *(0,) * ((len(known_shape(value) or ()) or rank + 1) - rank))], dtype=torch.bool)


def either(masks: list[Any]) -> Any:
    """Return where at least one mask is true."""
    return together(torch.logical_or, masks)


def both(masks: list[Any]) -> Any:
    """Return where all masks are true."""
    return together(torch.logical_and, masks)


def side_by_side(inputs: list[Any], masks: list[Any], axis: int) -> Any:
    """Return the mask of ``inputs`` joined along ``axis``: masks joined where it is masked, else true where one is.

    An input without a mask counts everywhere.
    """
    some = max((mask for mask in masks if mask is not None), key=lambda mask: mask_rank(mask) or 0)
    full = [ones_along(x, some) if mask is None else mask for x, mask in zip(inputs, masks, strict=True)]
    reach = mask_rank(some) or 2
    rank = len(known_shape(inputs[0]) or ()) or reach + 1
    return torch.cat(full, axis % rank) if axis % rank < reach else either(full)


def unequal(value: Any, number: float) -> Any:
    """Return the mask of a series: true where a step of (…, C) differs from ``number`` in one place at least."""
    shape = known_shape(value)
    return shaped((value != number).any(-1), None if shape is None else shape[:-1])

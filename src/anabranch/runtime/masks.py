"""The mask of a value, true where the value counts, with its leading axes: (B, T) of (B, T, C).

Who runs a graph holds values and masks side by side and gives ``runtime.run`` both. Inside a ``call``, which sees values
alone, the masks are found by identity in the :class:`Scope` of that run. What a layer called on torch tensors returns shows
its mask as ``_keras_mask``, which Keras's users read; only ``with_mask`` sets that attribute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch.fx.proxy import Proxy

from anabranch._asked import answers
from anabranch.graph import Shape

_SHOWN = "_keras_mask"  # Keras's name for it
_Mask = TypeVar("_Mask")
Edge = tuple[torch.Tensor, torch.Tensor | None]  # a value and its mask, None where all of it counts; traced values too


class Scope:
    """Masks that a run of an operation knows, by the identity of values; what is not here may be in those around it."""

    __slots__ = ("found", "outer")

    def __init__(self, edges: Iterable[Edge], outer: Scope | None = None) -> None:
        self.found = {id(value): (value, mask) for value, mask in edges}  # values are held, so that ids stay theirs
        self.outer = outer


_OUTERMOST = Scope(())


class _Current(threading.local):
    scope: Scope | None = None


_current = _Current()


def enter(edges: Sequence[Edge]) -> Scope | None:
    """Begin a run in which the values of ``edges`` have these masks; return the scope to go back to by ``leave``."""
    outer = _current.scope
    if edges:
        _current.scope = Scope(edges, outer)
    elif outer is None:
        _current.scope = _OUTERMOST
    return outer


def leave(outer: Scope | None) -> None:
    """End a run, and forget what it noted."""
    _current.scope = outer


def mask_of(value: object) -> torch.Tensor | None:
    """Return the mask of a value as the runs under way know it, else as it shows it; None where there is none."""
    scope = _current.scope
    if scope is not None:
        key = id(value)
        while scope is not None:
            if key in scope.found:
                return scope.found[key][1]
            scope = scope.outer
    return _shown(value)


def _shown(value: object) -> torch.Tensor | None:
    return value.__dict__.get(_SHOWN) if isinstance(value, torch.Tensor) else None


def shows_mask(value: torch.Tensor) -> bool:
    """Return whether a tensor shows a mask, as torch.compile can see it."""
    return answers(value, _SHOWN)


def note_mask(value: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Note inside a ``call`` the mask of a value that it computed, until that call ends."""
    if _current.scope is not None:
        _current.scope = Scope(((value, mask),), _current.scope)


def with_mask(value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return ``value`` with another mask, None for none, shown where it is a tensor; the object given keeps the one it has."""
    if isinstance(value, Proxy):
        if mask is mask_of(value):
            return value
        alias = value.tracer.proxy(value.node)
        note_mask(alias, mask)
    elif mask is _shown(value) and mask is mask_of(value):
        return value
    else:
        alias = value.view_as(value)
        if mask is not None:
            setattr(alias, _SHOWN, mask)
    return alias


def traced(value: Proxy) -> torch.Tensor:
    """Return a traced value under the type of what it represents."""
    return cast("torch.Tensor", value)


def hidden(value: object) -> object:
    """Return ``value`` without the attribute that shows its mask."""
    return value.view_as(value) if isinstance(value, torch.Tensor) and _shown(value) is not None else value


def distinct(values: Sequence[torch.Tensor], masks: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
    """Return values of which no two with different masks are one object."""
    found: dict[int, torch.Tensor | None] = {}
    return [
        x if found.setdefault(id(x), mask) is mask else x.tracer.proxy(x.node) if isinstance(x, Proxy) else x.view_as(x)
        for x, mask in zip(values, masks, strict=True)
    ]


def known_shape(value: torch.Tensor | Proxy) -> Shape | None:
    """Return the shape, None where a traced value's is not known."""
    if isinstance(value, Proxy):
        shape: Shape | None = value.node.meta.get("shape")
        return shape
    return tuple(value.shape)


def mask_rank(mask: torch.Tensor | Proxy) -> int | None:
    """Return over how many axes a mask reaches, None where that is not known."""
    shape = known_shape(mask)
    return None if shape is None else len(shape)


def shaped(mask: _Mask, shape: Shape | None) -> _Mask:
    """Return the mask, its shape noted where it is a traced value that does not know it."""
    if isinstance(mask, Proxy) and shape is not None:
        mask.node.meta.setdefault("shape", shape)
    return mask


def together(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], masks: Sequence[torch.Tensor]) -> torch.Tensor:
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


def spread(mask: torch.Tensor, rank: int) -> torch.Tensor:
    """Return a mask with axes of size 1 after its own, up to ``rank``."""
    missing = rank - (mask_rank(mask) or rank)
    return mask[(..., *[None] * missing)] if missing > 0 else mask


def ones_along(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a mask that is true everywhere, over as many axes of ``value`` as ``like`` has."""
    rank = mask_rank(like) or 2
    count = (len(known_shape(value) or ()) or rank + 1) - rank
    place: tuple[Any, ...] = (..., *[0] * count)
    return torch.ones_like(value[place], dtype=torch.bool)


def either(masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return where at least one mask is true."""
    return together(torch.logical_or, masks)


def both(masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return where all masks are true."""
    return together(torch.logical_and, masks)


def side_by_side(inputs: Sequence[torch.Tensor], masks: Sequence[torch.Tensor | None], axis: int) -> torch.Tensor:
    """Return the mask of ``inputs`` joined along ``axis``: masks joined where it is masked, else true where one is.

    An input without a mask counts everywhere.
    """
    some = max((mask for mask in masks if mask is not None), key=lambda mask: mask_rank(mask) or 0)
    full = [ones_along(x, some) if mask is None else mask for x, mask in zip(inputs, masks, strict=True)]
    reach = mask_rank(some) or 2
    rank = len(known_shape(inputs[0]) or ()) or reach + 1
    return torch.cat(full, axis % rank) if axis % rank < reach else either(full)


def unequal(value: torch.Tensor, number: float) -> torch.Tensor:
    """Return the mask of a series: true where a step of (…, C) differs from ``number`` in one place at least."""
    shape = known_shape(value)
    return shaped((value != number).any(-1), None if shape is None else shape[:-1])

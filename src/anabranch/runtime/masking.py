"""Masks around a call: those that a layer's ``call`` is given, and those of its results."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch._asked import asked_by, has_shape, parameters_of
from anabranch.graph import Operation
from anabranch.graph.facts import mask_key, taken
from anabranch.graph.masks import of_function
from anabranch.runtime.masks import Edge, both, hidden, known_shape, mask_of, mask_rank, with_mask

Call = tuple[tuple[Any, ...], dict[str, Any]]  # the arguments of one


def inject_masks(layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], _tree.Nest]:
    """Return ``kwargs`` with the masks that ``call`` takes and nobody gave, and the masks of its first argument.

    ``mask`` is the first argument's, in its nest; ``x_mask`` that of the argument ``x``. Where nothing is masked: None.
    """
    first = args[0] if args else next(iter(kwargs.values()), None)
    previous = _masks(first)
    for name, position, source in _mask_arguments(type(layer).call):
        if kwargs.get(name) is None and (len(args) <= position or args[position] is None):
            value = first if source is None else kwargs.get(source[0], args[source[1]] if len(args) > source[1] else None)
            masks = previous if source is None else _masks(value)
            if _is_injected(layer, value, masks) and (len(args) <= position):
                kwargs = {**kwargs, name: masks}
        elif name == "mask":
            previous = kwargs["mask"] if "mask" in kwargs else args[position]
    return kwargs, previous


def _masks(value: _tree.Nest) -> _tree.Nest:
    if not isinstance(value, (list, tuple, dict)):
        return mask_of(value)
    return _tree.map_leaves(mask_of, value) if any(mask_of(leaf) is not None for leaf in _tree.leaves(value)) else None


def _is_injected(layer: Operation, value: _tree.Nest, masks: _tree.Nest) -> bool:
    if masks is None or layer._unmasked_axes_ is None or _tree.is_nest(masks):
        return masks is not None
    shape, reach = known_shape(value), mask_rank(masks)
    return shape is None or reach is None or len(shape) - reach == layer._unmasked_axes_


@functools.lru_cache(1024)
def _mask_arguments(call: Callable[..., Any]) -> list[tuple[str, int, tuple[str, int] | None]]:
    """Return the parameters of ``call`` that are masks: name, position, and whose mask it is (None: the first argument's)."""
    names = parameters_of(call)[1:]
    found: list[tuple[str, int, tuple[str, int] | None]] = []
    for position, name in enumerate(names):
        if name == "mask":
            found.append((name, position, None))
        elif name.endswith("_mask") and name.removesuffix("_mask") in names:
            owner = name.removesuffix("_mask")
            found.append((name, position, (owner, names.index(owner))))
    return found


def passed_on(
    layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], previous: _tree.Nest, result: _tree.Nest
) -> list[torch.Tensor | None]:
    """Return the mask of each leaf of ``result``: by the layer's ``compute_mask``, a function's rule, or the calls inside."""
    leaves = _tree.leaves(result)
    inside = [mask_of(leaf) for leaf in leaves]
    if layer._graph_ is not None:
        return inside
    if layer._is_function_:
        return _after_function(layer, args, kwargs, inside)
    if previous is None and not (layer.supports_masking and layer._makes_mask_()):
        return inside
    first = args[0] if args else next(iter(kwargs.values()), None)
    given = {id(leaf) for leaf in _tree.leaves(first if layer.supports_masking else (args, list(kwargs.values())))}
    inside = [None if id(leaf) in given else mask for leaf, mask in zip(leaves, inside, strict=True)]
    if not layer.supports_masking or all(mask is not None for mask in inside):
        return inside
    more = asked_by(type(layer).compute_mask, type(layer).call, args, kwargs)
    masks = _tree.leaves(layer.compute_mask(first, previous, **more))
    masks += [None] * (len(leaves) - len(masks))
    return [mask if own is None else own for own, mask in zip(inside, masks, strict=False)]


def _after_function(
    operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], inside: list[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    leaves = _tree.leaves((args, list(kwargs.values())))
    arrays: list[Any] = [leaf for leaf in leaves if isinstance(leaf, Proxy) or has_shape(leaf)]
    masks = [mask_of(leaf) for leaf in arrays]
    masked = [mask for mask in masks if mask is not None]
    if not masked:
        return inside
    shapes = [known_shape(leaf) for leaf in arrays]
    ranks = [0 if mask is None else mask_rank(mask) for mask in masks]
    inputs = [(s, r) for s, r in zip(shapes, ranks, strict=True) if s is not None and r is not None]
    reach = of_function(operation, args, kwargs, inputs) if len(inputs) == len(arrays) else 0
    mask = None
    if reach and operation._facts_.mask is taken:
        key = mask_key(args[1] if len(args) > 1 else kwargs["key"], *inputs[0][::-1])
        mask = masked[0] if key is None else masked[0][key]
    elif reach:
        mask = both(masked)
    return [mask] * len(inside)


def carried(result: _tree.Nest, masks: list[torch.Tensor | None]) -> _tree.Nest:
    """Return the result of a layer's public call with its masks: tensors show them, traced values have them in the run."""
    if not _tree.is_nest(result):
        return with_mask(result, masks[0])
    leaves = _tree.leaves(result)
    found = list(map(with_mask, leaves, masks))
    return result if all(map(operator.is_, leaves, found)) else _tree.fill(result, found)


def visible(layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], edges: Sequence[Edge]) -> Call:
    """Return a call's arguments as a user's ``call`` expects them, whose code may read ``_keras_mask``."""
    masks = {id(value): mask for value, mask in edges if mask is not None and isinstance(value, torch.Tensor)}
    if not masks or layer._is_function_ or layer._graph_ is not None or not layer._captures_:
        return args, kwargs

    def shown(leaf: object) -> object:
        if id(leaf) not in masks or not isinstance(leaf, torch.Tensor):
            return leaf
        alias = with_mask(leaf, masks[id(leaf)])
        vars(alias).update({**vars(leaf), **vars(alias)})  # such as the shape that a stand-in represents
        return alias

    found: Call = _tree.map_leaves(shown, (args, kwargs))
    return found


def bare(result: _tree.Nest) -> _tree.Nest:
    """Return a result whose tensors show no mask, as what a user's ``call`` returns may."""
    return _tree.map_leaves(hidden, result) if any(hidden(x) is not x for x in _tree.leaves(result)) else result

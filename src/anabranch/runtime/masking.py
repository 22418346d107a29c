"""Masks around a call: those that a layer's ``call`` is told, and those that go on with what it gives."""

from __future__ import annotations

from typing import Any

from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch.graph.facts import mask_key, taken
from anabranch.graph.masks import of_function
from anabranch.runtime.masks import both, known_shape, mask_of, mask_rank, with_mask


def told(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return ``kwargs`` with the masks that ``call`` takes and nobody gave, and the masks of its first argument.

    ``mask`` is the first argument's, in its nest; ``x_mask`` that of the argument ``x``. Where nothing is masked: None.
    """
    first = args[0] if args else next(iter(kwargs.values()), None)
    previous = _masks(first)
    for name, position, source in _mask_arguments(layer):
        if kwargs.get(name) is None and (len(args) <= position or args[position] is None):
            value = first if source is None else kwargs.get(source[0], args[source[1]] if len(args) > source[1] else None)
            masks = previous if source is None else _masks(value)
            if _told_by_itself(layer, value, masks) and (len(args) <= position):
                kwargs = {**kwargs, name: masks}
        elif name == "mask":
            previous = kwargs["mask"] if "mask" in kwargs else args[position]
    return kwargs, previous


def _masks(value: Any) -> Any:
    if not isinstance(value, (list, tuple, dict)):
        return mask_of(value)
    return _tree.map_leaves(mask_of, value) if any(mask_of(leaf) is not None for leaf in _tree.leaves(value)) else None


def _told_by_itself(layer: Any, value: Any, masks: Any) -> bool:
    if masks is None or layer.unmasked_axes is None or _tree.is_nest(masks):
        return masks is not None
    shape, reach = known_shape(value), mask_rank(masks)
    return shape is None or reach is None or len(shape) - reach == layer.unmasked_axes


def _mask_arguments(layer: Any) -> list[tuple[str, int, tuple[str, int] | None]]:
    """Return the parameters of ``call`` that are masks: name, position, and whose mask it is (None: the first argument's)."""
    code = getattr(type(layer).call, "__code__", None)
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    found: list[tuple[str, int, tuple[str, int] | None]] = []
    for position, name in enumerate(names):
        if name == "mask":
            found.append((name, position, None))
        elif name.endswith("_mask") and name.removesuffix("_mask") in names:
            owner = name.removesuffix("_mask")
            found.append((name, position, (owner, names.index(owner))))
    return found


def passed_on(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], previous: Any, result: Any) -> Any:
    """Return ``result`` with the masks that go on after the call: by the layer's ``compute_mask``, or a function's rule."""
    if layer.graph is not None:
        return result  # the layers inside have said it
    if layer.is_function:
        return _after_function(layer, args, kwargs, result)
    if not layer.supports_masking:
        if previous is None:
            return result
        given = {id(leaf) for leaf in _tree.leaves((args, list(kwargs.values())))}
        return _tree.map_leaves(lambda leaf: with_mask(leaf, None) if id(leaf) in given else leaf, result)
    if previous is None and not layer.makes_mask():
        return result
    first = args[0] if args else next(iter(kwargs.values()), None)
    given = {id(leaf) for leaf in _tree.leaves(first)}
    leaves = _tree.leaves(result)
    if all(mask_of(leaf) is not None and id(leaf) not in given for leaf in leaves):
        return result
    masks = _tree.leaves(layer.compute_mask(first, previous))
    masks += [None] * (len(leaves) - len(masks))
    marked = [
        with_mask(leaf, mask) if mask_of(leaf) is None or id(leaf) in given else leaf
        for leaf, mask in zip(leaves, masks, strict=False)
    ]
    return _tree.fill(result, marked)


def _after_function(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    arrays = [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if isinstance(leaf, Proxy) or hasattr(leaf, "shape")]
    masks = [mask_of(leaf) for leaf in arrays]
    masked = [mask for mask in masks if mask is not None]
    if not masked:
        return result
    shapes = [known_shape(leaf) for leaf in arrays]
    ranks = [0 if mask is None else mask_rank(mask) for mask in masks]
    inputs = [(s, r) for s, r in zip(shapes, ranks, strict=True) if s is not None and r is not None]
    reach = of_function(operation, args, kwargs, inputs) if len(inputs) == len(arrays) else 0
    mask = None
    if reach and operation.facts.mask is taken:
        key = mask_key(args[1] if len(args) > 1 else kwargs["key"], *inputs[0][::-1])
        mask = masked[0] if key is None else masked[0][key]
    elif reach:
        mask = both(masked)
    return _tree.map_leaves(lambda leaf: with_mask(leaf, mask), result)

"""The graph of a model that writes its own ``call``: Inputs of the data's shapes, and the model itself as the one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from anabranch import _tree
from anabranch._errors import AnabranchError
from anabranch.graph import Graph, Shape, Spec, call_site
from anabranch.graph.arrays import ArrayLike
from anabranch.graph.shapes import same
from anabranch.layers.base import Layer
from anabranch.layers.core import Input


def specs_of(model: Layer, x: _tree.Nest) -> _tree.Nest:
    """Return shape and dtype of each array in ``x``, in its nest: any batch size, floats in the model's own type."""

    def spec(leaf: ArrayLike) -> Spec:
        dtype = str(leaf.dtype).removeprefix("torch.")
        return Spec((None, *leaf.shape[1:]) if leaf.shape else (), model.dtype if "float" in dtype else dtype)

    return _tree.map_leaves(spec, x) if not isinstance(x, Spec) else x


def specs_of_shapes(model: Layer, shape: _tree.Nest) -> _tree.Nest:
    """Return specs of floats from what ``build`` takes: a shape with the batch first, or a nest of shapes."""
    if isinstance(shape, dict):
        return {key: specs_of_shapes(model, part) for key, part in shape.items()}
    if shape and all(isinstance(part, (tuple, list, dict)) for part in shape):
        return [specs_of_shapes(model, part) for part in shape]
    return Spec((None, *shape[1:]), model.dtype)


def symbolic(shape: _tree.Nest, dtypes: Iterator[str]) -> _tree.Nest:
    """Return Inputs of these shapes, a shape or a nest of them, and of the next of ``dtypes`` each."""
    if isinstance(shape, dict):
        return {key: symbolic(part, dtypes) for key, part in shape.items()}
    if shape and all(isinstance(part, (tuple, list, dict)) for part in shape):
        return [symbolic(part, dtypes) for part in shape]
    return Input(batch_shape=tuple(shape), dtype=next(dtypes))


def specs_in(graph: Graph) -> _tree.Nest:
    """Return the specs of a graph's inputs, in their nest."""
    return _map(lambda tensor: tensor.spec, graph.input_structure)


def graph_for(model: Layer, specs: object, known: Graph | None) -> Graph:
    """Return ``known`` where it fits data of ``specs``; else a graph that does.

    Where only sizes differ, the new graph leaves open those that have changed, so that batches of many sizes need no more.
    """
    if known is None:
        return _made(model, specs)
    before = _map(lambda tensor: tensor.spec, known.input_structure)
    old, new = _leaves(before), _leaves(specs)
    if _form(before) != _form(specs) or any(
        a.dtype != b.dtype or len(a.shape) != len(b.shape) for a, b in zip(old, new, strict=True)
    ):
        return _made(model, specs)
    if all(same(b.shape, a.shape) for a, b in zip(old, new, strict=True)):
        return known
    open_specs = iter([Spec(_common(a.shape, b.shape), a.dtype) for a, b in zip(old, new, strict=True)])
    try:
        return _made(model, _map(lambda _: next(open_specs), specs))
    except AnabranchError:
        return _made(model, specs)  # what cannot do without its sizes; or the data are wrong, and this says how


def _common(one: Shape, other: Shape) -> Shape:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _made(model: Layer, specs: object) -> Graph:
    inputs = _map(lambda spec: Input(batch_shape=spec.shape, dtype=spec.dtype), specs)
    return Graph(inputs, model.describe((inputs,), {}, call_site(), noted=False))


# A Spec is a tuple, but a leaf here


def _map(function: Callable[[Any], object], nest: _tree.Nest) -> _tree.Nest:
    if isinstance(nest, dict):
        return {key: _map(function, part) for key, part in nest.items()}
    if isinstance(nest, (list, tuple)) and not isinstance(nest, Spec):
        parts = [_map(function, part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)  # named tuples share no class
    return function(nest)


def _leaves(nest: object) -> list[Spec]:
    found: list[Spec] = []
    _map(found.append, nest)
    return found


def _form(nest: object) -> object:
    """Return the nest's form: a list and a tuple are one."""
    if isinstance(nest, (list, tuple)) and not isinstance(nest, Spec):
        return [_form(part) for part in nest]
    return {key: _form(part) for key, part in nest.items()} if isinstance(nest, dict) else None

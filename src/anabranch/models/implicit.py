"""The graph of a model that writes its own ``call``: Inputs of the data's shapes, and the model itself as the one node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from anabranch import _tree, runtime
from anabranch._asked import has_shape, shown
from anabranch._errors import AnabranchError, ArgumentTypeError
from anabranch.graph import Graph, Spec, Tensor, call_site, map_specs, spec_leaves
from anabranch.graph.arrays import ArrayLike
from anabranch.graph.shapes import agreed, map_shapes, same_but_batch
from anabranch.layers.base import Layer
from anabranch.layers.core import Input
from anabranch.registry import Json

if TYPE_CHECKING:
    from anabranch.models.host_part import HostPart


def specs_of(model: Layer, x: _tree.Nest) -> _tree.Nest:
    """Return shape and dtype of each array in ``x``, in its nest: any batch size, floats in the model's own type."""

    def spec(leaf: ArrayLike | Spec) -> Spec:
        if isinstance(leaf, Spec):
            return leaf
        if not has_shape(leaf):
            raise ArgumentTypeError("Expected a tensor, an array, or nested lists of numbers.", got=shown(leaf))
        dtype, shape = str(leaf.dtype).removeprefix("torch."), runtime.described_shape(leaf)
        return Spec((None, *shape[1:]) if shape else (), model.dtype if "float" in dtype else dtype)

    return map_specs(spec, x)


def specs_of_shapes(model: Layer, shape: _tree.Nest) -> _tree.Nest:
    """Return specs of floats from what ``build`` takes: a shape with the batch first, or a nest of shapes."""
    return map_shapes(shape, lambda sizes: Spec((None, *sizes[1:]), model.dtype))


def symbolic(shape: _tree.Nest, dtypes: Iterator[str]) -> _tree.Nest:
    """Return Inputs of these shapes, a shape or a nest of them, and of the next of ``dtypes`` each."""
    return map_shapes(shape, lambda sizes: Input(batch_shape=tuple(sizes), dtype=next(dtypes)))


def build_config(specs: _tree.Nest) -> dict[str, Json]:
    """Return shapes and dtypes of inputs as JSON; Keras's form has the shapes alone."""
    return {
        "input_shape": map_specs(lambda spec: list(spec.shape), specs), "input_dtype": map_specs(lambda spec: spec.dtype, specs)
    }  # fmt: skip


def specs_of_tensors(nest: _tree.Nest) -> _tree.Nest:
    """Return the specs of symbolic tensors, in their nest."""
    if not all(isinstance(leaf, Tensor) for leaf in _tree.leaves(nest)):
        raise ArgumentTypeError("Expected symbolic tensors.", got=shown(nest), repair="Input(shape) makes one")
    return map_specs(lambda tensor: tensor.spec, nest)


def graph_for(model: Layer, specs: object, known: Graph | None) -> Graph:
    """Return ``known`` where it fits data of ``specs``; else a graph that does.

    Where only sizes differ, the new graph leaves open those that have changed, so that batches of many sizes need no more.
    """
    if known is None:
        return _made(model, specs)
    before = specs_of_tensors(known.input_structure)
    fitting = opened(before, specs)
    if fitting is None or any(a.dtype != b.dtype for a, b in zip(spec_leaves(before), spec_leaves(specs), strict=True)):
        return _made(model, specs)
    if fitting is before:
        return known
    try:
        return _made(model, fitting)
    except AnabranchError:
        return _made(model, specs)  # what cannot do without its sizes; or the data are wrong, and this says how


def opened(before: _tree.Nest, specs: _tree.Nest) -> _tree.Nest:
    """Return ``before`` where it fits ``specs``, else it with the sizes that differ left open; None where ranks or nests do."""
    old, new = spec_leaves(before), spec_leaves(specs)
    if _form(before) != _form(specs) or any(len(a.shape) != len(b.shape) for a, b in zip(old, new, strict=True)):
        return None
    if all(same_but_batch(b.shape, a.shape) for a, b in zip(old, new, strict=True)):
        return before
    found = iter([Spec(agreed(a.shape, b.shape), a.dtype) for a, b in zip(old, new, strict=True)])
    return map_specs(lambda _: next(found), before)


def inputs_for(specs: _tree.Nest) -> _tree.Nest:
    """Return an Input for each spec, in their nest."""
    return map_specs(lambda spec: Input(batch_shape=spec.shape, dtype=spec.dtype), specs)


def _made(model: Layer, specs: object) -> Graph:
    inputs = inputs_for(specs)
    return Graph(inputs, model._describe_((inputs,), {}, call_site(), noted=False))


def _form(nest: object) -> object:
    """Return the nest's form: a list and a tuple are one."""
    if isinstance(nest, (list, tuple)) and not isinstance(nest, Spec):
        return [_form(part) for part in nest]
    return {key: _form(part) for key, part in nest.items()} if isinstance(nest, dict) else None


def host_part_of(graph: Graph | None) -> HostPart | None:
    """Return the part on the host of a graph with strings among its inputs; None of any other."""
    if graph is None or all(tensor.dtype != "string" for tensor in graph.inputs):
        return None
    from anabranch.models import host_part  # which few models need

    return host_part.cut(graph)


def fed(part: HostPart | None, given: list[Any], graph: Graph, optional: list[int]) -> tuple[list[Any], Graph, list[int]]:
    """Return what the graph that runs is given, that graph, and which of its inputs may go without a value."""
    return (given, graph, optional) if part is None else (part.run(given), part.rest, [])

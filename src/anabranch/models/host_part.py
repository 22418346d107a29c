"""The part of a model with strings that runs on the host: its first layers, before a batch goes to the device.

What is behind them is a graph of its own, which is lowered, trained and exported; its inputs are what these layers give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from anabranch import _tree, runtime
from anabranch._asked import has_shape, method
from anabranch._errors import GraphError, ShapeError
from anabranch.graph import Graph, Node, Tensor, outputs_of
from anabranch.graph.replaying import note, with_values
from anabranch.graph.shapes import same
from anabranch.graph.tensor import make_node
from anabranch.layers.core import InputLayer

Key = tuple[Node, int]


class HostPart(NamedTuple):
    """The steps on the host, and the graph behind them."""

    graph: Graph
    """The whole."""
    steps: tuple[Node, ...]
    """The calls on the host, in order."""
    fed: tuple[Key, ...]
    """What goes into the rest: inputs of the whole, and results of the steps."""
    rest: Graph
    """What runs on the device."""

    def run(self, values: Sequence[Any]) -> list[Any]:
        """Return what the rest takes, for the values of the whole's inputs."""
        known = {tensor.key: _shaped(value, tensor) for tensor, value in zip(self.graph.inputs, values, strict=True)}
        for node in self.steps:
            args, kwargs = with_values(node, [known[tensor.key] for tensor in node.inputs])
            result, _ = runtime.run(node.operation, args, kwargs)
            note(known, node, [_on_host(leaf) for leaf in _tree.leaves(result)])
        return [known[key] for key in self.fed]

    def with_arrays(self, value: _tree.Nest) -> _tree.Nest:
        """Return a nest of inputs with arrays in the place of lists of strings."""
        return _with_arrays(value)


def cut(graph: Graph) -> HostPart:
    """Return the part on the host of a graph with strings among its inputs.

    Raises:
        GraphError: strings go into a layer that runs on the device.
    """
    here = {tensor.key: place for place, tensor in enumerate(graph.inputs)}  # of the first input that it comes from
    steps: list[Node] = []
    for node in graph.nodes:
        if node.operation._on_host_ and node.inputs and all(tensor.key in here for tensor in node.inputs):
            steps.append(node)
            place = min(here[tensor.key] for tensor in node.inputs)
            here.update((tensor.key, place) for tensor in _results(node))
    behind = [node for node in graph.nodes if node.inputs and node not in steps]
    taken = dict.fromkeys(
        tensor.key for tensor in (*(t for node in behind for t in node.inputs), *graph.outputs) if tensor.key in here
    )
    known = {tensor.key: tensor for tensor in (*graph.inputs, *(t for node in steps for t in _results(node)))}
    for node in behind:
        wrong = next((tensor for tensor in node.inputs if tensor.dtype == "string"), None)
        if wrong is not None:
            raise GraphError(
                f"Strings go into {node.operation._error_label_()}, which runs on the device.",
                expected="a layer of text, such as TextVectorization, StringLookup or Hashing, behind an Input of strings",
                got=f"{wrong.name!r}, dtype 'string'", where=f"called at {node.site}",
            )  # fmt: skip
    order = sorted((key for key in known if key in taken), key=here.__getitem__)
    return HostPart(graph, tuple(steps), tuple(order), _rest(graph, behind, [known[key] for key in order]))


def _rest(graph: Graph, behind: Iterable[Node], fed: Sequence[Tensor]) -> Graph:
    """Return the graph of the nodes behind the host part, on new inputs in the place of ``fed``."""
    values: dict[Any, Tensor] = {}
    for tensor in fed:
        source = tensor.node.operation
        name = graph.names.get(source, tensor.name)
        made = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=name, optional=source._optional_)
        made._made_at_ = tensor.node.site
        values[tensor.key] = cast("Tensor", made.output)
    for node in behind:
        args, kwargs = with_values(node, [values[tensor.key] for tensor in node.inputs])
        made_node = make_node(node.operation, args, kwargs, node.output_specs, node.site)
        note(values, node, _tree.leaves(outputs_of(made_node)))
    inputs = [values[tensor.key] for tensor in fed]
    return Graph(inputs, _tree.fill(graph.output_structure, [values[tensor.key] for tensor in graph.outputs]))


def _results(node: Node) -> list[Tensor]:
    return [leaf for leaf in _tree.leaves(outputs_of(node)) if isinstance(leaf, Tensor)]


def _shaped(value: _tree.Nest, tensor: Tensor) -> _tree.Nest:
    """Return a value of an input, with or without a last axis of 1, as its Input has it."""
    if value is None:
        return None
    import numpy as np

    detach = method(value, "detach")
    array = value if detach or (has_shape(value) and tensor.dtype != "string") else np.asarray(value)
    more = len(tensor.shape) - len(array.shape)
    if more == 1 and tensor.shape[-1] == 1:
        return array[..., None]
    if more == -1 and array.shape[-1] == 1:
        return array[..., 0]
    if more or not same(tensor.shape[1:], array.shape[1:]):
        raise ShapeError(
            f"The data for input {tensor.name!r} have another shape.", expected=str(tensor.shape), got=str(tuple(array.shape))
        )
    return array


def _with_arrays(value: _tree.Nest) -> _tree.Nest:
    """Return a nest with arrays in the place of lists of strings."""
    if isinstance(value, dict):
        return {key: _with_arrays(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(leaf, (str, bytes)) for leaf in _tree.leaves(value)) and _is_row(value):
            import numpy as np

            return np.asarray(value)
        return type(value)(map(_with_arrays, value))
    return value


def _is_row(value: Sequence[Any]) -> bool:
    """Return whether a nest of strings is one array: strings, or rows of one length."""
    return all(isinstance(each, (str, bytes)) for each in value) or len({len(each) for each in value}) == 1 == len(value[0])


def _on_host(leaf: object) -> object:
    back = method(leaf, "cpu")
    return back() if back else leaf

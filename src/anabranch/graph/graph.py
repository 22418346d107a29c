"""The graph: every node between inputs and outputs, in an order to run in, with names. Immutable, made by one walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from anabranch import _tree
from anabranch._errors import ArgumentTypeError, GraphError
from anabranch.graph.clues import MissingInput, NoTensors, RepeatedInput, WrongValue, explained
from anabranch.graph.copying import OfGraph
from anabranch.graph.names import name_operations
from anabranch.graph.records import Node, Operation, Tensor


class Graph(OfGraph):
    """What is between ``inputs`` and ``outputs`` (each a tensor or a nest of tensors).

    ``nodes``: in an order to run in, inputs first. ``operations``: in Keras's order (by distance from the outputs), which is
    the order of ``model.layers`` and ``get_weights()``. ``names``: operation to name.
    """

    __slots__ = (
        "_by_name",
        "_calls",
        "_positions",
        "_takers",
        "input_structure",
        "inputs",
        "names",
        "nodes",
        "operations",
        "output_structure",
        "outputs",
    )

    def __init__(self, inputs: _tree.Nest, outputs: _tree.Nest) -> None:
        self.input_structure = inputs
        self.output_structure = outputs
        self.inputs = _tensors(inputs, "inputs")
        self.outputs = _tensors(outputs, "outputs")
        _refuse_repeated(self.inputs)
        inner, first_met = _walk(self.inputs, self.outputs, lambda node: node.inputs)
        if _holds_dict(outputs) or any(node.kwargs or _holds_dict(node.args) for node in inner):
            first_met = _walk(self.inputs, tensors_by_key(outputs), lambda node: tensors_by_key((node.args, node.kwargs)))[1]
        sources = [t.node for t in self.inputs if not t.node.inputs]
        self.nodes: tuple[Node, ...] = tuple(dict.fromkeys([*sources, *inner]))
        self.names = name_operations(dict.fromkeys(node.operation for node in self.nodes))
        self.operations = _by_depth(inner, sources, first_met)
        self._positions: dict[Node, int] = {}
        self._calls: dict[Operation, list[Node]] = {}
        self._by_name: dict[str, Operation] | None = None
        self._takers: dict[tuple[Node, int], list[Operation]] | None = None
        for node in self.nodes:
            calls = self._calls.setdefault(node.operation, [])
            self._positions[node] = len(calls)
            calls.append(node)

    @property
    def by_name(self) -> dict[str, Operation]:
        """The operations by their names here."""
        if self._by_name is None:
            self._by_name = {name: operation for operation, name in self.names.items()}
        return self._by_name

    def call_index(self, node: Node) -> int:
        """Return which call of its operation ``node`` is in this graph, from 0."""
        return self._positions.get(node, 0)

    def holds(self, node: Node) -> bool:
        """Return whether a node belongs to this graph."""
        return node in self._positions

    def takers_of(self, tensor: Tensor) -> list[Operation]:
        """Return the operations that take ``tensor`` in this graph, in order."""
        if self._takers is None:
            self._takers = {}
            for node in self.nodes:
                for taken in node.inputs:
                    self._takers.setdefault(taken.key, []).append(node.operation)
        return self._takers.get(tensor.key, [])

    def calls_of(self, operation: Operation) -> list[Node]:
        """Return the nodes of one operation in this graph, in order."""
        return list(self._calls.get(operation, ()))

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes, {len(self.inputs)} inputs, {len(self.outputs)} outputs>"


def _tensors(nest: _tree.Nest, role: str) -> list[Tensor]:
    found = _tree.leaves(nest)
    if nest is None or not found:
        kind = ArgumentTypeError if nest is None else GraphError
        raise explained(kind(f"A model needs {role}.", got=f"{role}={nest!r}", clue=NoTensors(role)))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise explained(
                ArgumentTypeError(f"Expected tensors as {role}.", got=repr(leaf), clue=WrongValue(leaf, role, nest))
            )
    return found


def _holds_dict(nest: _tree.Nest) -> bool:
    return isinstance(nest, dict) or (isinstance(nest, (list, tuple)) and any(map(_holds_dict, nest)))


def tensors_by_key(nest: _tree.Nest) -> list[Tensor]:
    """Return the tensors of a nest, those of dicts by sorted keys: Keras walks that way, which decides the order of layers."""
    return [leaf for leaf in _tree.leaves_by_key(nest) if isinstance(leaf, Tensor)]


def _refuse_repeated(inputs: list[Tensor]) -> None:
    seen = set()
    for tensor in inputs:
        if tensor.key in seen:
            fact = f"{tensor.node.operation._error_label_()} is listed twice among the inputs."
            raise explained(GraphError(fact, got=f"made at {tensor.node.site}", clue=RepeatedInput(tensor)))
        seen.add(tensor.key)


Trail: TypeAlias = "list[tuple[Node, Iterator[Tensor]]]"
"""The nodes that a walk is inside of, each with the inputs that it has yet to look at."""


def finished(path: Trail, enter: Callable[[Tensor], object]) -> Iterator[Node]:
    """Yield nodes after those they need; ``enter`` puts the node of an input on the path, unless it was there before."""
    while path:
        node, following = path[-1]
        tensor = next(following, None)
        if tensor is None:
            path.pop()
            yield node
        else:
            enter(tensor)


def _walk(
    inputs: list[Tensor], outputs: list[Tensor], inputs_of: Callable[[Node], Iterable[Tensor]]
) -> tuple[list[Node], dict[Operation, int]]:
    """Return the nodes behind ``outputs``, each after those it needs, and when each operation was first met."""
    given = {tensor.key for tensor in inputs}
    first_met: dict[Operation, int] = {}
    order: list[Node] = []
    opened: set[Node] = set()
    path: Trail = []

    def enter(tensor: Tensor) -> None:
        node = tensor.node
        first_met.setdefault(node.operation, len(first_met))
        if tensor.key in given or node in opened:
            return
        if not node.inputs:
            fact = f"The outputs need {tensor.node.operation._error_label_()}, which is not among the model's inputs."
            raise explained(GraphError(fact, clue=MissingInput(tensor, output, inputs, outputs)))
        opened.add(node)
        path.append((node, iter(inputs_of(node))))

    for output in outputs:
        enter(output)
        order += finished(path, enter)
    return order, first_met


def _by_depth(inner: list[Node], sources: list[Node], first_met: dict[Operation, int]) -> tuple[Operation, ...]:
    """Order operations by their greatest distance from an output, farthest first, then by when the walk met them."""
    node_depth: dict[Node, int] = {}
    depth: dict[Operation, int] = {}
    for node in [*reversed(inner), *sources]:
        here = max(node_depth.get(node, 0), depth.get(node.operation, 0))
        depth[node.operation] = node_depth[node] = here
        for tensor in node.inputs:
            node_depth[tensor.node] = max(here + 1, node_depth.get(tensor.node, 0))
    return tuple(sorted(depth, key=lambda operation: (-depth[operation], first_met.get(operation, -1))))

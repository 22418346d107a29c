"""A graph with its nested models opened: the steps to run, each with the path of its layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from anabranch import _tree
from anabranch._errors import AnabranchError
from anabranch.graph.clues import explained
from anabranch.graph.graph import Graph
from anabranch.graph.records import Node, Operation, Tensor, spec_leaves, tensors_in
from anabranch.graph.tensor import make_node, outputs_of


class Step(NamedTuple):
    """One application of a layer, operator or opaque model; ``inputs`` and ``outputs`` are value numbers."""

    path: str
    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Flat(NamedTuple):
    """The steps in order, and the value numbers that go in and come out."""

    inputs: list[int]
    steps: list[Step]
    outputs: list[int]


class _Frame(NamedTuple):
    """A graph being walked: where its values stand, and the node that opened it."""

    prefix: str
    graph: Graph
    values: dict[tuple[Node, int], int]
    nodes: Iterator[Node]
    opened_by: Node | None


def _frame(prefix: str, graph: Graph, given: tuple[int, ...], opened_by: Node | None) -> _Frame:
    values = {t.key: number for t, number in zip(graph.inputs, given, strict=True)}
    return _Frame(prefix, graph, values, iter(graph.nodes), opened_by)


def subgraph(operation: object) -> Graph | None:
    """Return the graph inside a nested model, None for a layer and whatever else a user may have written."""
    inner: Graph | None = operation.graph if isinstance(operation, Operation) else None
    return inner


def flatten(graph: Graph) -> Flat:
    """Open every nested model; values are numbered, so that one inner node can run several times with other inputs."""
    count = 0
    steps: list[Step] = []

    def fresh(how_many: int) -> tuple[int, ...]:
        nonlocal count
        count += how_many
        return tuple(range(count - how_many, count))

    inputs = fresh(len(graph.inputs))
    stack = [_frame("", graph, inputs, None)]
    outputs: list[int] = []
    while stack:
        here = stack[-1]
        node = next(here.nodes, None)
        if node is None:
            stack.pop()
            results = [here.values[t.key] for t in here.graph.outputs]
            if here.opened_by is None:
                outputs = results
            else:
                _note(stack[-1].values, here.opened_by, results)
            continue
        if not node.inputs:
            continue
        given = tuple(here.values[t.key] for t in node.inputs)
        path = here.prefix + here.graph.names[node.operation]
        inner = subgraph(node.operation)
        if inner is not None:
            stack.append(_frame(path + "/", inner, given, node))
            continue
        numbers = fresh(len(spec_leaves(node.output_specs)))
        _note(here.values, node, numbers)
        steps.append(Step(path, node, given, numbers))
    return Flat(list(inputs), steps, outputs)


def _note(values: dict[tuple[Node, int], Any], node: Node, results: Iterable[Any]) -> None:
    """Note what a node gives; an output that is an input of the graph keeps the value that came in."""
    for index, result in enumerate(results):
        values.setdefault((node, index), result)


def with_values(node: Node, values: Iterable[object]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the call's arguments with each symbolic tensor replaced by the next of ``values``."""
    following = iter(values)

    def swap(leaf: object) -> object:
        return next(following) if isinstance(leaf, Tensor) else leaf

    args, kwargs = _tree.map_leaves(swap, (node.args, node.kwargs))
    return args, kwargs


def replay(graph: Graph, inputs: list[Tensor]) -> list[Tensor]:
    """Return what ``graph`` would give for other symbolic inputs: every shape rule is asked again, no layer learns of it."""
    values: dict[tuple[Node, int], Tensor] = {t.key: given for t, given in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        if not node.inputs:
            continue
        args, kwargs = with_values(node, [values[t.key] for t in node.inputs])
        operation = node.operation
        try:
            specs = operation.compute_output_spec(*args, **kwargs)
        except AnabranchError as error:
            raise explained(error, tensors_in(args, kwargs)).at(
                f"{operation.error_label()}, called at {node.site}"
            ) from error.__cause__
        _note(values, node, _tree.leaves(outputs_of(make_node(operation, args, kwargs, specs, node.site))))
    return [values[t.key] for t in graph.outputs]

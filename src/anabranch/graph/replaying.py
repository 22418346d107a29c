"""What a graph gives for other values: a call's arguments with others in their places, and a graph's shapes asked again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anabranch import _tree
from anabranch._errors import AnabranchError
from anabranch.graph.clues import explained
from anabranch.graph.graph import Graph
from anabranch.graph.records import Node, Operation, Tensor, tensors_in
from anabranch.graph.tensor import make_node, outputs_of


def subgraph(operation: object) -> Graph | None:
    """Return the graph inside a nested model, None for a layer and whatever else a user may have written."""
    inner: Graph | None = operation._graph_ if isinstance(operation, Operation) else None
    return inner


def note(values: dict[tuple[Node, int], Any], node: Node, results: Iterable[Any]) -> None:
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
                f"{operation._error_label_()}, called at {node.site}"
            ) from error.__cause__
        note(values, node, _tree.leaves(outputs_of(make_node(operation, args, kwargs, specs, node.site))))
    return [values[t.key] for t in graph.outputs]

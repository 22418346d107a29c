"""Images stay channels first between convolutions: permutations move down past what works value by value, and cancel there.

Layers take and give channels last (B H W C), torch's convolutions channels first (B C H W); both are views of the same
memory, so no number moves. What is gained is that each operation sees the result of the one before as it is.
"""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call, Note, Pass, Settings, always
from anabranch.engine.passes.nodes import erase_unread, is_call, path_of, shape_of
from anabranch.engine.passes.operations import is_elementwise, is_reduction

Order = tuple[int, ...]
PERMUTES = ("permute", torch.permute)


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note where permutations are left."""
    viewed: dict[Node, tuple[Node, Order]] = {}  # a permuted value: of what, by what order
    for node in list(graph.nodes):
        if is_call(node, PERMUTES) and (order := order_of(node)) is not None:
            _compose(node, order, viewed)
        elif not any(value in viewed for value in node.all_input_nodes):
            continue
        elif is_elementwise(node):
            _move_elementwise(graph, node, viewed)
        elif is_reduction(node):
            _move_reduction(graph, node, viewed)
        elif is_call(node, (torch.cat,)):
            _move_cat(graph, node, viewed)
    erase_unread(graph, lambda node: is_call(node, PERMUTES))
    left = [node for node in viewed if not node._erased]
    return [Note(path_of(node), False, f"{node.args[0]} is permuted by {viewed[node][1]} for this layer") for node in left]


def order_of(node: Call) -> Order | None:
    """Return the order of axes that a permutation gives, None where it is no list of integers."""
    given = node.args[1:]
    axes = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    if node.kwargs or not axes or not all(isinstance(axis, int) for axis in axes):
        return None
    return tuple(axis % len(axes) for axis in axes)  # type: ignore[operator,union-attr]  # integers, as just checked


def _compose(node: Call, order: Order, viewed: dict[Node, tuple[Node, Order]]) -> None:
    source = node.args[0]
    if source in viewed:
        source, first = viewed[source]
        order = tuple(first[axis] for axis in order)
    if order == tuple(range(len(order))):
        node.replace_all_uses_with(source)
        return
    node.args = (source, *order)
    node.target, node.op = "permute", "call_method"
    viewed[node] = source, order
    _note(source, order, node)


def _move_elementwise(graph: Graph, node: Call, viewed: dict[Node, tuple[Node, Order]]) -> None:
    values = node.all_input_nodes
    orders = {viewed[value][1] for value in values if value in viewed}
    if len(orders) != 1:
        return
    (order,) = orders
    others = [value for value in values if value not in viewed]
    if any(len(shape_of(other) or ()) != len(order) for other in others):
        return  # of another rank: it would broadcast along other axes
    back = tuple(order.index(axis) for axis in range(len(order)))
    with graph.inserting_before(node):
        fronts = {
            value: viewed[value][0] if value in viewed else graph.call_method("permute", (value, *back)) for value in values
        }
        made = graph.node_copy(node, lambda value: fronts[value])
    _replace(graph, node, made, order, viewed)


def _move_reduction(graph: Graph, node: Call, viewed: dict[Node, tuple[Node, Order]]) -> None:
    source, *rest = node.args
    if source not in viewed or not rest or set(node.kwargs) - {"keepdim"}:
        return
    base, order = viewed[source]
    axes = rest[0] if isinstance(rest[0], (tuple, list)) else (rest[0],)
    if not all(isinstance(axis, int) for axis in axes):
        return
    numbers = [axis % len(order) for axis in axes]
    keep = bool(rest[1]) if len(rest) > 1 else bool(node.kwargs.get("keepdim", False))
    left = [order[axis] for axis in range(len(order)) if keep or axis not in numbers]
    with graph.inserting_before(node):
        moved = tuple(order[axis] for axis in numbers)
        made = graph.call_method(node.target, (base, moved if rest[0] is axes else moved[0]), {"keepdim": keep})
    made.meta.update(node.meta)
    _replace(graph, node, made, tuple(sorted(left).index(axis) for axis in left), viewed)


def _move_cat(graph: Graph, node: Call, viewed: dict[Node, tuple[Node, Order]]) -> None:
    parts = node.args[0]
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    if not isinstance(parts, (list, tuple)) or not isinstance(axis, int) or any(part not in viewed for part in parts):
        return
    orders = {viewed[part][1] for part in parts}
    if len(orders) != 1:
        return
    (order,) = orders
    with graph.inserting_before(node):
        made = graph.call_function(torch.cat, ([viewed[part][0] for part in parts], order[axis % len(order)]))
    made.meta.update(node.meta)
    _replace(graph, node, made, order, viewed)


def _replace(graph: Graph, node: Call, made: Node, order: Order, viewed: dict[Node, tuple[Node, Order]]) -> None:
    """Replace ``node`` by ``made``, permuted by ``order``."""
    made.meta.pop("shape", None)
    if order == tuple(range(len(order))):
        made.meta.update(node.meta)
        node.replace_all_uses_with(made)
    else:
        with graph.inserting_before(node):
            view = graph.call_method("permute", (made, *order))
        view.meta.update(node.meta)
        node.replace_all_uses_with(view)
        viewed[view] = made, order
        _note(made, order, node)
    graph.erase_node(node)


def _note(source: Call, order: Order, view: Call) -> None:
    """Note on a value the shape and type that follow from its permutation."""
    shape = shape_of(view)
    if shape is not None and len(shape) == len(order):
        source.meta.setdefault("shape", tuple(shape[order.index(axis)] for axis in range(len(order))))
    if "dtype" in view.meta:
        source.meta.setdefault("dtype", view.meta["dtype"])


LAYOUT = Pass(
    "layout",
    requires="permutations by integers",
    ensures="the same values; a permutation is left only where something else than a permutation needs it",
    unfit=always,
    run=run,
)

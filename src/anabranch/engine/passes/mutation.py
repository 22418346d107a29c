"""Which values the code itself changes, such as moving statistics."""

from __future__ import annotations

from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call
from anabranch.engine.passes.operations import facts, mutates


def changed_values(graph: Graph, *, own: bool = True) -> set[Node]:
    """Return what some call changes, directly or through views, and all views of it.

    ``own=False``: weights and inputs alone, not memory that the code made for itself.
    """
    found: set[Node] = set()
    for node in graph.nodes:
        if not mutates(node):
            continue
        first = node.args[0]
        for value in first if isinstance(first, (list, tuple)) else (first,):
            way: list[Call] = [value]
            while way[-1] not in found and _may_be_view(way[-1]):
                way.append(way[-1].all_input_nodes[0])
            if own or way[-1] in found or way[-1].op in ("get_attr", "placeholder"):
                found.update(way)
    for node in graph.nodes:
        if _may_be_view(node) and node.all_input_nodes[0] in found:
            found.add(node)
    return found


def _may_be_view(node: Call) -> bool:
    """Return whether a result may be memory of the first input; of the unknown it is not said."""
    if node.op not in ("call_function", "call_method") or not node.all_input_nodes:
        return False
    return facts(node).may_alias or mutates(node)

"""Which weights the code itself changes, such as moving statistics."""

from __future__ import annotations

from torch.fx import Graph, Node

from anabranch.engine.passes.operations import mutates


def changed_attributes(graph: Graph) -> set[Node]:
    """Return the reads of weights that some call changes, directly or through a view, and the views on the way."""
    changed: set[Node] = set()
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method") or not mutates(node.target):
            continue
        stack = [node.args[0]]
        while stack:
            value = stack.pop()
            if isinstance(value, Node) and value not in changed and value.op != "placeholder":
                changed.add(value)
                stack.extend(value.all_input_nodes[:1])
    return changed

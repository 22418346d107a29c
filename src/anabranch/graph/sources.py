"""Where the graph of a tensor begins."""

from __future__ import annotations

from anabranch.graph.records import Tensor


def sources_of(tensor: Tensor) -> list[Tensor]:
    """Return the Inputs that a symbolic tensor is computed from, in the order in which a walk back meets them."""
    found: dict[object, Tensor] = {}
    seen, stack = set(), [tensor]
    while stack:
        each = stack.pop()
        node = each.node
        if not node.inputs:
            found.setdefault(each.key, each)
        elif node not in seen:
            seen.add(node)
            stack.extend(reversed(node.inputs))
    return list(found.values())

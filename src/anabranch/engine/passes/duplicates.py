"""What is computed twice from the same is computed once: common subexpressions."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Note, Pass, Settings, always
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.nodes import erase_unread, merged, path_of
from anabranch.engine.passes.operations import is_needless, is_pure


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note what is shared now."""
    changed = changed_values(graph)
    first: dict[Hashable, Node] = {}
    notes = []
    for node in list(graph.nodes):
        if not is_pure(node) or any(value in changed for value in (node, *node.all_input_nodes)):
            continue
        key = (node.op, node.target, _key(node.args), _key(node.kwargs))
        known = first.setdefault(key, node)
        if known is not node:
            notes.append(merged(node, known, f"{node.name} is {known.name} of {path_of(known)}"))
    erase_unread(graph, is_needless)
    return notes


def _key(value: object) -> Hashable:
    """Return arguments as something that can be looked up; 1, 1.0 and True are different."""
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(part)) for name, part in sorted(value.items()))
    if isinstance(value, slice):
        return ("slice", _key(value.start), _key(value.stop), _key(value.step))
    return value if isinstance(value, Node) else (type(value), value)


DUPLICATES = Pass(
    "duplicates",
    requires="functions without randomness or side effects, of values that nothing changes in between",
    ensures="the same values; gradients are added up in another order",
    unfit=always,
    run=run,
)

"""What changes nothing is taken out: adding 0, casts to the type it has, joins of one, values that nobody reads."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call, Note, Pass, Settings, always
from anabranch.engine.passes.nodes import erase_unread, is_call, merged
from anabranch.engine.passes.operations import is_needless

_NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1, operator.truediv: 1, operator.pow: 1, torch.add: 0, torch.mul: 1}
_COMMUTE = (operator.add, operator.mul, torch.add, torch.mul)
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout)


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note what went."""
    notes = []
    for node in list(graph.nodes):
        same = _equal_to(node)
        if isinstance(same, Node):
            notes.append(merged(node, same, f"{node.name} gives what it takes"))
    erase_unread(graph, is_needless)
    return notes


def _equal_to(node: Call) -> object:
    """Return the argument that a node gives back as it is, or None."""
    if is_call(node, _NEUTRAL) and len(node.args) == 2 and not node.kwargs:
        one, other = node.args
        neutral = _NEUTRAL[node.target]
        if _is(other, neutral) and _is_float(one):
            return one
        return other if _is(one, neutral) and _is_float(other) and node.target in _COMMUTE else None
    if is_call(node, _DROPOUTS):
        rate = node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
        return node.args[0] if rate == 0 or node.kwargs.get("training") is False else None
    if is_call(node, ("to",)) and len(node.args) == 2 and not node.kwargs:
        source, kind = node.args
        same = isinstance(source, Node) and isinstance(kind, torch.dtype) and source.meta.get("dtype") == str(kind)[6:]
        return source if same else None
    if is_call(node, (torch.cat,)) and isinstance(node.args[0], (list, tuple)) and len(node.args[0]) == 1:
        return node.args[0][0]
    return None


def _is(value: object, number: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == number


def _is_float(value: object) -> bool:
    """Return whether a value is known to be of floats, which a number beside it does not turn into another type."""
    return isinstance(value, Node) and "float" in str(value.meta.get("dtype"))


IDENTITIES = Pass(
    "identities",
    requires="numbers and types that are known beforehand",
    ensures="the same values",
    unfit=always,
    run=run,
)

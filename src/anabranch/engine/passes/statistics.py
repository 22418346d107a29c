"""Moving statistics of all normalizations move together at the end of the code: four calls for all, not four for each layer.

On a GPU a call costs what its launch costs, whatever its size: a ResNet-20 has 19 normalizations, so 76 calls, and 4 together.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import NamedTuple

import torch
from torch.fx import Graph, Node

from anabranch.engine.opaque import is_plain_module
from anabranch.engine.passes.base import Call, Note, Pass, Settings
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.nodes import attribute, is_call, only_user, path_of
from anabranch.engine.passes.operations import is_pure
from anabranch.engine.passes.segments import HOLDER

MOVE = torch.ops.aten.lerp_.Scalar
# overloads, as they are known to torch.fx as ones that write
MOVE_ALL = torch.ops.aten._foreach_lerp_.Scalar
POWERS, DIFFERENCES = torch.ops.aten._foreach_pow.Scalar, torch.ops.aten._foreach_sub.Scalar


class _Group(NamedTuple):
    """Moves that are one call: how many of the same statistics came before, how far they go, and what to."""

    before: int
    rate: float
    epsilon: float | None  # None: values are taken as they are; else they are deviation ** -2 - epsilon


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note which statistics move together."""
    moves = [node for node in graph.nodes if is_call(node, (MOVE,))]
    if moves and (whole := [node for node in graph.nodes if _may_read(node, root)]):
        return [Note("", False, f"{path_of(whole[0])} runs as a whole, which may read them")]
    notes: dict[Note, None] = {}  # one for both moves of a layer
    groups: dict[_Group, list[tuple[Call, Node, Node]]] = {}
    changed, seen = changed_values(graph), Counter[Node]()
    for node in moves:
        statistic, value, rate = node.args[:3]
        why = _refusal(node, changed)
        notes[Note(path_of(node), not why, why or "with all others, at the end")] = None
        if not why:
            source, epsilon = _deviation(value)
            groups.setdefault(_Group(seen[statistic], rate, epsilon), []).append((node, statistic, source))
            seen[statistic] += 1
    last = graph.output_node()
    with graph.inserting_before(last):
        for group in sorted(groups, key=lambda group: group.before):  # a layer that is called twice moves its own in order
            _move(graph, group, groups[group])
    for some in groups.values():
        for node, _, _ in some:
            _erase(graph, node)
    return list(notes)


def _may_read(node: Call, root: torch.nn.Module) -> bool:
    """Return whether a node is a module that could look at the statistics: neither torch's own nor part of this code."""
    part_of_it = str(node.target).startswith(f"{HOLDER}.")
    return node.op == "call_module" and not part_of_it and not is_plain_module(attribute(root, node.target))


def _refusal(node: Call, changed: set[Node]) -> str:
    """Return why a move stays where it is, or ""."""
    statistic, value, rate = node.args[:3]
    if statistic.op != "get_attr" or node.users or not isinstance(rate, (int, float)):
        return "it is no move of a weight alone"
    if not all(is_call(user, (MOVE,)) and user.args[0] is statistic is not user.args[1] for user in statistic.users):
        return "the statistic is needed elsewhere too"
    return "what it moves to is changed in between" if value in changed else ""


def _deviation(value: Call) -> tuple[Call, float | None]:
    """Return what a value follows from by deviation ** -2 - epsilon, and epsilon; else the value, and None."""
    if is_call(value, (operator.sub,)) and only_user(value) is not None and isinstance(value.args[1], float):
        power = value.args[0]
        if is_call(power, ("pow",)) and only_user(power) is value and power.args[1:] == (-2,) and is_pure(power):
            return power.args[0], value.args[1]
    return value, None


def _move(graph: Graph, group: _Group, some: list[tuple[Call, Node, Node]]) -> None:
    """Add the calls that move statistics together."""
    _, statistics, sources = (list(each) for each in zip(*some, strict=True))
    values: Call = sources
    if group.epsilon is not None:
        values = graph.call_function(DIFFERENCES, (graph.call_function(POWERS, (sources, -2)), group.epsilon))
    graph.call_function(MOVE_ALL, (statistics, values, group.rate))


def _erase(graph: Graph, node: Call) -> None:
    """Erase a move, and what gave its value where nothing else takes that."""
    way = [node]
    if _deviation(node.args[1])[1] is not None:
        way += [node.args[1], node.args[1].args[0]]
    for each in way:
        graph.erase_node(each)


def unfit(settings: Settings) -> str:
    """Return why statistics move one by one with these settings, or ""."""
    if settings.compiled:
        return "torch.compile fuses by itself"
    return "" if settings.training else "nothing moves"


STATISTICS = Pass(
    "statistics",
    requires="moving statistics that nothing else in the code reads",
    ensures="the same values",
    unfit=unfit,
    run=run,
)

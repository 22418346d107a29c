"""Segments for a budget: as few as keep what gradients need within so many bytes."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

import torch
from torch.fx import Graph, Node

from anabranch._errors import ArgumentError
from anabranch.engine.passes.base import Note, Settings
from anabranch.engine.passes.segments import replace, runs_of

if TYPE_CHECKING:
    from anabranch.engine.passes.saved import SavedMemory

MOST = 256  # parts that are tried


def fit(graph: Graph, root: torch.nn.Module, settings: Settings, budget: int) -> list[Note]:
    """Make as few segments as keep the values for gradients within ``budget`` bytes; the last part stays as it is."""
    shapes = _batch_shapes(graph)
    if not shapes:
        return [Note("", False, "how much is saved follows from the first step's batch")]
    memory = _measured(graph, root, shapes, budget)
    least = total = memory.bytes(set().union(*memory.saved.values()))
    if total <= budget:
        return [Note("", False, f"{_shown(total)} fit as they are")]
    for count in range(2, min(len(memory.saved), MOST) + 1):
        runs = _parts(graph, memory, total / count)
        size = _size(memory, runs)
        least = min(least, size)
        if size <= budget:
            return [replace(graph, root, nodes, settings) for nodes in runs]
    raise ArgumentError(
        "The values saved for gradients do not fit the budget.",
        expected=f"at least {_shown(least)} for inputs of {', '.join(map(str, shapes))}; without recomputing {_shown(total)}",
        got=f"remat={budget} ({_shown(budget)})",
        repair="a smaller batch_size, or a larger budget",
    )


def _measured(graph: Graph, root: torch.nn.Module, shapes: list[tuple[int, ...]], budget: int) -> SavedMemory:
    from anabranch.engine.passes.saved import SavedMemory  # loads what runs code without numbers

    try:
        return SavedMemory(graph, root, shapes)
    except Exception as error:
        raise ArgumentError(
            f"How much is saved for gradients cannot be known before it is: {error}",
            expected="layers that do not look at values while they run",
            got=f"remat={budget} ({_shown(budget)})",
            repair="remat=['path', 'pattern*', …], which names what is recomputed",
        ) from error


def _parts(graph: Graph, memory: SavedMemory, each: float) -> list[list[Node]]:
    """Return runs of nodes that keep about ``each`` bytes, cut where least crosses; without the last run."""
    calls = [node for node in graph.nodes if node.op in ("call_function", "call_method")]
    crossing = _crossing(calls, memory)
    cuts: dict[int, int] = {}
    seen: set[int] = set()
    size = 0
    for place, node in enumerate(calls):
        number = int(size / each + 0.5)
        if number and crossing[place] < crossing[cuts.setdefault(number, place)]:
            cuts[number] = place
        fresh = memory.saved.get(node, set()) - seen
        seen |= fresh
        size += memory.bytes(fresh)
    starts = sorted(cuts.values())
    keys = {node: bisect.bisect_right(starts, place) for place, node in enumerate(calls)}
    return [nodes for nodes in runs_of(graph, keys.get) if keys[nodes[0]] != len(starts)]


def _crossing(calls: list[Node], memory: SavedMemory) -> list[int]:
    """Return for each place how many bytes were made before it and are needed from there on."""
    places = {node: place for place, node in enumerate(calls)}
    change = [0] * (len(calls) + 1)
    for place, node in enumerate(calls):
        last = max((places.get(user, place) for user in node.users), default=place)
        size = memory.bytes(memory.results[node])
        change[place + 1] += size
        change[last + 1] -= size
    return list(itertools.accumulate(change))


def _size(memory: SavedMemory, runs: list[list[Node]]) -> int:
    """Return how many bytes are saved: outside of the runs, what goes into them, and most while one of them is gone through."""
    inside = {node for nodes in runs for node in nodes}
    outside = {number for node, numbers in memory.saved.items() if node not in inside for number in numbers}
    for nodes in runs:
        own = set(nodes)
        outside.update(*(memory.results[value] for node in nodes for value in node.all_input_nodes if value not in own))
    again = (set().union(*(memory.saved.get(node, ()) for node in nodes)) - outside for nodes in runs)
    return memory.bytes(outside) + max(map(memory.bytes, again), default=0)


def _batch_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """Return the shapes of the first batch, empty where there was none yet."""
    return [node.meta["batch_shape"] for node in graph.find_nodes(op="placeholder") if "batch_shape" in node.meta]


def _shown(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"

"""Segments for a budget: as few as keep what gradients need within so many bytes."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

import torch
from torch.fx import Graph, Node

from anabranch._errors import ArgumentError
from anabranch.engine.passes.base import Note, Setting
from anabranch.engine.passes.segments import replace, runs_of

if TYPE_CHECKING:
    from anabranch.engine.passes.kept import Kept

MOST = 256  # parts that are tried


def fit(graph: Graph, root: torch.nn.Module, setting: Setting, budget: int) -> list[Note]:
    """Make as few segments as keep the values for gradients within ``budget`` bytes; the last part stays as it is."""
    if not setting.fed:
        return [Note("", False, "how much is kept follows from the first step's batch")]
    kept = _measured(graph, root, setting, budget)
    least = total = kept.bytes(set().union(*kept.saved.values()))
    if total <= budget:
        return [Note("", False, f"{_shown(total)} fit as they are")]
    for count in range(2, min(len(kept.saved), MOST) + 1):
        runs = _parts(graph, kept, total / count)
        size = _size(kept, runs)
        least = min(least, size)
        if size <= budget:
            return [replace(graph, root, nodes, setting) for nodes in runs]
    raise ArgumentError(
        "The values kept for gradients do not fit the budget.",
        expected=f"at least {_shown(least)} for inputs of {_told(setting.fed)}; without recomputing {_shown(total)}",
        got=f"remat={budget} ({_shown(budget)})",
        repair="a smaller batch_size, or a larger budget",
    )


def _measured(graph: Graph, root: torch.nn.Module, setting: Setting, budget: int) -> Kept:
    from anabranch.engine.passes.kept import Kept  # loads what runs code without numbers

    try:
        return Kept(graph, root, setting.fed)
    except Exception as error:
        raise ArgumentError(
            f"How much is kept for gradients cannot be known before it is: {error}",
            expected="layers that do not look at numbers while they run",
            got=f"remat={budget} ({_shown(budget)})",
            repair="remat=['path', 'pattern*', …], which names what is computed again",
        ) from error


def _parts(graph: Graph, kept: Kept, each: float) -> list[list[Node]]:
    """Return runs of nodes that keep about ``each`` bytes, cut where least crosses; without the last run."""
    calls = [node for node in graph.nodes if node.op in ("call_function", "call_method")]
    crossing = _crossing(calls, kept)
    cuts: dict[int, int] = {}
    seen: set[int] = set()
    size = 0
    for place, node in enumerate(calls):
        number = int(size / each + 0.5)
        if number and crossing[place] < crossing[cuts.setdefault(number, place)]:
            cuts[number] = place
        fresh = kept.saved.get(node, set()) - seen
        seen |= fresh
        size += kept.bytes(fresh)
    starts = sorted(cuts.values())
    keys = {node: bisect.bisect_right(starts, place) for place, node in enumerate(calls)}
    return [nodes for nodes in runs_of(graph, keys.get) if keys[nodes[0]] != len(starts)]


def _crossing(calls: list[Node], kept: Kept) -> list[int]:
    """Return for each place how many bytes were made before it and are needed from there on."""
    places = {node: place for place, node in enumerate(calls)}
    change = [0] * (len(calls) + 1)
    for place, node in enumerate(calls):
        last = max((places.get(user, place) for user in node.users), default=place)
        size = kept.bytes(kept.results[node])
        change[place + 1] += size
        change[last + 1] -= size
    return list(itertools.accumulate(change))


def _size(kept: Kept, runs: list[list[Node]]) -> int:
    """Return how many bytes are kept: outside of the runs, what goes into them, and most while one of them is gone through."""
    inside = {node for nodes in runs for node in nodes}
    outside = {number for node, numbers in kept.saved.items() if node not in inside for number in numbers}
    for nodes in runs:
        own = set(nodes)
        outside.update(*(kept.results[value] for node in nodes for value in node.all_input_nodes if value not in own))
    again = (set().union(*(kept.saved.get(node, ()) for node in nodes)) - outside for nodes in runs)
    return kept.bytes(outside) + max(map(kept.bytes, again), default=0)


def _told(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(map(str, shapes))


def _shown(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"

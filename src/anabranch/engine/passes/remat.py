"""Activation checkpointing: recompute chosen layers in backward, instead of saving what they computed (Chen et al. 2016).

Neighbouring operations of chosen layers become one segment, of which only inputs are saved: memory for about a third more work.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call, Note, Pass, Settings
from anabranch.engine.passes.budget import fit
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.nodes import path_of
from anabranch.engine.passes.segments import once, replace, runs_of

Key = tuple[str, str]


def unfit(settings: Settings) -> str:
    """Return why nothing is recomputed with these settings, or ""."""
    if not settings.remat:
        return "compile got no remat="
    return "" if settings.training else "nothing is saved for gradients"


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Make segments of the chosen layers and note them."""
    if isinstance(settings.remat, int):
        return fit(graph, root, settings, settings.remat)
    keys = {node: key for node in graph.nodes if (key := _key(node, settings.remat)) is not None}
    runs = runs_of(graph, keys.get)
    notes = _left(graph, keys, runs)
    return [replace(graph, root, nodes, settings) for nodes in runs] + notes


def _key(node: Call, patterns: Iterable[str]) -> Key | None:
    """Return which pattern chose a node's layer, and the nested model that it named; None where none did."""
    path = node.meta.get("path")
    if path is None or node.op in ("placeholder", "get_attr", "output"):
        return None
    parts = path.split("/")
    for pattern in patterns:
        for count in range(1, len(parts) + 1):
            place = "/".join(parts[:count])
            if fnmatchcase(place, pattern):
                return pattern, place if count < len(parts) else ""
    return None


def _left(graph: Graph, keys: dict[Node, Key], runs: list[list[Node]]) -> list[Note]:
    """Return why chosen layers are in no segment."""
    state = changed_values(graph, own=False)
    inside = {path_of(node) for nodes in runs for node in nodes}
    reasons: dict[str, str] = {}
    for node in keys:
        if path_of(node) not in inside:
            reasons[path_of(node)] = once(node, state) or reasons.get(path_of(node), "")
    return [Note(path, False, why or "alone it saves no more than it takes") for path, why in reasons.items()]


REMAT = Pass(
    "remat",
    requires="patterns of layers' paths, or a budget of bytes, given to compile; layers that repeat what they do",
    ensures="the same values; gradients from values computed a second time, and fewer of them saved",
    unfit=unfit,
    run=run,
)

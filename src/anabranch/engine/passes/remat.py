"""Chosen layers are computed again on the way back, instead of keeping what they computed (Chen et al. 2016).

Neighbouring operations of chosen layers become one segment, of which only inputs are kept: memory for about a third more work.
Random numbers are drawn alike both times. What changes weights, such as moving statistics, stays outside and happens once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from anabranch._errors import ArgumentError
from anabranch.engine.passes.base import Call, Note, Pass, Setting, like, path_of, shape_of
from anabranch.engine.passes.in_place import IN_PLACE
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.operations import mutates

Key = tuple[str, str]
HOLDER = "segments"  # where in the module segments stand


class Segment(torch.nn.Module):
    """Part of a model's code that is computed again when its gradients are asked for."""

    def __init__(self, part: GraphModule) -> None:
        super().__init__()
        self.part = part

    def forward(self, *values: Any) -> Any:
        """Return what the part gives, keeping ``values`` alone."""
        if not torch.is_grad_enabled():
            return self.part(*values)
        from torch.utils.checkpoint import checkpoint

        return checkpoint(self.part, *values, use_reentrant=False)


def unfit(setting: Setting) -> str:
    """Return why nothing is computed again in this setting, or ""."""
    if not setting.remat:
        return "compile was not told remat="
    return "" if setting.training else "nothing is kept for gradients"


def run(graph: Graph, root: torch.nn.Module, setting: Setting) -> list[Note]:
    """Make segments of the chosen layers and note them."""
    if isinstance(setting.remat, int):
        return _fit(graph, root, setting, setting.remat)
    keys = {node: key for node in graph.nodes if (key := _key(node, setting.remat)) is not None}
    return [_replace(graph, root, nodes, setting) for nodes in _runs(graph, keys.get)]


def _key(node: Call, patterns: Iterable[str]) -> Key | None:
    """Return which pattern chose a node's layer, and the nested model that it named; None where none did."""
    path = node.meta.get("path")
    if path is None or node.op not in ("call_function", "call_method"):
        return None
    parts = path.split("/")
    for pattern in patterns:
        for count in range(1, len(parts) + 1):
            place = "/".join(parts[:count])
            if fnmatchcase(place, pattern):
                return pattern, place if count < len(parts) else ""
    return None


def _runs(graph: Graph, key_of: Callable[[Node], Any]) -> list[list[Node]]:
    """Return neighbouring nodes of one key; what has no result for the next ones does not part them."""
    runs: list[list[Node]] = []
    last: Any = None
    state = changed_values(graph, own=False)
    for node in graph.nodes:
        acts = _acts(node, state)
        if node.op in ("placeholder", "get_attr") or (acts and not node.users):
            continue
        # what reads changing state stays in its place: before or after the change, and once
        reads = any(value in state for value in node.all_input_nodes)
        key = None if acts or reads or node.op == "output" else key_of(node)
        if key is not None and key == last:
            runs[-1].append(node)
        elif key is not None:
            runs.append([node])
        last = key
    return [nodes for nodes in runs if len(nodes) > 1]


def _acts(node: Call, state: set[Node]) -> bool:
    """Return whether a node must happen once: it changes state, runs a module, or draws from a layer's own generator."""
    if node.op == "call_module" or "generator" in node.kwargs:
        return True
    return node.op in ("call_function", "call_method") and mutates(node.target) and node.args[0] in state


def _replace(graph: Graph, root: torch.nn.Module, nodes: list[Node], setting: Setting) -> Note:
    """Let one call of a segment stand for neighbouring nodes."""
    inside = set(nodes)
    given = list(dict.fromkeys(value for node in nodes for value in node.all_input_nodes if value not in inside))
    results = [node for node in nodes if any(user not in inside for user in node.users)]
    part, copies = Graph(), dict[Node, Node]()
    for value in given:
        copies[value] = part.placeholder(value.name)
        copies[value].meta.update(value.meta)
    for node in nodes:
        copies[node] = part.node_copy(node, copies.__getitem__)
    part.output(tuple(copies[node] for node in results))
    IN_PLACE.run(part, root, setting)
    between = _between(nodes, inside)
    with graph.inserting_after(nodes[-1]):
        whole = graph.call_module(_attach(root, Segment(GraphModule(torch.nn.Module(), part, "Part"))), tuple(given))
    whole.meta["path"] = path_of(nodes[0])
    last = whole
    for number, node in enumerate(results):
        with graph.inserting_after(last):
            last = like(graph.call_function(operator.getitem, (whole, number)), node)
        node.replace_all_uses_with(last, delete_user_cb=lambda user: user not in inside)
    for node in reversed(nodes):
        graph.erase_node(node)
    for node in between:  # what acts on results, such as moving statistics
        last.append(node)
        last = node
    paths = list(dict.fromkeys(path_of(node) for node in nodes))
    named = paths[0] if len(paths) == 1 else f"{paths[0]} to {paths[-1]}"
    return Note(path_of(nodes[0]), True, f"{len(nodes)} operations of {named} are computed again")


def _between(nodes: list[Node], inside: set[Node]) -> list[Node]:
    """Return what stands among the nodes and is none of them."""
    found, node = [], nodes[0]
    while node is not nodes[-1]:
        if node not in inside and node.op not in ("placeholder", "get_attr"):
            found.append(node)
        node = node.next
    return found


def _attach(root: torch.nn.Module, segment: Segment) -> str:
    """Set a segment on the module at a place of its own, and return the place."""
    if not hasattr(root, HOLDER):
        root.add_module(HOLDER, torch.nn.Module())
    holder = getattr(root, HOLDER)
    name = f"s{len(list(holder.children()))}"
    holder.add_module(name, segment)
    return f"{HOLDER}.{name}"


# By a budget of bytes


def _fit(graph: Graph, root: torch.nn.Module, setting: Setting, budget: int) -> list[Note]:
    """Make as few segments as keep the values for gradients within ``budget`` bytes; the last part stays as it is."""
    sizes = {node: size for node in graph.nodes if (size := _bytes(node, setting.batch))}
    total = sum(sizes.values())
    if not setting.batch:
        return [Note("", False, "how much is kept follows from the first step's batch")]
    if total <= budget:
        return [Note("", False, f"about {_shown(total)} fit as they are")]
    least = total
    for count in range(2, min(len(sizes), 256) + 1):
        keys = _split(graph, sizes, total / count)
        kept = _kept(graph, sizes, keys)
        least = min(least, kept)
        if kept <= budget:
            last = max(keys.values())
            return [_replace(graph, root, nodes, setting) for nodes in _runs(graph, keys.get) if keys[nodes[0]] != last]
    raise ArgumentError(
        "The values kept for gradients do not fit the budget.",
        expected=f"at least about {_shown(least)} for batches of {setting.batch}; without recomputing {_shown(total)}",
        got=f"remat={budget} ({_shown(budget)})",
        repair="a smaller batch_size, or a larger budget",
    )


def _split(graph: Graph, sizes: dict[Node, int], each: float) -> dict[Node, int]:
    """Number the nodes by parts of about ``each`` bytes."""
    keys: dict[Node, int] = {}
    done = 0
    for node in graph.nodes:
        if node.op in ("call_function", "call_method"):
            keys[node] = int(done // each)
            done += sizes.get(node, 0)
    return keys


def _kept(graph: Graph, sizes: dict[Node, int], keys: dict[Node, int]) -> int:
    """Return about how many bytes are kept: what parts hand on, and the values of the largest part while it is gone through."""
    inner: dict[int, int] = {}
    for node, key in keys.items():
        inner[key] = inner.get(key, 0) + sizes.get(node, 0)
    handed_on = sum(size for node, size in sizes.items() if any(keys.get(user) != keys.get(node) for user in node.users))
    return handed_on + max(inner.values())


def _bytes(node: Call, batch: int) -> int:
    """Return how many bytes a layer's result takes; 0 where it is not known, or not of floats."""
    shape, kind = shape_of(node), str(node.meta.get("dtype"))
    if shape is None or "float" not in kind or node.op not in ("call_function", "call_method") or node.target == "permute":
        return 0
    sizes = [batch if place == 0 and size is None else size or 0 for place, size in enumerate(shape)]
    return math.prod(sizes) * int(getattr(torch, kind).itemsize)


def _shown(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


REMAT = Pass(
    "remat",
    requires="patterns of layers' paths, or a budget of bytes, given to compile; layers that repeat what they do",
    ensures="the same values; gradients from values computed a second time, and fewer of them kept",
    unfit=unfit,
    run=run,
)

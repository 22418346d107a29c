"""Segments: neighbouring operations behind one call, of which only what goes in is saved for gradients.

Random numbers are drawn alike both times. What changes weights, such as moving statistics, stays outside and happens once.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch.fx import Graph, GraphModule, Node

from anabranch import runtime
from anabranch.engine.passes.base import Call, Note, Settings
from anabranch.engine.passes.in_place import IN_PLACE
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.nodes import like, path_of
from anabranch.runtime.devices import HOST

Context = contextlib.AbstractContextManager[None]
HOLDER = "segments"  # where in the module they are


class Segment(torch.nn.Module):
    """Part of a model's code that is recomputed when its gradients are asked for."""

    def __init__(self, part: GraphModule) -> None:
        super().__init__()
        self.part = part

    def forward(self, *values: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return what the part gives, saving ``values`` alone."""
        if not torch.is_grad_enabled():
            return cast("Sequence[torch.Tensor]", self.part(*values))
        from torch.utils.checkpoint import checkpoint, noop_context_fn

        drawing = [value for value in values if isinstance(value, torch.Generator)]
        both = functools.partial(_drawing_alike, drawing) if drawing else noop_context_fn
        return cast("Sequence[torch.Tensor]", checkpoint(self.part, *values, use_reentrant=False, context_fn=both))


def _drawing_alike(generators: Sequence[torch.Generator]) -> tuple[Context, Context]:
    """Return what is around a part at first, and around its repetition, which draws the same numbers."""
    return contextlib.nullcontext(), _from_states([(each, each.get_state()) for each in generators])


@contextlib.contextmanager
def _from_states(states: list[tuple[torch.Generator, torch.Tensor]]) -> Iterator[None]:
    now = [(each, each.get_state()) for each, _ in states]
    for each, state in states:
        each.set_state(state)
    try:
        yield
    finally:
        for each, state in now:
            each.set_state(state)


def runs_of(graph: Graph, key_of: Callable[[Node], object]) -> list[list[Node]]:
    """Return neighbouring nodes of one key; what has no result for the next ones does not part them."""
    runs: list[list[Node]] = []
    last: object = None
    state = changed_values(graph, own=False)
    for node in graph.nodes:
        alone = once(node, state)
        if node.op in ("placeholder", "get_attr") or (alone and not node.users):
            continue
        key = None if alone or node.op == "output" else key_of(node)
        if key is not None and key == last:
            runs[-1].append(node)
        elif key is not None:
            runs.append([node])
        last = key
    return [nodes for nodes in runs if len(nodes) > 1]


def once(node: Call, state: set[Node]) -> str:
    """Return why a node must happen once and in its place, or ""."""
    if node.op == "call_module":
        return "it is a module that cannot be looked into"
    if "generator" in node.kwargs and runtime.device().type not in HOST:  # whose steps may be captured
        return "it draws from a generator of its own"
    return "it reads or changes what moves at each step" if any(value in state for value in node.all_input_nodes) else ""


def replace(graph: Graph, root: torch.nn.Module, nodes: list[Node], settings: Settings) -> Note:
    """Replace neighbouring nodes by one call of a segment."""
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
    IN_PLACE.run(part, root, settings)
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
    return Note(path_of(nodes[0]), True, f"{len(nodes)} operations of {named} are recomputed")


def _between(nodes: list[Node], inside: set[Node]) -> list[Node]:
    """Return what is between the nodes and is none of them."""
    found, node = [], nodes[0]
    while node is not nodes[-1]:
        if node not in inside and node.op not in ("placeholder", "get_attr"):
            found.append(node)
        node = node.next
    return found


def _attach(root: torch.nn.Module, segment: Segment) -> str:
    """Set a segment on the module at a place of its own, and return the place."""
    if not hasattr(root, HOLDER):  # modules keep their children by name
        root.add_module(HOLDER, torch.nn.Module())
    holder = getattr(root, HOLDER)
    name = f"s{len(list(holder.children()))}"
    holder.add_module(name, segment)
    return f"{HOLDER}.{name}"

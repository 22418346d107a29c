"""The class of one layer that torch has no module for: its code by mode, what it takes, and what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node

from anabranch.engine import passes
from anabranch.engine.passes.nodes import erase_unread
from anabranch.engine.passes.operations import is_needless
from anabranch.exchange.calls import Call, Found
from anabranch.exchange.deciding import Body
from anabranch.exchange.outlining import outline
from anabranch.exchange.plan import Plan

_SETTINGS = passes.Settings(training=False)


class Planned(NamedTuple):
    """A layer's class and how to call it.

    ``borrowed``: weights of others that it takes after its inputs; ``used``: which of all these it looks at; ``given``: how
    many values it gives; ``masks``: the code of its masks, which is not part of it; None where they are among its values.
    """

    plan: Plan
    borrowed: list[str]
    used: list[bool]
    given: int
    masks: list[Node] | None


def planned_class(body: Body, kind: str, names: Sequence[str]) -> Planned:
    """Return the class that a call's code becomes; ``names`` are those of its arguments, where they are tensors."""
    inside = f"{body.base}."
    plan = Plan(kind)
    container = body.found.modules.find(body.base)
    if isinstance(container, Plan):
        plan.children.update(container.children)
    body.apply(plan, inside)
    masks = _apart(body.call)
    calls = body.calls if body.modal else {False: body.call}
    borrowed = list(dict.fromkeys(
        str(node.target) for call in calls.values() for node in call.graph.find_nodes(op="get_attr")
        if not str(node.target).startswith(inside)
    ))  # fmt: skip
    inner = _inside(body.found, inside)
    for mode, call in calls.items():
        outputs = [*call.results, *(mask for mask in call.masks if masks is None and mask is not None)]
        plan.graphs[mode] = _rewritten(call, outputs, borrowed, inside, names)
        hold(plan.graphs[mode], inner, plan)
    for graph in plan.graphs.values():
        finish(graph, plan)
    used = _drop_unused(list(plan.graphs.values()))
    return Planned(plan, borrowed, used, len(outputs), masks)


def _rewritten(call: Call, outputs: list[Any], borrowed: list[str], inside: str, names: Sequence[str]) -> Graph:
    """Return the code of a call as that of a method: inputs and weights of others in, targets seen from inside."""
    graph, known = Graph(), {}
    values = [node for node in call.inputs if not node.name.startswith("mask")]
    if len(names) < len(values) or names[0] == "inputs":
        names = ["x"] if len(values) == 1 else [f"x{number}" for number in range(1, len(values) + 1)]
    named = dict(zip(values, names, strict=False))
    for node in call.inputs:
        known[node] = graph.placeholder(named.get(node, "mask"))
        known[node].meta.update(node.meta)
    given = {name: graph.placeholder(name.rpartition(".")[2]) for name in borrowed}
    for node in call.graph.nodes:
        if node.op == "get_attr" and str(node.target) in given:
            known[node] = given[str(node.target)]
        elif node.op not in ("placeholder", "output"):
            known[node] = graph.node_copy(node, known.__getitem__)
            if node.op in ("get_attr", "call_module"):
                known[node].target = str(node.target).removeprefix(inside)
            if "layer" in node.meta:
                known[node].meta["layer"] = node.meta["layer"][0].removeprefix(inside), node.meta["layer"][1]
    found = [known.get(value, value) for value in outputs]
    graph.output(found[0] if len(found) == 1 else tuple(found))
    return graph


def _drop_unused(graphs: list[Graph]) -> list[bool]:
    """Take out the arguments that no mode looks at, and say which stay."""
    places = [list(graph.find_nodes(op="placeholder")) for graph in graphs]
    used = [any(node.users for node in nodes) for nodes in zip(*places, strict=True)]
    for graph, nodes in zip(graphs, places, strict=True):
        for node, stays in zip(nodes, used, strict=True):
            if not stays:
                graph.erase_node(node)
    return used


def _apart(call: Call) -> list[Node] | None:
    """Return the code of a call's masks where that needs no weight or module, None where it does."""
    needed: set[Node] = set()
    stack = [mask for mask in call.masks if isinstance(mask, Node)]
    while stack:
        node = stack.pop()
        if node.op in ("get_attr", "call_module"):
            return None
        if node not in needed:
            needed.add(node)
            stack.extend(node.all_input_nodes)
    return [node for node in call.graph.nodes if node in needed and node.op != "placeholder"]


def copied(nodes: Graph | Iterable[Node], graph: Graph, known: dict[Node, Node]) -> list[Node]:
    """Copy code into a graph, whose nodes for the inputs are ``known``; note and return the copies."""
    made = []
    for node in nodes.nodes if isinstance(nodes, Graph) else nodes:
        if node.op not in ("placeholder", "output"):
            known[node] = graph.node_copy(node, known.__getitem__)
            made.append(known[node])
    return made


def _inside(found: Found, inside: str) -> Found:
    """Return what is found at paths inside a module, by its path there."""

    def inner(held: dict[str, Any]) -> dict[str, Any]:
        return {target.removeprefix(inside): value for target, value in held.items() if target.startswith(inside)}

    return Found(inner(found.values), inner(found.starts))


def hold(graph: Graph, found: Found, plan: Plan) -> None:
    """Let a plan hold what its code reads and calls, unless it does."""
    for node in graph.nodes:
        target = str(node.target)
        if node.op == "call_module" and (child := found.modules.find(target)) is not None:
            plan.add(target, child)
        elif node.op == "get_attr" and target in found.values and not _holds(plan, target):
            owner, name = plan.owner(target)
            owner.values[name] = found.values[target]
            owner.starts[name] = found.starts.get(target, "")


def _holds(plan: Plan, target: str) -> bool:
    """Return whether a child that is no plan holds what is at a path, as a torch module holds its weights."""
    found = [plan.find(target[:place]) for place, char in enumerate(target) if char == "."]
    return any(not isinstance(child, Plan | None) for child in found)


def finish(graph: Graph, plan: Plan) -> None:
    """Take out what is needless, cancel permutations, and give layers without weights their modules."""
    passes.apply(graph, torch.nn.Module(), _SETTINGS, passes.READABLE)
    erase_unread(graph, lambda node: is_needless(node) or node.op == "get_attr")
    outline(graph, plan)
    order = dict.fromkeys(str(n.target).partition(".")[0] for n in graph.nodes if n.op in ("call_module", "get_attr"))
    plan.children = {name: plan.children[name] for name in (*order, *plan.children) if name in plan.children}
    graph.lint()

"""Layers without weights get modules once permutations are gone: ``nn.MaxPool2d`` and the like, else a class of their own."""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from anabranch.engine.passes.layout import PERMUTES
from anabranch.engine.passes.nodes import is_call
from anabranch.exchange.plan import Plan
from anabranch.exchange.twins import DROPOUTS, weightless


def outline(graph: Graph, plan: Plan) -> None:
    """Put the code of each call of a layer without weights into a module, where it has one result."""
    regions: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if "layer" in node.meta and not is_call(node, PERMUTES):
            regions.setdefault((node.meta["layer"], node.meta["call"]), []).append(node)
    for ((target, kind), _), nodes in regions.items():
        _outline(graph, plan, target, kind, nodes)


def _outline(graph: Graph, plan: Plan, target: str, kind: str, nodes: list[Node]) -> None:
    inside = set(nodes)
    results = [node for node in nodes if any(user not in inside for user in node.users)]
    if len(results) != 1 or any(node.op == "call_module" for node in nodes):
        return
    (result,) = results
    given = list(dict.fromkeys(value for node in nodes for value in node.all_input_nodes if value not in inside))
    if not given:
        return
    module = weightless(result) if len(nodes) == 1 and result.target not in DROPOUTS else None
    if not plan.add(target, module or _class(nodes, given, result, kind)):
        return
    with graph.inserting_after(result):
        made = graph.call_module(target, tuple(given))
    made.meta.update({key: value for key, value in result.meta.items() if key != "layer"})
    result.replace_all_uses_with(made)
    for node in reversed(nodes):
        graph.erase_node(node)


def _class(nodes: list[Node], given: list[Node], result: Node, kind: str) -> Plan:
    """Return the class whose forward is some code of a graph."""
    graph = Graph()
    known = {value: graph.placeholder("x" if len(given) == 1 else f"x{number}") for number, value in enumerate(given, 1)}
    for value, node in known.items():
        node.meta.update(value.meta)
    for node in nodes:
        known[node] = graph.node_copy(node, known.__getitem__)
    graph.output(known[result])
    return Plan(kind, graphs={False: graph})

"""What depends on weights alone is computed once, before the first batch, and recomputed only when a weight has changed.

Also reads of weights leave the code: they become arguments, so that a step looks nothing up.
"""

from __future__ import annotations

from typing import NamedTuple

from torch.fx import Graph, Node

from anabranch.engine.passes.base import Settings
from anabranch.engine.passes.fusion import PACKING
from anabranch.engine.passes.mutation import changed_values
from anabranch.engine.passes.nodes import is_call, like, path_of
from anabranch.engine.passes.operations import is_pure


class Parts(NamedTuple):
    """Code taken apart: ``main`` takes the inputs and then what is held."""

    main: Graph
    prepare: Graph | None  # gives what is held; None where that is weights as they are
    held: tuple[str, ...]  # where the weights are that are held, in that case
    sources: tuple[str, ...]  # where the weights are that ``prepare`` computes with
    computed: tuple[str, ...]  # the paths of the layers that something is computed for


def take_apart(graph: Graph, settings: Settings) -> Parts:
    """Split a graph: weights and, where they are constants, what follows from them become arguments of the rest."""
    constant = _constants(graph) if not settings.refusal else {node for node in graph.nodes if node.op == "get_attr"}
    held = [node for node in graph.nodes if node in constant and any(user not in constant for user in node.users)]
    computed = [node for node in held if node.op != "get_attr"]
    prepare = _preparation(graph, constant, held) if computed else None
    names = () if computed else tuple(str(node.target) for node in held)
    sources = tuple(str(node.target) for node in _sources(computed))
    paths = tuple(dict.fromkeys(path_of(node) for node in computed))
    _make_arguments(graph, held, constant)
    return Parts(graph, prepare, names, sources, paths)


def _make_arguments(graph: Graph, held: list[Node], constant: set[Node]) -> None:
    """Let what is held come as arguments after the inputs, and erase what gave it."""
    first = next(node for node in graph.nodes if node.op != "placeholder")
    with graph.inserting_before(first):
        for node in held:
            argument = like(graph.placeholder(node.name + "_"), node)
            node.replace_all_uses_with(argument, delete_user_cb=lambda user: user not in constant)
    for node in reversed(list(graph.nodes)):
        if node in constant:
            graph.erase_node(node)


def _preparation(graph: Graph, constant: set[Node], held: list[Node]) -> Graph:
    """Return the code that gives what is held."""
    made = Graph()
    copies: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in constant:
            copies[node] = made.node_copy(node, copies.__getitem__)
    made.output(tuple(copies[node] for node in held))
    return made


def _sources(computed: list[Node]) -> list[Node]:
    """Return the reads of weights that nodes are computed from."""
    seen: dict[Node, None] = {}
    stack = list(computed)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack.extend(node.all_input_nodes)
    return [node for node in seen if node.op == "get_attr"]


def _constants(graph: Graph) -> set[Node]:
    """Return the nodes that depend on weights alone, none of which the code changes."""
    changed = changed_values(graph)
    found: set[Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr":
            found.add(node)
            continue
        inputs = node.all_input_nodes
        fixed = bool(inputs) and found.issuperset(inputs) and changed.isdisjoint((node, *inputs))
        if fixed and (is_call(node, PACKING) or is_pure(node)):
            found.add(node)
    return found

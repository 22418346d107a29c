"""A graph with its nested models opened: the steps to run, each with the path of its layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from anabranch.graph.casting import casts
from anabranch.graph.graph import Graph
from anabranch.graph.records import Node, spec_leaves
from anabranch.graph.replaying import note, subgraph


class Step(NamedTuple):
    """One application of a layer, operator or opaque model; ``inputs`` and ``outputs`` are value numbers.

    ``call`` is the path with the calls of what is called several times: ``backbone@1/conv``.
    """

    path: str
    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    call: str = ""


class Flat(NamedTuple):
    """The steps in order, and the value numbers that go in and come out."""

    inputs: list[int]
    steps: list[Step]
    outputs: list[int]


class _Frame(NamedTuple):
    """A graph being walked: where its values stand, and the node that opened it."""

    prefix: str
    call: str
    graph: Graph
    values: dict[tuple[Node, int], int]
    nodes: Iterator[Node]
    opened_by: Node | None


def _frame(prefix: str, call: str, graph: Graph, given: tuple[int, ...], opened_by: Node | None) -> _Frame:
    values = {t.key: number for t, number in zip(graph.inputs, given, strict=True)}
    return _Frame(prefix, call, graph, values, iter(graph.nodes), opened_by)


def call_name(graph: Graph, node: Node) -> str:
    """Return the name of a node's operation, with the call where there are several: ``shared@2``."""
    name = graph.names[node.operation]
    return f"{name}@{graph.call_index(node)}" if len(graph.calls_of(node.operation)) > 1 else name


def flatten(graph: Graph) -> Flat:
    """Open every nested model; values are numbered, so that one inner node can run several times with other inputs."""
    count = 0
    steps: list[Step] = []

    def fresh(how_many: int) -> tuple[int, ...]:
        nonlocal count
        count += how_many
        return tuple(range(count - how_many, count))

    inputs = fresh(len(graph.inputs))
    stack = [_frame("", "", graph, inputs, None)]
    outputs: list[int] = []
    while stack:
        here = stack[-1]
        node = next(here.nodes, None)
        if node is None:
            stack.pop()
            results = [here.values[t.key] for t in here.graph.outputs]
            if here.opened_by is None:
                outputs = results
            else:
                note(stack[-1].values, here.opened_by, results)
            continue
        if not node.inputs:
            continue
        given = tuple(here.values[t.key] for t in node.inputs)
        path = here.prefix + here.graph.names[node.operation]
        call = here.call + call_name(here.graph, node)
        inner = subgraph(node.operation)
        if inner is not None:
            for index, cast in casts(node, inner):
                number = given[index]
                given = (*given[:index], *fresh(1), *given[index + 1 :])
                steps.append(Step(path, cast, (number,), given[index : index + 1], call))
            stack.append(_frame(path + "/", call + "/", inner, given, node))
            continue
        numbers = fresh(len(spec_leaves(node.output_specs)))
        note(here.values, node, numbers)
        steps.append(Step(path, node, given, numbers, call))
    return Flat(list(inputs), steps, outputs)

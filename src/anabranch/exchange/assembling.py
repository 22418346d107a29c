"""A graph of layers becomes a planned class: each call is placed in its forward as a module's call or as code."""

from __future__ import annotations

import itertools
import keyword
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from torch.fx import Graph as FxGraph, Node as FxNode

from anabranch import _tree
from anabranch.engine.lower import masked_axes
from anabranch.exchange.calls import Found, traced
from anabranch.exchange.classes import finish
from anabranch.exchange.deciding import Body
from anabranch.exchange.placing import Placer, place_inner
from anabranch.exchange.plan import Plan, camel_case
from anabranch.graph import Graph, Node, Operation, Weight, spec_leaves, subgraph
from anabranch.graph.casting import casts
from anabranch.graph.flatten import Step
from anabranch.runtime.naming import attribute_name, target_of

MODES = (True, False)


class Values:
    """What is known of the values of a graph while it is walked: nodes of the code by tensor, masks, and their reach."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Node, int], int] = {}
        self.nodes: dict[int, Any] = {}
        self.masks: dict[int, Any] = {}
        self.reach: dict[int, int] = {}
        self.count = 0

    def fresh(self, node: Node, how_many: int) -> tuple[int, ...]:
        """Return numbers for what a node gives."""
        found = tuple(range(self.count, self.count + how_many))
        self.count += how_many
        for index, number in enumerate(found):
            self.numbers.setdefault((node, index), number)
        return found

    def of(self, node: Node) -> tuple[int, ...]:
        """Return the numbers of what a node takes."""
        return tuple(self.numbers[tensor.key] for tensor in node.inputs)


def assembled(graph: Graph, kind: str, known: dict[Operation, Plan]) -> Plan:
    """Return the class of a graph; ``known`` are those of nested models, which are planned once."""
    plan = Plan(camel_case(kind))
    taken = {"self", "torch", "nn", "F"}
    names = [_argument(name, taken) for name in input_names(graph)]
    optional = [index for index, tensor in enumerate(graph.inputs) if tensor.node.operation._optional_]
    plan.optional = tuple(names[index] for index in optional)
    for count in range(len(optional) + 1):
        for absent in itertools.combinations(optional, count):
            code = Assembly(graph, plan, names, known, absent).code
            if absent:
                plan.without[tuple(names[index] for index in absent)] = code
            else:
                plan.graphs[False] = code
    return plan


class Assembly:
    """The code of one graph, whose modules are children of ``plan``; the inputs numbered in ``absent`` are None."""

    def __init__(
        self, graph: Graph, plan: Plan, names: Sequence[str], known: dict[Operation, Plan], absent: Sequence[int] = ()
    ) -> None:
        self.plan = plan
        self.code = FxGraph()
        self.values = Values()
        self.known = known
        self._placer = Placer(self.code, self.plan)
        self._places: dict[Weight, str] = {}
        for index, (tensor, name) in enumerate(zip(graph.inputs, names, strict=True)):
            node = self.code.placeholder(name)
            node.meta.update(shape=tensor.shape, dtype=tensor.dtype)
            (number,) = self.values.fresh(tensor.node, 1)
            self.values.numbers[tensor.key] = number
            self.values.nodes[number] = None if index in absent else node
        self._place_graph(graph, "")
        outputs = [self.values.nodes[self.values.numbers[tensor.key]] for tensor in graph.outputs]
        self.code.output(_tree.fill(graph.output_structure, outputs))
        finish(self.code, self.plan)

    def _place_graph(self, graph: Graph, prefix: str) -> None:
        for node in graph.nodes:
            if not node.inputs:
                continue
            path = prefix + graph.names[node.operation]
            inner = subgraph(node.operation)
            if inner is None:
                given = self.values.of(node)
                self._place(Step(path, node, given, self.values.fresh(node, len(spec_leaves(node.output_specs)))))
                continue
            taken = list(self.values.of(node))
            for index, cast in casts(node, inner):
                step = Step(path, cast, (taken[index],), self.values.fresh(cast, 1))
                taken[index : index + 1] = step.outputs
                self._place(step)
            if self._is_masked(taken, inner):
                self._place_inside(inner, node, taken, path)
            else:
                self._call_model(inner, node, taken, path)

    def _is_masked(self, given: Sequence[int], inner: Graph) -> bool:
        """Return whether masks go into a nested model or come out of it, which a module's call would not pass on."""
        return any(number in self.values.masks for number in given) or any(t.masked for t in inner.outputs)

    def _place_inside(self, inner: Graph, node: Node, given: Sequence[int], path: str) -> None:
        """Place the calls of a nested model in this class."""
        outer = self.values.numbers
        self.values.numbers = {tensor.key: number for tensor, number in zip(inner.inputs, given, strict=True)}
        self._place_graph(inner, path + "/")
        results = [self.values.numbers[tensor.key] for tensor in inner.outputs]
        self.values.numbers = outer
        for index, number in enumerate(results):
            outer.setdefault((node, index), number)

    def _call_model(self, inner: Graph, node: Node, given: Sequence[int], path: str) -> None:
        """Call a nested model's own module."""
        operation = node.operation
        if operation not in self.known:
            self.known[operation] = assembled(inner, operation.name, self.known)
        target = target_of(path)
        numbers = self.values.fresh(node, len(spec_leaves(node.output_specs)))
        if not self.plan.add(target, self.known[operation]):
            raise ValueError(f"two modules at {target}")  # names are unique
        made = self.code.call_module(target, tuple(self.values.nodes[number] for number in given))
        made.meta.update(path=path, call=self._placer.call_of(target))
        for number, way, spec in zip(numbers, _ways(inner.output_structure), spec_leaves(node.output_specs), strict=True):
            value = made
            for key in way:
                value = self.code.call_function(operator.getitem, (value, key))
                value.meta.update(path=path, call=made.meta["call"])
            value.meta.update(shape=spec.shape, dtype=spec.dtype)
            self.values.nodes[number] = value

    def _place(self, step: Step) -> None:
        """Place one call of a layer or a function."""
        values = self.values
        reach = masked_axes(step, values.reach)
        inputs = [values.nodes[number] for number in step.inputs]
        masks = [values.masks.get(number) for number in step.inputs]
        found = Found(places=self._places)
        calls = {mode: traced(step, mode, inputs, masks, reach, found, place_inner) for mode in MODES}
        given = [value for value in (*inputs, *masks) if isinstance(value, FxNode)]
        operation = step.node.operation
        results, marks = self._placer.place(Body(target_of(step.path), calls, found), operation, given)
        for spec, result in zip(spec_leaves(step.node.output_specs), results, strict=True):
            if isinstance(result, FxNode):
                result.meta.setdefault("shape", spec.shape)
                result.meta.setdefault("dtype", spec.dtype)
        values.nodes.update(zip(step.outputs, results, strict=True))
        values.masks.update((n, mask) for n, mask in zip(step.outputs, marks, strict=True) if mask is not None)
        tensors = {id(value): target for target, value in found.values.items()}
        for weight in step.node.operation.weights:
            if id(weight.tensor) in tensors:
                self._places.setdefault(weight, tensors[id(weight.tensor)])


def without_wrapper(plan: Plan) -> Plan:
    """Return the one class that a class only calls, as that of a model with a ``call`` of its own does; else the class."""
    (graph,) = plan.graphs.values()
    called = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    child = plan.find(str(called[0].target)) if len(called) == 1 and called[0].op == "call_module" else None
    if not isinstance(child, Plan) or not child.graphs or plan.values or plan.optional:
        return plan
    (call,) = called
    (output,) = graph.find_nodes(op="output")
    if output.args[0] is not call or call.args != tuple(graph.find_nodes(op="placeholder")):
        return plan
    return child


def input_names(graph: Graph) -> list[str]:
    """Return what a graph's inputs are called: the keys of a dict, else the names of the Inputs."""
    structure = graph.input_structure
    if isinstance(structure, dict) and len(structure) == len(graph.inputs):
        return list(map(str, structure))
    return [graph.names.get(tensor.node.operation, tensor.name) for tensor in graph.inputs]


def _argument(name: str, taken: set[str]) -> str:
    """Return an input's name as one of an argument that is not ``taken``, and take it."""
    name = attribute_name(name) if keyword.iskeyword(name) or not name.isidentifier() else name
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _ways(structure: _tree.Nest) -> Iterator[tuple[int | str, ...]]:
    """Yield for each leaf of a nest the keys and positions that lead to it."""
    if not _tree.is_nest(structure):
        yield ()
        return
    for key, part in structure.items() if isinstance(structure, dict) else enumerate(structure):
        yield from ((key, *way) for way in _ways(part))

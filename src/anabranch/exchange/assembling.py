"""A graph of layers becomes a planned class: each call is placed in its forward as a module's call or as code."""

from __future__ import annotations

import keyword
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from torch.fx import Graph as FxGraph, Node as FxNode

from anabranch import _tree
from anabranch.engine.lower import attribute_name, masked_axes
from anabranch.exchange.calls import Call, Found, target_of, traced
from anabranch.exchange.classes import copied, finish, hold, planned_class
from anabranch.exchange.deciding import Body
from anabranch.exchange.plan import Plan, Twin, camel_case
from anabranch.graph import Graph, Node, Operation, Step, Weight, spec_leaves, subgraph

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


class Assembly:
    """Plans the class of one graph; nested models are planned by assemblies of their own, known by operation."""

    def __init__(self, graph: Graph, kind: str, names: Sequence[str], known: dict[Operation, Plan]) -> None:
        self.graph = graph
        self.plan = Plan(camel_case(kind))
        self.code = FxGraph()
        self.values = Values()
        self.known = known
        self._calls: dict[str, int] = {}
        self._places: dict[Weight, str] = {}
        taken = {"self", "torch", "nn", "F"}
        for tensor, name in zip(graph.inputs, names, strict=True):
            node = self.code.placeholder(_argument(name, taken))
            node.meta.update(shape=tensor.shape, dtype=tensor.dtype)
            number = self.values.count
            self.values.count += 1
            self.values.numbers[tensor.key] = number
            self.values.nodes[number] = node

    def assemble(self) -> Plan:
        """Place every call, and return the class."""
        self._place_graph(self.graph, "")
        outputs = [self.values.nodes[self.values.numbers[tensor.key]] for tensor in self.graph.outputs]
        self.code.output(_tree.fill(self.graph.output_structure, outputs))
        finish(self.code, self.plan)
        self.plan.graphs[False] = self.code
        return self.plan

    def _place_graph(self, graph: Graph, prefix: str) -> None:
        for node in graph.nodes:
            if not node.inputs:
                continue
            path = prefix + graph.names[node.operation]
            inner = subgraph(node.operation)
            if inner is None:
                given = self.values.of(node)
                self._place(Step(path, node, given, self.values.fresh(node, len(spec_leaves(node.output_specs)))))
            elif self._is_masked(node, inner):
                self._place_inside(inner, node, path)
            else:
                self._call_model(inner, node, path)

    def _is_masked(self, node: Node, inner: Graph) -> bool:
        """Return whether masks go into a nested model or come out of it, which a module's call would not pass on."""
        return any(number in self.values.masks for number in self.values.of(node)) or any(t.masked for t in inner.outputs)

    def _place_inside(self, inner: Graph, node: Node, path: str) -> None:
        """Place the calls of a nested model in this class."""
        given, outer = self.values.of(node), self.values.numbers
        self.values.numbers = {tensor.key: number for tensor, number in zip(inner.inputs, given, strict=True)}
        self._place_graph(inner, path + "/")
        results = [self.values.numbers[tensor.key] for tensor in inner.outputs]
        self.values.numbers = outer
        for index, number in enumerate(results):
            outer.setdefault((node, index), number)

    def _call_model(self, inner: Graph, node: Node, path: str) -> None:
        """Call a nested model's own module."""
        operation = node.operation
        if operation not in self.known:
            self.known[operation] = Assembly(inner, operation.name, input_names(inner), self.known).assemble()
        target = target_of(path)
        given = self.values.of(node)
        numbers = self.values.fresh(node, len(spec_leaves(node.output_specs)))
        if not self.plan.add(target, self.known[operation]):
            raise ValueError(f"two modules at {target}")  # names are unique
        made = self.code.call_module(target, tuple(self.values.nodes[number] for number in given))
        made.meta.update(path=path, call=self._call(path))
        for number, way, spec in zip(numbers, _ways(inner.output_structure), spec_leaves(node.output_specs), strict=True):
            value = made
            for key in way:
                value = self.code.call_function(operator.getitem, (value, key))
                value.meta.update(path=path, call=made.meta["call"])
            value.meta.update(shape=spec.shape, dtype=spec.dtype)
            self.values.nodes[number] = value

    def _call(self, path: str) -> tuple[str, int]:
        self._calls[path] = self._calls.get(path, -1) + 1
        return path, self._calls[path]

    def _place(self, step: Step) -> None:
        """Place one call of a layer or a function."""
        values = self.values
        reach = masked_axes(step, values.reach)
        inputs = [values.nodes[number] for number in step.inputs]
        masks = [values.masks.get(number) for number in step.inputs]
        found = Found()
        calls = {mode: traced(step, mode, inputs, masks, reach, self._places, found) for mode in MODES}
        body = Body(target_of(step.path), calls, found)
        given = [value for value in (*inputs, *masks) if isinstance(value, FxNode)]
        results, marks = self._put(body, step, given)
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

    def _put(self, body: Body, step: Step, given: list[FxNode]) -> tuple[list[Any], list[Any]]:
        """Decide what a call becomes, and put that into the code."""
        operation, base = step.node.operation, body.base
        modules = {str(node.target) for node in body.call.graph.find_nodes(op="call_module")}
        if operation.is_function or (body.is_one_module() and modules <= {base}):
            body.apply(self.plan)
            hold(body.call.graph, body.found, self.plan)
            return self._inline(body.call, step, given)
        return self._call_class(body, step, given)

    def _inline(self, call: Call, step: Step, given: list[FxNode]) -> tuple[list[Any], list[Any]]:
        """Copy the code of a call into this class's."""
        operation, key = step.node.operation, self._call(step.path)
        known: dict[FxNode, FxNode] = dict(zip(call.inputs, given, strict=True))
        made = copied(call.graph, self.code, known)
        for node in made:
            node.meta.update(path=step.path, call=key)
        results = [known.get(result, result) for result in call.results]
        if not operation.is_function and not any(node.op == "call_module" for node in made):
            if any(result in call.inputs for result in call.results):
                results = [self._identity(result, step, key) for result in results]
            else:
                for node in made:
                    node.meta["layer"] = target_of(step.path), camel_case(operation.kind_name())
        return results, [known.get(mask, mask) for mask in call.masks]

    def _identity(self, value: FxNode, step: Step, key: tuple[str, int]) -> FxNode:
        """Call a module that changes nothing, which hooks may look at, where a layer gives what it takes."""
        target = target_of(step.path)
        if len(step.outputs) > 1 or not self.plan.add(target, Twin("nn.Identity()")):
            return value
        made = self.code.call_module(target, (value,))
        made.meta.update(value.meta, path=step.path, call=key, pointwise=True)
        return made

    def _call_class(self, body: Body, step: Step, given: list[FxNode]) -> tuple[list[Any], list[Any]]:
        """Plan a class for a layer, and call it."""
        planned = planned_class(body, camel_case(step.node.operation.kind_name()))
        target = body.base
        while not self.plan.add(target, planned.plan):  # another call of the layer has other code
            target += "_"
        key = self._call(step.path)
        extra = [self.code.get_attr(name) for name in planned.borrowed]
        hold(self.code, body.found, self.plan)
        taken = [value for value, used in zip([*given, *extra], planned.used, strict=True) if used]
        made = self.code.call_module(target, tuple(taken))
        if planned.given > 1:
            results = [self.code.call_function(operator.getitem, (made, index)) for index in range(planned.given)]
        else:
            results = [made]
        for node in {made: None, **dict.fromkeys(results)}:
            node.meta.update(path=step.path, call=key)
        following = iter(results)
        found = [next(following) for _ in body.call.results]
        if planned.masks is None:
            return found, [None if mask is None else next(following) for mask in body.call.masks]
        known: dict[FxNode, FxNode] = dict(zip(body.call.inputs, given, strict=True))
        for node in copied(planned.masks, self.code, known):
            node.meta.update(path=step.path, call=key)
        return found, [known.get(mask, mask) for mask in body.call.masks]


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

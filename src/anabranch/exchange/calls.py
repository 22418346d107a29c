"""One call of a layer, traced in both modes on values of its own: what is then decided on and put into a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node, Proxy

from anabranch import _tree, runtime
from anabranch.engine.held import tracing, untraced
from anabranch.engine.lower import Tracer, note_shapes, trace_step
from anabranch.engine.passes.nodes import is_call, shape_of
from anabranch.engine.passes.operations import is_elementwise
from anabranch.exchange.plan import Given, Plan, Value, signature
from anabranch.graph import Operation, Weight
from anabranch.graph.flatten import Step
from anabranch.graph.names import free_name
from anabranch.initializers import Ones, Zeros
from anabranch.runtime.naming import target_of, weight_places


@dataclass(eq=False)
class Call:
    """The code of one call in one mode: a graph of its own, its inputs, and the results with their masks."""

    graph: Graph
    inputs: list[Node]
    results: list[Any]  # nodes, or constants
    masks: list[Any]

    def close(self) -> list[str]:
        """Give the graph an output and return its signature."""
        for node in self.graph.find_nodes(op="output"):
            self.graph.erase_node(node)
        self.graph.output((self.results, self.masks))
        return signature(self.graph)


@dataclass(eq=False)
class Found:
    """What calls of one layer read and call: tensors by target, with what they start as in a file; modules as a tree."""

    values: dict[str, Value] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)
    modules: Plan = field(default_factory=lambda: Plan("Found"))
    places: dict[Weight, str] = field(default_factory=dict)  # of weights of other layers
    weights: dict[str, Weight] = field(default_factory=dict)  # by target


class Inner(NamedTuple):
    """A call of a layer inside another's: what it takes in the code around it, and that code."""

    layer: Operation
    base: str
    calls: dict[bool, Call]
    given: list[Node]
    graph: Graph


Place = Callable[["Inner", Found], tuple[list[Any], list[Any]]]


class CallTracer(Tracer):
    """Traces one call; constants and modules that both modes meet have one place in both.

    ``place_inner`` decides what a layer inside becomes, and returns its results and masks in the code.
    """

    penalties = False

    def __init__(self, training: bool, layer: Operation, base: str, found: Found, place_inner: Place) -> None:
        super().__init__(training)
        self.found = found
        self.layer = layer
        self.base = base
        self.training = training
        self._place_inner = place_inner
        self._separator = "_" if layer._is_function_ else "."
        self._bases: dict[Operation, str] = {}  # of layers inside
        self._places.update(found.places)
        self._places.update(own_places(layer, base))

    def place(self, step: Step) -> None:
        """Note the layer under way, whose weights have their places already."""
        self.path = step.path

    def inner_call(
        self, layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], edges: Sequence[runtime.Edge]
    ) -> tuple[Any, list[Any]] | None:
        """Trace a layer inside this one in both modes, and put what it becomes into the code."""
        if layer is self.layer or layer._graph_ is not None:
            return None
        if kwargs.get("training") is self.training:  # handed on, as it goes by itself
            kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        known = {id(value): mask for value, mask in edges}
        values = [leaf for leaf in _tree.leaves((args, kwargs)) if isinstance(leaf, Proxy)]
        masks = [known.get(id(value), runtime.mask_of(value)) for value in values]
        base = self._base_of(layer)
        calls, structures = {}, []
        for mode in (True, False):
            calls[mode], structure = traced_inside(
                layer, mode, (args, kwargs), values, masks, base, self.found, self._place_inner
            )
            structures.append(structure)
        given = [value.node for value in (*values, *masks) if isinstance(value, Proxy)]
        results, found = self._place_inner(Inner(layer, base, calls, given, self.graph), self.found)
        return (
            _tree.fill(structures[-1], [self.proxy(r) if isinstance(r, Node) else r for r in results]),
            [self.proxy(mask) if isinstance(mask, Node) else mask for mask in found],
        )

    def _base_of(self, layer: Operation) -> str:
        """Return where the module of a layer inside goes."""
        if layer not in self._bases:
            start = f"{self.layer.path}/"
            inner = layer.path.removeprefix(start) if layer.path.startswith(start) else layer.name
            self._bases[layer] = free_name(f"{self.base}.{target_of(inner)}", self._bases.values())
        return self._bases[layer]

    def read(self, weight: Weight) -> Proxy:
        """Return the read of one weight."""
        read = super().read(weight)
        target = str(read.node.target)
        tensor = runtime.realize(weight)
        self.found.values[target], self.found.starts[target], self.found.weights[target] = tensor, _start(weight), weight
        read.node.meta["shape"] = tuple(tensor.shape)
        return read

    @untraced
    def constant(self, value: torch.Tensor | torch.Generator) -> Proxy:
        """Return the read of a tensor or generator that a layer's code holds."""
        known = self._constants.get(id(value))
        if known is not None:
            return known[1]
        target = next((name for name, held in self.found.values.items() if _equal(held, value)), None)
        if target is None:
            kind = "constant" if isinstance(value, torch.Tensor) else "generator"
            numbers = (f"{self.base}{self._separator}{kind}{n or ''}" for n in range(len(self.found.values) + 1))
            target = next(name for name in numbers if name not in self.found.values)
            self.found.values[target] = value.detach() if isinstance(value, torch.Tensor) else value
        read = self.proxy(self.graph.get_attr(target))
        self._constants[id(value)] = value, read
        return read

    def module(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Proxy:
        """Record the call of another author's module."""
        return self.submodule(self.base, module, args, kwargs)

    def submodule(self, target: str, module: torch.nn.Module, args: Sequence[object], kwargs: dict[str, Any]) -> Proxy:
        """Record the call of a module that stays whole; in a place of its own where the other mode has modules there."""
        place, number = target, 0
        while not self.found.modules.add(place, Given(module)):
            number += 1
            place = f"{target}_{number}"
        return self.create_proxy("call_module", place, tuple(args), kwargs)

    def noted(self) -> Found:
        """Return what was found so far."""
        found = self.found
        return Found(dict(found.values), dict(found.starts), found.modules.copied())

    def restore(self, noted: object) -> None:
        """Forget what was found since, and the reads of it."""
        noted = cast(Found, noted)
        self.found.values, self.found.starts, self.found.modules = noted.values, noted.starts, noted.modules
        self._reads = {weight: read for weight, read in self._reads.items() if read.node.target in noted.values}
        self._constants = {key: held for key, held in self._constants.items() if held[1].node.target in noted.values}
        for node in self.graph.find_nodes(op="get_attr"):
            if node.target not in noted.values:
                self.graph.erase_node(node)


def traced(
    step: Step, training: bool, inputs: Sequence[Any], masks: Sequence[Any], reach: tuple[int, ...], found: Found, place: Place
) -> Call:
    """Return the code of one call; ``inputs`` and ``masks`` say where there are values, by the nodes that stand for them."""
    tracer = CallTracer(training, step.node.operation, target_of(step.path), found, place)
    values, given, nodes = _own(tracer, inputs, masks)
    with runtime.one_stream(), tracing(tracer), runtime.training_scope(training), runtime.stored([step.node.operation]):
        values = runtime.distinct(values, given)
        results, found_masks = trace_step(tracer, step, values, given, reach)
        note_shapes(step, reach, results, found_masks)
    return Call(tracer.graph, nodes, [_node(r) for r in results], [_node(m) for m in found_masks])


def traced_inside(
    layer: Operation, training: bool, arguments: tuple[Any, Any], values: list[Proxy], masks: list[Any], base: str,
    found: Found, place: Place,
) -> tuple[Call, _tree.Nest]:  # fmt: skip
    """Return the code of a call inside another, and the nest of its results."""
    tracer = CallTracer(training, layer, base, found, place)
    tracer.path = base
    own, given, nodes = _own(tracer, [value.node for value in values], [_node(mask) for mask in masks])
    following = iter(own)
    args, kwargs = _tree.map_leaves(lambda leaf: next(following) if isinstance(leaf, Proxy) else leaf, arguments)
    with tracing(tracer), runtime.training_scope(training):
        result, found_masks = runtime.run(layer, args, kwargs, list(zip(own, given, strict=True)))
    results = [_node(leaf) for leaf in _tree.leaves(result)]
    return Call(tracer.graph, nodes, results, [_node(mask) for mask in found_masks]), result


def _own(tracer: CallTracer, inputs: Sequence[Any], masks: Sequence[Any]) -> tuple[list[Any], list[Any], list[Node]]:
    """Return values of a tracer's own for those of the code around it, and their nodes."""
    nodes: list[Node] = []

    def own(value: object, name: str) -> Proxy | None:
        if not isinstance(value, Node):
            return None
        node = tracer.graph.placeholder(f"{name}_{len(nodes)}")
        node.meta.update({key: value.meta[key] for key in ("shape", "dtype") if key in value.meta}, rank=rank(value))
        nodes.append(node)
        return tracer.proxy(node)

    return [own(value, "value") for value in inputs], [own(mask, "mask") for mask in masks], nodes


_AS_FIRST = (F.linear, F.batch_norm, F.layer_norm, F.group_norm, F.dropout, F.pad, torch.conv1d, torch.conv2d, torch.conv3d)


def rank(value: object) -> int | None:
    """Return how many axes a value has, as far as it is known."""
    steps = 0
    while isinstance(value, Node):
        shape = shape_of(value)
        if shape is not None or value.meta.get("rank") is not None:
            return (len(shape) if shape is not None else int(value.meta["rank"])) + steps
        if is_call(value, ("permute",)):
            return len(value.args) - 1 + steps
        if is_call(value, ("flatten",)) and value.args[1:] == (0, 1):
            steps -= 1
        elif not (is_call(value, _AS_FIRST) or is_elementwise(value)):
            return None
        value = next((argument for argument in value.args if isinstance(argument, Node)), None)
    return None


def own_places(layer: Operation, base: str) -> dict[Weight, str]:
    """Return where the weights of a layer at ``base`` go; those of layers of one name inside it get modules of their own."""
    found: dict[Weight, str] = {}
    taken: set[str] = set()
    renamed: dict[tuple[str, object], str] = {}
    for weight, target in weight_places(layer, "x"):
        owner, _, name = f"{base}{target[1:]}".rpartition(".")
        wished, number = renamed.setdefault((owner, weight.home), owner), 0
        while f"{wished}.{name}" in taken:
            number += 1
            wished = f"{owner}_{number}"
        renamed[owner, weight.home] = wished
        found[weight] = f"{wished}.{name}"
        taken.add(found[weight])
    return found


def _node(value: object) -> object:
    return value.node if isinstance(value, Proxy) else value


def _equal(held: Value, value: Value) -> bool:
    if isinstance(held, torch.Tensor) and isinstance(value, torch.Tensor):
        return held is value or (
            not isinstance(held, torch.nn.Parameter) and held.dtype == value.dtype and torch.equal(held, value)
        )
    return held is value


def _start(weight: Weight) -> str:
    """Return the expression for a weight in a file that has no values yet."""
    tensor = runtime.realize(weight)
    kind = "" if tensor.dtype == torch.float32 else f", dtype={tensor.dtype}"
    size = ", ".join(map(str, tensor.shape)) if tensor.dim() else "()"
    if isinstance(weight.initializer, Ones):
        return f"torch.ones({size}{kind})"
    if isinstance(weight.initializer, Zeros) or tensor.dim() < 2:
        return f"torch.zeros({size}{kind})"
    return f"nn.init.xavier_uniform_(torch.empty({size}{kind}))"

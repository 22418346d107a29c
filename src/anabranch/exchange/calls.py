"""One call of a layer, traced in both modes on values of its own: what is then decided on and put into a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Graph, Node, Proxy

from anabranch import runtime
from anabranch.engine.lower import Tracer, attribute_name, note_shapes, trace_step, weight_places
from anabranch.exchange.plan import Given, Value, signature
from anabranch.graph import Step, Weight
from anabranch.initializers import Ones, Zeros


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
    """What calls of one layer read: tensors by target, with what they start as in a file; modules of other authors."""

    values: dict[str, Value] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)
    modules: dict[str, Given] = field(default_factory=dict)


class CallTracer(Tracer):
    """Traces one call; constants and modules that both modes meet have one place in both."""

    def __init__(self, training: bool, step: Step, places: dict[Weight, str], found: Found) -> None:
        super().__init__(training, penalties=False)
        self.found = found
        self.base = target_of(step.path)
        self._separator = "_" if step.node.operation.is_function else "."
        self._places.update(places)
        self._places.update(own_places(step))

    def place(self, step: Step) -> None:
        """Note the layer under way, whose weights have their places already."""
        self.path = step.path

    def weight(self, weight: Weight) -> Proxy:
        """Return the read of one weight."""
        read = super().weight(weight)
        target = str(read.node.target)
        tensor = runtime.realize(weight)
        self.found.values[target], self.found.starts[target] = tensor, _start(weight)
        read.node.meta["shape"] = tuple(tensor.shape)
        return read

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
        target, number = self.base, 0
        while target in self.found.modules and self.found.modules[target].module is not module:
            number += 1
            target = f"{self.base}_{number}"
        return self.submodule(target, module, args, kwargs)

    def submodule(self, target: str, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Proxy:
        """Record the call of a module that stays whole."""
        self.found.modules.setdefault(target, Given(module))
        return self.create_proxy("call_module", target, tuple(args), kwargs)


def traced(
    step: Step, training: bool, inputs: Sequence[Any], masks: Sequence[Any], reach: tuple[int, ...], places: dict[Weight, str],
    found: Found,
) -> Call:  # fmt: skip
    """Return the code of one call; ``inputs`` and ``masks`` say where there are values, by the nodes that stand for them."""
    tracer = CallTracer(training, step, places, found)
    nodes: list[Node] = []

    def own(value: object, name: str) -> Proxy | None:
        if not isinstance(value, Node):
            return None
        node = tracer.graph.placeholder(f"{name}_{len(nodes)}")
        node.meta.update({key: value.meta[key] for key in ("shape", "dtype") if key in value.meta})
        nodes.append(node)
        return tracer.proxy(node)

    own_inputs = [own(value, "value") for value in inputs]
    given = [own(mask, "mask") for mask in masks]
    with runtime.tracing(tracer), runtime.training_scope(training):
        values = runtime.distinct(own_inputs, given)
        results, found_masks = trace_step(tracer, step, values, given, reach)
        note_shapes(step, reach, results, found_masks)
    return Call(tracer.graph, nodes, [_node(r) for r in results], [_node(m) for m in found_masks])


def target_of(path: str) -> str:
    """Return a layer's path as a dotted one of modules; numbers after the first part stay, as those of ``nn.Sequential``.

    >>> target_of("layer1/0/conv1"), target_of("1/conv-1")
    ('layer1.0.conv1', '_1.conv_1')
    """
    first, *others = path.split("/")
    return ".".join([attribute_name(first), *(part if part.isdigit() else attribute_name(part) for part in others)])


def own_places(step: Step) -> dict[Weight, str]:
    """Return where the weights of a step's layer go; those of layers of one name inside it get modules of their own."""
    found: dict[Weight, str] = {}
    taken: set[str] = set()
    renamed: dict[tuple[str, object], str] = {}
    for weight, target in weight_places(step.node.operation, step.path):
        owner, _, name = target.rpartition(".")
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

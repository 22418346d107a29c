"""Random graphs as plain data, from which both the model and the same computation in plain torch follow.

A :class:`Sketch` is a list of calls on numbered values. ``build`` makes the model; ``walk`` computes all values from data, call
by call, as it says; ``hand`` does so in torch alone.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from devices import on_device
from graph_kinds import KINDS
from hypothesis import strategies as st
from torch import nn

from anabranch import Input, Model, Sequential, _tree, layers
from anabranch.graph import outputs_of

BATCH = 3  # of the examples that shapes are known by
LARGEST = 300  # numbers in one value, without the batch

LAYERS = [name for name, kind in KINDS.items() if kind.layer or kind.own_type]
ROW = [name for name in LAYERS if KINDS[name].layer]
FUNCTIONS = [name for name in KINDS if name not in LAYERS]


@dataclass(eq=False)
class Unit:
    """What is called: a kind with its configuration, a nested ``Model`` or a ``Sequential``."""

    kind: str
    config: dict[str, Any]
    name: str | None = None
    sketch: Sketch | None = None  # of a nested model


class Call(NamedTuple):
    """One call: nests of value numbers go in and come out."""

    unit: Unit
    args: Any
    results: Any


@dataclass(eq=False)
class Sketch:
    """A graph: nests of value numbers for inputs and outputs, and the calls between them, some of which may lead nowhere."""

    floatx: str
    inputs: Any = None
    outputs: Any = None
    calls: list[Call] = field(default_factory=list)
    specs: dict[int, tuple[tuple[int, ...], str]] = field(default_factory=dict)  # of the inputs: shape without batch, dtype

    def needed(self) -> set[Unit]:
        """Return the units that the outputs need, those inside nested models too."""
        wanted = set(_tree.leaves(self.outputs))
        found: set[Unit] = set()
        for call in reversed(self.calls):
            if wanted.intersection(_tree.leaves(call.results)):
                wanted.update(_tree.leaves(call.args))
                found.add(call.unit)
                if call.unit.sketch is not None:
                    found |= call.unit.sketch.needed()
        return found

    def __repr__(self) -> str:
        return "\n" + "\n".join(self.lines({}))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what hypothesis asks
        printer.text(repr(self))

    def lines(self, numbers: dict[Unit, int]) -> list[str]:
        """Return the sketch as text, a line a call; ``numbers`` tell units apart."""
        found = [f"inputs {self.inputs} {self.specs} {self.floatx}"]
        for call in self.calls:
            unit = call.unit
            if unit.sketch is not None and unit not in numbers:
                found += ["    " + line for line in unit.sketch.lines(numbers)]
            number = numbers.setdefault(unit, len(numbers))
            found.append(f"{call.results} = {unit.kind}#{number}({call.args})  {unit.name or ''} {unit.config or ''}")
        return [*found, f"outputs {self.outputs}"]


# Drawing one


class _Drawing:
    """A sketch under way, with an example of every value."""

    def __init__(self, rng: random.Random, floatx: str, depth: int, names: list[int]) -> None:
        self.rng = rng
        self.depth = depth
        self.names = names  # how many units there are, so that given names are unique
        self.sketch = Sketch(floatx)
        self.values: dict[int, torch.Tensor] = {}
        self.used: set[int] = set()

    def pick(self, *options: Any) -> Any:
        return self.rng.choice(options)

    def add(self, example: torch.Tensor) -> int:
        self.values[len(self.values)] = example
        return len(self.values) - 1

    def begin(self, examples: Any) -> None:
        self.sketch.inputs = _tree.map_leaves(self.add, examples)
        self.sketch.specs = {
            number: (tuple(x.shape[1:]), str(x.dtype).removeprefix("torch.")) for number, x in self.values.items()
        }

    def nest(self, leaves: list[Any]) -> Any:
        """Return the values in a nest of some structure."""
        keys = [f"k{number}" for number in reversed(range(len(leaves)))]
        kind = self.pick("list", "dict", "single", "nested")
        if kind == "single" and len(leaves) == 1:
            return leaves[0]
        if kind == "nested" and len(leaves) > 1:
            return {"first": leaves[0], "others": leaves[1:]}
        return dict(zip(keys, leaves, strict=True)) if kind == "dict" else leaves

    def window(self) -> dict[int, torch.Tensor]:
        """Return some of the values: mostly the newest."""
        numbers = list(self.values)
        return {n: self.values[n] for n in (numbers[-7:] if self.pick(True, True, False) else numbers[:7])}

    def step(self) -> None:
        way = self.pick("layer", "layer", "layer", "function", "function", "again", "again", "model")
        if way == "again":
            self.again()
        elif way == "model" and self.depth < 2:
            self.nested()
        else:
            self.new(self.pick(*(LAYERS if way == "layer" else FUNCTIONS)), self.window())

    def new(self, name: str, values: dict[int, torch.Tensor], *, row: bool = False) -> bool:
        """Call a new unit of a kind, if there is something that it can be called on; ``row``: one value in, one out."""
        kind, floatx = KINDS[name], self.sketch.floatx
        if kind.own_type:
            values = {number: x for number, x in values.items() if str(x.dtype) == f"torch.{floatx}"}
        choices = [args for args in kind.takes(values) if not row or isinstance(args, int)]
        if not choices:
            return False
        args = self.pick(*choices)
        x = _tree.map_leaves(self.values.__getitem__, args)
        config = kind.config(self.pick, x)
        if kind.own_type:
            config["dtype"] = floatx
        elif kind.layer and self.pick(*[False] * 9, True):
            config["dtype"] = "float64"
        shapes = kind.weights(config, x)
        weights = {key: torch.zeros(shape, dtype=getattr(torch, config.get("dtype", floatx))) for key, shape in shapes.items()}
        unit = Unit(name, config, self.name() if kind.layer else None)
        results = in_torch(unit, weights, floatx, x, training=False)
        return (not row or isinstance(results, torch.Tensor)) and self.call(unit, args, results)

    def name(self) -> str | None:
        self.names[0] += 1
        return f"given_{self.names[0]}" if self.pick(True, False, False, False) else None

    def call(self, unit: Unit, args: Any, results: Any) -> bool:
        if max(x[0].numel() for x in _tree.leaves(results)) > LARGEST:
            return False
        self.used.update(_tree.leaves(args))
        self.sketch.calls.append(Call(unit, args, _tree.map_leaves(self.add, results)))
        return True

    def again(self) -> None:
        """Call a unit once more, on values of the shapes that it knows."""
        known = {call.unit: call for call in self.sketch.calls if call.unit.kind not in FUNCTIONS}
        counts = [call.unit for call in self.sketch.calls]
        known = {unit: call for unit, call in known.items() if counts.count(unit) < 3}
        if not known:
            return
        call = self.pick(*known.values())
        fitting = [
            [n for n, x in self.values.items() if (x.shape, x.dtype) == (self.values[old].shape, self.values[old].dtype)][-4:]
            for old in _tree.leaves(call.args)
        ]
        chosen = self.pick(*itertools.product(*fitting))
        results = _tree.map_leaves(self.values.__getitem__, call.results)
        self.call(call.unit, _tree.fill(call.args, chosen), results)

    def nested(self) -> None:
        """Draw a model and call it."""
        numbers = list(self.window())
        chosen = [self.pick(*numbers) for _ in range(self.pick(1, 1, 2))]
        row = len(chosen) == 1 and self.pick(True, False, False)
        args = chosen[0] if row else self.nest(chosen)
        inner = _Drawing(self.rng, self.sketch.floatx, self.depth + 1, self.names)
        inner.begin(_tree.map_leaves(self.values.__getitem__, args))
        if row:
            inner.row()
        else:
            for _ in range(inner.pick(1, 2, 3, 4, 6)):
                inner.step()
            inner.finish()
        if inner.sketch.calls:
            unit = Unit("Sequential" if row else "Model", {}, self.name(), inner.sketch)
            self.call(unit, args, _tree.map_leaves(inner.values.__getitem__, inner.sketch.outputs))

    def row(self) -> None:
        """Draw layers in a row."""
        for _ in range(self.pick(1, 2, 3)):
            last = len(self.values) - 1
            self.new(self.pick(*ROW), {last: self.values[last]}, row=True)
        self.sketch.outputs = len(self.values) - 1

    def finish(self) -> None:
        """Choose outputs: what nothing takes, with some exceptions; at the top, inputs that nothing needs are dropped."""
        loose = [number for number in self.values if number not in self.used]
        inputs = set(_tree.leaves(self.sketch.inputs))
        if self.depth == 0:
            loose = [number for number in loose if number not in inputs] or loose
        chosen = [loose[-1], *(n for n in loose[:-1] if (self.depth and n in inputs) or self.pick(True, True, True, False))]
        if self.pick(True, False, False, False):
            chosen.append(self.pick(*self.values))
        self.sketch.outputs = self.nest(chosen)


def sketch_of(steps: int, seed: int) -> Sketch:
    """Return the sketch of about ``steps`` calls, besides those in nested models, that follows from a seed."""
    rng = random.Random(seed)
    drawing = _Drawing(rng, rng.choice(("float32", "float64")), 0, [0])
    dtype = getattr(torch, drawing.sketch.floatx)
    kinds = [drawing.pick("vector", "row", "image", "words") for _ in range(drawing.pick(1, 1, 2, 3))]
    drawing.begin(drawing.nest([_example(kind, drawing.pick, dtype) for kind in kinds]))
    while len(drawing.sketch.calls) < steps:
        drawing.step()
    drawing.finish()
    return _without_idle_inputs(drawing.sketch)


def graphs() -> st.SearchStrategy[Sketch]:
    """Draw sketches; a failing one shrinks by its steps, the first of which stay the same."""
    return st.builds(sketch_of, st.sampled_from(range(3, 21)), st.integers(0, 2**62))


def _example(kind: str, pick: Any, dtype: torch.dtype) -> torch.Tensor:
    if kind == "words":
        return torch.zeros((BATCH, *pick((), (4,))), dtype=torch.int32)
    sizes = {"vector": (pick(2, 3, 4),), "row": (4, pick(2, 3)), "image": (pick(4, 5), 5, pick(1, 2))}
    return torch.zeros((BATCH, *sizes[kind]), dtype=dtype)


def _without_idle_inputs(sketch: Sketch) -> Sketch:
    wanted = set(_tree.leaves(sketch.outputs))
    for call in reversed(sketch.calls):
        if wanted.intersection(_tree.leaves(call.results)):
            wanted.update(_tree.leaves(call.args))
    idle = {number for number in _tree.leaves(sketch.inputs) if number not in wanted}
    if idle:
        calls = [call for call in sketch.calls if not _behind(sketch, call, idle)]
        sketch.inputs = [number for number in _tree.leaves(sketch.inputs) if number not in idle]
        sketch.calls = calls
        sketch.specs = {number: spec for number, spec in sketch.specs.items() if number not in idle}
    return sketch


def _behind(sketch: Sketch, call: Call, idle: set[int]) -> bool:
    """Return whether a call takes what idle inputs lead to, and count its results to that."""
    if not idle.intersection(_tree.leaves(call.args)):
        return False
    idle.update(_tree.leaves(call.results))
    return True


# Computing one


class Values(NamedTuple):
    """The value of every number, and for each call of a nested model those inside."""

    here: dict[int, Any]
    inside: dict[int, Values]  # by the number of the call

    def outputs(self, sketch: Sketch) -> list[Any]:
        """Return the flat outputs."""
        return [self.here[number] for number in _tree.leaves(sketch.outputs)]


def walk(sketch: Sketch, given: list[Any], apply: Callable[[Unit, Any], Any]) -> Values:
    """Return all values, call by call in the order of the sketch; nested models are walked through."""
    values = Values(dict(zip(_tree.leaves(sketch.inputs), given, strict=True)), {})
    for number, call in enumerate(sketch.calls):
        x = _tree.map_leaves(values.here.__getitem__, call.args)
        if call.unit.sketch is None:
            results = _tree.leaves(apply(call.unit, x))
        else:
            values.inside[number] = walk(call.unit.sketch, _tree.leaves(x), apply)
            results = values.inside[number].outputs(call.unit.sketch)
        values.here.update(zip(_tree.leaves(call.results), results, strict=True))
    return values


def in_torch(unit: Unit, weights: dict[str, torch.Tensor], floatx: str, x: Any, *, training: bool) -> Any:
    """Return what a unit gives, in torch alone; what is a layer has a float type of its own."""
    kind = KINDS[unit.kind]
    if kind.layer:
        dtype = getattr(torch, unit.config.get("dtype", floatx))
        x = _tree.map_leaves(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, x)
    return kind.hand(weights, unit.config, x, training)


def hand(sketch: Sketch, given: list[torch.Tensor], weights: dict[Unit, dict[str, torch.Tensor]], *, training: bool) -> Values:
    """Return all values, computed in torch alone."""
    return walk(sketch, given, lambda unit, x: in_torch(unit, weights[unit], sketch.floatx, x, training=training))


# Making one with anabranch


class Built(NamedTuple):
    """A model, the symbolic tensor of every value number, what was made of each unit, and the models inside."""

    model: Model
    symbols: dict[int, Any]
    made: dict[Unit, Any]
    inside: dict[Unit, Built]


def build(sketch: Sketch, made: dict[Unit, Any] | None = None, name: str | None = None) -> Built:
    """Return the model that a sketch describes, and what it consists of."""
    made = {} if made is None else made
    inside: dict[Unit, Built] = {}
    symbols: dict[int, Any] = {number: Input(shape, dtype=dtype) for number, (shape, dtype) in sketch.specs.items()}
    for call in sketch.calls:
        unit = call.unit
        kind = KINDS.get(unit.kind)
        if unit not in made:
            if unit.kind == "Model":
                inside[unit] = build(unit.sketch, made, unit.name)
                made[unit] = inside[unit].model
            elif unit.kind == "Sequential":
                inside[unit] = row(unit.sketch, made, unit.name)
                made[unit] = inside[unit].model
            else:
                made[unit] = kind.make(**unit.config, **({"name": unit.name} if kind.layer else {}))
        x = _tree.map_leaves(symbols.__getitem__, call.args)
        results = _tree.leaves(kind.invoke(made[unit], x) if kind else made[unit](x))
        symbols.update(zip(_tree.leaves(call.results), results, strict=True))
    inputs, outputs = (_tree.map_leaves(symbols.__getitem__, nest) for nest in (sketch.inputs, sketch.outputs))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No output needs")  # some of what is drawn leads nowhere
        return Built(Model(inputs, outputs, name=name), symbols, made, inside)


def row(sketch: Sketch, made: dict[Unit, Any], name: str | None) -> Built:
    """Return the Sequential that a sketch of layers in a row describes."""
    made.update({call.unit: KINDS[call.unit.kind].make(**call.unit.config, name=call.unit.name) for call in sketch.calls})
    ((shape, dtype),) = sketch.specs.values()
    source = Input(shape, dtype=dtype)
    model = Sequential([source, *(made[call.unit] for call in sketch.calls)], name=name)
    outputs = {call.results: made[call.unit].output for call in sketch.calls}
    return Built(model, {sketch.inputs: source, **outputs}, made, {})


def weights_of(made: Any) -> dict[str, Any]:
    """Return a layer's weights, or a bare module's parameters, by name."""
    if isinstance(made, layers.Layer):
        return {weight.name: weight for weight in made.weights}
    return dict(made.named_parameters()) if isinstance(made, nn.Module) else {}


def numbers_of(built: Built) -> dict[Unit, dict[str, torch.Tensor]]:
    """Return copies of all weights' numbers in Keras's axis order, by unit and name."""
    return {
        unit: {
            name: on_device(weight.numpy()) if hasattr(weight, "assign") else on_device(weight.detach().clone())
            for name, weight in weights_of(made).items()
        }
        for unit, made in built.made.items()
        if unit.sketch is None
    }


# Paths


def path_of(graph: Any, tensor: Any, prefix: str = "") -> str:
    """Return the path of a tensor of ``graph``, written out where it must be."""
    node = tensor.node
    call = f"@{graph.call_index(node)}" if len(graph.calls_of(node.operation)) > 1 else ""
    output = f":{tensor.index}" if len(_tree.leaves(outputs_of(node))) > 1 else ""
    return f"{prefix}{graph.names[node.operation]}{call}{output}"


def tensor_paths(sketch: Sketch, built: Built, values: Values, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return path to symbolic tensor and value, for all numbers of the sketch that its model holds; nested models' too."""
    graph = built.model.graph
    found = {}
    for number, symbol in built.symbols.items():
        if graph.holds(symbol.node):
            found[path_of(graph, symbol, prefix)] = symbol, values.here[number]
    for number, inside in values.inside.items():
        call = sketch.calls[number]
        symbol = built.symbols[_tree.leaves(call.results)[0]]
        if graph.holds(symbol.node):
            start = path_of(graph, symbol, prefix).partition(":")[0] + "/"
            found |= tensor_paths(call.unit.sketch, built.inside[call.unit], inside, start)
    return found

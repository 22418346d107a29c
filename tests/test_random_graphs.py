"""Random graphs through every walk over graphs: shapes, running, taps, edits, files, gradients; the oracle is plain torch."""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device
from graph_kinds import KINDS
from hypothesis import HealthCheck, assume, given, seed, settings
from random_graphs import (
    Sketch,
    build,
    graphs,
    hand,
    numbers_of,
    path_of,
    tensor_paths,
    walk,
    weights_of,
)

import anabranch as ab
from anabranch import Model, _tree, config, edit, layers, runtime
from anabranch.graph import outputs_of, subgraph
from anabranch.graph.paths import walk as walk_paths
from anabranch.graph.shapes import same
from anabranch.models import clone_model

TOLERANCE = {"float32": 2e-4, "float64": 1e-9}
GREATEST = 1e4  # beyond it rounding decides


class Drawn:
    """A sketch, the model built from it with drawn weights, data, and all values as torch computes them."""

    def __init__(self, sketch: Sketch) -> None:
        self.sketch = sketch
        config.set_floatx(sketch.floatx)
        ab.utils.set_random_seed(0)
        self.built = build(sketch)
        self.model = self.built.model
        rng = np.random.default_rng(len(sketch.calls))
        for unit, made in self.built.made.items():
            if unit.sketch is None:
                draw_weights(weights_of(made), rng)
        self.weights = numbers_of(self.built)
        self.data = data(sketch, 3, rng)
        self.values = hand(sketch, self.data, self.weights, training=False)
        self.outputs = self.values.outputs(sketch)
        self.tolerance = TOLERANCE[sketch.floatx]

    def nest(self, given: list[torch.Tensor] | None = None) -> Any:
        """Return data in the structure of the inputs."""
        return _tree.fill(self.sketch.inputs, given or self.data)

    def some(self, choices: list[Any]) -> list[Any]:
        """Return one of the choices, if there is one, the same whenever the same graph is drawn."""
        return random.Random(len(self.sketch.calls)).sample(choices, min(1, len(choices)))

    def expect(self, found: Any, wanted: list[Any], what: str) -> None:
        """Hold a nest of results to expected values."""
        found = _tree.leaves(found)
        assert len(found) == len(wanted), what
        for number, (a, b) in enumerate(zip(found, wanted, strict=True)):
            close(a, b, self.tolerance, f"{what}, number {number}")


def draw_weights(weights: dict[str, Any], rng: np.random.Generator) -> None:
    for name, weight in weights.items():
        values = 0.7 * rng.normal(size=tuple(weight.shape))
        values = np.abs(values) + 0.5 if "variance" in name else values
        if isinstance(weight, torch.Tensor):
            weight.data.copy_(torch.from_numpy(values))
        else:
            weight.assign(values.astype(weight.dtype))


def data(sketch: Sketch, batch: int, rng: np.random.Generator) -> list[torch.Tensor]:
    found = []
    for shape, dtype in sketch.specs.values():
        sizes = (batch, *shape)
        found.append(on_device((rng.integers(0, 7, sizes) if dtype == "int32" else rng.normal(size=sizes)).astype(dtype)))
    return found


def close(a: Any, b: torch.Tensor, tolerance: float, what: str) -> None:
    a, b = torch.as_tensor(a).detach().cpu(), b.detach().cpu()
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    scale = max(1.0, float(b.double().abs().max()))
    error = float((a.double() - b.double()).abs().max())
    assert error <= tolerance * scale, f"{what}: off by {error:.2e} of {scale:.2e}"


def eager(drawn: Drawn, given: list[torch.Tensor], *, training: bool = False) -> Any:
    """Return all values, calling layer by layer on tensors."""
    made = drawn.built.made
    with runtime.training_scope(training):
        return walk(drawn.sketch, given, lambda unit, x: KINDS[unit.kind].invoke(made[unit], x))


# The properties


def shape_rules_say_what_running_gives(drawn: Drawn) -> None:
    for batch in (1, 3):
        given = data(drawn.sketch, batch, np.random.default_rng(batch))
        values = eager(drawn, given)
        found = tensor_paths(drawn.sketch, drawn.built, values)
        for path, (symbol, value) in found.items():
            assert same(symbol.shape, tuple(value.shape)), (path, symbol.shape, tuple(value.shape))
            assert None not in symbol.shape[1:], f"{path}: every size but the batch is known"
            assert symbol.shape[0] is None, f"{path}: the batch is open"
            assert symbol.dtype == str(value.dtype).removeprefix("torch."), path
        lowered = _tree.leaves(drawn.model(drawn.nest(given)))
        for symbol, value in zip(drawn.model.outputs, lowered, strict=True):
            assert same(symbol.shape, tuple(value.shape)), (symbol, value.shape)
            assert symbol.dtype == str(value.dtype).removeprefix("torch."), symbol


def eager_equals_lowered(drawn: Drawn) -> None:
    model, x = drawn.model, drawn.nest()
    drawn.expect(eager(drawn, drawn.data).outputs(drawn.sketch), drawn.outputs, "layer by layer")
    lowered = model(x)
    drawn.expect(lowered, drawn.outputs, "model(x)")
    drawn.expect(model.call(x), drawn.outputs, "model.call(x)")
    arrays = _tree.map_leaves(lambda leaf: leaf.cpu().numpy(), x)
    drawn.expect(model.predict(arrays, verbose=0), drawn.outputs, "predict")
    drawn.expect(model.predict(arrays, batch_size=2, verbose=0), predicted_by_twos(drawn), "predict by twos")
    plain = model.to_torch()(*drawn.data)
    drawn.expect(plain, drawn.outputs, "to_torch")
    for found in (lowered, plain):
        assert shape_of(found) == shape_of(drawn.sketch.outputs), "the structure of the outputs"


def predicted_by_twos(drawn: Drawn) -> list[torch.Tensor]:
    """Return torch's outputs for the first two rows, then the last: what a layer sees of a batch may matter to it."""
    parts = [
        hand(drawn.sketch, [x[rows] for x in drawn.data], drawn.weights, training=False).outputs(drawn.sketch)
        for rows in (slice(0, 2), slice(2, 3))
    ]
    return [torch.cat(pair) for pair in zip(*parts, strict=True)]


def shape_of(nest: Any) -> str:
    return repr(_tree.map_leaves(lambda _: 0, nest)).replace("(", "[").replace(",)", "]").replace(")", "]")


def taps_equal_models_of_inner_tensors(drawn: Drawn) -> None:
    model = drawn.model
    found = tensor_paths(drawn.sketch, drawn.built, drawn.values)
    tapped = model.tap(list(found))(drawn.nest())
    for path, a in zip(found, tapped, strict=True):
        close(a, found[path][1], drawn.tolerance, f"tap({path!r})")
    for path, (symbol, _) in found.items():
        tensor = model.tensor(path)
        assert tensor.key == symbol.key, path
    once = [path for path in found if not called_again(drawn, path)]
    inner = Model(model.input, [found[path][0] for path in once])(drawn.nest())
    for path, a in zip(once, inner, strict=True):
        close(a, found[path][1], drawn.tolerance, f"Model(model.input, tensor of {path!r})")


def called_again(drawn: Drawn, path: str) -> bool:
    """Return whether a path leads through a model that was called several times, which makes its tensors ambiguous."""
    here: Any = drawn.model
    for part in path.split("/")[:-1]:
        here = here[part.partition("@")[0]]
        if len(here._calls_) > 1:
            return True
    return False


def edits_undone_give_an_equal_graph(drawn: Drawn) -> None:
    model = drawn.model
    for path in drawn.some(single_calls(model)):
        prefix, _, name = path.rpartition("/")
        prefix = prefix and prefix + "/"
        node = node_of(model, path)
        tensor = _tree.leaves(outputs_of(node))[0]
        if "float" in tensor.dtype:
            new = layers.Activation("tanh", name="inserted", dtype=tensor.dtype)
            changed = model.edit(edit.insert_after(path, new))
            assert model.diff(changed).of("added") == [prefix + "inserted"], f"insert_after {path!r}"
            if "@" not in (where := calls_written_out(model, prefix)):
                before, after = changed.tap([where + name, where + "inserted"])(drawn.nest())
                close(after, torch.tanh(before), drawn.tolerance, f"what was inserted after {path!r}")
            alike(drawn, changed.edit(edit.remove(prefix + "inserted")), f"insert_after {path!r}, remove")
        if node.inputs and "float" in node.inputs[0].dtype:
            new = layers.Activation("tanh", name="inserted", dtype=node.inputs[0].dtype)
            changed = model.edit(edit.insert_before(path, new, input=0))
            assert model.diff(changed).of("added") == [prefix + "inserted"], f"insert_before {path!r}"
            alike(drawn, changed.edit(edit.remove(prefix + "inserted")), f"insert_before {path!r}, remove")
        if "@" not in calls_written_out(model, prefix):
            changed = model.edit(edit.add_output(path, name="extra"))
            extra = _tree.leaves(changed(drawn.nest()))[-1]
            close(extra, model.tap(path)(drawn.nest()), drawn.tolerance, f"add_output {path!r}")
            ends = _tree.map_leaves(lambda end: path_of(model.graph, end), model.output)
            if not prefix:  # else a nested model has gained an output
                alike(drawn, changed.edit(edit.set_outputs(ends)), f"add_output {path!r}, set_outputs")
    for path, operation in drawn.some(list(walk_paths(model.graph))):
        prefix, _, name = path.rpartition("/")
        renamed = f"{prefix}/renamed" if prefix else "renamed"
        changed = model.edit(edit.rename(path, "renamed"))
        assert model.diff(changed).of("renamed") == [renamed], f"rename {path!r}: {model.diff(changed)}"
        alike(drawn, changed.edit(edit.rename(renamed, name)), f"rename {path!r} and back")
        if isinstance(operation, layers.Layer) and not isinstance(operation, layers.InputLayer):
            alike(drawn, model.edit(edit.replace(path, lambda old: old)), f"replace {path!r} by itself")
            alike(drawn, model.edit(edit.wrap(path, call)), f"wrap {path!r} in its own call")
            if not isinstance(operation, Model):
                again = model.edit(edit.replace(path, lambda old: type(old).from_config(old.get_config())))
                assert not model.diff(again), f"replace {path!r} by its like: {model.diff(again)}"


def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


def alike(drawn: Drawn, other: Any, what: str) -> None:
    """Hold a model to the drawn one: no difference, the same weights, the same outputs."""
    difference = drawn.model.diff(other)
    assert not difference, f"{what}:\n{difference}"
    assert identities(other) == identities(drawn.model), f"{what}: weights are shared"
    assert [layer.name for layer in other.layers] == [layer.name for layer in drawn.model.layers], what
    drawn.expect(other(drawn.nest()), drawn.outputs, what)


def identities(model: Any) -> list[int]:
    return [id(weight.value) for weight in model.weights]


def node_of(model: Any, path: str) -> Any:
    """Return the only call of the operation at a path."""
    parent, _, name = path.rpartition("/")
    graph = subgraph(model[parent]) if parent else model.graph
    (node,) = graph.calls_of(graph.by_name[name])
    return node


def single_calls(model: Any) -> list[str]:
    """Return the paths of operations that are called once in their graph and give one tensor which is used; Inputs too."""
    found = []
    for path, operation in walk_paths(model.graph):
        parent = path.rpartition("/")[0]
        graph = subgraph(model[parent]) if parent else model.graph
        nodes = graph.calls_of(operation)
        used = {tensor.node for node in graph.nodes for tensor in node.inputs} | {tensor.node for tensor in graph.outputs}
        if len(nodes) == 1 and nodes[0] in used and len(_tree.leaves(outputs_of(nodes[0]))) == 1:
            found.append(path)
    return found


def calls_written_out(model: Any, prefix: str) -> str:
    """Return a prefix with ``@`` where a model on the way is called more than once."""
    graph, parts = model.graph, []
    for part in prefix.split("/")[:-1]:
        operation = graph.by_name[part]
        parts.append(part + "@0/" * (len(graph.calls_of(operation)) > 1))
        graph = subgraph(operation)
    return "".join(part if part.endswith("/") else part + "/" for part in parts)


def rewiring_and_back_gives_an_equal_graph(drawn: Drawn) -> None:
    graph = drawn.model.graph
    before: list[Any] = []
    ways = []
    for node in graph.nodes:
        ways += [
            (node, which, source, other)
            for which, source in enumerate(node.inputs)
            for other in before
            if other.spec == source.spec and other.key != source.key
        ]
        before += _tree.leaves(outputs_of(node))
    for node, which, source, other in drawn.some(ways):
        where = path_of(graph, _tree.leaves(outputs_of(node))[0]).partition(":")[0]
        there, back = (edit.rewire(where, path_of(graph, tensor), input=which) for tensor in (other, source))
        changed = drawn.model.edit(there)
        difference = drawn.model.diff(changed)
        assert difference, f"{there.text} changes something"
        alike(drawn, drawn.model.edit(there, back), f"{there.text}, {back.text} at once")
        if all(len(graph.calls_of(t.node.operation)) == 1 for t in (_tree.leaves(outputs_of(node))[0], source, other)) and (
            len(changed.graph.nodes) == len(graph.nodes)
        ):
            alike(drawn, changed.edit(back), f"{there.text}, then {back.text}")


def copies_are_equal_and_their_own(drawn: Drawn) -> None:
    model = drawn.model
    mine = set(identities(model))
    for what, twin in (
        ("edit(weights='copied')", model.edit(weights="copied")),
        ("deepcopy", copy.deepcopy(model)),
        ("clone_model(weights='copied')", clone_model(model, weights="copied")),
    ):
        assert not model.diff(twin), f"{what}:\n{model.diff(twin)}"
        assert not mine.intersection(identities(twin)), f"{what} has weights of its own"
        drawn.expect(twin(drawn.nest()), drawn.outputs, what)
    alike(drawn, model.edit(), "an edit of nothing")
    alike(drawn, clone_model(model, weights="shared"), "clone_model(weights='shared')")
    fresh = clone_model(model)
    assert not model.diff(fresh), f"clone_model:\n{model.diff(fresh)}"
    assert not mine.intersection(identities(fresh)), "clone_model has weights of its own"
    assert table(fresh) == table(model), "clone_model has the same table"
    assert table(copy.deepcopy(model)) == table(model), "deepcopy has the same table"


def table(model: Any) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, expand_nested=True, show_trainable=True, line_length=160)
    return "\n".join(lines)


def gradients_equal_those_of_torch(drawn: Drawn) -> None:
    sketch, made = drawn.sketch, drawn.built.made
    needed = sketch.needed()
    training = not any(KINDS[unit.kind].random for unit in needed if unit.sketch is None)
    frozen = {unit for unit in needed if not unit.config.get("trainable", True)}
    leaves = [
        (unit, name, tensor.requires_grad_(unit not in frozen and "moving" not in name))
        for unit, named in drawn.weights.items()
        for name, tensor in named.items()
        if unit in needed
    ]
    ours, theirs = ([x.clone().requires_grad_(x.is_floating_point()) for x in drawn.data] for _ in range(2))
    expected = hand(sketch, theirs, drawn.weights, training=training).outputs(sketch)
    found = _tree.leaves(drawn.model(drawn.nest(ours), training=training))
    mode = "training" if training else "inference"
    drawn.expect(found, expected, f"the outputs in {mode} mode")
    losses = [loss(found), loss(expected)]
    if losses[1] is None or not losses[1].requires_grad:
        return
    assert losses[0] is not None
    for total in losses:
        total.backward()
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b.grad is not None:
            close(a.grad, b.grad, drawn.tolerance, f"the gradient of input {number} in {mode} mode")
    for unit, name, tensor in leaves:
        weight = weights_of(made[unit])[name]
        gradient = gradient_of(weight)
        if tensor.grad is None:
            assert gradient is None or not gradient.any(), f"{unit.kind} {name} has no gradient"
        else:
            assert gradient is not None, f"{unit.kind} {name} has a gradient"
            close(gradient, tensor.grad, drawn.tolerance, f"the gradient of {unit.kind} {name} in {mode} mode")


def loss(outputs: list[Any]) -> Any:
    """Return a number that depends on every float output, on each of its numbers differently."""
    parts = [
        (x * torch.linspace(-1, 1, x.numel(), dtype=x.dtype, device=x.device).cos().reshape(x.shape)).sum()
        for x in outputs
        if x.is_floating_point()
    ]
    return sum(parts[1:], parts[0]) if parts else None


def gradient_of(weight: Any) -> Any:
    """Return the gradient of a weight in Keras's axis order, of a parameter as it is."""
    if isinstance(weight, torch.Tensor):
        return weight.grad
    return None if weight.value.grad is None else weight.from_native(weight.value.grad)


def files_and_second_builds_agree(drawn: Drawn) -> None:
    model = drawn.model
    for graph in [model.graph, *(subgraph(o) for _, o in walk_paths(model.graph) if subgraph(o) is not None)]:
        assert len(set(graph.names.values())) == len(graph.names), "names are unique"
    text = table(model)
    assert all(name in text for name in model.graph.names.values() if isinstance(model[name], layers.Layer)), text
    twins = []
    for _ in range(2):
        ab.utils.set_random_seed(1)
        twins.append(build(drawn.sketch))
    first, second = twins
    assert table(first.model) == text, "a second build has the same table"
    assert not model.diff(first.model), f"a second build is the same:\n{model.diff(first.model)}"
    needed = drawn.sketch.needed()
    for (unit, some), others in zip(numbers_of(first).items(), numbers_of(second).values(), strict=True):
        for name, tensor in some.items() if unit in needed else ():
            assert equal(tensor, others[name]), f"the first {name} of {unit.kind} depends on the seed alone"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.weights.safetensors"
        model.save_weights(path)
        second.model.load_weights(path)
    drawn.expect(second.model(drawn.nest()), drawn.outputs, "with the weights read")


PROPERTIES: list[Callable[[Drawn], None]] = [
    shape_rules_say_what_running_gives,
    eager_equals_lowered,
    taps_equal_models_of_inner_tensors,
    edits_undone_give_an_equal_graph,
    rewiring_and_back_gives_an_equal_graph,
    copies_are_equal_and_their_own,
    files_and_second_builds_agree,
    gradients_equal_those_of_torch,  # changes moving averages, so it comes last
]


def hold(count: int, begin: int) -> None:
    """Draw graphs and hold each to all properties."""

    @seed(begin)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graphs())
    def each(sketch: Sketch) -> None:
        drawn = Drawn(sketch)
        assume(all(bool((value.double().abs() < GREATEST).all()) for value in drawn.values.here.values()))
        for holds in PROPERTIES:
            holds(drawn)

    before = config.floatx()
    try:
        each()
    finally:
        config.set_floatx(before)


@pytest.mark.parametrize("part", range(4))
def test_random_graphs(part: int) -> None:
    hold(30, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_many_random_graphs(part: int) -> None:
    hold(100, 1000 + part)

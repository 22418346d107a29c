"""The graph: Keras's order over random graphs, names, mistakes of topology, call indices, immutability, memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any, NamedTuple

import pytest
from devices import equal
from hypothesis import HealthCheck, given, settings, strategies as st

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentTypeError, GraphError
from anabranch.graph import Graph


class Recipe(NamedTuple):
    """A random graph: how many inputs, and steps that take earlier tensors by number."""

    inputs: int
    steps: list[tuple[str, int, int]]
    flip: bool


@st.composite
def recipes(draw: Any) -> Recipe:
    inputs = draw(st.integers(1, 3))
    steps: list[tuple[str, int, int]] = [("dense", number, 0) for number in range(inputs)]
    for _ in range(draw(st.integers(0, 12))):
        known = inputs + len(steps)
        kind = draw(st.sampled_from(["dense", "norm", "add", "plus", "shared", "scaled", "nested", "concatenate"]))
        steps.append((kind, draw(st.integers(0, known - 1)), draw(st.integers(0, known - 1))))
    return Recipe(inputs, steps, draw(st.booleans()))


def build(k: Any, recipe: Recipe) -> Any:
    """Build the recipe in either library; all outputs that nothing takes are the model's."""
    tensors = [k.Input((4,), name=f"in{i}") for i in range(recipe.inputs)]
    inputs = list(tensors)
    shared = k.layers.Dense(4, name="shared")
    inner_x = k.Input((4,), name="inner_x")
    normed = k.layers.BatchNormalization(name="inner_norm")(inner_x)
    inner = k.Model(inner_x, k.layers.Dense(4, name="inner_dense")(normed), name="inner")
    taken = set()
    for number, (kind, a, b) in enumerate(recipe.steps):
        x, y = tensors[a], tensors[b]
        name = f"l{number}"
        if kind in ("add", "plus", "concatenate") and a == b:
            kind = "dense"
        taken.update([a, b] if kind in ("add", "plus", "concatenate") else [a])
        made = {
            "dense": lambda: k.layers.Dense(4, name=name)(x),  # noqa: B023
            "norm": lambda: k.layers.BatchNormalization(name=name)(x),  # noqa: B023
            "add": lambda: k.layers.Add(name=name)([x, y]),  # noqa: B023
            "plus": lambda: x + y,  # noqa: B023
            "shared": lambda: shared(x),  # noqa: B023
            "scaled": lambda: x * 2.0,  # noqa: B023
            "nested": lambda: inner(x),  # noqa: B023
            "concatenate": lambda: k.layers.Dense(4, name=name)(k.layers.Concatenate(name=f"c{number}")([x, y])),  # noqa: B023
        }[kind]()
        tensors.append(made)
    outputs = [tensor for number, tensor in enumerate(tensors) if number not in taken]
    return k.Model(inputs, outputs[::-1] if recipe.flip else outputs, name="random")


@given(recipe=recipes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_of_layers_and_weights_equals_keras_over_random_graphs(keras: Any, recipe: Recipe) -> None:
    theirs, ours = build(keras, recipe), build(ab, recipe)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [t.shape for t in ours.outputs] == [tuple(t.shape) for t in theirs.outputs]


@given(recipe=recipes())
@settings(max_examples=30, deadline=None)
def test_every_node_comes_after_those_it_needs(recipe: Recipe) -> None:
    graph = build(ab, recipe).graph
    place = {node: number for number, node in enumerate(graph.nodes)}
    assert all(place[tensor.node] < place[node] for node in graph.nodes for tensor in node.inputs)
    assert len(set(graph.names.values())) == len(graph.names) == len(graph.operations)
    assert set(graph.operations) == {node.operation for node in graph.nodes}


@given(recipe=recipes())
@settings(max_examples=20, deadline=None)
def test_the_same_code_builds_the_same_names(recipe: Recipe) -> None:
    first, second = build(ab, recipe), build(ab, recipe)
    assert list(first.graph.names.values()) == list(second.graph.names.values())


@pytest.mark.parametrize("keys", ["ba", "ab", "cab"])
@pytest.mark.parametrize("inside", [False, True], ids=["a dict", "a dict in a list"])
def test_order_of_layers_under_a_dict_of_outputs_equals_keras(keras: Any, keys: str, inside: bool) -> None:
    def build(k: Any) -> Any:
        x = k.Input((4,), name="x")
        outputs = {key: k.layers.Dense(units, name=f"head_{key}")(x) for units, key in enumerate(keys, start=1)}
        return k.Model(x, [k.layers.Dense(9, name="first")(x), outputs] if inside else outputs)

    theirs, ours = build(keras), build(ab)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [weight.shape for weight in ours.get_weights()] == [weight.shape for weight in theirs.get_weights()]
    written = ours.output[1] if inside else ours.output
    assert list(written) == list(keys), "the outputs stay as they were written"


@pytest.mark.parametrize("keys", ["ba", "cab"])
def test_order_of_layers_before_a_call_on_a_dict_equals_keras(keras: Any, keys: str) -> None:
    def build(k: Any) -> Any:
        x = k.Input((4,), name="x")
        branches = {key: k.layers.Dense(4, name=f"branch_{key}")(x) for key in keys}
        parts = {key: k.Input((4,), name=key) for key in keys}
        inner = k.Model(parts, k.layers.Add(name="sum")(list(parts.values())), name="inner")
        return k.Model(x, inner(branches))

    theirs, ours = build(keras), build(ab)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]


# Calls


def test_calls_are_counted_within_the_graph() -> None:
    x = ab.Input((4,))
    shared = layers.Dense(4)
    elsewhere = ab.Model(x, shared(x))
    a = shared(x)
    b = shared(a)
    graph = Graph(x, b)
    assert [graph.call_index(t.node) for t in (a, b)] == [0, 1]
    assert graph.calls_of(shared) == [a.node, b.node]
    assert len(elsewhere.graph.calls_of(shared)) == 1
    assert graph.call_index(elsewhere.outputs[0].node) == 0


def test_a_node_knows_the_users_line() -> None:
    x = ab.Input((4,))
    y = layers.Dense(2)(x)
    assert (str(x.node.site), str(y.node.site)) == tuple(f"test_graph.py:{n}" for n in _lines("x = ab.Input((4,))", 2))
    assert repr(y.node) == f"<Node dense at {y.node.site}>"


def _lines(text: str, count: int) -> list[int]:
    with open(__file__) as file:
        source = file.read().splitlines()
    start = source.index("def test_a_node_knows_the_users_line() -> None:")
    first = next(n for n in range(start, len(source)) if text in source[n]) + 1
    return [first + i for i in range(count)]


def test_repr_shows_the_size() -> None:
    x = ab.Input((4,))
    assert repr(Graph(x, layers.Dense(2)(x))) == "<Graph of 2 nodes, 1 inputs, 1 outputs>"


# A tensor inside another graph as an input


def test_a_graph_can_begin_in_the_middle() -> None:
    x = ab.Input((4,))
    middle = layers.Dense(3, name="before")(x)
    y = layers.Dense(2, name="after")(middle)
    model = ab.Model(middle, y)
    assert [layer.name for layer in model.layers] == ["after"]
    assert model.input_shape == (None, 3)
    assert _rows(model)[0].connected_to == ["before[0][0]"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_graph_can_begin_at_one_of_several_outputs(which: int) -> None:
    import numpy as np
    import torch

    class Pair(ab.Layer):
        def call(self, x: Any) -> Any:
            return x + 1.0, x * 3.0

    x = ab.Input((2,))
    pair = Pair()(x)
    y = layers.Add()(list(pair))
    data = np.full((1, 2), 10.0, "float32")
    given_output = np.full((1, 2), 100.0, "float32")
    model = ab.Model([x, pair[which]], y)
    expected = [100.0 + 30.0, 11.0 + 100.0][which]  # x + 1 and 3 x, one of them given
    assert equal(model([data, given_output]), torch.full((1, 2), expected))
    again = ab.Model([x, pair[which]], model([x, pair[which]]))
    assert equal(again([data, given_output]), torch.full((1, 2), expected))


# Mistakes of topology


def test_an_input_left_out_is_named_with_the_way_to_it() -> None:
    a, b = ab.Input((4,), name="a"), ab.Input((4,), name="b")
    y = layers.Dense(2, name="last")(layers.Add(name="join")([a, layers.Dense(4, name="side")(b)]))
    with pytest.raises(GraphError, match="need Input 'b'") as error:
        ab.Model(a, y)
    steps = [line.split() for line in str(error.value).splitlines()[1:5]]
    assert [words[words[0] == "from"] for words in steps] == ["Input", "Dense", "Add", "Dense"]
    assert all(words[-1].startswith("test_graph.py:") for words in steps)
    assert "Model(inputs=[…, b], …)" in str(error.value)
    with pytest.raises(GraphError, match=r"need Input 'b'") as error:
        ab.Model(a, b)
    assert "Input 'a', made at test_graph.py:" in error.value.got


def test_an_input_listed_twice_is_refused() -> None:
    x = ab.Input((4,), name="x")
    with pytest.raises(GraphError, match="'x' is listed twice"):
        ab.Model([x, x], layers.Dense(2)(x))


def test_an_unused_input_stays() -> None:
    a, b = ab.Input((4,), name="a"), ab.Input((3,), name="b")
    with pytest.warns(UserWarning, match="No output needs Input 'b'"):
        model = ab.Model([a, b], layers.Dense(2)(a))
    assert model.input_names == ["a", "b"]
    assert {layer.name for layer in model.layers} == {"a", "b", "dense"}


@pytest.mark.parametrize("nest", [[], {}, ()])
def test_a_model_needs_inputs_and_outputs(nest: Any) -> None:
    x = ab.Input((4,))
    with pytest.raises(GraphError, match="needs inputs"):
        ab.Model(nest, layers.Dense(2)(x))
    with pytest.raises(GraphError, match="needs outputs"):
        ab.Model(x, nest)


def test_what_is_no_symbolic_tensor_is_refused() -> None:
    x = ab.Input((4,))
    with pytest.raises(ArgumentTypeError, match=r"Dense made at .* was never called") as error:
        ab.Model(x, layers.Dense(2))
    assert "write Dense(2)(x)" in str(error.value)
    with pytest.raises(ArgumentTypeError, match="Expected a tensor, got int 3") as error:
        ab.Model(3, x)
    assert "repair" not in str(error.value)


def test_two_layers_of_one_name_are_refused_with_both_places() -> None:
    x = ab.Input((4,))
    y = layers.Dense(4, name="twin")(layers.Dense(4, name="twin")(x))
    with pytest.raises(GraphError, match="Two layers of one model are named 'twin'") as error:
        ab.Model(x, y)
    assert str(error.value).count("Dense called at test_graph.py:") == 2


def test_an_unnamed_operation_makes_way_for_an_explicit_name() -> None:
    x = ab.Input((4,))
    y = layers.Dense(4, name="dense")(layers.Dense(4)(layers.Dense(4, name="dense_2")(layers.Dense(4)(x))))
    assert [layer.name for layer in ab.Model(x, y).layers][1:] == ["dense_1", "dense_2", "dense_3", "dense"]


# Immutability and memory


def test_a_graph_and_its_records_take_no_other_attributes() -> None:
    x = ab.Input((4,))
    y = layers.Dense(2)(x)
    for record in (Graph(x, y), y, y.node):
        with pytest.raises(AttributeError):
            record.note = 1  # type: ignore[union-attr]


def test_building_a_model_changes_no_other_model() -> None:
    x = ab.Input((4,))
    h = layers.Dense(4)(x)
    model = ab.Model(x, layers.Dense(2)(h))
    before = [str(row) for row in _rows(model)]
    ab.Model(x, layers.Dense(7)(layers.Dense(5)(h)))
    layers.Dense(3)(h)
    assert [str(row) for row in _rows(model)] == before


def _rows(model: Any) -> Any:
    from anabranch.insight import summarise

    return summarise(model).rows


def test_a_dropped_graph_is_freed_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = ab.Input((8, 8, 3))
        shared = layers.Conv2D(3, 3, padding="same")
        y = layers.Add()([shared(shared(x)), x]) * 2.0 + x[..., :1]
        model = ab.Model(x, y)
        again = ab.Model(x, model(x))
        watched = [weakref.ref(thing) for thing in (x, y, y.node, model, again, shared)]
        del x, y, model, again, shared
        assert [ref() for ref in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_a_model_that_ran_is_freed_at_once() -> None:
    import numpy as np

    def run() -> list[weakref.ref[Any]]:
        x = ab.Input((4,))
        model = ab.Model(x, layers.Dense(2)(x))
        model(np.zeros((1, 4), "float32"))
        return [weakref.ref(model), weakref.ref(model.weights[0])]

    run()
    gc.collect()
    watched = run()
    gc.collect()  # torch's own modules hold cycles
    assert [ref() for ref in watched] == [None, None]


def test_a_layer_forgets_calls_whose_results_are_dropped() -> None:
    x = ab.Input((4,))
    layer = layers.Dense(4)
    for _ in range(5):
        layer(x)
    assert layer._calls_ == []
    y = layer(x)
    assert [call() for call in layer._calls_] == [y.node]
    assert layer.output.key == y.key


def test_a_hundred_thousand_layers_deep() -> None:
    x = start = ab.Input((4,))
    for _ in range(100_000):
        x = x + 1.0
    graph = Graph(start, x)
    assert len(graph.nodes) == 100_001
    del x, graph  # and freed without deep recursion

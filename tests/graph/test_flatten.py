"""Flattening and replay: nested models opened, with paths; the same graph for other inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose

import anabranch as ab
from anabranch import layers
from anabranch.graph import replay, subgraph, with_values
from anabranch.graph.flatten import flatten


def nest(depth: int) -> Any:
    """Return a model that holds a model that holds …"""
    model: Any = None
    for level in range(depth):
        x = ab.Input((3,))
        model = ab.Model(x, layers.Dense(3, name="d")(x if model is None else model(x)), name=f"m{level}")
    return model


def test_steps_bear_the_path_of_their_layer() -> None:
    assert [step.path for step in flatten(nest(3).graph).steps] == ["m1/m0/d", "m1/d", "d"]


def test_a_model_called_twice_runs_twice_on_the_same_weights() -> None:
    inner_x = ab.Input((3,))
    inner = ab.Model(inner_x, layers.Dense(3)(inner_x), name="inner")
    x = ab.Input((3,))
    model = ab.Model(x, inner(inner(x)))
    steps = flatten(model.graph).steps
    assert [step.path for step in steps] == ["inner/dense", "inner/dense"]
    assert steps[0].outputs == steps[1].inputs
    data = torch.rand(2, 3)
    assert allclose(model(data), inner(inner(data)))
    assert len(model.weights) == 2


def test_a_model_inside_that_hands_its_input_through() -> None:
    a, b = ab.Input((3,)), ab.Input((3,))
    inner = ab.Model([a, b], {"sum": a + b, "first": a})
    x = ab.Input((3,))
    out = inner([x, x * 2.0])
    model = ab.Model(x, out["first"] - out["sum"])
    assert allclose(model(torch.ones(1, 3)), torch.full((1, 3), -2.0))


def test_only_models_have_a_graph_inside() -> None:
    assert subgraph(layers.Dense(1)) is None
    assert subgraph(nest(1)) is not None
    assert subgraph((ab.Input((1,)) + 1.0).node.operation) is None


def test_values_stand_for_tensors_in_the_calls_own_nest() -> None:
    a, b = ab.Input((3,)), ab.Input((3,))
    node = layers.Add()([a, b]).node
    assert with_values(node, [1, 2]) == (([1, 2],), {})
    assert with_values((a * 3.0).node, [5]) == ((5, 3.0), {})


def test_replay_asks_every_shape_rule_again() -> None:
    x = ab.Input((None, None, 3))
    model = ab.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)))
    other = ab.Input((9, 9, 3))
    (again,) = replay(model.graph, [other])
    assert again.shape == (None, 4)
    body = ab.Model(x, layers.Conv2D(4, 3)(x))
    (again,) = replay(body.graph, [other])
    assert again.shape == (None, 7, 7, 4)
    assert body(other).shape == (None, 7, 7, 4)
    assert len(body.layers[1]._calls_) == 1, "no layer learns of it"


def test_replay_opens_nested_models() -> None:
    x = ab.Input((None, 3))
    inner = ab.Model(x, layers.Dense(2)(x), name="inner")
    y = ab.Input((None, 3))
    outer = ab.Model(y, inner(y) + 1.0)
    assert outer(ab.Input((5, 3))).shape == (None, 5, 2)
    assert tuple(outer(np.zeros((2, 4, 3), "float32")).shape) == (2, 4, 2)


@pytest.mark.parametrize("depth", [200])
def test_nesting_may_go_deep(depth: int) -> None:
    model = nest(depth)
    flat = flatten(model.graph)
    assert len(flat.steps) == depth
    assert len(model.weights) == 2 * depth
    assert tuple(model(np.zeros((1, 3), "float32")).shape) == (1, 3)

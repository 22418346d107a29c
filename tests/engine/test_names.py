"""Any name that Keras takes for an Input or a layer serves in the lowered code."""

from __future__ import annotations

import keyword

import numpy as np
import pytest
import torch
from devices import on_device

import anabranch as ab
from anabranch import layers

OF_MODULES = sorted(name for name in dir(torch.fx.GraphModule) if not name.startswith("__") and "/" not in name)


@pytest.mark.parametrize(
    "name", [*keyword.kwlist, "self", "torch", "1", "1a", "input", "inf", "device", "operator", "é", "a b"]
)
def test_inputs_may_have_any_name(name: str) -> None:
    inputs = ab.Input((3,), name=name)
    other = ab.Input((3,), name="other")
    model = ab.Model([inputs, other], layers.Dense(2)(torch.relu(inputs)) + layers.Dense(2)(other))
    x = np.ones((2, 3), "float32")
    expected = model.predict([x, x], verbose=0)
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.to_torch()(on_device(x), on_device(x)).detach().cpu(), expected, rtol=1e-6)
    model.fit([x, x], np.ones((2, 2), "float32"), verbose=0)


def test_inputs_whose_names_become_one_identifier() -> None:
    a, b = ab.Input((3,), name="a-b"), ab.Input((3,), name="a_b")
    model = ab.Model([a, b], layers.Subtract()([a, b]))
    assert model.predict([np.ones((1, 3)), np.zeros((1, 3))], verbose=0).tolist() == [[1, 1, 1]]


def test_layers_may_be_called_as_attributes_of_modules() -> None:
    x = inputs = ab.Input((3,))
    for name in dict.fromkeys([*OF_MODULES, *keyword.kwlist, "training", "graph", "code", "self"]):
        x = layers.Dense(3, name=name)(x)
    model = ab.Model(inputs, x)
    model.compile("sgd", "mse")
    data = np.ones((2, 3), "float32")
    model.fit(data, data, verbose=0)
    np.testing.assert_allclose(
        model.to_torch()(on_device(data)).detach().cpu(), model.predict(data, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["train", "float", "forward", "class"])
def test_layers_of_users_and_models_inside_models_may_too(name: str) -> None:
    class Branching(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((3,), "ones", name=name)

        def call(self, x):
            return x * self.w if float(x.sum()) > 0 else x

    inputs = ab.Input((3,))
    inner = ab.Sequential([ab.Input((3,)), Branching(name=name)], name=name)
    model = ab.Model(inputs, inner(inputs))
    assert model.predict(np.ones((1, 3), "float32"), verbose=0).tolist() == [[1, 1, 1]]

"""What a user's call does beside computing with its values: it runs at each call, or the call is not traced."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose

import anabranch as ab
from anabranch import layers, ops

X = torch.linspace(-1, 1, 12).reshape(4, 3)


class Own(layers.Layer):
    """Computes what a function says of it and its input."""

    def __init__(self, function: Callable[[Any, Any], Any], *, inner: bool = False) -> None:
        super().__init__()
        self.function_of, self.count, self.flag, self.seen = function, 0, False, {"calls": 0}
        self.generator = np.random.default_rng(0)
        self.relu = layers.ReLU() if inner else None

    def call(self, x: Any) -> Any:
        function = self.function_of
        return function(self, x if self.relu is None else self.relu(x))

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Counting(layers.Layer):
    """Counts its calls, in a way of three."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.calls, self.in_list, self.in_dict = way, 0, [0], {"calls": 0}

    def call(self, x: Any) -> Any:
        if self.way == "number":
            self.calls += 1
            return x * 0 + self.calls
        if self.way == "list":
            self.in_list[0] += 1
            return x * 0 + self.in_list[0]
        self.in_dict["calls"] += 1
        return x * 0 + self.in_dict["calls"]

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def _model(layer: layers.Layer) -> ab.Model:
    inputs = ab.Input((3,))
    return ab.Model(inputs, layer(inputs))


def _tried(layer: Own, x: Any) -> Any:
    try:
        size = int(x.shape[0])
    except Exception:
        size = -1
    return x * size


def _truth(layer: Own, x: Any) -> Any:
    try:
        return x * 2 if x[0, 0] < 0 else x
    except Exception:
        return x * 3


def _gradient(layer: Own, x: Any) -> Any:
    with torch.enable_grad():
        z = x.detach().requires_grad_(True)
        return torch.autograd.grad((z**3).sum(), z)[0]


ASKS: dict[str, tuple[Callable[[Own, Any], Any], Callable[[torch.Tensor], torch.Tensor]]] = {
    "isinstance": (lambda layer, x: x * 2 if isinstance(x, torch.Tensor) else x * 3, lambda x: x * 2),
    "torch.is_tensor": (lambda layer, x: x * 2 if torch.is_tensor(x) else x * 3, lambda x: x * 2),
    "ops.is_tensor": (lambda layer, x: x * 2 if ops.is_tensor(x) else x * 3, lambda x: x * 2),
    "hasattr": (lambda layer, x: x * 2 if hasattr(x, "to_nowhere") else x * 3, lambda x: x * 3),
    "getattr": (lambda layer, x: x * getattr(x, "factor", 3.0), lambda x: x * 3),
    "int": (_tried, lambda x: x * 4),
    "bool": (_truth, lambda x: x * 2),
    "a gradient": (_gradient, lambda x: 3 * x**2),
}


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("name", ASKS)
def test_a_call_may_ask_what_its_values_are(name: str, inner: bool) -> None:
    function, wanted = ASKS[name]
    model = _model(Own(function, inner=inner))
    given = X.abs().neg() if name == "bool" and not inner else X
    expected = wanted(given.relu() if inner else given) if not (name == "bool" and inner) else given.relu()
    assert allclose(torch.as_tensor(model.predict(given, verbose=0)), expected)
    assert allclose(torch.as_tensor(model.to_torch()(given)).cpu(), expected)


@pytest.mark.parametrize("way", ["number", "list", "dict"])
def test_what_a_call_counts_goes_on(way: str) -> None:
    model = _model(Counting(way))
    found = [model.predict(X[:1], verbose=0)[0, 0] for _ in range(3)]
    assert found[1] - found[0] == found[2] - found[1] == 1


class Flagged(layers.Layer):
    """Sets a flag when it is first called."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = False

    def call(self, x: Any) -> Any:
        if not self.ready:
            self.ready = True
        return x * 2


def test_a_flag_that_the_first_call_sets_leaves_it_traced() -> None:
    module = _model(Flagged()).to_torch()
    assert "Opaque" not in str(module)


DRAWS: dict[str, Callable[[Own, Any], Any]] = {
    "random": lambda layer, x: x * random.random(),
    "numpy.random": lambda layer, x: x * np.random.rand(),
    "a generator": lambda layer, x: x * layer.generator.random(),
    "torch.rand": lambda layer, x: x * torch.rand(()),
}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("name", DRAWS)
def test_what_a_call_draws_differs_by_call(name: str, wrapped: bool) -> None:
    layer: layers.Layer = Own(DRAWS[name])
    model = _model(layer)
    data = X
    if wrapped:  # a layer of ours calls it
        inputs = ab.Input((2, 3))
        model, data = ab.Model(inputs, layers.TimeDistributed(layer)(inputs)), X.reshape(2, 2, 3)
    assert not np.array_equal(model.predict(data, verbose=0), model.predict(data, verbose=0))


SCALE = 2.0
SETTINGS = {"scale": 2.0}


def _scaled(x: Any) -> Any:
    return x * SCALE


class Looking(layers.Layer):
    """Reads a variable of its module, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def call(self, x: Any) -> Any:
        if self.way == "helper":
            return _scaled(x)
        return x * (SCALE if self.way == "variable" else SETTINGS["scale"])


@pytest.mark.parametrize("way", ["variable", "helper", "dict"])
def test_a_variable_of_the_module_that_changes_takes_effect(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(Looking(way))
    assert allclose(torch.as_tensor(model.predict(X, verbose=0)), X * 2)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    monkeypatch.setitem(SETTINGS, "scale", 5.0)
    assert allclose(torch.as_tensor(model.predict(X, verbose=0)), X * 5)


class Averaging(layers.Layer):
    """Holds a running mean as a plain tensor, and changes it in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.mean = way, torch.zeros(3)

    def call(self, x: Any, training: bool = False) -> Any:
        if training and self.way == "assigned":
            self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0).cpu()
        elif training and self.way == "in place":
            self.mean.mul_(0.5).add_(0.5 * x.detach().mean(0).cpu())
        elif training:
            with torch.no_grad():
                self.mean.copy_(0.5 * self.mean + 0.5 * x.mean(0).cpu())
        return x - self.mean.to(x.device)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@pytest.mark.parametrize("way", ["assigned", "in place", "without gradients"])
def test_a_tensor_that_a_layer_holds_is_updated_at_each_call(way: str) -> None:
    layer = Averaging(way)
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(layer(inputs)))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], batch_size=4, epochs=2, verbose=0)
    assert allclose(layer.mean, 0.75 * X.mean(0), atol=1e-6)
    tapped = ab.Model(inputs, layer.output)
    assert allclose(torch.as_tensor(tapped.predict(X, verbose=0)), X - 0.75 * X.mean(0), atol=1e-6)
    layer.mean.zero_()
    assert allclose(torch.as_tensor(tapped.predict(X, verbose=0)), X)


class Held(layers.Layer):
    """Computes with a tensor and an object that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.settings = torch.ones(3), Settings()

    def call(self, x: Any) -> Any:
        return x * (self.scale + 1).to(x.device) * self.settings.factor


class Settings:
    """Settings of a user's."""

    factor = 1.0


def test_what_a_layer_holds_is_looked_up_at_each_call() -> None:
    layer = Held()
    model = _model(layer)
    assert allclose(torch.as_tensor(model.predict(X, verbose=0)), X * 2)
    layer.scale.mul_(2)
    assert allclose(torch.as_tensor(model.predict(X, verbose=0)), X * 3)
    layer.settings.factor = 2.0
    assert allclose(torch.as_tensor(model.predict(X, verbose=0)), X * 6)
    assert allclose(model.to_torch()(X).cpu(), X * 6)

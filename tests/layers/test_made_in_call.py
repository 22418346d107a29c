"""What a layer's ``call`` makes: refused where it has weights, which would be others at each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device
from torch import nn

import anabranch as ab
from anabranch import layers, ops
from anabranch._errors import MadeInCallError

X, Y = np.ones((6, 4), "float32"), np.ones((6, 1), "float32")
Call = Callable[[Any, Any], Any]


def with_call(body: Call, base: type = layers.Layer) -> type:
    return type("Mine", (base,), {"call": lambda self, x: body(self, x)})


def described(kind: type) -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(1)(kind()(x)))


def trained(model: ab.Model) -> ab.Model:
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    return model


def linear(self: Any, x: Any) -> Any:
    return nn.Linear(4, 3)(x)


def normalized(self: Any, x: Any) -> Any:
    return nn.Sequential(nn.ReLU(), nn.LayerNorm(4))(x)


def parameter(self: Any, x: Any) -> Any:
    return x * nn.Parameter(torch.ones(4, device=x.device))


def assigned(self: Any, x: Any) -> Any:
    if not hasattr(self, "part"):
        self.part = nn.Linear(4, 3)
    return self.part(x)


def dense(self: Any, x: Any) -> Any:
    return layers.Dense(3)(x)


def by_helper(self: Any, x: Any) -> Any:
    return dense(self, x)


def weight(self: Any, x: Any) -> Any:
    return ops.matmul(x, self.add_weight((4, 3)))


def variable(self: Any, x: Any) -> Any:
    return x * ab.Variable(np.ones(4, "float32"))


@pytest.mark.parametrize("body", [linear, normalized, parameter, assigned, dense, by_helper, weight, variable])
def test_weights_made_in_a_call_are_refused(body: Call) -> None:
    refused = pytest.raises(MadeInCallError, match=r"(?s)is made inside the call of .*where:    test_made_in_call.py.*self\.")
    with refused:
        described(with_call(body))
    with refused:
        trained(with_call(body, ab.Model)())


@pytest.mark.parametrize("body", [dense, by_helper, weight])
def test_they_are_refused_on_numbers_too(body: Call) -> None:
    with pytest.raises(MadeInCallError, match="inside the call of Mine 'mine'"):
        with_call(body)()(X)


def test_modules_made_in_a_call_with_a_shape_rule_are_refused_when_it_is_traced() -> None:
    kind = with_call(linear)
    kind.compute_output_shape = lambda self, shape: (*shape[:-1], 3)  # type: ignore[attr-defined]
    with pytest.raises(MadeInCallError, match=r"torch\.nn\.Parameter, or a module that has some"):
        trained(described(kind))


def test_layers_without_weights_may_be_made_in_a_call() -> None:
    def body(self: Any, x: Any) -> Any:
        return nn.ReLU()(layers.Activation("relu")(layers.Concatenate()([layers.Dropout(0.1)(x), x])))

    assert len(trained(described(with_call(body))).weights) == 2
    assert with_call(body)()(on_device(X)).shape == (6, 8)


def test_layers_that_the_first_call_assigns_are_made_once() -> None:
    def body(self: Any, x: Any) -> Any:
        if not hasattr(self, "parts"):
            self.parts = [layers.Dense(3), layers.Dense(2)]
        for part in self.parts:
            x = part(x)
        return x

    assert len(trained(described(with_call(body))).weights) == 6


class Inner(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.linear, self.dense = nn.Linear(4, 3, device=on_device(X).device), layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(self.linear(x))


class Outer(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def call(self, x: Any) -> Any:
        return self.inner(x)


def test_what_build_makes_is_real_inside_another_call() -> None:
    model = trained(described(Outer))
    assert [w.path for w in model.weights][:4] == [
        "outer/inner/linear/weight", "outer/inner/linear/bias", "outer/inner/dense/kernel", "outer/inner/dense/bias",
    ]  # fmt: skip
    assert len(model.trainable_weights) == 6

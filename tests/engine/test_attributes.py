"""Plain attributes that a user's ``call`` reads may be set at any time, as in Python; traced code notices."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, on_device

import anabranch as ab
from anabranch import engine, layers
from anabranch._errors import AnabranchError

X = np.ones((2, 3), "float32")


class Scaled(layers.Layer):
    """Reads an attribute itself, one in a method, one in a property, and one in a tuple."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale, self.shift, self.power, self.factors = scale, 0.0, 1, [1.0, 1.0]
        self.unread = 0

    @property
    def doubled(self) -> float:
        return 2 * self.power / 2

    def moved(self, x: Any) -> Any:
        return x + self.shift

    def call(self, x: Any) -> Any:
        return self.moved(x * self.scale * self.factors[0]) ** self.doubled


def model_of(layer: Any) -> Any:
    x = ab.Input((3,))
    return ab.Model(x, layer(x))


@pytest.mark.parametrize(
    ("name", "value", "expected"), [("scale", 5.0, 5.0), ("shift", 1.0, 3.0), ("power", 3, 8.0), ("factors", [4.0, 1.0], 8.0)]
)
def test_an_attribute_set_after_predict_takes_effect(name: str, value: Any, expected: float) -> None:
    layer = Scaled()
    inner = model_of(layer)
    outer_x = ab.Input((3,))
    outer = ab.Model(outer_x, inner(outer_x))
    for model in (inner, outer):
        assert (model.predict(X, verbose=0) == 2).all()
    setattr(layer, name, value)
    for model in (inner, outer):
        assert (model.predict(X, verbose=0) == expected).all()
        assert (model(X) == expected).all()


def test_a_list_changed_in_place_takes_effect() -> None:
    model = model_of(layer := Scaled())
    model.predict(X, verbose=0)
    layer.factors[0] = 3.0
    assert (model.predict(X, verbose=0) == 6).all()


@pytest.mark.filterwarnings("ignore:The model has no trainable weights")
def test_a_callback_may_set_an_attribute_while_training() -> None:
    layer = Scaled(0.0)
    model = model_of(layer)
    model.compile(ab.optimizers.SGD(0.0), "mae")

    def on_epoch_begin(epoch: int, logs: Any = None) -> None:
        layer.scale = float(epoch)

    def on_train_batch_end(batch: int, logs: Any = None) -> None:
        layer.shift += 1.0

    callbacks = [ab.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_train_batch_end=on_train_batch_end)]
    losses = []
    for epochs in (1, 2):
        layer.shift = 0.0
        losses += model.fit(
            X, 0 * X, batch_size=1, epochs=epochs, initial_epoch=epochs - 1, verbose=0, callbacks=callbacks
        ).history["loss"]
    assert losses == [0.5, 1.5]  # scale + shift: 0 and 1, 1 and 2


def test_what_call_does_not_read_is_no_reason_to_lower_again() -> None:
    model = model_of(layer := Scaled())
    model.predict(X, verbose=0)
    program = engine.program(model, False)
    layer.unread, layer.note = 1, "more"
    model.predict(X, verbose=0)
    assert engine.program(model, False) is program
    layer.scale = 3.0
    assert engine.program(model, False) is not program


def test_a_layer_that_runs_whole_is_not_watched() -> None:
    class Counting(layers.Layer):
        count = 0

        def call(self, x: Any) -> Any:
            self.count += 1
            return x * self.count if float(x.detach().sum()) > 0 else x

    model = model_of(layer := Counting())
    model.predict(X, verbose=0)
    program, before = engine.program(model, False), layer.count
    model.predict(X, verbose=0)
    assert engine.program(model, False) is program
    assert layer.count == before + 1


def test_models_with_their_own_call_notice_too() -> None:
    class Own(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    model = Own()
    assert (model.predict(X, verbose=0) == 2).all()
    model.scale = 3.0
    assert (model.predict(X, verbose=0) == 3).all()


class Parts(layers.Layer):
    """Holds a weight, a parameter and a module of torch's, lists of layers and modules, and a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.several = layers.Dense(3), [layers.Dense(3), torch.nn.Linear(3, 3)]

    def build(self, shape: Any) -> None:
        self.w = self.add_weight((3, 2), name="w")
        self.p = torch.nn.Parameter(torch.ones(2))
        self.linear = torch.nn.Sequential(torch.nn.Linear(2, 2))
        self.shift = torch.ones(2, device=here())
        self.last = None

    def call(self, x: Any) -> Any:
        self.last = x
        for layer in (self.inner, *self.several):
            x = layer(x)
        return self.linear(x @ self.w * self.p) + self.shift


PARTS: dict[str, Callable[[Any], object]] = {
    "an array over a weight": lambda layer: setattr(layer, "w", np.ones((3, 2))),
    "an array over a parameter": lambda layer: setattr(layer, "p", np.full(2, 3.0)),
    "a parameter": lambda layer: setattr(layer, "p", torch.nn.Parameter(on_device(torch.full((2,), 5.0)))),
    "a module": lambda layer: setattr(layer, "linear", torch.nn.Linear(2, 2, device=here())),
    "a parameter of a module": lambda layer: setattr(
        layer.linear[0], "weight", torch.nn.Parameter(on_device(torch.ones(2, 2)))
    ),
    "a layer": lambda layer: setattr(layer, "inner", layers.Dense(3)),
    "a layer in a list": lambda layer: layer.several.__setitem__(0, layers.Dense(3)),
    "a module in a list": lambda layer: layer.several.__setitem__(1, torch.nn.Linear(3, 3, device=here())),
    "a tensor": lambda layer: setattr(layer, "shift", torch.zeros(2, device=here())),
}


@pytest.mark.parametrize("what", PARTS)
def test_what_takes_the_place_of_a_part_is_what_runs_and_learns(what: str) -> None:
    layer = Parts()
    model = model_of(layer)
    model.compile("sgd", "mse")
    y = model.predict(X, verbose=0)
    model.fit(X, y, verbose=0)
    lowered = engine.program(model, False)
    model.predict(X, verbose=0)
    assert engine.program(model, False) is lowered
    before = model.predict(X, verbose=0)
    PARTS[what](layer)
    expected = layer.call(on_device(torch.ones(2, 3)))
    found = model.predict(X, verbose=0)
    np.testing.assert_allclose(found, expected.detach().cpu(), rtol=1e-5)
    np.testing.assert_allclose(model(X).detach().cpu(), found, rtol=1e-5)
    np.testing.assert_allclose(model.to_torch()(on_device(torch.ones(2, 3))).detach().cpu(), found, rtol=1e-5)
    assert not np.allclose(found, before)
    values = model.get_weights()
    assert len(values) == 10
    model.fit(X, y + 1, verbose=0)
    assert all((now != then).any() for now, then in zip(model.get_weights(), values, strict=True))


class Own(layers.Dense):
    """A user's subclass."""


@pytest.mark.parametrize("kind", [layers.Dense, Own])
def test_a_weight_is_assigned_to_or_stays(kind: type[layers.Dense]) -> None:
    layer, other = kind(2), layers.Dense(2)
    model = model_of(layer)
    model_of(other)
    kernel, bias = layer.kernel, layer.bias
    for value in (np.ones((3, 2)), torch.ones(3, 2), [[1, 1]] * 3, torch.nn.Parameter(torch.ones(3, 2))):
        layer.kernel = value  # type: ignore[assignment]  # what the test is about
        layer.kernel *= 2  # type: ignore[assignment, operator]
        assert layer.kernel is kernel is layer.weights[0]
        assert (model.predict(X, verbose=0) == 6).all()
        assert (layer(X) == 6).all()
        kernel.assign(np.zeros((3, 2)))
    for value in (
        np.ones((2, 3)),
        1.0,
        [1, 2],
        np.ones((3, 2), complex),
        None,
        "ones",
        other,
        other.kernel,
        bias,
        True,
        ab.Input((3,)),
    ):
        with pytest.raises(AnabranchError):
            layer.kernel = value  # type: ignore[assignment]
        assert layer.kernel is kernel
        assert not kernel.numpy().any()
    with pytest.raises(AnabranchError, match="is built: it has weights"):
        layer.build((None, 3))
    assert layer.kernel is kernel


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (layers.BatchNormalization(), ("gamma", "beta", "moving_mean", "moving_variance")),
        (layers.RMSNormalization(), ("scale",)),
        (layers.SeparableConv1D(2, 1), ("depthwise_kernel", "pointwise_kernel", "bias")),
        (layers.PReLU(), ("alpha",)),
        (layers.Embedding(4, 2), ("embeddings",)),
    ],
)
def test_every_weight_of_the_library_s_layers_is_guarded(layer: Any, names: tuple[str, ...]) -> None:
    layer.build((None, 3, 2))
    for name in names:
        held = getattr(layer, name)
        setattr(layer, name, np.full(held.shape, 0.5))
        assert getattr(layer, name) is held
        assert (held.numpy() == 0.5).all()
    assert len(layer.weights) == len(names)


def test_what_a_traced_call_stores_does_not_stay() -> None:
    class Storing(layers.Dense):
        def call(self, x: Any) -> Any:
            self.seen = x
            self.several = [x, {"a": x * 2}]
            return super().call(x)

    layer = Storing(3)
    model = model_of(layer)
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    model.predict(X, verbose=0)
    model.to_torch()
    assert not {"seen", "several"} & vars(layer).keys()
    copy.deepcopy(model).fit(X, X, verbose=0)
    assert layer(X).equal(layer(layer.seen))
    assert layer.several[1]["a"].tolist() == (2 * X).tolist()
    assert model.get_weights()


def test_a_call_that_is_set_later_takes_effect() -> None:
    class Same(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    layer = Same()
    model = model_of(layer)
    assert model.predict(X, verbose=0).tolist() == X.tolist()
    Same.call = lambda self, x: x * 2  # type: ignore[method-assign]
    assert model.predict(X, verbose=0).tolist() == (2 * X).tolist()
    layer.call = lambda x: x * 3  # type: ignore[method-assign]
    assert model.predict(X, verbose=0).tolist() == (3 * X).tolist()
    del layer.call
    assert model(X).tolist() == (2 * X).tolist()


FACTOR = 2.0


def scaled(x: Any) -> Any:
    return x * FACTOR


class Factor:
    value = 2.0


def by_closure() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    factor = 2.0

    def change(value: float) -> None:
        nonlocal factor
        factor = value

    return lambda x: x * factor, change


def by_variable() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    return scaled, lambda value: globals().update(FACTOR=value)


def by_dict() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    held = {"factor": 2.0}
    return lambda x: x * held["factor"], lambda value: held.update(factor=value)


def by_object() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    held = Factor()
    return lambda x: x * held.value, lambda value: setattr(held, "value", value)


def by_helper() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    return lambda x: scaled(x), by_variable()[1]


@pytest.mark.parametrize("made", [by_closure, by_variable, by_dict, by_object, by_helper])
@pytest.mark.parametrize("kind", ["Lambda", "Activation", "Dense", "Lambda in a nested model"])
def test_what_functions_among_settings_read_is_followed(kind: str, made: Callable[[], Any]) -> None:
    function, change = made()
    change(2.0)
    x = ab.Input((1,))
    if kind == "Dense":
        y = layers.Dense(1, activation=function, kernel_initializer="ones")(x)
    elif kind == "Lambda in a nested model":
        inner = ab.Input((1,))
        y = ab.Model(inner, layers.Lambda(function)(inner))(x)
    else:
        y = getattr(layers, kind)(function)(x)
    model = ab.Model(x, y)
    for value in (2.0, 7.0, 3.0):
        change(value)
        assert model.predict(np.ones((2, 1)), verbose=0).tolist() == [[value], [value]]
        assert model(np.ones((1, 1), "float32")).tolist() == [[value]]
    change(2.0)


def test_a_lambda_that_made_layers_keeps_them_and_warns() -> None:
    held = {"factor": 2.0}
    x = ab.Input((1,))
    model = ab.Model(x, layers.Lambda(lambda t: layers.Dense(1, kernel_initializer="ones")(t) * held["factor"])(x))
    assert model.predict(np.ones((1, 1)), verbose=0).tolist() == [[2.0]]
    held["factor"] = 3.0
    with pytest.warns(UserWarning, match=r"reads around it has changed, without effect"):
        assert model.predict(np.ones((1, 1)), verbose=0).tolist() == [[2.0]]
    assert len(model.weights) == 2

"""Users' own classes and functions as data: by registration, by a scope, by ``custom_objects=``, and an error that says how."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import constraints, initializers, layers, losses, metrics, optimizers, regularizers, saving
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.models import model_from_json

X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")


class Scaled(layers.Layer):
    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


def bent(x: Any) -> Any:
    return torch.where(x > 0, x, 0.25 * x)


class Halves(initializers.Initializer):
    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return np.full(shape, 0.5 * self.sign)


class Cubes(regularizers.Regularizer):
    def __init__(self, factor: float = 0.5) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return self.factor * (x.abs() ** 3).sum()


class Below(constraints.Constraint):
    def __init__(self, most: float = 0.4) -> None:
        self.most = most

    def __call__(self, w: Any) -> Any:
        return w.clamp(max=self.most)


class Apart(losses.Loss):
    def __init__(self, power: float = 2.0, name: str = "apart", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.power = power

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ((y_true - y_pred).abs() ** self.power).mean(-1)


class Share(metrics.Metric):
    def __init__(self, bound: float = 0.5, name: str = "share", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.bound = bound
        self.total = self.add_weight(name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign((y_pred > self.bound).float().mean())

    def result(self) -> Any:
        return self.total.value


class Slow(optimizers.SGD):
    def __init__(self, learning_rate: Any = 0.1, slowness: float = 2.0, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.slowness = slowness


class Stairs(optimizers.schedules.LearningRateSchedule):
    def __init__(self, height: float = 0.1) -> None:
        self.height = height

    def __call__(self, step: Any) -> Any:
        return self.height / (1 + step // 2)


IN_A_MODEL: list[tuple[Any, Callable[[], Any]]] = [
    (Scaled, lambda: Scaled(3.0)),
    (bent, lambda: layers.Dense(2, activation=bent)),
    (bent, lambda: layers.Activation(bent)),
    (Halves, lambda: layers.Dense(2, kernel_initializer=Halves(-1.0))),
    (Cubes, lambda: layers.Dense(2, kernel_regularizer=Cubes(0.25))),
    (Cubes, lambda: layers.Dense(2, activity_regularizer=Cubes(0.25))),
    (Below, lambda: layers.Dense(2, kernel_constraint=Below(0.1))),
]


def ways(custom: Any) -> list[tuple[str, Any, dict[str, Any]]]:
    """Return how a custom object can be made known: a context, and arguments of what reads."""
    table = {custom.__name__: custom}
    return [
        ("custom_objects=", contextlib.nullcontext(), {"custom_objects": table}),
        ("scope", saving.CustomObjectScope(table), {}),
        ("registered", registered(custom), {}),
    ]


@contextlib.contextmanager
def registered(custom: Any) -> Any:
    """Register for the block, as a decorator does for good; what was written before is found as well."""
    known = saving.get_custom_objects()
    before = dict(known)
    known[custom.__name__] = custom
    try:
        yield
    finally:
        known.clear()
        known.update(before)


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize(("custom", "build"), IN_A_MODEL)
def test_in_a_models_json(custom: Any, build: Callable[[], Any], way: int) -> None:
    x = ab.Input((3,))
    model = ab.Model(x, build()(x))
    text = model.to_json()
    with pytest.raises(
        ArgumentError, match=rf"(?s){custom.__name__}.*custom_objects={{'{custom.__name__}': {custom.__name__}}}"
    ):
        model_from_json(text)
    _, context, given = ways(custom)[way]
    with context:
        twin = model_from_json(text, **given)
    assert json.loads(twin.to_json()) == json.loads(text)
    twin.set_weights(model.get_weights())
    assert equal(twin(X), model(X))
    assert [loss.tolist() for loss in twin.losses] == [loss.tolist() for loss in model.losses]


AS_DATA: list[tuple[Any, Any, Any]] = [
    (initializers, Halves, Halves(-1.0)),
    (regularizers, Cubes, Cubes(0.25)),
    (constraints, Below, Below(0.1)),
    (losses, Apart, Apart(3.0)),
    (metrics, Share, Share(0.75)),
    (optimizers, Slow, Slow(0.3, 4.0)),
    (optimizers.schedules, Stairs, Stairs(0.3)),
    (layers, Scaled, Scaled(4.0)),
]


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize(("room", "kind", "made"), AS_DATA)
def test_as_data(room: Any, kind: Any, made: Any, way: int) -> None:
    data = json.loads(json.dumps(room.serialize(made)))
    with pytest.raises(ArgumentError, match=kind.__name__):
        room.deserialize(data)
    _, context, given = ways(kind)[way]
    with context:
        again = room.deserialize(data, **given)
    assert type(again) is kind
    assert again.get_config() == made.get_config() == json.loads(json.dumps(made.get_config()))
    own = set(vars(made)) & {"sign", "factor", "most", "power", "bound", "slowness", "height"}
    assert own
    assert all(getattr(again, name) == getattr(made, name) for name in own)


def test_what_compile_takes_trains_alike_after_a_round_trip() -> None:
    def trained(optimizer: Any, loss: Any, metric: Any) -> Any:
        ab.utils.set_random_seed(1)
        x = ab.Input((3,))
        model = ab.Model(x, layers.Dense(2)(x))
        model.compile(optimizer, loss, metrics=[metric])
        history = model.fit(X, Y, epochs=3, batch_size=2, shuffle=False, verbose=0).history
        return history, [weight.tolist() for weight in model.get_weights()]

    table = {kind.__name__: kind for kind in (Slow, Stairs, Apart, Share)}
    made = Slow(Stairs(0.3), 4.0), Apart(3.0), Share(0.75)
    written = [
        json.loads(json.dumps(room.serialize(each))) for room, each in zip((optimizers, losses, metrics), made, strict=True)
    ]
    with saving.CustomObjectScope(table):
        read = [room.deserialize(data) for room, data in zip((optimizers, losses, metrics), written, strict=True)]
    assert trained(*read) == trained(*made)
    assert read[0].slowness == 4.0


def test_a_registered_name_has_its_package() -> None:
    before = dict(saving.get_custom_objects())

    @saving.register_keras_serializable("ours", "Other")
    class Doubled(layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    try:
        x = ab.Input((3,))
        text = ab.Model(x, Doubled()(x)).to_json()
        assert '"ours>Other"' in text
        assert type(model_from_json(text).layers[1]) is Doubled
    finally:
        saving.get_custom_objects().clear()
        saving.get_custom_objects().update(before)


@pytest.mark.parametrize("package", [initializers, constraints, regularizers, losses, metrics, optimizers])
def test_an_array_in_the_place_of_an_object_is_refused(package: Any) -> None:
    """As a damaged file may have it: a layer would keep the array and fail at its first use."""
    with pytest.raises(ArgumentTypeError, match="Expected a"):
        package.get({"class_name": "__numpy__", "config": {"value": [[1.0]], "dtype": "float32"}})

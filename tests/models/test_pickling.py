"""Models, what fit returns and torch modules go through pickle and torch.save: by data, to other processes and into files."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import layers

X, Y = np.ones((4, 4), "float32"), np.ones((4, 2), "float32")


class Net(ab.Model):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.dense(x) * 2.0


def functional() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(2, activation="relu")(layers.BatchNormalization()(x)))


def sequential() -> ab.Model:
    return ab.Sequential([ab.Input((4,)), layers.Dense(2)])


@pytest.mark.parametrize("make", [functional, sequential, lambda: Net(2)])
def test_a_trained_model_comes_back_with_weights_and_compiled(make: Any) -> None:
    model = make()
    model.compile(ab.optimizers.SGD(0.5), "mse", metrics=["mae"])
    history = model.fit(X, Y, verbose=0)
    twin = pickle.loads(pickle.dumps(model))
    assert type(twin) is type(model)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    assert float(twin.optimizer.learning_rate) == 0.5
    assert not set(twin.weights) & set(model.weights)
    twin.fit(X, Y, verbose=0)
    assert pickle.loads(pickle.dumps(history)).history == history.history


def test_an_unbuilt_model_comes_back_unbuilt() -> None:
    assert not pickle.loads(pickle.dumps(ab.Sequential([layers.Dense(2)]))).built
    assert pickle.loads(pickle.dumps(Net(3))).dense.units == 3


@ab.utils.register_keras_serializable("elsewhere")
class Registered(layers.Layer):
    def call(self, x: Any) -> Any:
        return x + 1


class Scaled(layers.Layer):
    def __init__(self, factor: float, function: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.function, self.inner = factor, function, layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.factor


def doubled(x: Any) -> Any:
    return 2 * x


def test_classes_and_functions_of_the_users_need_no_registration() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2, activation=doubled)(Registered()(Scaled(3.0)(x))))
    for twin in (pickle.loads(pickle.dumps(model)), saved(model)):
        np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_what_trains_comes_back() -> None:
    model = functional()
    model.layers[-1].kernel.trainable = False
    twin = pickle.loads(pickle.dumps(model))
    assert [weight.path for weight in twin.trainable_weights] == [weight.path for weight in model.trainable_weights]
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def test_layers_weights_optimizers_and_modules_that_hold_models() -> None:
    model = functional()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    layer = pickle.loads(pickle.dumps(model.layers[-1]))
    np.testing.assert_array_equal(layer.kernel.numpy(), model.layers[-1].kernel.numpy())
    assert (layer.name, layer.calls, len(model.layers[-1].calls)) == (model.layers[-1].name, [], 1)
    weight = pickle.loads(pickle.dumps(model.weights[0]))
    assert weight.value is not model.weights[0].value
    assert equal(weight.value, model.weights[0].value)
    assert pickle.loads(pickle.dumps(model.optimizer)).iterations == model.optimizer.iterations
    net = torch.nn.Sequential(model, torch.nn.ReLU()).eval()
    x = torch.ones(2, 4)
    for twin in (pickle.loads(pickle.dumps(net)), saved(net)):
        torch.testing.assert_close(twin(x), net(x))
    net.train()
    assert pickle.loads(pickle.dumps(net))[0].training


@pytest.mark.parametrize("training", [False, True])
def test_a_torch_module_goes_through_torch_save(training: bool) -> None:
    module = functional().to_torch().train(training)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    twin = torch.load(file, weights_only=False)
    x = torch.randn(3, 4)
    torch.testing.assert_close(twin(x.to(next(module.parameters()).device)), module(x.to(next(module.parameters()).device)))
    twin.eval()(x.to(next(module.parameters()).device))

"""Layers and models answer to torch people: parameters, state_dict, train and eval, and as parts of torch's own modules."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, here, on_device
from torch import nn

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, MissingAttributeError, NotReadyError

X = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32")


def picture() -> ab.Model:
    inputs = ab.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Flatten()(layers.BatchNormalization()(x))
    return ab.Model(inputs, layers.Dense(2, name="head")(layers.Dropout(0.5)(x)), name="picture")


def nested() -> ab.Model:
    x = ab.Input((6, 6, 3))
    inner = ab.Model(x, layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(x)), name="inner")
    y = ab.Input((6, 6, 3))
    return ab.Model(y, layers.Dense(2)(inner(inner(y))))


class Gate(layers.Layer):
    """Layers, a weight, a torch module and a parameter, all held by one layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(5), layers.Dense(3)
        self.rows = [layers.Dense(3), nn.LayerNorm(3)]
        self.gain = nn.Parameter(torch.ones(3))

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((3,), "ones", name="scale")

    def call(self, x: Any) -> Any:
        dense, norm = self.rows
        return norm(dense(self.second(self.first(x)))) * self.scale * self.gain


def gated() -> ab.Model:
    x = ab.Input((6, 6, 3))
    return ab.Model(x, layers.Dense(2)(Gate()(x)))


class Own(ab.Model):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.drop = layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.drop(self.norm(self.stem(x)))


def alone() -> ab.Model:
    x = ab.Input((6, 6, 3))
    return ab.Model(x, layers.PReLU(alpha_initializer="uniform")(x))


def own() -> ab.Model:
    model = Own()
    model(X)
    return model


MODELS: dict[str, Callable[[], Any]] = {"picture": picture, "nested": nested, "gated": gated, "alone": alone, "own": own}


@pytest.mark.parametrize("name", MODELS)
def test_names_and_tensors_are_those_of_to_torch(name: str) -> None:
    model = MODELS[name]()
    module = model.to_torch()
    assert dict(model.named_parameters()).keys() == dict(module.named_parameters()).keys()
    for path, parameter in module.named_parameters():
        assert dict(model.named_parameters())[path] is parameter
    state = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert model.state_dict().keys() == state.keys()
    assert {id(p) for p in model.parameters()} == {id(w.value) for w in model.trainable_weights}
    assert len(list(model.parameters())) + len(list(model.buffers())) == len(model.weights)


@pytest.mark.parametrize("name", MODELS)
def test_state_goes_both_ways(name: str) -> None:
    model, other = MODELS[name](), MODELS[name]()
    x = on_device(X)
    assert not equal(model(x), other(x))
    other.load_state_dict(model.to_torch().state_dict())
    torch.testing.assert_close(other(x), model(x))
    third = MODELS[name]()
    third.to_torch().load_state_dict(model.state_dict())
    torch.testing.assert_close(third(x), model(x))


def test_wrong_states_are_refused() -> None:
    model = picture()
    state = dict(model.state_dict())
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "head.bias"'):
        model.load_state_dict({key: value for key, value in state.items() if key != "head.bias"})
    for key in ("other", "head.other", "other.weight", "head.num_batches_tracked"):
        with pytest.raises(RuntimeError, match=f'Unexpected key.*"{key}"'):
            model.load_state_dict({**state, key: torch.ones(1)})
        assert model.load_state_dict({**state, key: torch.ones(1)}, strict=False).unexpected_keys == [key]
    with pytest.raises(RuntimeError, match=r"size mismatch for head\.bias"):
        model.load_state_dict({**state, "head.bias": torch.ones(3)})
    with pytest.raises(ArgumentError, match=r"load_state_dict\(state\), which copies"):
        model.load_state_dict(state, assign=True)


@pytest.mark.parametrize("name", MODELS)
def test_an_optimizer_of_torch_trains_what_predict_computes(name: str) -> None:
    model, x = MODELS[name](), on_device(X)
    before = model.predict(X, verbose=0)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    losses = []
    for _ in range(5):
        loss = (model(x) - 1).square().mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not np.allclose(model.predict(X, verbose=0), before)
    np.testing.assert_allclose(model.predict(X, verbose=0), model(x).detach().cpu().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_part_of_a_torch_module(name: str) -> None:
    class Net(nn.Module):
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body, self.scale = body, nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) * self.scale

    model = MODELS[name]()
    net, x = Net(model), on_device(X)
    assert net.body is model
    names = {f"body.{path}" for path, _ in model.named_parameters()} | {"scale"}
    assert {path for path, _ in net.named_parameters()} == names
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    before = {path: parameter.detach().clone() for path, parameter in net.named_parameters()}
    (net(x) - 1).square().mean().backward()
    optimizer.step()
    net.zero_grad()
    assert all(not equal(value, dict(net.named_parameters())[path]) for path, value in before.items() if "bias" not in path)
    other = Net(MODELS[name]())
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other.eval()(x), net.eval()(x))
    twin = copy.deepcopy(net)
    torch.testing.assert_close(twin(x), net(x))
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in net.parameters()}
    assert net.to(here()).float() is net
    with pytest.raises(ArgumentError, match="set_dtype_policy"):
        net.double()


def test_a_part_of_a_torch_module_has_its_mode() -> None:
    model, x = picture(), on_device(X)
    mean = model.get_layer("batch_normalization").moving_mean
    net = nn.Sequential(model, nn.ReLU())
    net(x)
    assert not np.allclose(mean.numpy(), 0), "a new torch module is in training mode"
    before = mean.numpy()
    net.eval()(x)
    np.testing.assert_array_equal(mean.numpy(), before)
    model.predict(X, verbose=0)
    net.train()
    model.predict(X, verbose=0)
    np.testing.assert_array_equal(mean.numpy(), before)
    assert not equal(net(x), net(x)), "dropout"
    assert list(nn.ModuleList([picture(), layers.ReLU()])[0].parameters())
    assert not isinstance(model, nn.Module)
    assert model.__class__ is ab.Model


def test_a_layer_is_a_part_of_a_torch_module_once_it_is_built() -> None:
    dense = layers.Dense(3)
    net = nn.Sequential(dense, layers.ReLU())
    with pytest.raises(NotReadyError, match="build"):
        list(net.parameters())
    dense.build((None, 4))
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert net(torch.ones(2, 4)).shape == (2, 3)


def test_modes() -> None:
    model, x = picture(), on_device(X)
    assert equal(model(x), model(x))
    assert model.train() is model
    assert not equal(model(x), model(x))
    assert equal(model(x, training=False), model(x, training=False))
    model.get_layer("batch_normalization").eval()
    with pytest.raises(
        ArgumentError, match=r"(?s)BatchNormalization 'batch_normalization' was set to eval\(\).*trainable = False"
    ):
        model(x)
    assert equal(model.eval()(x), model(x))
    layer = layers.Dropout(0.5)
    assert (layer.train()(torch.ones(100)) == 0).any()


def test_requires_grad_is_seen_by_fit() -> None:
    model = picture()
    model.compile(ab.optimizers.SGD(0.1), "mse")
    y = np.ones((8, 2), "float32")
    head = model.get_layer("head")

    def moved() -> list[str]:
        before = [weight.numpy() for weight in model.weights]
        model.fit(X, y, verbose=0)
        return [w.path for w, value in zip(model.weights, before, strict=True) if not np.array_equal(w.numpy(), value)]

    statistics = ["batch_normalization/moving_mean", "batch_normalization/moving_variance"]
    everything = moved()
    assert len(everything) == 8
    assert model.requires_grad_(False) is model
    head.requires_grad_(True)
    assert moved() == ["batch_normalization/moving_mean", "batch_normalization/moving_variance", "head/kernel", "head/bias"]
    model.to_torch().head.weight.requires_grad_(False)
    assert [weight.path for weight in model.trainable_weights] == ["head/bias"]
    assert moved() == [*statistics, "head/bias"]
    model.requires_grad_()
    assert moved() == everything
    head.trainable = False
    model.predict(X, verbose=0)
    model.to_torch().head.weight.requires_grad_(True)
    model.predict(X, verbose=0)
    with pytest.raises(ArgumentError, match=r"(?s)'head/kernel' was set.*layer.trainable = True"):
        model.fit(X, y, verbose=0)
    head.trainable = True
    assert moved() == everything


def test_conversions_are_refused_with_the_way() -> None:
    model = picture()
    assert model.to(torch.float32).to(here()).float().to(here(), torch.float32) is model
    for convert in (model.double, model.half, model.bfloat16, lambda: model.to(torch.float64)):
        with pytest.raises(ArgumentError, match=r"(?s)dtype is part of its graph.*set_dtype_policy.*to_torch\(\)"):
            convert()
    with pytest.raises(ArgumentError, match="functional_call"):
        model.to("meta")
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_what_is_missing_names_the_way() -> None:
    with pytest.raises(MissingAttributeError, match=r"module = model.to_torch\(\)"):
        picture().register_forward_hook(print)
    with pytest.raises(NotReadyError, match="build"):
        ab.Sequential([layers.Dense(2)]).parameters()


class Registering(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(3, device=here()))
        self.register_buffer("offset", torch.zeros(3, device=here()), persistent=False)
        self.register_parameter("gain", nn.Parameter(torch.ones(3, device=here())))
        self.register_parameter("bias", None)
        self.add_module("norm", nn.LayerNorm(3, device=here()))
        self.limit = nn.Buffer(torch.ones(3, device=here()))

    def call(self, x: Any) -> Any:
        self.steps.add_(1)
        return torch.minimum(self.norm(x) * self.gain + self.offset, self.limit)


def test_layers_register_what_they_hold_as_modules_do() -> None:
    x = ab.Input((3,))
    model = ab.Model(x, Registering()(x))
    assert list(model.state_dict()) == [
        f"registering.{name}" for name in ("gain", "steps", "limit", "norm.weight", "norm.bias")
    ]
    assert [w.path for w in model.trainable_weights] == ["registering/gain", "registering/norm/weight", "registering/norm/bias"]
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 3)), batch_size=2, epochs=2, verbose=0)
    layer = model.layers[1]
    assert layer.steps.tolist() == [4.0] * 3
    assert not equal(layer.gain, on_device(torch.ones(3)))
    assert layer.bias is None
    other = ab.Model(x, Registering()(x))
    other.load_state_dict(model.state_dict())
    assert equal(other.layers[1].steps, layer.steps)
    for register, name, value in (
        (layer.register_buffer, "call", torch.ones(3)), (layer.register_buffer, "a.b", torch.ones(3)),
        (layer.register_buffer, "one", 1), (layer.register_parameter, "one", torch.ones(3)),
    ):  # fmt: skip
        with pytest.raises((ArgumentError, ArgumentTypeError), match="register_"):
            register(name, value)
    for owner in (layers.Dense(2), picture()):
        with pytest.raises(MissingAttributeError, match="register_buffer"):
            owner.register_buffer("steps", torch.zeros(3))


def test_apply_sets_values_as_modules_do() -> None:
    def ones(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.weight)

    model = picture()
    net = nn.Sequential(model, nn.Linear(2, 2, device=here()))
    before = model.predict(X, verbose=0)
    assert net.apply(ones) is net
    assert (model.get_layer("head").kernel.numpy() == 1).all()
    assert not np.allclose(model.predict(X, verbose=0), before)
    assert model.apply(ones) is model
    for lost in (
        lambda module: module.register_forward_hook(print),
        lambda module: nn.utils.parametrizations.weight_norm(module),
    ):
        with pytest.raises(ArgumentError, match=r"would be lost.*"):
            model.apply(lambda module, lost=lost: lost(module) if isinstance(module, nn.Linear) else None)


def test_modules_inside() -> None:
    model = gated()
    assert [name for name, _ in model.named_children()] == ["gate", "dense"]
    found = dict(model.named_modules())
    assert isinstance(found["gate.rows.1"], nn.LayerNorm)
    assert [type(found[f"gate.{name}"]) for name in ("dense", "dense_1", "dense_2")] == [layers.Dense] * 3
    assert next(iter(model.modules())) is model
    assert list(model.children()) == [model.get_layer("gate"), model.get_layer("dense")]


def test_only_torch_s_modules_make_a_layer_say_what_it_is() -> None:
    model = picture()
    model.compile("sgd", "mse")
    y = np.ones((8, 2), "float32")
    asked: list[str] = []

    def note(frame: types.FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "__class__" and "torch_members" in frame.f_code.co_filename:
            asked.append(str(frame.f_back))

    model.train_on_batch(X, y)
    sys.setprofile(note)
    try:
        model.train_on_batch(X, y)
        model.predict_on_batch(X)
        ab.Model(model.input, layers.Add()([model.output, model.output]))
        assert not asked
        nn.Sequential(model)
    finally:
        sys.setprofile(None)
    assert asked

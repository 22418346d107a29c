"""Modules and parameters of torch as weights: one weight for one tensor, in training mode as the layer is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal
from torch import nn

import anabranch as ab
from anabranch import layers
from anabranch._errors import NotReadyError


class Holding(layers.Layer):
    """Holds modules and a parameter."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.parts = list(modules)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x * self.scale


def test_one_weight_for_one_tensor() -> None:
    linear = nn.Linear(3, 3)
    once, twice = Holding(linear), Holding(linear, linear)
    assert len(once.weights) == 3
    assert len(twice.weights) == 3  # a module that is held twice counts once
    shared = [weight for weight in once.weights if any(weight is other for other in twice.weights)]
    assert len(shared) == 2
    kernel = next(weight for weight in shared if weight.shape == (3, 3))
    kernel.assign(np.eye(3))
    assert equal(linear.weight.detach(), torch.eye(3))
    with torch.no_grad():
        linear.weight.zero_()
    assert not kernel.numpy().any()


def test_a_parameter_that_is_frozen_in_torch_is_not_trained() -> None:
    linear = nn.Linear(3, 2)
    linear.bias.requires_grad_(False)
    layer = layers.TorchModule(linear)
    assert [weight.trainable for weight in layer.weights] == [True, False]
    assert len(layer.trainable_weights) == 1


def test_modules_follow_the_layers_mode() -> None:
    drop = nn.Dropout(0.5)
    layer = Holding(drop)
    x = torch.ones(8, 64)
    assert (layer(x, training=True) == 0).any()
    assert drop.training
    assert not (layer(x, training=False) == 0).any()
    assert not drop.training


def test_training_equals_torch() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(3, 2)
    twin = nn.Linear(3, 2)
    twin.load_state_dict(linear.state_dict())
    x, y = torch.randn(8, 3), torch.randn(8, 2)
    inputs = ab.Input((3,))
    model = ab.Model(inputs, linear(inputs))
    model.compile(ab.optimizers.SGD(0.1), "mse")
    model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ((twin(x) - y) ** 2).mean().backward()
        optimizer.step()
    assert allclose(linear.weight, twin.weight, atol=1e-6)


def test_a_lazy_module_is_refused_until_it_has_sizes() -> None:
    lazy = nn.LazyLinear(2)
    with pytest.raises(NotReadyError, match="LazyLinear that a layer holds has no sizes yet"):
        ab.Sequential([Holding(lazy)])(torch.ones(2, 3))
    lazy(torch.ones(2, 3))
    assert len(Holding(lazy).weights) == 3


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        layers.TorchModule(len)

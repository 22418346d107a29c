"""What a user's call computes from torch's own parameters, and in torch's contexts, is what runs, in both modes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import allclose
from torch import nn

import anabranch as ab
from anabranch import layers

Call = Callable[[Any, Any], Any]


class Holder(layers.Layer):
    """Computes what a function says of a module and an input."""

    def __init__(self, module: nn.Module, function: Call) -> None:
        super().__init__()
        self.module, self.function = module, function

    def call(self, x: Any) -> Any:
        return self.function(self.module, x)


class HoldingModel(ab.Model):
    """Computes the same as a model."""

    def __init__(self, module: nn.Module, function: Call) -> None:
        super().__init__()
        self.module, self.function = module, function

    def call(self, x: Any) -> Any:
        return self.function(self.module, x)


def _without_gradients(module: nn.Linear, x: Any) -> Any:
    h = module(x)
    with torch.no_grad():
        scale = h.abs().mean()
    return h / scale


def _switched(module: nn.Linear, x: Any) -> Any:
    torch.set_grad_enabled(False)
    h = module(x).square()
    torch.set_grad_enabled(True)
    return module(x) * h


@torch.no_grad()
def _scale(h: Any) -> Any:
    return h.abs().mean()


def _autocast(module: nn.Linear, x: Any) -> Any:
    with torch.autocast(x.device.type if isinstance(x, torch.Tensor) else "cpu", dtype=torch.bfloat16):
        return module(x).float()


CALLS: dict[str, Call] = {
    "tied": lambda module, x: F.relu(x @ module.weight.T) @ module.weight,
    "scaled": lambda module, x: F.linear(x, module.weight * 2),
    "normalized": lambda module, x: F.linear(x, module.weight / module.weight.norm()),
    "softmax": lambda module, x: x @ module.weight.softmax(0),
    "joined": lambda module, x: F.linear(x, torch.cat([module.weight[:2], module.weight[2:]])),
    "reversed": lambda module, x: x * (1 - module.bias[None, :]),
    "by its size": lambda module, x: F.linear(x, module.weight) / module.weight.shape[0],
    "an item": lambda module, x: module(x) * module.weight[0, 0].item(),
    "no_grad": _without_gradients,
    "no_grad, a decorator": lambda module, x: module(x) / _scale(module(x)),
    "set_grad_enabled": _switched,
    "autocast": _autocast,
}
MODULES: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)),
    "orthogonal": lambda: nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)),
}


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 4, generator=generator), torch.randn(8, 4, generator=generator)


def _agrees(module: nn.Module, function: Call, kind: str) -> None:
    """Train a model and, beside it, its module in a plain loop of torch's; compare results before, in and after training."""
    x, y = _data()
    beside = copy.deepcopy(module).train()
    if kind == "layer":
        inputs = ab.Input((4,))
        model = ab.Model(inputs, Holder(module, function)(inputs))
    else:
        model = HoldingModel(module, function)
    model.compile(ab.optimizers.SGD(0.1), "mse")
    model.predict(x, verbose=0)
    model.fit(x, y, batch_size=8, epochs=3, verbose=0)
    optimizer = torch.optim.SGD(beside.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.mse_loss(function(beside, x), y).backward()
        optimizer.step()
    names = dict(module.named_parameters())
    for name, parameter in beside.named_parameters():
        assert allclose(names[name].detach().cpu(), parameter.detach(), atol=1e-5), name
    beside.eval()
    wanted = function(beside, x).detach().numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(model.to_torch().eval().cpu()(x).detach(), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["layer", "model"])
@pytest.mark.parametrize("name", CALLS)
def test_what_a_call_computes_from_parameters_trains(name: str, kind: str) -> None:
    torch.manual_seed(0)
    _agrees(nn.Linear(4, 4), CALLS[name], kind)


@pytest.mark.parametrize("kind", ["layer", "model"])
@pytest.mark.parametrize("name", MODULES)
def test_parametrized_modules_train(name: str, kind: str) -> None:
    torch.manual_seed(0)
    _agrees(MODULES[name](), lambda module, x: module(x), kind)


def test_weights_of_a_tied_module_are_looked_up_at_each_call() -> None:
    embedding = nn.Embedding(5, 3)
    inputs = ab.Input((4,), dtype="int64")
    model = ab.Model(inputs, Holder(embedding, lambda module, x: module(x) @ module.weight.T)(inputs))
    ids = torch.tensor([[0, 1, 2, 4]])
    model.predict(ids, verbose=0)
    model.set_weights([np.arange(15, dtype="float32").reshape(5, 3)])
    table = np.arange(15, dtype="float32").reshape(5, 3)
    np.testing.assert_allclose(model.predict(ids, verbose=0), (table @ table.T)[[[0, 1, 2, 4]]])


def test_what_a_call_counts_is_counted_at_each_call() -> None:
    def count(module: nn.Module, x: Any) -> Any:
        module.calls.add_(1)  # type: ignore[operator]
        return module(x)

    linear = nn.Linear(4, 4)
    linear.register_buffer("calls", torch.zeros(()))
    inputs = ab.Input((4,))
    model = ab.Model(inputs, Holder(linear, count)(inputs))
    x, y = _data()
    model.compile("sgd", "mse")
    before = float(linear.calls)
    model.fit(x, y, batch_size=2, epochs=3, verbose=0)
    assert float(linear.calls) - before == 12


class Branching(layers.Layer):
    """Branches on values of what a layer inside gives, in training alone or always."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.dense, self.always = layers.Dense(4), always

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, x: Any, training: bool = False) -> Any:
        h = self.dense(x)
        return h * 2 if (training or self.always) and h.sum() > 0 else h

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@pytest.mark.parametrize("always", [False, True])
def test_a_layer_that_branches_after_a_layer_inside_leaves_for_torch(always: bool) -> None:
    x, _ = _data()
    layer, inputs = Branching(always), ab.Input((4,))
    model = ab.Model(inputs, layer(layer(inputs)))
    module = model.to_torch().eval()
    np.testing.assert_allclose(module.cpu()(x).detach(), model.predict(x, verbose=0), rtol=1e-5)
    assert len(list(module.parameters())) == 2
    module.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())

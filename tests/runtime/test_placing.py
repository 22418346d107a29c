"""What is on another device than the one in use goes there: seen on the meta device, which every machine has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import config, engine, layers, ops, runtime

pytestmark = pytest.mark.on_cpu


@pytest.fixture(autouse=True)
def on_meta() -> Iterator[None]:
    config.set_device("meta")
    yield
    config.set_device(None)


def kind(value: Any) -> str:
    return str(value.device.type)


@pytest.mark.parametrize("name", ["hypot", "maximum", "arctan2", "add"])
def test_a_function_of_tensors_on_two_devices_is_done_on_the_one_in_use(name: str) -> None:
    assert kind(getattr(ops, name)(torch.ones(2), np.ones(2, "float32"))) == "meta"
    assert kind(getattr(ops, name)(torch.ones(2), torch.ones(2))) == "cpu", "of one device, it stays there"


def test_an_error_of_one_device_is_reported_as_it_is() -> None:
    with pytest.raises(ab._errors.AnabranchError, match="matmul"):
        ops.matmul(torch.ones(2, 3, device="meta"), torch.ones(2, 3, device="meta"))


def test_constants_of_torch_follow_the_model() -> None:
    inputs, table = ab.Input((10, 4)), torch.ones(10, 4)
    for outputs in (inputs + table, torch.hypot(inputs, table), inputs @ torch.ones(4, 3)):
        assert kind(ab.Model(inputs, outputs)(np.ones((2, 10, 4), "float32"))) == "meta"


def test_a_budget_of_memory_is_counted_on_the_device() -> None:
    inputs = ab.Input((8,))
    x = layers.Dense(16, activation="relu")(layers.Dense(16, activation="relu")(inputs))
    model = ab.Model(inputs, layers.Dense(2)(x))
    model.compile("sgd", "mse", remat=1 << 20)
    program = engine.program(model, True, remat=model.remat)
    outputs, _ = program([torch.ones(4, 8, device="meta")])
    assert kind(outputs[0]) == "meta"


def test_numbers_drawn_on_an_accelerator_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([torch.tensor([1], dtype=torch.uint8), torch.tensor([2], dtype=torch.uint8)])
    accelerator = type("Module", (), {"get_rng_state": staticmethod(lambda *device: next(states))})
    monkeypatch.setattr(torch, "get_device_module", lambda device: accelerator)
    monkeypatch.setattr("anabranch.runtime.seeding.device", lambda: torch.device("xpu:0"))
    assert runtime.random_state() != runtime.random_state()

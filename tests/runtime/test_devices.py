"""Devices by name, and TF32."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from anabranch import config, layers, runtime
from anabranch._errors import ArgumentError
from anabranch.runtime import devices


@pytest.fixture(autouse=True)
def device_as_before() -> Iterator[None]:
    device, tf32 = config.device(), config.tf32()
    yield
    config.set_device(device)
    config.set_tf32(tf32)
    runtime.settle_tf32()


def use(name: str) -> torch.device:
    config.set_device(name)
    return runtime.device()


def test_the_device_follows_the_setting() -> None:
    config.set_device("cpu")
    assert runtime.device() == torch.device("cpu")
    assert runtime.describe_device() == "cpu"
    config.set_device("meta")
    assert runtime.as_tensor([1.0]).device.type == "meta"
    config.set_device(None)
    found = runtime.accelerator()
    assert runtime.device().type == (found.type if found else "cpu")


@pytest.mark.gpu
def test_weights_move_when_they_are_next_read() -> None:
    config.set_device("cpu")
    layer = layers.Dense(2)
    layer.build((None, 3))
    tensor = runtime.realize(layer.kernel)
    config.set_device("cuda")
    assert runtime.realize(layer.kernel) is tensor  # the optimizer's state hangs on the object
    assert tensor.device.type == "cuda"


def test_names_that_mean_no_device_are_refused() -> None:
    for name in ("gpuu", "cpu:x"):
        with pytest.raises(ArgumentError, match="device"):
            use(name)


class Machine:
    """A machine with accelerators of one kind, as ``torch.accelerator`` and the kind's own module show them."""

    def __init__(self, patch: pytest.MonkeyPatch, kind: str, count: int = 1, **module: Any) -> None:
        self.current = 0
        self.module = types.ModuleType(f"torch.{kind}")
        vars(self.module).update(is_available=lambda: count > 0, device_count=lambda: count, **module)
        own = torch.get_device_module
        patch.setattr(torch.accelerator, "is_available", lambda: count > 0)
        patch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
        patch.setattr(torch.accelerator, "device_count", lambda: count)
        patch.setattr(torch, "get_device_module", lambda of: self.module if torch.device(of).type == kind else own(of))
        devices._device.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    config.set_device(None)
    yield lambda kind, count=1, **module: Machine(monkeypatch, kind, count, **module)
    devices._device.cache_clear()


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_the_accelerator_is_what_users_get(machine: Callable[..., Machine], kind: str) -> None:
    machine(kind)
    assert runtime.device() == torch.device(kind, 0), "with its number, as tensors show it"
    assert use("gpu") == torch.device(kind, 0)
    assert use("cpu") == torch.device("cpu")


def test_the_number_of_the_device_is_torchs_current_one(machine: Callable[..., Machine]) -> None:
    current = [0]
    machine("xpu", 2, current_device=lambda: current[0], get_device_name=lambda device: f"Arc {device.index}")
    assert runtime.device() == torch.device("xpu:0")
    current[0] = 1
    assert runtime.device() == torch.device("xpu:1")
    assert runtime.describe_device() == "xpu:1 (Arc 1)"
    assert use("xpu:0") == torch.device("xpu:0")


def test_memory_is_asked_of_the_device(machine: Callable[..., Machine]) -> None:
    machine("xpu", mem_get_info=lambda device: (7, 9))
    assert (runtime.free_memory(torch.device("xpu:0")), runtime.free_memory(torch.device("cpu"))) == (7, 0)
    machine("mps")
    assert runtime.free_memory(torch.device("mps:0")) == 0, "which has no such function"


def test_memory_is_pinned_for_devices_with_memory_of_their_own() -> None:
    assert {kind for kind in ("cpu", "cuda", "meta", "mps", "xpu") if runtime.pins(torch.device(kind))} == {"cuda", "xpu"}


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps", "xpu:0", "vulkan", "ipu"])
def test_a_device_that_is_not_there_is_refused_with_the_repair(machine: Callable[..., Machine], name: str) -> None:
    machine("cuda" if "cuda" not in name else "xpu", 0)
    with pytest.raises(ArgumentError, match=rf"(?s)No {name.split(':')[0].upper()} device.*set_device\('cpu'\)"):
        use(name)


def test_a_number_beyond_the_last_device_is_refused(machine: Callable[..., Machine]) -> None:
    machine("cuda", 2)
    assert use("cuda:1").index == 1
    with pytest.raises(ArgumentError, match="No CUDA device number 2 is available"):
        use("gpu:2")


def test_tf32_is_set_and_put_back() -> None:
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    own = cuda.allow_tf32, cudnn.allow_tf32
    for allowed in (True, False):
        config.set_tf32(allowed)
        runtime.settle_tf32()
        assert (cuda.allow_tf32, cudnn.allow_tf32) == (allowed, allowed)
    config.set_tf32(None)
    runtime.settle_tf32()
    assert (cuda.allow_tf32, cudnn.allow_tf32) == own


def test_threads_are_torchs() -> None:
    assert runtime.threads() == torch.get_num_threads()

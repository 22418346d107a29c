"""Devices by name, and TF32."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from anabranch import config, layers, runtime
from anabranch._errors import ArgumentError


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
    assert runtime.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_refused_with_the_repair(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)No CUDA device.*set_device\('cpu'\)"):
        use(name)


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

"""How weights lie in memory: kernels of convolutions as channels-last images want them, and with them gradients and state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device
from torch.utils._python_dispatch import TorchDispatchMode

import anabranch as ab
from anabranch import layers

X = np.random.default_rng(0).random((8, 8, 8, 3)).astype("float32")


def network() -> Any:
    inputs = ab.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(inputs)
    y = layers.SeparableConv2D(6, 3, padding="same")(x)
    y = layers.DepthwiseConv2D(3, padding="same")(y)
    y = layers.Conv2DTranspose(4, 3, padding="same")(y)
    x = layers.BatchNormalization()(layers.add([x, y]))
    x = layers.Conv2D(4, 2)(layers.MaxPooling2D(2)(x))
    model = ab.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.compile("adam", "mse")
    return model


def is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


class Layouts(TorchDispatchMode):
    """Notes of each convolution whether the images and kernels it takes and gives are channels last; and copies."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[bool]]] = []
        self.copies: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name().split(".")[0]
        results = result if isinstance(result, (list, tuple)) else [result]
        if "convolution" in name:
            images = [value for value in (*args, *results) if isinstance(value, torch.Tensor) and value.dim() == 4]
            self.found.append((name, [is_channels_last(image) for image in images]))
        if name in ("aten::clone", "aten::contiguous", "aten::copy_", "aten::_to_copy") and args[0].dim() == 4:
            self.copies.append((name, tuple(args[0].shape)))
        return result


def test_no_step_reorders_an_image_or_a_kernel() -> None:
    model = network()
    y = np.zeros((8, 2), "float32")
    model.fit(X, y, batch_size=4, verbose=0)
    batch = on_device(X[:4]), on_device(y[:4])
    with Layouts() as seen:
        model.train_on_batch(*batch)
    names = [name for name, _ in seen.found]
    assert names.count("aten::convolution_backward") == 6
    assert all(all(layouts) for _, layouts in seen.found)
    assert seen.copies == []


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_kernels_gradients_and_state_are_channels_last(device: str) -> None:
    before = ab.config.device()
    ab.config.set_device(device)
    try:
        model = network()
        model.set_weights([weight * 2 for weight in model.get_weights()])
        model.fit(X, np.zeros((8, 2), "float32"), batch_size=4, verbose=0)
        gradients: dict[str, bool] = {}
        model(torch.from_numpy(X).to(device), training=True).sum().backward()
        kernels = [weight for weight in model.trainable_weights if weight.value.dim() == 4]
        assert len(kernels) == 6
        for weight in kernels:
            gradients[weight.path] = is_channels_last(weight.value.grad)
            state = model.optimizer._engine.state[weight.value]
            assert is_channels_last(weight.value)
            assert state
            assert all(is_channels_last(held) for held in state.values())
        assert all(gradients.values()), gradients
    finally:
        ab.config.set_device(before)

"""How weights lie in memory: kernels of convolutions as channels-last images want them, and with them gradients and state."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device
from torch.utils._python_dispatch import TorchDispatchMode

import anabranch as ab
from anabranch import layers
from anabranch._errors import ShapeError

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
            state = model.optimizer._engine_.state[weight.value]
            assert is_channels_last(weight.value)
            assert state
            assert all(is_channels_last(held) for held in state.values())
        assert all(gradients.values()), gradients
    finally:
        ab.config.set_device(before)


def squares() -> tuple[Any, Any]:
    """Two Dense layers whose kernels have one shape in Keras's layout and in torch's."""
    found = [layers.Dense(3), layers.Dense(3)]
    for layer in found:
        layer.build((None, 3))
    return found[0], found[1]


READ: dict[str, Any] = {
    "value": lambda weight: weight.value, "detached": lambda weight: weight.value.detach(),
    "data": lambda weight: weight.value.data, "items": lambda weight: weight[...], "numpy": lambda weight: weight.numpy(),
    "the weight": lambda weight: weight, "product": lambda weight: weight * 1.0,
    "convert_to_tensor": lambda weight: ab.ops.convert_to_tensor(weight), "list": lambda weight: weight.numpy().tolist(),
}  # fmt: skip


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("write", ["assign", "set_weights", "attribute", "stateless_call", "copy"])
def test_a_weight_reads_as_it_is_assigned(read: str, write: str) -> None:
    a, b = squares()
    wanted, value = b.kernel.numpy(), READ[read](b.kernel)
    if write == "assign":
        a.kernel.assign(value)
    elif write == "set_weights":
        a.set_weights([value if hasattr(value, "shape") else np.array(value), b.bias])
    elif write == "attribute":
        a.kernel = value[...] if read == "the weight" else value if hasattr(value, "shape") else np.array(value)
    elif write == "copy":
        a.kernel = copy.deepcopy(b).kernel.value
    else:
        y, _ = a.stateless_call([value, b.bias.value], [], np.eye(3, dtype="float32"))
        assert np.allclose(y.detach().cpu(), wanted)
        return
    assert np.array_equal(a.kernel.numpy(), wanted)


def test_values_in_torch_s_layout_fit_kernels_of_any_shape() -> None:
    a, b = layers.Conv2D(4, (2, 3)), layers.Conv2D(4, (2, 3))
    for layer in (a, b):
        layer.build((None, 8, 8, 5))
    for value in (b.kernel.value, next(iter(b.state_dict().values())), next(b.parameters())):
        a.kernel.assign(np.zeros(a.kernel.shape))
        a.kernel.assign(value)
        assert np.array_equal(a.kernel.numpy(), b.kernel.numpy())
    with pytest.raises(ShapeError, match="its shape in torch's layout"):
        a.kernel.assign(b.kernel.value.detach() * 0.5)


def test_what_is_computed_from_a_tensor_in_torch_s_layout_is_refused() -> None:
    a, b = squares()
    with pytest.raises(ShapeError, match="compute with the weight itself"):
        a.kernel.assign(a.kernel.value * 0.9 + b.kernel.value * 0.1)
    wanted = a.kernel.numpy() * 0.5 + b.kernel.numpy() * 0.5
    a.kernel.assign(a.kernel * 0.5 + b.kernel * 0.5)
    assert np.allclose(a.kernel.numpy(), wanted)
    a.kernel.assign(b.kernel.value.t() * 1.0)  # in Keras's layout
    assert np.array_equal(a.kernel.numpy(), b.kernel.numpy())


def test_a_call_that_assigns_the_value_of_another_weight_has_its_axes() -> None:
    class Copying(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = squares()

        def call(self, x: Any) -> Any:
            self.first.kernel.assign(self.second.kernel.value)
            return self.first(x)

    inputs = ab.Input((3,))
    model = ab.Model(inputs, Copying()(inputs))
    layer = model.layers[1]
    found = model(np.eye(3, dtype="float32"), training=True)
    assert np.allclose(found.detach().cpu(), layer.second.kernel.numpy())
    assert np.array_equal(layer.first.kernel.numpy(), layer.second.kernel.numpy())


def test_parameters_of_weights_that_lie_side_by_side_are_known_too() -> None:
    model = ab.Sequential([ab.Input((3,)), layers.Dense(3), layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 3)), verbose=0)
    a, b = (layer.kernel for layer in model.layers)
    a.assign(list(model.parameters())[2])
    assert np.array_equal(a.numpy(), b.numpy())

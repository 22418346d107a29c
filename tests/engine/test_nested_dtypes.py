"""What a nested model is given takes the dtype that its Input declares, by every way of running it."""

from typing import Any

import numpy as np
import pytest
import torch
from counting import calls
from devices import on_device

from anabranch import Input, Model, Sequential, config, layers, ops
from anabranch.graph.casting import is_cast

PIXELS = (np.arange(96) % 251).reshape(2, 4, 4, 3)


def convolution(inputs):
    return layers.Conv2D(2, 3, kernel_initializer="ones")(inputs)


def nested_twice(inputs):
    inner = Input(inputs.shape[1:])
    return Model(inner, convolution(inner))(inputs)


class Held(layers.Layer):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, inputs):
        return self.model(inputs)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float64", "bool"])
@pytest.mark.parametrize("body", [convolution, nested_twice, layers.MaxPooling2D(), layers.Flatten(), lambda x: x * 100])
@pytest.mark.parametrize("held", [False, True])
def test_images_become_what_the_input_declares(body, dtype, held):
    inputs = Input((4, 4, 3))
    inner = Model(inputs, body(inputs))
    images = Input((4, 4, 3), dtype=dtype)
    model = Model(images, (Held(inner) if held else inner)(images))
    x = PIXELS.astype(dtype)
    expected = inner.predict(x.astype("float32"))
    module = model.to_torch().eval()
    with torch.no_grad():
        written = module(on_device(x)).cpu().numpy()
    assert model.output.dtype == "float32"
    for found in (inner(x).detach().cpu().numpy(), model(x).detach().cpu().numpy(), model.predict(x), written):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_training_casts_as_well():
    images = Input((4, 4, 3), dtype="uint8")
    body = Sequential([layers.Input((4, 4, 3)), layers.Conv2D(2, 3), layers.Flatten()])
    model = Model(images, layers.Dense(1, kernel_initializer="zeros")(body(images)))
    model.compile("sgd", "mse")
    assert model.fit(PIXELS.astype("uint8"), np.ones((2, 1)), verbose=0).history["loss"] == [1.0]


def test_an_input_that_is_returned_is_cast_and_a_mask_goes_on():
    inputs = Input((3, 2))
    inner = Model(inputs, [inputs, layers.GlobalAveragePooling1D()(inputs)])
    numbers = Input((3, 2), dtype="int32")
    model = Model(numbers, inner(layers.Masking()(numbers)))
    x = np.array([[[1, 2], [0, 0], [3, 4]]])
    for same, mean in (model(x), model.predict(x)):
        assert str(same.dtype).endswith("float32")
        np.testing.assert_allclose(mean, [[2, 3]])


def test_half_floats_that_only_layers_take_are_not_cast_to_and_fro():
    config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = Input((3,))
        by_layers, by_functions = Model(inputs, layers.Dense(2)(inputs)), Model(inputs, ops.multiply(inputs, 2.0))
        x = Input((3,))
        hidden = layers.Dense(3)(x)
        model = Model(x, [by_layers(hidden), by_functions(hidden)])
    finally:
        config.set_dtype_policy("float32")
    assert [tensor.dtype for tensor in model.outputs] == ["bfloat16", "float32"]
    assert [value.dtype for value in model(np.ones((2, 3)))] == [torch.bfloat16, torch.float32]


def test_what_takes_an_input_is_looked_for_once():
    """Whether half floats are cast depends on all nodes that take them; a graph never changes."""

    def nested(depth):
        x = inputs = Input((2,))
        for _ in range(depth):
            x = ops.relu(x)
        return Model(inputs, layers.Dense(2, dtype="float16")(inputs) + ops.cast(x, "float16"))

    def calls_of(model):
        graph, (declared,) = model.graph, model.graph.inputs
        is_cast("float16", declared, graph)
        return calls(lambda: is_cast("float16", declared, graph))

    assert calls_of(nested(40)) == calls_of(nested(4))


class Head(layers.Layer):
    """As Keras's guide of mixed precision has it: the last layer computes in 32 bits."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.last = layers.Dense(3), layers.Dense(2, dtype="float32")
        self.table = layers.Embedding(4, 2, dtype="float32")

    def call(self, x: Any) -> Any:
        hidden = torch.relu(self.first(x)) * 2
        return self.last(hidden) + self.table(hidden.argmax(-1))


class Whole(Model):
    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        self.again = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.again(self.head(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_a_layer_inside_another_casts_floats_to_its_own_type(policy: str) -> None:
    before = config.dtype_policy()
    config.set_dtype_policy(policy)
    try:
        inputs, head = Input((3,)), Head()
        output, whole = head(inputs), Whole()
        model = Model(inputs, output)
        x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
        assert output.dtype == "float32"
        found = model.predict(x)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, head(x).detach().cpu(), rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(found, model(x).detach().cpu(), rtol=1e-2, atol=1e-2)
        expected = whole.head.compute_dtype
        assert str(whole(x).dtype) == f"torch.{expected}"
        whole.compile("sgd", "mse")
        assert np.isfinite(whole.fit(x, np.zeros((4, 2)), verbose=0).history["loss"][0])
        np.testing.assert_allclose(whole.predict(x), whole(x).detach().float().cpu(), rtol=1e-2, atol=1e-2)
    finally:
        config.set_dtype_policy(before)

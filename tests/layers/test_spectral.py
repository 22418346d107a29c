"""SpectralNormalization: what the table of all layers does not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import AnabranchError, ArgumentError

X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")


def test_the_greatest_singular_value_becomes_one() -> None:
    layer = layers.SpectralNormalization(layers.Dense(5), power_iterations=60)
    layer(X, training=True)
    assert np.linalg.svd(layer.layer.kernel.numpy(), compute_uv=False)[0] == pytest.approx(1, abs=1e-4)


def test_outside_of_training_nothing_changes() -> None:
    layer = layers.SpectralNormalization(layers.Dense(5))
    layer.build((None, 6))
    before = layer.get_weights()
    layer(X)
    assert all(map(np.array_equal, before, layer.get_weights()))


def test_a_kernel_of_zeros_stays() -> None:
    layer = layers.SpectralNormalization(layers.Dense(5, kernel_initializer="zeros"))
    layer.build((None, 6))
    before = layer.get_weights()
    layer(X, training=True)
    assert all(map(np.array_equal, before, layer.get_weights()))


def test_three_steps_of_fit_equal_keras(keras: Any) -> None:
    def trained(library: Any, start: list[Any] | None) -> tuple[list[Any], list[Any]]:
        x = library.Input((6,))
        hidden = library.layers.SpectralNormalization(library.layers.Dense(5, activation="tanh"), power_iterations=2)(x)
        model = library.Model(x, library.layers.SpectralNormalization(library.layers.Dense(1))(hidden))
        if start is not None:
            model.set_weights(start)
        start = model.get_weights()
        model.compile(library.optimizers.SGD(0.1), "mse")
        model.fit(X, X[:, :1], batch_size=8, epochs=3, verbose=0, shuffle=False)
        return start, model.get_weights()

    start, ours = trained(ab, None)
    _, theirs = trained(keras, start)
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, its, atol=2e-5)


def test_16_bits_leave_the_kernel_in_32() -> None:
    """Keras rounds the kernel to 16 bits at each step."""
    layer = layers.SpectralNormalization(layers.Dense(5, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    whole = layers.SpectralNormalization(layers.Dense(5))
    for each in (layer, whole):
        each.build((None, 6))
    whole.set_weights(layer.get_weights())
    assert str(layer(X, training=True).dtype) == "torch.bfloat16"
    whole(X, training=True)
    np.testing.assert_allclose(layer.layer.kernel.numpy(), whole.layer.kernel.numpy(), rtol=1e-6)


def test_rows_of_a_table_stay_floats() -> None:
    """Keras casts them to the ids' type."""
    layer = layers.SpectralNormalization(layers.Embedding(7, 3))
    assert layer(ab.Input((4,), dtype="int32")).dtype == "float32"
    assert str(layer(np.array([[1, 2]]), training=True).dtype) == "torch.float32"


def test_a_layer_of_a_user() -> None:
    class Own(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight((input_shape[-1], 2), name="matrix")

        def call(self, inputs: Any) -> Any:
            return inputs @ self.kernel

    layer = layers.SpectralNormalization(Own(), power_iterations=50)
    layer(X, training=True)
    assert np.linalg.svd(layer.layer.kernel.numpy(), compute_uv=False)[0] == pytest.approx(1, abs=1e-3)


def test_what_has_no_kernel_is_refused() -> None:
    with pytest.raises(ArgumentError, match="takes a layer with a kernel"):
        layers.SpectralNormalization(layers.ReLU())(ab.Input((3,)))
    with pytest.raises(AnabranchError, match="power_iterations"):
        layers.SpectralNormalization(layers.Dense(2), power_iterations=0)

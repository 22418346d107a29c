"""Layers where real Keras on torch is no oracle, beside the same sums written in NumPy."""

from __future__ import annotations

import numpy as np

from anabranch import layers


def test_average_pooling_never_counts_its_padding() -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")
    found = layers.AveragePooling2D(3, strides=2, padding="same")(x).cpu().numpy()
    assert found.shape == (2, 4, 3, 3)
    for i in range(4):
        for j in range(3):  # even sizes: one row of padding, after the last
            window = x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_allclose(found[:, i, j], window.mean((1, 2)), atol=1e-6)


def test_layer_normalization_over_an_inner_axis() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    layer = layers.LayerNormalization(axis=1)
    layer.build((None, 4, 6))
    gamma, beta = np.arange(1.0, 5, dtype="float32"), np.arange(4, dtype="float32")
    layer.set_weights([gamma, beta])
    centred = x - x.mean(1, keepdims=True)
    expected = centred / np.sqrt(x.var(1, keepdims=True) + 1e-3) * gamma[:, None] + beta[:, None]
    np.testing.assert_allclose(layer(x).detach().cpu().numpy(), expected, atol=1e-5)


def test_random_crop_takes_the_middle_outside_training() -> None:
    x = np.arange(36, dtype="float32").reshape(1, 6, 6, 1)
    np.testing.assert_array_equal(layers.RandomCrop(4, 2)(x, training=False).cpu().numpy(), x[:, 1:5, 2:4])


def test_random_crops_are_windows_each_its_own() -> None:
    x = np.tile(np.arange(36, dtype="float32").reshape(1, 6, 6, 1), (200, 1, 1, 1))
    found = layers.RandomCrop(4, 4)(x, training=True).cpu().numpy()[..., 0]
    corners = found[:, 0, 0].astype(int)
    for image, corner in zip(found, corners, strict=True):
        row, column = divmod(corner, 6)
        np.testing.assert_array_equal(image, x[0, row : row + 4, column : column + 4, 0])
    assert {divmod(corner, 6) for corner in corners} == {(i, j) for i in range(3) for j in range(3)}


def test_random_flips_are_mirrors_each_its_own() -> None:
    x = np.random.default_rng(0).normal(size=(64, 3, 4, 2)).astype("float32")
    found = layers.RandomFlip("horizontal")(x, training=True).cpu().numpy()
    unchanged = np.array([np.array_equal(a, b) for a, b in zip(found, x, strict=True)])
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(found, x, strict=True)])
    assert (unchanged ^ mirrored).all()
    assert 16 < unchanged.sum() < 48


def test_seeded_layers_repeat_themselves() -> None:
    x = np.ones((8, 50), "float32")
    first = layers.Dropout(0.5, seed=3)(x, training=True).cpu().numpy()
    second = layers.Dropout(0.5, seed=3)(x, training=True).cpu().numpy()
    other = layers.Dropout(0.5, seed=4)(x, training=True).cpu().numpy()
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert abs((first == 0).mean() - 0.5) < 0.1
    assert set(np.unique(first)) == {0.0, 2.0}

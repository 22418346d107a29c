"""Pooling beside real Keras over a grid of windows, strides, paddings and layouts."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from parity import assert_same_as_keras

from anabranch import Input, Model, layers
from anabranch._errors import ArgumentError, ShapeError, UnknownNameError

SIZES = (7, 6, 5)
WINDOWS = ((2, None), (3, 2), (2, 3), (4, 1), (1, 2), (3, 3))


def shape_of(rank: int, data_format: str) -> tuple[int, ...]:
    spatial = SIZES[:rank]
    return (2, 3, *spatial) if data_format == "channels_first" else (2, *spatial, 3)


@pytest.mark.parametrize(("kind", "padding"), [("Max", "valid"), ("Max", "same"), ("Average", "valid")])
@pytest.mark.parametrize(("rank", "data_format"), list(product((1, 2, 3), ("channels_last", "channels_first"))))
@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_pooling_equals_keras(
    keras: Any, window: int, stride: int | None, rank: int, data_format: str, kind: str, padding: str
) -> None:
    config = {"pool_size": window, "strides": stride, "padding": padding, "data_format": data_format}
    assert_same_as_keras(keras, f"{kind}Pooling{rank}D", shape_of(rank, data_format), **config)


@pytest.mark.parametrize("length", [5, 6, 7, 8])
@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_same_with_unknown_sizes(keras: Any, length: int, window: int, stride: int | None) -> None:
    config = {"pool_size": window, "strides": stride, "padding": "same"}
    assert_same_as_keras(keras, "MaxPooling2D", (2, length, 6, 3), unknown=(1, 2), **config)


def mean_of_windows(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Return the mean over steps (B, T, C) -> (B, T', C) of the positions of each window that exist, as TensorFlow counts."""
    length = x.shape[1]
    before = max((-(-length // stride) - 1) * stride + window - length, 0) // 2
    starts = [position * stride - before for position in range(-(-length // stride))]
    return np.stack([x[:, max(start, 0) : start + window].mean(1) for start in starts], 1)


@pytest.mark.parametrize("length", [5, 6, 7, 8])
@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_average_of_what_is_there(length: int, window: int, stride: int | None) -> None:
    # no parity here: Keras on torch repeats the border where the padding is uneven, Keras on TensorFlow and JAX do not
    x = np.random.default_rng(0).normal(size=(2, length, 4)).astype("float32")
    expected = mean_of_windows(x, window, stride or window)
    twice = mean_of_windows(expected.swapaxes(1, 2), window, stride or window).swapaxes(1, 2)
    for known in (length, None):
        steps, image = Input((known, 4)), Input((known, known and 4, 1))
        one = Model(steps, layers.AveragePooling1D(window, stride, "same")(steps))
        two = Model(image, layers.AveragePooling2D(window, stride, "same")(image))
        assert np.allclose(one(x), expected, atol=1e-6)
        assert np.allclose(two(x[..., None])[..., 0], twice, atol=1e-6)
        first = layers.AveragePooling1D(window, stride, "same", data_format="channels_first")
        assert np.allclose(first(x.swapaxes(1, 2)).mT, expected, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_average_over_a_window_that_only_padding_fills(rank: int) -> None:
    x = np.arange(1, 5, dtype="float32").reshape(1, 4, *[1] * rank)
    y = getattr(layers, f"AveragePooling{rank}D")(3, 2, "same")(x)
    assert y.flatten().tolist() == [2.0, 3.5]


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(
    ("rank", "keepdims", "data_format"), list(product((1, 2, 3), (False, True), ("channels_last", "channels_first")))
)
def test_global_pooling_equals_keras(keras: Any, rank: int, keepdims: bool, data_format: str, kind: str) -> None:
    assert_same_as_keras(
        keras, f"Global{kind}Pooling{rank}D", shape_of(rank, data_format), keepdims=keepdims, data_format=data_format
    )
    assert_same_as_keras(
        keras, f"Global{kind}Pooling{rank}D", shape_of(rank, "channels_last"), unknown=(1,), data_format="channels_last"
    )


def test_padding_is_not_counted() -> None:
    ones = np.ones((1, 5, 5, 1), "float32")
    assert np.allclose(layers.AveragePooling2D(3, 2, "same")(ones), 1.0)
    assert np.allclose(layers.MaxPooling2D(3, 2, "same")(-ones), -1.0)


def test_aliases() -> None:
    for rank in (1, 2, 3):
        assert getattr(layers, f"MaxPool{rank}D") is getattr(layers, f"MaxPooling{rank}D")
        assert getattr(layers, f"AvgPool{rank}D") is getattr(layers, f"AveragePooling{rank}D")
        assert getattr(layers, f"GlobalMaxPool{rank}D") is getattr(layers, f"GlobalMaxPooling{rank}D")
        assert getattr(layers, f"GlobalAvgPool{rank}D") is getattr(layers, f"GlobalAveragePooling{rank}D")


# Mistakes


def test_pooling_that_leaves_nothing() -> None:
    with pytest.raises(ShapeError, match=r"window of 3 does not fit into 2(.|\n)*got:.*\(None, 2, 8, 3\)(.|\n)*repair"):
        layers.MaxPooling2D(3)(Input((2, 8, 3)))


def test_wrong_rank() -> None:
    with pytest.raises(ShapeError, match=r"Expected a 4-D input, got 2-D(.|\n)*batch, height, width, channels"):
        layers.MaxPooling2D()(Input((8,)))
    with pytest.raises(ShapeError, match="Expected a 4-D input, got 2-D"):
        layers.GlobalAveragePooling2D()(Input((8,)))


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="pool_size"):
        layers.MaxPooling2D(0)
    with pytest.raises(ArgumentError, match="strides"):
        layers.MaxPooling2D(2, 0)
    with pytest.raises(UnknownNameError, match="valid"):
        layers.MaxPooling2D(2, padding="causal")


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
def test_maxima_of_windows_over_the_end(window: int, stride: int) -> None:
    for length in range(1, 12):
        x = np.random.default_rng(length).normal(size=(2, length, 3)).astype("float32")
        steps = -(-length // stride)
        total = max((steps - 1) * stride + window - length, 0)
        starts = [step * stride - total // 2 for step in range(steps)]
        windows = [x[:, max(start, 0) : start + window] for start in starts]
        greatest = np.stack([part.max(1) for part in windows], 1)
        np.testing.assert_array_equal(layers.MaxPooling1D(window, stride, "same")(x).detach(), greatest)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"])
def test_integers_are_pooled_as_floats(kind: str, dtype: str) -> None:
    """Images as they are loaded, of integers, are pooled; the result has the dtype that the symbolic tensor says."""
    images = np.random.default_rng(0).integers(0, 2, (2, 4, 4, 3)).astype(dtype)
    inputs = Input((4, 4, 3), dtype=dtype)
    output = getattr(layers, kind)()(inputs)
    expected = getattr(layers, kind)()(images.astype("float32"))
    for found in (Model(inputs, output).predict(images, verbose=0), getattr(layers, kind)()(images).cpu().numpy()):
        assert np.array_equal(found, expected)
        assert found.dtype == output.dtype


@pytest.mark.parametrize("kind", [n for n in dir(layers) if "Pooling" in n])
def test_the_number_of_channels_may_be_unknown(kind: str) -> None:
    rank = int(kind[-2])
    inputs = Input((*(6,) * rank, None))
    found = getattr(layers, kind)(*[2] * kind.startswith("Adaptive"))(inputs)  # which have no default size
    assert found.shape[-1] is None
    assert Model(inputs, found)(np.ones((2, *(6,) * rank, 5), "float32")).shape[-1] == 5

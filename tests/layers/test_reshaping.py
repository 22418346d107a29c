"""Layers that move numbers, beside real Keras's: forms of their arguments, layouts, unknown sizes, types, empty batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from devices import equal
from hypothesis import given, settings, strategies as st
from parity import assert_same_as_keras

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ShapeError, UnknownNameError

LAYOUTS = ("channels_last", "channels_first")
SIZES = (4, 5, 6)


def shape_of(rank: int, data_format: str = "channels_last") -> tuple[int, ...]:
    return (2, 3, *SIZES[:rank]) if data_format == "channels_first" else (2, *SIZES[:rank], 3)


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 2)])
def test_flatten(keras: Any, shape: tuple[int, ...], data_format: str) -> None:
    assert_same_as_keras(keras, "Flatten", shape, data_format=data_format)
    assert_same_as_keras(keras, "Flatten", shape, data_format=data_format, unknown=(1,))


def test_flatten_of_single_numbers(keras: Any) -> None:
    assert_same_as_keras(keras, "Flatten", (5,))


@pytest.mark.parametrize("target", [(12,), (-1,), (3, 4), (-1, 2), (3, -1, 2), (2, 2, 3), 12, (1, 12, 1), [6, 2]])
def test_reshape(keras: Any, target: Any) -> None:
    if not isinstance(target, int):
        assert_same_as_keras(keras, "Reshape", (2, 4, 3), target_shape=target)
        if -1 in target:
            assert_same_as_keras(keras, "Reshape", (2, 4, 3), target_shape=target, unknown=(1,))
    total = (np.prod(target) if np.prod(target) > 0 else 12,)
    assert layers.Reshape(target)(ab.Input(total)).ndim == 1 + np.size(target)


def test_reshape_to_nothing(keras: Any) -> None:
    assert_same_as_keras(keras, "Reshape", (2, 1), target_shape=())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_reshape_keeps_the_order(sizes: list[int], data: st.DataObject) -> None:
    total, target = math.prod(sizes), []
    while total > 1 and len(target) < 4:
        target.append(data.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0])))
        total //= target[-1]
    target.append(total)
    if data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    x = np.arange(2 * math.prod(sizes), dtype="float32").reshape(2, *sizes)
    symbol = ab.Input(tuple(sizes))
    y = layers.Reshape(target)(symbol)
    expected = x.reshape(2, *target)
    assert y.shape[1:] == expected.shape[1:]
    np.testing.assert_array_equal(ab.Model(symbol, y)(x), expected)


@pytest.mark.parametrize("layer", [layers.Flatten(), layers.Reshape((-1, 2)), layers.Reshape((4, -1)), layers.Permute((2, 1))])
def test_empty_batches(layer: Any) -> None:
    x = ab.Input((4, 6))
    y = layer(x)
    assert tuple(ab.Model(x, y)(np.zeros((0, 4, 6))).shape) == (0, *y.shape[1:])


@pytest.mark.parametrize("dims", [(1,), (2, 1), (1, 3, 2), (3, 1, 2), (4, 1, 3, 2)])
def test_permute(keras: Any, dims: tuple[int, ...]) -> None:
    shape = (2, 3, 4, 5, 6)[: len(dims) + 1]
    assert_same_as_keras(keras, "Permute", shape, dims=dims, unknown=(1,))


def test_repeat_vector(keras: Any) -> None:
    assert_same_as_keras(keras, "RepeatVector", (2, 5), n=3)
    assert_same_as_keras(keras, "RepeatVector", (2, 5), n=1, unknown=(1,))


FORMS = {
    1: [0, 1, (1, 2), (0, 1)],
    2: [0, 1, (1, 2), ((1, 0), (0, 2)), ((2, 1), (1, 1)), [[0, 1], [1, 0]]],
    3: [0, 1, (1, 2, 1), ((1, 0), (0, 2), (1, 1))],
}


@pytest.mark.parametrize(
    ("rank", "form", "data_format"),
    [(rank, form, layout) for rank, forms in FORMS.items() for form in forms for layout in LAYOUTS[: 1 if rank == 1 else 2]],
    ids=str,
)
def test_padding_and_cropping(keras: Any, rank: int, form: Any, data_format: str) -> None:
    shape = shape_of(rank, data_format)
    spatial = tuple(range(1, rank + 1)) if data_format == "channels_last" else tuple(range(2, rank + 2))
    config = {"data_format": data_format} if rank > 1 else {}
    for name, argument in (("ZeroPadding", "padding"), ("Cropping", "cropping")):
        assert_same_as_keras(keras, f"{name}{rank}D", shape, **{argument: form}, **config)
        assert_same_as_keras(keras, f"{name}{rank}D", shape, **{argument: form}, **config, unknown=spatial)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["ZeroPadding", "Cropping", "UpSampling"])
def test_defaults(keras: Any, name: str, rank: int) -> None:
    assert_same_as_keras(keras, f"{name}{rank}D", shape_of(rank))


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, (2, 3), (3, 1)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_upsampling_of_images(keras: Any, size: Any, interpolation: str, data_format: str) -> None:
    config = {"size": size, "interpolation": interpolation, "data_format": data_format}
    assert_same_as_keras(keras, "UpSampling2D", shape_of(2, data_format), **config)
    spatial = (1, 2) if data_format == "channels_last" else (2, 3)
    assert_same_as_keras(keras, "UpSampling2D", shape_of(2, data_format), unknown=spatial, **config)


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("size", [2, (1, 2, 3)])
def test_upsampling_of_volumes(keras: Any, size: Any, data_format: str) -> None:
    assert_same_as_keras(keras, "UpSampling3D", shape_of(3, data_format), size=size, data_format=data_format)


def test_upsampling_of_steps(keras: Any) -> None:
    assert_same_as_keras(keras, "UpSampling1D", shape_of(1), size=3, unknown=(1,))


MOVERS = [
    (layers.Flatten, {}, (4, 3, 2)),
    (layers.Flatten, {"data_format": "channels_first"}, (4, 3, 2)),
    (layers.Reshape, {"target_shape": (-1, 2)}, (4, 3, 2)),
    (layers.Permute, {"dims": (2, 1, 3)}, (4, 3, 2)),
    (layers.RepeatVector, {"n": 2}, (4,)),
    (layers.ZeroPadding2D, {}, (4, 3, 2)),
    (layers.Cropping2D, {"cropping": 1}, (4, 3, 2)),
    (layers.UpSampling2D, {}, (4, 3, 2)),
    (layers.Identity, {}, (4,)),
]


@pytest.mark.parametrize(("cls", "config", "shape"), MOVERS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "float32", "float16"])
def test_types_stay(cls: Any, config: dict[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    x = ab.Input(shape, dtype=dtype)
    y = cls(**config)(x)
    data = np.random.default_rng(0).integers(0, 2, (2, *shape)).astype(dtype)
    result = ab.Model(x, y)(data)
    assert y.dtype == str(result.dtype).removeprefix("torch.") == (dtype if "float" not in dtype else "float32")
    assert equal(result, cls(**config)(data))


def test_one_layer_on_tensors_of_several_ranks() -> None:
    flatten = layers.Flatten(data_format="channels_first")
    a, b = ab.Input((2, 3, 4)), ab.Input((2, 3))
    data = [np.random.default_rng(0).normal(size=(5, *shape)).astype("float32") for shape in ((2, 3, 4), (2, 3))]
    found = ab.Model([a, b], [flatten(a), flatten(b)])(data)
    for result, array in zip(found, data, strict=True):
        np.testing.assert_array_equal(result, np.moveaxis(array, 1, -1).reshape(5, -1))


def test_mistakes() -> None:
    image = ab.Input((4, 5, 3))
    for call, error, words in (
        (lambda: layers.Reshape((2, None)), ArgumentError, "positive sizes"),
        (lambda: layers.Reshape((-1, -1)), ArgumentError, "at most one -1"),
        (lambda: layers.Reshape((0, 3)), ArgumentError, "positive sizes"),
        (lambda: layers.Reshape((7, 9))(image), ShapeError, "60 values do not fit"),
        (lambda: layers.Reshape((7, -1))(image), ShapeError, "60 values do not fit"),
        (lambda: layers.Permute((0, 1)), ArgumentError, "from 1"),
        (lambda: layers.Permute((1, 1)), ArgumentError, "once"),
        (lambda: layers.Permute((2, 1))(image), ShapeError, "each axis"),
        (lambda: layers.RepeatVector(0), ArgumentError, "must be an integer"),
        (lambda: layers.RepeatVector(2)(image), ShapeError, "3|rank|axes"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), ArgumentError, "padding does not fit 2"),
        (lambda: layers.ZeroPadding2D(-1), ArgumentError, "padding does not fit"),
        (lambda: layers.ZeroPadding1D(((1, 2), (3, 4))), ArgumentError, "padding does not fit 1"),
        (lambda: layers.ZeroPadding2D("same"), ArgumentError, "padding does not fit"),
        (lambda: layers.Cropping2D(2)(image), ShapeError, "Nothing is left of 4"),
        (lambda: layers.Cropping3D(1)(image), ShapeError, "Expected a 5-D input"),
        (lambda: layers.UpSampling2D(0), ArgumentError, "size"),
        (lambda: layers.UpSampling2D(interpolation="lanczos7"), UnknownNameError, "interpolation"),
        (lambda: layers.ZeroPadding2D(data_format="NHWC"), ArgumentError, "data_format"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_nothing_left_by_cropping_values() -> None:
    """Cropping all of a value is refused as it is for a symbolic tensor."""
    for layer, shape in ((layers.Cropping1D(2), (1, 4, 3)), (layers.Cropping2D(2), (1, 4, 4, 3))):
        with pytest.raises(ShapeError, match="Nothing is left of 4 positions"):
            layer(np.ones(shape, "float32"))


def test_integers_between_pixels_are_floats() -> None:
    """Interpolated integers are floats, repeated ones stay integers; the symbolic tensor says the same."""
    for interpolation, dtype in (("bilinear", "float32"), ("nearest", "int32")):
        layer = layers.UpSampling2D(interpolation=interpolation)
        symbol = layer(ab.Input((2, 2, 1), dtype="int32"))
        assert symbol.dtype == dtype == str(layer(np.ones((1, 2, 2, 1), "int32")).dtype).removeprefix("torch.")

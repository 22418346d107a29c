"""Convolutions beside real Keras over a grid of windows, strides, gaps, paddings, groups and layouts."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from parity import assert_same_as_keras

from anabranch import Input, Model, layers, ops
from anabranch._errors import ArgumentError, ShapeError, UnknownNameError

SIZES = (9, 8, 5)


def shape_of(rank: int, channels: int, data_format: str, batch: int = 2) -> tuple[int, ...]:
    spatial = SIZES[:rank]
    return (batch, channels, *spatial) if data_format == "channels_first" else (batch, *spatial, channels)


def grid() -> list[Any]:
    rows = []
    for rank, padding, data_format in product((1, 2, 3), ("valid", "same"), ("channels_last", "channels_first")):
        for window, stride, gap, groups in (
            (3, 1, 1, 1), (2, 1, 1, 2), (4, 2, 1, 1), (3, 3, 1, 1), (1, 2, 1, 1), (2, 1, 2, 1), (5, 4, 1, 2),
        ):  # fmt: skip
            name = f"{rank}D {padding} {data_format} window {window} stride {stride} gap {gap} groups {groups}"
            config = {
                "filters": 4, "kernel_size": window, "strides": stride, "dilation_rate": gap, "groups": groups,
                "padding": padding, "data_format": data_format,
            }  # fmt: skip
            rows.append(pytest.param(rank, config, id=name))
    return rows


@pytest.mark.parametrize(("rank", "config"), grid())
def test_conv_equals_keras(keras: Any, rank: int, config: dict[str, Any]) -> None:
    assert_same_as_keras(keras, f"Conv{rank}D", shape_of(rank, 2, config["data_format"]), **config)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_uneven_windows_and_strides(keras: Any, padding: str) -> None:
    config = {"filters": 3, "kernel_size": (2, 5), "strides": (1, 3), "padding": padding, "activation": "relu"}
    assert_same_as_keras(keras, "Conv2D", (2, 9, 8, 3), **config)
    assert_same_as_keras(keras, "Conv2D", (2, 9, 8, 3), filters=3, kernel_size=3, dilation_rate=(1, 3), padding=padding)


@pytest.mark.parametrize(("stride", "gap"), [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
def test_causal(keras: Any, stride: int, gap: int) -> None:
    config = {"filters": 3, "kernel_size": 3, "strides": stride, "dilation_rate": gap, "padding": "causal"}
    assert_same_as_keras(keras, "Conv1D", (2, 9, 3), **config)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [7, 8, 9])
def test_same_with_unknown_sizes(keras: Any, length: int, window: int, stride: int) -> None:
    config = {"filters": 2, "kernel_size": window, "strides": stride, "padding": "same"}
    assert_same_as_keras(keras, "Conv2D", (2, length, 8, 3), unknown=(1, 2), **config)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("window", "stride", "gap", "times"), [(3, 1, 1, 1), (2, 2, 1, 2), (4, 3, 1, 3), (3, 1, 2, 2)])
def test_depthwise_and_separable(
    keras: Any, window: int, stride: int, gap: int, times: int, data_format: str, rank: int, padding: str
) -> None:
    config: dict[str, Any] = {
        "kernel_size": window, "strides": stride, "dilation_rate": gap, "depth_multiplier": times, "padding": padding,
        "data_format": data_format,
    }  # fmt: skip
    assert_same_as_keras(keras, f"DepthwiseConv{rank}D", shape_of(rank, 3, data_format), **config)
    assert_same_as_keras(keras, f"SeparableConv{rank}D", shape_of(rank, 3, data_format), filters=5, **config)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("rank", "data_format"), [(1, "channels_last"), (2, "channels_last"), (2, "channels_first"), (3, "channels_last")]
)
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("stride", "extra"), [(1, None), (2, None), (3, None), (4, None), (2, 0), (2, 1), (3, 2)])
def test_transposed(keras: Any, window: int, stride: int, extra: int | None, rank: int, data_format: str, padding: str) -> None:
    config = {
        "filters": 3, "kernel_size": window, "strides": stride, "output_padding": extra, "padding": padding,
        "data_format": data_format,
    }  # fmt: skip
    shape = (2, 2, 4, 3, 2)[: rank + 2] if data_format == "channels_first" else (2, *(4, 3, 2)[:rank], 2)
    assert_same_as_keras(keras, f"Conv{rank}DTranspose", shape, **config)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("window", [2, 3])
def test_transposed_with_gaps_and_unknown_sizes(keras: Any, window: int, padding: str) -> None:
    config = {"filters": 3, "kernel_size": window, "dilation_rate": 2, "padding": padding, "activation": "tanh"}
    assert_same_as_keras(keras, "Conv2DTranspose", (2, 4, 5, 2), **config)
    config = {"filters": 3, "kernel_size": window, "strides": (2, 3), "padding": padding}
    assert_same_as_keras(keras, "Conv2DTranspose", (2, 4, 5, 2), unknown=(1, 2), **config)


def test_all_of_a_transposed_convolution_may_be_cut_off() -> None:
    inputs = Input((1, 4))
    layer = layers.Conv1DTranspose(5, 4, strides=3, padding="same", output_padding=0)
    model = Model(inputs, layer(inputs))
    assert model.output.shape == (None, 0, 5)
    assert model(np.ones((2, 1, 4))).shape == (2, 0, 5)
    kernel = np.ones((4, 5, 4), "float32")
    options: dict[str, Any] = {"strides": 3, "padding": "same", "output_padding": 0}
    assert ops.conv_transpose(inputs, kernel, **options).shape == (None, 0, 5)
    assert ops.conv_transpose(Input((2, 4)), kernel, **options).shape == (None, 3, 5)


# Mistakes


def test_wrong_rank_names_the_axes() -> None:
    with pytest.raises(ShapeError, match=r"Expected a 4-D input, got 3-D \(None, 8, 3\)(.|\n)*batch, height, width, channels"):
        layers.Conv2D(4, 3)(Input((8, 3)))


def test_a_different_count_of_channels() -> None:
    for layer in (
        layers.Conv2D(4, 3), layers.DepthwiseConv2D(3), layers.SeparableConv2D(4, 3), layers.Conv2DTranspose(4, 3),
    ):  # fmt: skip
        layer(Input((8, 8, 3)))
        with pytest.raises(ShapeError, match=r"3 channels(.|\n)*5 in \(None, 8, 8, 5\)"):
            layer(Input((8, 8, 5)))


def test_unknown_channels() -> None:
    with pytest.raises(ShapeError, match="channels must be known"):
        layers.Conv1D(4, 3)(Input((8, None)))


def test_window_that_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"window of 5 does not fit into 4(.|\n)*repair:.*same"):
        layers.Conv2D(4, 5)(Input((4, 4, 3)))
    with pytest.raises(ShapeError, match="window of 5 does not fit into 4"):
        layers.Conv2D(4, 3, dilation_rate=2)(Input((4, 4, 3)))


def test_groups() -> None:
    with pytest.raises(ArgumentError, match="filters must be a multiple of groups"):
        layers.Conv2D(4, 3, groups=3)
    with pytest.raises(ShapeError, match=r"channels must be a multiple of groups(.|\n)*3 channels, groups=2"):
        layers.Conv2D(4, 3, groups=2)(Input((8, 8, 3)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size does not fit 2 spatial axes"),
        ({"kernel_size": "three"}, "kernel_size"),
        ({"kernel_size": 3, "strides": -1}, "strides"),
        ({"kernel_size": 3, "data_format": "channel_last"}, "data_format"),
        ({"kernel_size": 3, "filters": 0}, "filters"),
        ({"kernel_size": 3, "filters": 2.5}, "filters"),
    ],
)
def test_arguments(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        layers.Conv2D(**{"filters": 4, **config})


def test_padding_by_its_name() -> None:
    assert layers.Conv2D(4, 3, padding="SAME").padding == "same"
    with pytest.raises(UnknownNameError, match="did you mean 'same'"):
        layers.Conv2D(4, 3, padding="sam")
    with pytest.raises(UnknownNameError, match="causal"):
        layers.Conv2D(4, 3, padding="causal")
    with pytest.raises(UnknownNameError, match="causal"):
        layers.Conv1DTranspose(4, 3, padding="causal")


def test_output_padding_is_less_than_the_stride() -> None:
    with pytest.raises(ArgumentError, match=r"less than the stride(.|\n)*output_padding=\(2, 2\), strides=\(2, 2\)"):
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=2)

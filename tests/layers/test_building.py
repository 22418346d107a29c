"""``build``: once, with the arguments that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from devices import on_device

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError


class Scale(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale


class Shifted(Scale):
    """Builds its base first, in the middle of its own build."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        Scale.build(self, input_shape)
        self.shift = self.add_weight((input_shape[-1],), "zeros", name="shift")
        super().build(input_shape)


@pytest.mark.parametrize(
    "make", [lambda: layers.Dense(2), lambda: layers.BatchNormalization(), Scale, lambda: layers.Embedding(3, 2)]
)
@pytest.mark.parametrize(
    "first",
    [
        lambda layer: layer.build((None, 4)),
        lambda layer: layer(ab.Input((4,))),
        lambda layer: layer(on_device(np.ones((2, 4), "float32"))),
    ],
)
def test_a_second_build_is_refused_as_in_keras(make: Callable[[], Any], first: Callable[[Any], object]) -> None:
    layer = make()
    first(layer)
    count = len(layer.weights)
    for shape in ((None, 4), (None, 5)):
        with pytest.raises(ArgumentError, match=r"(?s)is built: it has weights.*a new layer has new ones"):
            layer.build(shape)
    assert len(layer.weights) == count


def test_a_build_may_call_those_of_its_bases() -> None:
    layer = Shifted()
    layer.build((None, 4))
    assert [weight.name for weight in layer.weights] == ["scale", "scale_1", "shift", "scale_2"]


def test_layers_without_weights_may_be_built_again() -> None:
    layer = layers.Flatten()
    layer.build((None, 4, 3))
    layer.build((None, 4, 3))
    assert layer.weights == []


def test_a_build_that_fails_may_be_repeated() -> None:
    layer = layers.Dense(2)
    with pytest.raises(ValueError, match="Dense"):
        layer.build((None, None))
    layer.build((None, 4))
    assert len(layer.weights) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: layers.Dense(2).build((None, 3), 1), lambda: layers.Conv2D(2, 3).build((None, 8, 8, 3), 1),
        lambda: layers.Dense(2).build(None, 3), lambda: layers.Dense(2).build(shape=(None, 3)),
        lambda: layers.Dense(2).compute_output_shape((None, 3), 1),
        lambda: layers.MultiHeadAttention(2, 2).build((None, 4, 3), (None, 4, 3), (None, 4, 3), (None, 4, 3)),
    ],
)  # fmt: skip
def test_arguments_that_build_lacks_are_named(wrong: Callable[[], object]) -> None:
    with pytest.raises(ArgumentTypeError, match=r"(?s)was given arguments that it does not take.*expected: \("):
        wrong()

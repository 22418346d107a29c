"""Names: Keras's lower-case forms and its numbering."""

from __future__ import annotations

from typing import Any

import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import snake_case
from anabranch.graph.names import name_operations


def test_snake_case_equals_keras_for_every_layer(keras: Any) -> None:
    for name in dir(keras.layers):
        theirs = getattr(keras.layers, name)
        if isinstance(theirs, type) and theirs is not keras.layers.Layer:
            assert snake_case(theirs.__name__) == keras.src.utils.naming.to_snake_case(theirs.__name__)


def test_names_equal_keras_in_a_chain(keras: Any) -> None:
    keras.backend.clear_session()

    def build(k: Any) -> list[str]:
        x = start = k.Input((4,))
        for _ in range(3):
            x = k.layers.Add()([k.layers.Dense(4)(x), x]) * 2.0
        x = k.layers.Dense(4, name="dense_4")(x)
        return [layer.name for layer in k.Model(start, x).layers]

    assert build(ab) == build(keras)


def test_a_layer_is_named_by_the_first_model_that_takes_it() -> None:
    x = ab.Input((4,))
    first, second = layers.Dense(4), layers.Dense(4)
    assert first.name == second.name == "dense"
    one = ab.Model(x, second(first(x)))
    assert (first.name, second.name) == ("dense", "dense_1")
    other = ab.Model(x, first(second(x)))
    assert (first.name, second.name) == ("dense", "dense_1")
    assert [layer.name for layer in one.layers] == ["input_layer", "dense", "dense_1"]
    assert other.get_layer("dense") is second, "in another model a layer goes by its place there"


def test_operations_without_graph_are_numbered_in_their_order() -> None:
    made = [layers.Dense(1), layers.Dense(1, name="dense_1"), layers.Dense(1), layers.Dense(1)]
    assert list(name_operations(made).values()) == ["dense", "dense_1", "dense_2", "dense_3"]


@pytest.mark.parametrize(("name", "error"), [("a/b", ArgumentError), (3, ArgumentTypeError)])
def test_names_that_cannot_be(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="layer's name"):
        layers.Dense(1, name=name)


def test_models_are_named_as_in_keras() -> None:
    x = ab.Input((4,))
    assert ab.Model(x, layers.Dense(1)(x)).name == "functional"
    assert ab.Sequential().name == "sequential"

    class Backbone(ab.Model):
        pass

    assert Backbone(x, layers.Dense(1)(x)).name == "backbone"

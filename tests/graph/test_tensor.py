"""The symbolic tensor: what is known of it, and which uses it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentTypeError, GraphError, NotReadyError


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (bool, "be true or false"),
        (list, "be iterated over"),
        (len, "have a length"),
        (np.asarray, "become a NumPy array"),
        (float, "become a float"),
    ],
)
def test_it_has_no_numbers(use: Any, words: str) -> None:
    with pytest.raises(ArgumentTypeError, match=words) as error:
        use(ab.Input((4,)))
    assert "test_tensor.py" in str(error.value)


def test_tensors_can_be_in_sets_and_dicts() -> None:
    x, y = ab.Input((4,)), ab.Input((4,))
    assert len({x, y, x}) == 2
    assert (x != y).dtype == (x == y).dtype == "bool"


@pytest.mark.parametrize("array", [np.array([1.0, 2.0, 3.0], "float32"), np.float32(2), np.float64(2), np.array(2.0)], ids=repr)
def test_arrays_on_either_side_of_an_operator(array: Any) -> None:
    x = ab.Input((3,))
    for y in (x - array, array - x):
        assert (y.shape, y.dtype) == ((None, 3), "float32")
    model = ab.Model(x, [x - array, array - x])
    ones = np.ones((1, 3), "float32")
    for found, expected in zip(model(ones), (ones - array, array - ones), strict=True):
        assert found.cpu().numpy().tolist() == expected.tolist()
        assert found.cpu().numpy().dtype == "float32"


def test_a_layer_answers_for_its_only_call() -> None:
    x = ab.Input((4,))
    layer = layers.Dense(2)
    y = layer(x)
    assert layer.output.key == y.key
    assert layer.input is x
    entry = x.node.operation
    assert layers.InputLayer((4,)).output.shape == (None, 4)
    assert entry.output.key == x.key
    assert entry.input.key == x.key


def test_several_inputs_are_answered_in_their_nest() -> None:
    a, b = ab.Input((4,)), ab.Input((4,))
    layer = layers.Add()
    results = layer([a, b])
    assert layer.input == [a, b]
    assert results.shape == (None, 4)


def test_a_layer_never_called_has_no_output() -> None:
    with pytest.raises(NotReadyError, match="was never called, so it has no output"):
        layers.Dense(2).output


def test_an_output_that_nobody_holds_is_gone() -> None:
    layer = layers.Dense(2)
    layer(ab.Input((4,)))
    with pytest.raises(NotReadyError, match="no symbolic tensor that a call returned is held") as error:
        layer.output
    assert "a call at test_tensor.py:" in str(error.value)
    assert "hold what a call returns: y = Dense(2)(x)" in str(error.value)


def test_a_shared_layer_has_no_single_output() -> None:
    x = ab.Input((4,))
    layer = layers.Dense(4)
    results = [layer(x), layer(x)]
    with pytest.raises(GraphError, match="called 2 times, so its output is ambiguous") as error:
        layer.output
    assert str(error.value).count("test_tensor.py:") == 4
    with pytest.raises(GraphError, match="its input is ambiguous"):
        layer.input
    del results[1], error  # the error's traceback holds the calls
    assert layer.output.key == results[0].key


def test_lists_find_the_same_tensor() -> None:
    x, y = ab.Input((3,), name="x"), ab.Input((3,), name="y")
    z = layers.ReLU()(x)
    assert y in [x, y]
    assert z not in [x, y]
    assert [x, y, z].index(z) == 2
    assert [x, y, x].count(x) == 2
    assert z.node.operation.output in [y, z]  # another object for the same tensor
    tensors = [x, y, z]
    tensors.remove(y)
    assert len(tensors) == 2
    assert tensors[1] is z


def test_a_comparison_with_a_value_is_neither_true_nor_false() -> None:
    with pytest.raises(ArgumentTypeError, match="cannot be true or false"):
        bool(ab.Input((3,)) == 1.0)
    with pytest.raises(ArgumentTypeError, match="cannot be true or false"):
        bool(ab.Input((3,)) != ab.Input((3,)))

"""The weight as a record: no numbers before they are asked for; Keras's axis order outside, torch's inside."""

from __future__ import annotations

import operator
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal, on_device

from anabranch import layers
from anabranch._errors import DtypeError, ShapeError


def kernel(filters: int = 4) -> Any:
    layer = layers.Conv2D(filters, (2, 3))
    layer.build((None, 8, 8, 5))
    return layer.kernel


def test_a_weight_has_no_tensor_until_asked() -> None:
    weight = kernel()
    assert weight.tensor is None
    assert (weight.shape, weight.size, weight.dtype, weight.trainable) == ((2, 3, 5, 4), 120, "float32", True)
    value = weight.value
    assert weight.value is value
    assert isinstance(value, torch.nn.Parameter)
    assert tuple(value.shape) == (4, 5, 2, 3), "torch's order"
    assert weight.numpy().shape == (2, 3, 5, 4), "Keras's order"


def test_assigning_keeps_the_tensor_object() -> None:
    weight = kernel()
    before = weight.value
    numbers = np.arange(120, dtype="float32").reshape(2, 3, 5, 4)
    assert weight.assign(numbers) is weight
    assert weight.value is before
    assert np.array_equal(weight.numpy(), numbers)
    assert np.array_equal(before.detach().cpu().numpy(), numbers.transpose(3, 2, 0, 1))
    weight.assign(torch.zeros(2, 3, 5, 4))
    assert not weight.numpy().any()


def test_numbers_handed_out_do_not_change_with_training() -> None:
    weight = kernel()
    values = weight.numpy()
    copy = values.copy()
    with torch.no_grad():
        weight.value.add_(1.0)
    assert np.array_equal(values, copy)


@pytest.mark.parametrize("value", [np.zeros((2, 3, 4, 5), "float32"), 3.0, [1, 2], np.float32(1)])
def test_values_of_another_shape_are_refused(value: Any) -> None:
    with pytest.raises(ShapeError, match="have another shape"):
        kernel().assign(value)


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DtypeError, match="are not numbers"):
        kernel().assign(np.full((2, 3, 5, 4), "x"))


def test_a_weight_becomes_an_array() -> None:
    weight = kernel()
    assert np.array_equal(np.asarray(weight), weight.numpy())
    assert np.asarray(weight, dtype="float64").dtype == np.float64


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_arithmetic_is_the_tensors(function: Any) -> None:
    layer = layers.Dense(3)
    layer.build((None, 2))
    weight = layer.kernel
    weight.assign(np.array([[1, 2, 3], [4, 5, 6]], "float32"))
    shown = on_device(weight.numpy())
    other = on_device(np.full((2, 3), 2.0, "float32"))
    assert equal(function(weight, other), function(shown, other))
    assert equal(function(weight, weight), function(shown, shown))
    assert equal(function(2.0, weight), function(2.0, shown))
    assert equal(function(other, weight), function(other, shown))


def test_values_are_compared_with_numbers_and_weights_as_objects() -> None:
    layer = layers.Dense(3)
    layer.build((None, 2))
    weight = layer.kernel
    weight.assign(np.array([[1, 0, 3], [0, 5, 0]], "float32"))
    shown = on_device(weight.numpy())
    ones = np.ones((2, 3), "float32")
    for other in (0, 0.0, True, ones, on_device(ones)):
        beside = on_device(ones) if other is ones else other
        assert equal(weight == other, shown == beside)
        assert equal(weight != other, shown != beside)
    assert int((weight == 0).sum()) == 3, "how sparse it is"
    assert weight == weight
    assert weight != layer.bias
    assert weight is not None
    assert [layer.bias, weight].index(weight) == 1
    assert {weight: 1}[weight] == 1


def test_matrix_products_powers_signs_and_items() -> None:
    layer = layers.Dense(3)
    layer.build((None, 2))
    weight = layer.kernel
    shown = on_device(weight.numpy())
    left, right = on_device(torch.rand(4, 2)), on_device(torch.rand(3, 4))
    assert allclose(left @ weight, left @ shown)
    assert allclose(weight @ right, shown @ right)
    assert allclose(weight.__rmatmul__(left), left @ shown)
    assert equal(weight**2, shown**2)
    assert equal(-weight, -shown)
    assert equal(weight[0, 1:], shown[0, 1:])
    assert equal(torch.cat([weight, weight]), torch.cat([shown, shown]))
    assert equal(torch.sum(weight, dim=0), shown.sum(0))


def test_a_weight_is_true_and_its_repr_says_what_it_is() -> None:
    weight = kernel()
    assert bool(weight)
    assert repr(weight) == "<Weight conv2d/kernel shape=(2, 3, 5, 4) dtype=float32 trainable=True>"


def test_describing_a_model_makes_no_numbers() -> None:
    program = (
        "import sys, anabranch as ab\nx = ab.Input((8, 8, 3))\nm = ab.Model(x, ab.layers.Conv2D(3, 3)(x))\n"
        "m.summary(); m.count_params(); repr(m.weights); m.get_layer('conv2d').get_config()\n"
        "assert all(w.tensor is None for w in m.weights)\nassert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_weights_are_divided_and_raised_as_tensors() -> None:
    dense = layers.Dense(2, kernel_initializer="ones")
    dense.build((None, 3))
    kernel = dense.kernel
    for found, expected in (
        (kernel // 2, 0),
        (3 // kernel, 3),
        (kernel % 2, 1),
        (3 % kernel, 0),
        (2**kernel, 2),
        (-kernel, -1),
    ):
        assert (found == expected).all()

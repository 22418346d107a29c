"""Narrow floats of ml_dtypes arrays, as weights, data, targets, operands and arrays again; integers that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import layers, losses, metrics, ops
from anabranch._errors import DataError
from anabranch.runtime import check_fits

NARROW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.fixture
def model() -> Any:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(2, kernel_initializer="ones", name="dense")(x))


@pytest.mark.parametrize("kind", NARROW)
def test_weights_take_them(model: Any, kind: Any) -> None:
    kernel = np.arange(8).reshape(4, 2) / 8
    model.set_weights([kernel.astype(kind), np.ones(2, kind)])
    np.testing.assert_array_equal(model.get_weights()[0], kernel.astype(kind).astype("float32"))
    model.get_layer("dense").kernel.assign(np.zeros((4, 2), kind))
    assert not model.get_weights()[0].any()


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("order", ["C", "F"])
def test_data_and_targets_take_them(model: Any, kind: Any, order: Any) -> None:
    x, y = (np.arange(12).reshape(3, 4) / 4).astype(kind), np.ones((3, 2), kind)
    x = np.asarray(x, order=order)
    expected = x.astype("float32").sum(1, keepdims=True).repeat(2, 1)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(model(x).detach(), expected)
    model.compile("sgd", "mse", metrics=["mae"])
    error = expected - y.astype("float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx([np.mean(error**2), np.mean(np.abs(error))])
    assert float(losses.mean_squared_error(y, x[:, :2])[0]) == float(np.mean((1 - x[0, :2].astype("float32")) ** 2))
    metric = metrics.MeanAbsoluteError()
    metric.update_state(y, y)
    assert metric.result() == 0


@pytest.mark.parametrize("kind", NARROW)
def test_functions_keep_them(kind: Any) -> None:
    values = np.array([0.5, 1.0, -2.0], kind)
    tensor = ops.convert_to_tensor(values)
    assert str(tensor.dtype) == f"torch.{np.dtype(kind).name}"
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor), values.astype("float32"))


def test_what_torch_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match="not numbers"):
        ops.convert_to_tensor(np.ones(2, ml_dtypes.int4))
    assert equal(ops.add(np.ones(2, ml_dtypes.bfloat16), 1.0), torch.full((2,), 2.0, dtype=torch.bfloat16))


def ids_model() -> ab.Model:
    ids = ab.Input((3,), dtype="int32")
    return ab.Model(ids, layers.Embedding(5, 2)(ids))


@pytest.mark.parametrize("value", [2**32, -(2**31) - 1])
@pytest.mark.parametrize("use", ["predict", "fit", "evaluate", "batches", "memmap", "train_on_batch", "call", "tensor"])
def test_integers_that_an_input_cannot_hold_are_refused(use: str, value: int, tmp_path: Any) -> None:
    model, x, y = ids_model(), np.array([[1, 2, 3], [0, value, 4]]), np.zeros((2, 3, 2), "float32")
    model.compile("sgd", "mse")
    run: dict[str, Callable[[Any], object]] = {
        "predict": lambda x: model.predict(x, verbose=0), "fit": lambda x: model.fit(x, y, verbose=0),
        "evaluate": lambda x: model.evaluate(x, y, verbose=0), "batches": lambda x: model.fit(iter([(x, y)]), verbose=0),
        "train_on_batch": lambda x: model.train_on_batch(x, y), "call": model, "tensor": lambda x: model(torch.from_numpy(x)),
        "memmap": lambda x: model.predict(on_disk(x), verbose=0),
    }  # fmt: skip

    def on_disk(values: Any) -> Any:
        found = np.memmap(tmp_path / "ids", "int64", "w+", shape=values.shape)
        found[:] = values
        return found

    with pytest.raises(DataError, match="does not fit int32") as caught:
        run[use](x)
    assert "-2147483648 to 2147483647" in str(caught.value)
    assert str(value) in str(caught.value)
    run[use](np.array([[1, 2, 3], [0, 4, 4]]))


def test_an_input_of_64_bits_takes_large_integers() -> None:
    ids = ab.Input((2,), dtype="int64")
    model = ab.Model(ids, layers.IntegerLookup(vocabulary=[2**40, 7])(ids))
    assert model.predict(np.array([[2**40, 7]]), verbose=0).tolist() == [[1, 2]]


@pytest.mark.on_cpu
def test_integers_that_a_weight_cannot_hold_are_refused() -> None:
    weight = ab.Variable([3], dtype="int32")
    for write in (weight.assign, weight.assign_add, weight.assign_sub):
        with pytest.raises(DataError, match="does not fit int32"):
            write([2**40])
    assert weight.numpy().tolist() == [3]
    made = layers.Layer().add_weight((1,), lambda shape, dtype: np.full(shape, 2**40), dtype="int32", name="ids")
    with pytest.raises(DataError, match="initial value of weight 'layer/ids'"):
        made.numpy()


def test_nothing_is_read_where_no_bits_are_lost_or_values_are_traced() -> None:
    for dtype in (torch.int64, torch.float32, torch.bool):
        check_fits(torch.tensor([300], dtype=torch.int16), dtype, "x")
    check_fits(torch.tensor([2**40], device="meta"), torch.int32, "x")
    found = torch.vmap(lambda x: ab.ops.convert_to_tensor(x, "int32"))(torch.arange(3))
    assert found.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", NARROW)
def test_what_computes_in_numpy_takes_them(kind: Any) -> None:
    array = np.array([[1.0, 2.0], [0.0, 1.0]]).astype(kind)
    for given in (array, ops.convert_to_tensor(array)):
        layer = ab.layers.Normalization()
        layer.adapt(given)
        assert layer.mean.numpy().ravel().tolist() == [0.5, 1.5]
        assert ab.layers.Normalization(mean=given[0], variance=1.0)([[1.0, 2.0]]).tolist() == [[0.0, 0.0]]
        bins = ab.layers.Discretization(num_bins=2)
        bins.adapt(given)
        assert bins.bin_boundaries is not None
        assert ab.utils.to_categorical(given[:, 0]).tolist() == [[0, 1], [1, 0]]
        assert ab.utils.normalize(given)[1].tolist() == [0, 1]
        assert ab.utils.pad_sequences([given[0]], 3, "float32").tolist() == [[0, 1, 2]]
        assert ab.utils.img_to_array(ab.utils.array_to_img(given[..., None], scale=False)).ravel().tolist() == [1, 2, 0, 1]

"""Narrow floats of ml_dtypes arrays: as weights, data, targets, operands; and as NumPy arrays again."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import layers, losses, metrics, ops

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

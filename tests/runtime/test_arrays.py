"""Between arrays and tensors: what becomes a tensor, of which dtype and device, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device

import anabranch as ab
from anabranch import layers, runtime
from anabranch._errors import DataError, DtypeError, ShapeError


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"])
def test_arrays_become_tensors_of_their_dtype_and_come_back(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = runtime.as_tensor(array)
    assert tensor.dtype == getattr(torch, dtype) == runtime.dtype_of(dtype)
    assert tensor.device == runtime.device()
    back = runtime.numpy_of(tensor)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (2, torch.tensor(2)),
        (2.5, torch.tensor(2.5, dtype=torch.float64)),
        ([[1, 2], [3, 4]], torch.tensor([[1, 2], [3, 4]])),
        (np.float32(1.5), torch.tensor(1.5)),
        (np.arange(6)[::-2], torch.tensor([5, 3, 1])),
        (np.asfortranarray(np.arange(4).reshape(2, 2)), torch.tensor([[0, 1], [2, 3]])),
    ],
)
def test_numbers_lists_and_any_memory_layout(value: Any, want: torch.Tensor) -> None:
    found = runtime.as_tensor(value)
    assert found.dtype == want.dtype
    assert equal(found, want)


def test_a_read_only_array_is_copied() -> None:
    array = np.ones(3, "float32")
    array.flags.writeable = False
    tensor = runtime.as_tensor(array)
    tensor += 1
    assert array.tolist() == [1, 1, 1]


def test_floats_are_cast_and_integers_only_where_asked() -> None:
    whole, real = np.arange(2), np.ones(2, "float64")
    assert runtime.as_tensor(real, "float16").dtype == torch.float16
    assert runtime.as_tensor(whole, "float16").dtype == torch.int64
    assert runtime.as_tensor(whole, "float16", integers=False).dtype == torch.float16


def test_what_is_no_number_is_refused() -> None:
    for value in (["a"], np.array([object()]), np.array(["2020-01-01"], "datetime64[D]")):
        with pytest.raises(DtypeError, match="not numbers"):
            runtime.as_tensor(value)
    with pytest.raises(DtypeError, match="Unknown dtype"):
        runtime.dtype_of("float31")


def test_complex_numbers_are_numbers() -> None:
    assert runtime.as_tensor(1j).dtype == torch.complex128


def test_nests_keep_their_structure_and_what_is_no_array() -> None:
    tensor = on_device(torch.ones(2))
    found = runtime.as_tensors({"a": np.zeros(2), "b": [tensor, None], "c": ("valid", 3)})
    assert isinstance(found["a"], torch.Tensor)
    assert found["b"][0] is tensor
    assert (found["b"][1], found["c"]) == (None, ("valid", 3))
    assert equal(runtime.as_tensors([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 4]]))  # a list of numbers is one array


def test_a_weight_is_seen_in_keras_order() -> None:
    layer = layers.Conv2D(2, (3, 5))
    layer.build((None, 8, 8, 4))
    seen = runtime.as_tensor(layer.kernel)
    assert tuple(seen.shape) == layer.kernel.shape == (3, 5, 4, 2)
    assert np.array_equal(seen.detach().cpu().numpy(), layer.kernel.numpy())
    assert tuple(runtime.native(layer.kernel).shape) == (2, 4, 3, 5)
    assert seen.data_ptr() == runtime.native(layer.kernel).data_ptr()  # no copy


def test_a_cast_keeps_the_mask() -> None:
    masked = layers.Masking()(np.array([[[0.0], [2.0]]], "float32"))
    assert runtime.mask_of(runtime.as_tensor(masked, "float64")).tolist() == [[False, True]]


def test_shapes_and_ranks() -> None:
    assert runtime.shape_of([[1, 2, 3]]) == (1, 3)
    assert runtime.shape_of(torch.ones(2, 0)) == (2, 0)
    assert (runtime.rank_of(3), runtime.rank_of(np.ones((1, 2, 3)))) == (0, 3)


def test_what_comes_into_a_model_is_held_to_its_input() -> None:
    vector, column = ab.Input((3,), name="v"), ab.Input((1,), dtype="int32", name="c")
    model = ab.Model([vector, column], vector * column, name="m")
    assert model([np.ones((2, 3)), np.array([2, 3])]).tolist() == [[2, 2, 2], [3, 3, 3]]  # a missing last axis of 1 is added
    with pytest.raises(ShapeError, match=r"(?s)'v' of model 'm'.*\(None, 3\).*\(2, 4\)"):
        model([np.ones((2, 4)), np.ones(2)])
    with pytest.raises(DataError, match="'c' of model 'm' is None"):
        model([np.ones((2, 3)), None])


VALUES = np.linspace(0.1, 0.9, 12, dtype="float32").reshape(4, 3)
VIEWS = {
    "backwards": VALUES[::-1],
    "both axes backwards": VALUES[::-1, ::-1],
    "another byte order": VALUES.astype(VALUES.dtype.newbyteorder()),
    "columns first": np.asfortranarray(VALUES),
    "of one number": np.broadcast_to(np.float32(0.5), (4, 3)),
}


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("view", VIEWS)
def test_arrays_that_torch_cannot_read_in_place(view: str) -> None:
    given, same = VIEWS[view], np.ascontiguousarray(VIEWS[view], "float32")
    weights = np.ones(4)[::-1]
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(3)(inputs))
    model.compile("sgd", "mse", metrics=["mae"])

    def asked(x: Any) -> list[Any]:
        return [
            ab.ops.convert_to_tensor(x), ab.ops.sum(x, 0), model(x), ab.losses.MeanSquaredError()(x, x * 0, weights),
            ab.metrics.MeanSquaredError()(x, x * 0, weights), ab.metrics.AUC()(x > 0.5, x), model.predict(x, verbose=0),
            model.evaluate(x, x, sample_weight=weights, verbose=0),
        ]  # fmt: skip

    for found, expected in zip(asked(given), asked(same), strict=True):
        assert equal(found, expected) if isinstance(found, torch.Tensor) else np.array_equal(found, expected)
    assert model.fit(given, given, verbose=0).history["loss"][0] >= 0
    model.set_weights([np.ones((3, 3), given.dtype)[::-1], np.ones(3)[::-1]])
    assert equal(model.weights[0].value, torch.ones(3, 3))

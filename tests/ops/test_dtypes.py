"""Which dtype functions give, beside real Keras: booleans, small and large integers, half floats, numbers of Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, Model, ops
from anabranch._errors import AnabranchError

BOOLEANS = np.array([True, False, True])
HALVES = [torch.float16, torch.bfloat16]


def described(function: Callable[..., Any], *values: np.ndarray) -> tuple[str, str, list[Any]]:
    """Return the dtype that a symbolic call reports, and the dtype and values of the model."""
    inputs = [Input(value.shape[1:], dtype=str(value.dtype)) for value in values]
    found = function(*inputs)
    result = Model(inputs, found)([*values])
    return found.dtype, str(result.dtype).removeprefix("torch."), result.tolist()


# Booleans


OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Any, str, list[Any]]] = {
    "x - (x > 0)": (lambda x, b: x - b, "float32", "float32", [0.0, -2.0, 2.0]),
    "(x > 0) - x": (lambda x, b: b - x, "float32", "float32", [0.0, 2.0, -2.0]),
    "half - b": (lambda x, b: x - b, "float16", "float16", [0.0, -2.0, 2.0]),
    "int8 - b": (lambda x, b: x - b, "int8", "int8", [0, -2, 2]),
    "b - 1": (lambda x, b: b - 1, "float32", "int32", [0, -1, 0]),
    "1 - b": (lambda x, b: 1 - b, "float32", "int32", [0, 1, 0]),
    "b - 0.5": (lambda x, b: b - 0.5, "float32", "float32", [0.5, -0.5, 0.5]),
    "b * 2": (lambda x, b: b * 2, "float32", "int32", [2, 0, 2]),
    "b + 2**40": (lambda x, b: b + 2**40, "float32", "int64", [2**40 + 1, 2**40, 2**40 + 1]),
    "b ** 2": (lambda x, b: b**2, "float32", "int32", [1, 0, 1]),
    "2 ** b": (lambda x, b: 2**b, "float32", "int32", [2, 1, 2]),
    "b // 2": (lambda x, b: b // 2, "float32", "int32", [0, 0, 0]),
    "b % 2": (lambda x, b: b % 2, "float32", "int32", [1, 0, 1]),
    "b - b": (lambda x, b: b - (x > 2), "float32", "int32", [1, 0, 0]),
    "b + b": (lambda x, b: b + b, "float32", "bool", [True, False, True]),
    "abs(b)": (lambda x, b: abs(b), "float32", "bool", [True, False, True]),
    "-b": (lambda x, b: -b, "float32", "int32", [-1, 0, -1]),
    "x * b": (lambda x, b: x * b, "float32", "float32", [1.0, 0.0, 3.0]),
    "b / 2": (lambda x, b: b / 2, "float32", "float32", [0.5, 0.0, 0.5]),
    "b & 1": (lambda x, b: b & 1, "float32", "int32", [1, 0, 1]),
    "x - array of booleans": (lambda x, b: x - BOOLEANS, "float32", "float32", [0.0, -2.0, 2.0]),
    "b @ b": (lambda x, b: b @ np.ones((3, 1), "bool"), "float32", "bool", [True]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operators_take_booleans_as_numbers(name: str) -> None:
    """``x - (x > 0)`` works, ``b * 2`` is int32; the symbol says what the value is, at once and lowered."""
    function, kind, dtype, right = OPERATIONS[name]
    value = np.array([[1, -2, 3]], kind)
    assert described(lambda x: function(x, x > 0), value) == (dtype, dtype, [right])


FUNCTIONS = (
    "add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "mod", "power", "maximum", "minimum", "equal",
    "less", "logical_and", "bitwise_and", "arctan2", "hypot", "logaddexp", "logaddexp2", "matmul", "dot", "inner", "tensordot",
    "outer", "kron", "append", "isclose",
)  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_result_types_are_keras(keras: Any, name: str) -> None:
    """Of each two dtypes of 32 bits at most; Keras makes 32 bits of 64 where dtypes are mixed, which torch does not."""
    kinds = ("bool", "int8", "uint8", "int16", "int32", "float16", "bfloat16", "float32")
    extra = (1,) if name == "tensordot" else ()
    wrong = []
    for a, b in itertools.product(kinds, kinds):
        x, y = (torch.tensor([1, 0, 1]).to(getattr(torch, kind)) for kind in (a, b))
        try:
            right = getattr(keras.ops, name)(x, y, *extra)
        except (RuntimeError, NotImplementedError, TypeError):
            continue  # Keras has no answer
        found = getattr(ops, name)(x, y, *extra)
        if found.dtype != right.dtype:
            wrong.append((a, b, found.dtype, right.dtype))
    assert wrong == []


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "sum", "prod", "abs", "sign", "square", "max", "mean", "median"])
def test_results_of_one_tensor_have_keras_types(keras: Any, name: str) -> None:
    for kind in ("bool", "int8", "uint8", "int16", "int32", "float16", "bfloat16", "float32"):
        x = torch.tensor([1, 0, 1]).to(getattr(torch, kind))
        assert getattr(ops, name)(x).dtype == getattr(keras.ops, name)(x).dtype, kind


def test_a_boolean_beside_a_number_is_an_integer_of_32_bits() -> None:
    for function in (ops.add, ops.multiply, ops.power, ops.floor_divide, ops.mod, ops.subtract, ops.bitwise_or):
        assert function(BOOLEANS, 1).dtype == torch.int32
        assert described(lambda x, f=function: f(x > 0, 1), np.ones((1, 3), "float32"))[:2] == ("int32", "int32")
    assert ops.subtract(BOOLEANS, BOOLEANS).tolist() == [0, 0, 0]
    assert ops.negative(BOOLEANS).tolist() == [-1, 0, -1]


# Half floats


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("name", ["arctan2", "hypot", "logaddexp", "logaddexp2", "heaviside"])
def test_half_floats_beside_integers_stay_half_floats(name: str, half: torch.dtype) -> None:
    x, integers = torch.tensor([1.0, 2.0], dtype=half), np.array([1, 2])
    assert getattr(ops, name)(x, integers).dtype == getattr(ops, name)(integers, x).dtype == half
    assert getattr(ops, name)(integers, integers).dtype == torch.float32


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_averages_and_quantiles_of_half_floats(half: torch.dtype) -> None:
    x = torch.tensor([1.0, 2.0, 4.0, float("nan")], dtype=half)
    for found in (
        ops.median(x[:3]),
        ops.quantile(x[:3], 0.5),
        ops.percentile(x[:3], 50),
        ops.nanmedian(x),
        ops.nanquantile(x, 0.5),
    ):
        assert (found.dtype, found.item()) == (half, 2.0)
    assert ops.average(x[:3], weights=np.array([1, 1, 2])).dtype == half
    assert ops.average(np.array([1, 3]), weights=torch.tensor([1.0, 1.0], dtype=half)).dtype == half
    assert ops.median(Input((3,), dtype=str(half).removeprefix("torch.")), axis=-1).dtype == str(half).removeprefix("torch.")


def test_bfloat16_becomes_numpys_float32() -> None:
    """NumPy has no bfloat16, and float32 holds each of its values."""
    found = ops.convert_to_numpy(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    assert (found.dtype, found.tolist()) == (np.float32, [1.5, -2.0])


# Large integers


@pytest.mark.parametrize("value", [3000000000, 2**40, -(2**31) - 1, [2**40, 1], [[1], [-(2**62)]]])
def test_integers_of_more_than_32_bits_stay_what_they_are(value: Any) -> None:
    for function in (ops.convert_to_tensor, ops.array):
        assert (function(value).dtype, function(value).tolist()) == (torch.int64, value)


def test_integers_of_32_bits_are_int32() -> None:
    assert ops.array([2**31 - 1, -(2**31)]).dtype == torch.int32


def test_no_integer_is_cut_to_fewer_bits() -> None:
    assert ops.isin([0.0], 2**40).tolist() == [False]
    assert ops.maximum([1], 2**40).tolist() == [2**40]
    assert ops.minimum(np.array([1, 2], "int8"), 200).tolist() == [1, 2]
    assert ops.where([True, False], 2**40, 1).tolist() == [2**40, 1]
    assert ops.dot(np.array([1, 2], "int8"), 200).tolist() == [200, 400]
    assert ops.append(np.array([1], "uint8"), -1).tolist() == [1, -1]
    with pytest.raises(AnabranchError, match="64 bits"):
        ops.array(2**70)


@pytest.mark.parametrize(
    "call",
    [
        lambda n: ops.eye(n), lambda n: ops.eye(2, n), lambda n: ops.eye(2, k=n), lambda n: ops.identity(n),
        lambda n: ops.tri(n), lambda n: ops.tri(2, n), lambda n: ops.tri(2, k=n), lambda n: ops.zeros(n),
        lambda n: ops.ones((2, n)), lambda n: ops.full((n,), 1.0), lambda n: ops.empty(n), lambda n: ops.linspace(0, 1, n),
        lambda n: ops.logspace(0, 1, n), lambda n: ops.vander([1, 2], n), lambda n: ops.one_hot([1], n),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrong", [2.5, 2.0, True, "2"])
def test_sizes_must_be_integers(call: Callable[[Any], Any], wrong: Any) -> None:
    """``ops.eye(2.5)`` is refused instead of being rounded."""
    with pytest.raises(TypeError, match="must be an integer"):
        call(wrong)
    assert call(np.int64(2)) is not None


# Segments


@pytest.mark.parametrize("name", ["segment_sum", "segment_max", "segment_min", "segment_prod"])
@pytest.mark.parametrize("ids", [[0, 5, 1], [0, -1, 1], [7, 7, 7]])
def test_rows_of_no_segment_are_left_out(name: str, ids: list[int]) -> None:
    rows = np.array([1.0, 2.0, 4.0], "float32")
    inside = [number for number, one in enumerate(ids) if 0 <= one < 3]
    right = getattr(ops, name)(rows[inside], np.array(ids)[inside], num_segments=3)
    assert getattr(ops, name)(rows, np.array(ids), num_segments=3).tolist() == right.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.dtype("float16"), torch.float16, "float16"])
def test_a_dtype_is_named_or_torch_s_or_numpy_s(dtype: Any) -> None:
    """Where Keras takes a dtype, all ways of writing it are one; a symbolic call saves its name."""
    x = ab.Input((3,), dtype=dtype)
    assert x.dtype == "float16"
    made = ab.ops.cast(ab.ops.zeros((2, 3), dtype), dtype=dtype)
    assert made.dtype == torch.float16
    assert ab.layers.Dense(2, dtype=dtype).get_config()["dtype"]["config"] == {"name": "float16"}
    assert ab.layers.Layer().add_weight((2,), dtype=dtype).dtype == "float16"
    assert ab.losses.MeanSquaredError(dtype=dtype).dtype == ab.metrics.Mean(dtype=dtype).dtype == "float16"
    assert ab.random.normal((2,), dtype=dtype).dtype == torch.float16
    model = ab.Model(x, ab.ops.cast(x + 1, dtype))
    assert ab.models.model_from_json(model.to_json()).output.dtype == "float16"


def test_types_of_python_are_dtypes_as_in_keras() -> None:
    assert ab.Input((3,), dtype=int).dtype == "int32"  # type: ignore[arg-type]
    assert ab.ops.cast([1.5], float).dtype == torch.float32  # type: ignore[arg-type]
    assert ab.ops.zeros((2,), dtype=bool).dtype == torch.bool  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype of cast must be a string"):
        ab.ops.cast([1.5], dict)  # type: ignore[arg-type]

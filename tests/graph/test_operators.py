"""Operators and indexing on symbolic tensors: rules against what torch gives."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import anabranch as ab
from anabranch import Input, Model, ops
from anabranch._errors import ArgumentTypeError, DtypeError, ShapeError
from anabranch.graph import Operator
from anabranch.graph.operators import OPERATORS
from anabranch.graph.rules import indexed, promote

REFLECTED = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
LOGICAL = {operator.and_, operator.or_, operator.xor, operator.invert}
UNARY = {operator.neg, operator.abs, operator.invert}
IDENTITY = {operator.eq, operator.ne}  # between symbolic tensors these compare the records, as hashing needs


def run(function: Any, *data: np.ndarray) -> tuple[Any, torch.Tensor]:
    inputs = [ab.Input(array.shape[1:], dtype=str(array.dtype)) for array in data]
    result = function(*inputs)
    return result, ab.Model(inputs, result)(list(data))


@pytest.mark.parametrize("function", [f for f in OPERATORS if f not in LOGICAL | UNARY | IDENTITY], ids=lambda f: f.__name__)
def test_rules_equal_torch_between_tensors(function: Any) -> None:
    a, b = np.full((2, 3, 3), 2.0, "float32"), np.full((2, 3, 3), 3.0, "float32")
    spec, result = run(function, a, b)
    expected = function(torch.from_numpy(a), torch.from_numpy(b))
    assert equal(result, expected)
    assert spec.shape[1:] == tuple(expected.shape[1:])
    assert spec.dtype == str(expected.dtype).removeprefix("torch.")


@pytest.mark.parametrize("function", [operator.neg, operator.abs])
def test_unary_rules_equal_torch(function: Any) -> None:
    a = np.array([[-1.0, 2.0]], "float32")
    assert equal(run(function, a)[1], function(torch.from_numpy(a)))


@pytest.mark.parametrize("function", sorted(LOGICAL - UNARY, key=lambda f: f.__name__), ids=lambda f: f.__name__)
def test_logic(function: Any) -> None:
    a, b = np.array([[1.0, 2.0]], "float32"), np.array([[2.0, 1.0]], "float32")
    spec, result = run(lambda x, y: function(x > y, ~(x > 1.5)), a, b)
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    assert equal(result, function(first > second, ~(first > 1.5)))
    assert spec.dtype == "bool"
    assert run(lambda x, y: function(x > y, True), a, b)[0].dtype == "bool"
    assert run(lambda x, y: function(True, x > y), a, b)[0].dtype == "bool"


@pytest.mark.parametrize("name", REFLECTED)
@pytest.mark.parametrize("number", [2, 2.5])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_numbers_on_either_side(name: str, number: float, dtype: str) -> None:
    function = getattr(operator, name)
    a = np.array([[1, 3, 5]], dtype)
    for use in (lambda x: function(x, number), lambda x: function(number, x)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch on floor division
            spec, result = run(use, a)
            expected = use(torch.from_numpy(a))
        assert allclose(result, expected)
        assert spec.dtype == str(expected.dtype).removeprefix("torch.")
        assert spec.shape == (None, 3)


@pytest.mark.parametrize(
    ("a", "b"), [((4, 2, 3), (4, 3, 5)), ((4, 2, 3), (4, 3)), ((4, 1, 2, 3), (4, 5, 3, 2))], ids=str
)  # fmt: skip
def test_matrix_product_equals_torch(a: Any, b: Any) -> None:
    x, y = np.random.default_rng(0).random(a).astype("float32"), np.random.default_rng(1).random(b).astype("float32")
    if len(b) == 2:  # a matrix of numbers, not an input
        inputs = ab.Input(a[1:])
        weight = torch.from_numpy(y[0])
        spec = inputs @ weight
        result = ab.Model(inputs, spec)(x)
        expected = torch.from_numpy(x) @ weight
    else:
        spec, result = run(operator.matmul, x, y)
        expected = torch.from_numpy(x) @ torch.from_numpy(y)
    assert allclose(result, expected)
    assert spec.shape[1:] == tuple(expected.shape[1:])


def test_a_constant_tensor_on_the_left_of_a_product() -> None:
    x = ab.Input((3, 2))
    weight = torch.ones(3)
    spec = Operator(operator.matmul).compute_output_spec(weight, x)
    assert spec.shape == (None, 2)


def test_an_array_on_the_left_of_a_product() -> None:
    x = ab.Input((3, 2))
    matrix = np.arange(12, dtype="float32").reshape(4, 3)
    spec = matrix @ x
    data = np.ones((5, 3, 2), "float32")
    assert spec.shape == (None, 4, 2)
    assert np.array_equal(ab.Model(x, spec)(data).cpu().numpy(), matrix @ data)


def test_matrix_products_that_cannot_be() -> None:
    a, b = ab.Input((2, 3)), ab.Input((4, 5))
    with pytest.raises(ShapeError, match="inner sizes of a matrix product differ: 3 and 4"):
        a @ b
    with pytest.raises(ShapeError, match="needs tensors with axes"):
        Operator(operator.matmul).compute_output_spec(a, torch.tensor(1.0))


def test_shapes_that_do_not_fit_are_reported_where_they_meet() -> None:
    with pytest.raises(ShapeError, match="features 3 and 4"):
        ab.Input((3,)) + ab.Input((4,))


def test_what_is_no_operand_is_left_to_python() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        ab.Input((3,)) + "x"
    with pytest.raises(TypeError):
        ab.Input((3,)) * None


@pytest.mark.parametrize(("a", "b", "expected"), [("uint8", "float32", "float32"), ("int32", "int64", "int64")])
def test_promotion(a: str, b: str, expected: str) -> None:
    assert promote(a, b) == promote(b, a) == expected


def test_operators_take_no_training() -> None:
    assert not Operator(operator.add)._call_takes_("training")


# Indexing


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_indexing_equals_numpy(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=5))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    assert indexed(shape, key if isinstance(key, tuple) else (key,)) == np.empty(shape)[key].shape


@pytest.mark.parametrize(
    "key",
    [np.s_[:, 0], np.s_[..., 1:3], np.s_[:, None, :, -1], np.s_[:, ::2], np.s_[:, 1:, ..., None], np.s_[1:]],
    ids=str,
)
def test_indexing_runs(key: Any) -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype("float32")
    spec, result = run(lambda x: x[key], array)
    assert np.array_equal(result.cpu().numpy(), array[key])
    assert spec.shape[1:] == array[key].shape[1:]


def test_an_integer_index_takes_the_batch_away() -> None:
    assert ab.Input((3, 4))[0].shape == (3, 4)


def test_a_slice_of_an_unknown_size_is_unknown() -> None:
    assert ab.Input((None, 4))[:, 2:].shape == (None, None, 4)


@pytest.mark.parametrize(
    ("key", "message"),
    [((0, 0, 0), "More indices"), ((slice(None), 4), "outside an axis of size 4"), ((slice(None), -5), "outside an axis")],
)
def test_indices_out_of_range(key: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        ab.Input((4,))[key]


@pytest.mark.parametrize("key", [[0, 1], "a", 1.5])
def test_other_indices_are_refused(key: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="indexed by integers"):
        ab.Input((4,))[:, key]


def test_numpy_at_the_left_of_an_operator_leaves_it_to_the_tensor() -> None:
    x = ab.Input((3,))
    array = np.ones(3, "float32")
    for result, name in (
        (array + x, "add"),
        (array / x, "true_divide"),
        (array > x, "greater"),
        (np.float32(2) * x, "multiply"),
    ):
        assert result.shape == (None, 3)
        assert result.node.operation.name == name
    data = np.full((2, 3), 4, "float32")
    assert np.allclose(ab.Model(x, array / x)(data).detach().cpu().numpy(), array / data)
    for function in (np.sqrt, np.mean, lambda x: np.concatenate([x, x]), np.add.reduce):
        with pytest.raises(TypeError, match=r"cannot go through np\."):
            function(x)


KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


@pytest.mark.parametrize("a", KINDS)
@pytest.mark.parametrize("b", KINDS)
def test_a_product_of_any_dtypes_is_what_its_symbol_says(a: str, b: str) -> None:
    x, y = Input((2, 2), dtype=a), Input((2, 2), dtype=b)
    model = Model([x, y], x @ y)
    ones = np.ones((1, 2, 2))
    values = [ops.cast(ones, a), ops.cast(ones, b)]
    assert str(model(values).dtype) == f"torch.{model.output.dtype}"
    assert ops.dtype(ops.matmul(*values)) == model.output.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_a_boolean_of_python_is_subtracted_as_a_number(kind: str) -> None:
    x = Input((2,), dtype=kind)
    for symbol, function in ((x - True, lambda v: ops.subtract(v, True)), (True - x, lambda v: ops.subtract(True, v))):
        value = ops.cast(np.ones((1, 2)), kind)
        found = Model(x, symbol)(value)
        assert str(found.dtype) == f"torch.{symbol.dtype}"
        assert found.tolist() == function(value).tolist() == [[0, 0]]


@pytest.mark.parametrize("operate", [lambda x: x & 1.5, lambda x: x | x, lambda x: ~x, lambda x: x ^ True])
def test_operators_on_bits_refuse_floats_at_once(operate: Callable[..., Any]) -> None:
    with pytest.raises(DtypeError, match="integers or booleans"):
        operate(Input((2,)))


@pytest.mark.parametrize("digits", [(), (1,), (-1,), (None,)])
def test_round_equals_keras(keras: Any, digits: Any) -> None:
    x = np.array([[12.345, -0.5, 2.5]], "float32")
    inputs = keras.Input((3,))
    wanted = keras.Model(inputs, round(inputs, *digits))(x)
    allclose(run(lambda y: round(y, *digits), x)[1], wanted)
    assert run(round, np.array([[3]], "int32"))[0].dtype == "int32"

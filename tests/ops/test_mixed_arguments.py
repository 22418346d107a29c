"""Functions of arguments whose dtypes, sizes or forms are unequal: lists beside symbols, sizes of 0 and 1, booleans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

from anabranch import Input, Model, ops
from anabranch._errors import DtypeError, EngineError, ShapeError


def symbol(*shape: int | None, dtype: str = "float32") -> Any:
    return Input(batch_shape=shape, dtype=dtype)


@pytest.mark.parametrize(
    ("function", "unknown", "other", "shape"),
    [
        (ops.maximum, (None, 4), np.ones((0, 4), "int32"), (0, 4)),
        (ops.fmax, (None, None, None), np.ones((5, 0, 3), "float32"), (5, 0, 3)),
        (ops.greater, (None, 1), [[1.0], [2.0], [3.0]], (3, 1)),
        (ops.inner, (None, None, None), np.ones((0, 1, 0), "float32"), (None, None, 0, 1)),
        (ops.dot, (None,), np.ones(1, "float32"), ()),
    ],
)
def test_an_unknown_size_beside_a_list_a_0_or_a_1(function: Any, unknown: Any, other: Any, shape: Any) -> None:
    assert function(symbol(*unknown), other).shape == shape


def test_joining_in_depth_with_unknown_sizes() -> None:
    assert ops.dstack([symbol(None, 1, 3, None), np.ones((5, 1, 3, 1), "float32")]).shape == (5, 1, 6, 1)


def test_the_length_of_a_diagonal_is_unknown_where_one_size_is() -> None:
    assert ops.diagonal(symbol(3, None), 1, 1, 0).shape == (None,)
    assert ops.diagonal(symbol(None, 3, 4), -1, 1, 2).shape == (None, 2)
    assert ops.diagonal(symbol(2, 3), 5).shape == tuple(ops.diagonal(torch.ones(2, 3), 5).shape) == (0,)


@pytest.mark.parametrize("function", [ops.minimum, ops.fmax, lambda a, b: ops.where([True], a, b)])
def test_a_number_takes_the_dtype_of_a_tensor_without_axes(function: Any) -> None:
    small, half = torch.tensor(3, dtype=torch.uint8), torch.tensor(3.0, dtype=torch.float16)
    assert function(2, small).dtype == function(small, 2).dtype == torch.uint8
    assert function(2.5, half).dtype == function(half, 2).dtype == torch.float16
    assert function(small, 2.5).dtype == torch.float32


def test_where_widens_for_a_number_that_does_not_fit() -> None:
    found = ops.where([True, False], torch.tensor([1, 2], dtype=torch.int8), -200)
    assert (found.tolist(), found.dtype) == ([1, -200], torch.int32)


def test_numbers_as_conditions_of_select() -> None:
    assert ops.select([[0.0, 2.0], [1.0, 1.0]], [[1, 2], [3, 4]], 0).tolist() == [3, 2]


def test_half_floats_stay_half_floats_in_lines() -> None:
    half = torch.tensor([0.0, 1.0], dtype=torch.float16)
    assert ops.linspace(half, half + 1, 3).dtype == ops.logspace(half, half + 1, 3).dtype == torch.float16


def test_layer_normalization_with_factors_of_other_dtypes() -> None:
    x = torch.tensor([[1.0, 3.0]])
    found = ops.layer_normalization(x, torch.tensor([2.0, 2.0], dtype=torch.float16), torch.ones(2, dtype=torch.bfloat16))
    torch.testing.assert_close(found, torch.tensor([[-1.0, 3.0]]), atol=1e-3, rtol=0)


def test_infinite_values_in_means_and_variances() -> None:
    mean, variance = ops.moments([[1.0, np.inf]], [1])
    assert mean.tolist() == [np.inf]
    assert np.isnan(variance.tolist()).all()
    assert np.isnan(ops.nanvar([1.0, np.inf]).item())
    assert ops.nanvar([1.0, np.nan, 3.0]).item() == 1.0


def test_booleans_where_torch_has_none() -> None:
    assert ops.repeat([1, 2], [True, False]).tolist() == [1]
    assert ops.nanargmax([False, True]).item() == 1
    assert ops.segment_max([False, True, False], [0, 0, 1]).tolist() == [True, False]
    assert ops.segment_min([False, True, True], [0, 0, 1]).tolist() == [False, True]
    assert ops.cumsum([0, 2, 0], dtype="bool").tolist() == [False, True, True]
    assert ops.cumprod([0.5, 2.0, 0.0], dtype="bool").tolist() == [True, True, False]


def test_saturating_within_the_range_of_both_dtypes() -> None:
    assert ops.saturate_cast(torch.tensor([-5, 100], dtype=torch.int8), "uint8").tolist() == [0, 100]
    assert ops.saturate_cast(torch.tensor([5, 200], dtype=torch.uint8), "int8").tolist() == [5, 127]
    assert ops.saturate_cast([True, False], "uint8").tolist() == [1, 0]


def test_scattered_values_are_combined_row_by_row_and_from_the_end() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 1.0]])
    assert ops.scatter_update(x, [[-1]], torch.tensor([[4, 0]]), "max").tolist() == [[1.0, 5.0], [4.0, 1.0]]
    assert ops.scatter_update(x, [[0], [0]], [[2.0, 3.0], [2.0, 1.0]], "mul").tolist() == [[4.0, 15.0], [3.0, 1.0]]


def test_a_block_has_as_many_axes_as_the_tensor() -> None:
    with pytest.raises(ValueError, match="start_indices and updates do not fit the axes"):
        ops.slice_update(torch.ones(3, 4), (0, 1), -1.0)


def test_attention_of_several_dtypes() -> None:
    queries, keys = torch.ones(1, 3, 2, 4), torch.ones(1, 3, 2, 4, dtype=torch.bfloat16)
    found = ops.dot_product_attention(queries, keys, keys, bias=torch.zeros(1, 2, 3, 3, dtype=torch.float16))
    assert (found.dtype, found.flatten().unique().tolist()) == (torch.float32, [1.0])


@pytest.mark.parametrize("function", [ops.sum, ops.prod, ops.nansum, ops.nanprod])
def test_a_sum_of_one_value_has_the_dtype_of_sums(function: Any) -> None:
    assert function(torch.tensor(3, dtype=torch.int16)).dtype == torch.int32
    assert function(torch.tensor(3, dtype=torch.int64)).dtype == torch.int64


def test_a_product_of_halves_does_not_overflow_on_the_way(keras: Any) -> None:
    values = np.array([[300.0, 300.0, 0.01, 0.01]], "float16")
    for options in ({}, {"axis": 1}, {"axis": (0, 1), "keepdims": True}):
        found, expected = ops.prod(values, **options), keras.ops.prod(values, **options)
        assert (found.dtype, found.tolist()) == (torch.float16, expected.tolist())
    x = Input((4,), dtype="float16")
    assert Model(x, ops.prod(x, axis=1))(values).tolist() == [9.0]


def test_what_is_empty() -> None:
    assert ops.min(torch.ones(2, 0, 3), axis=1, initial=-0.5).tolist() == [[-0.5] * 3] * 2
    assert ops.max(torch.ones(0, 2, dtype=torch.int8), axis=-1, keepdims=True, initial=1).shape == (0, 1)
    assert ops.bincount(torch.zeros((1, 0), dtype=torch.int32), None, 2).tolist() == [[0, 0]]
    assert [tuple(part.shape) for part in ops.split(torch.ones(3, 0), 2, 1)] == [(3, 0), (3, 0)]
    empty = ops.scatter_update(torch.ones(3, 0), [[1]], torch.ones(1, 0), "max")
    assert empty.shape == (3, 0)


def test_a_target_that_is_no_class_is_in_no_top() -> None:
    assert ops.in_top_k([0, 3, -1], [[0.9, 0.1]] * 3, 1).tolist() == [True, False, False]


def test_small_integers_as_repeats_powers_and_scales() -> None:
    assert ops.repeat([1, 2], torch.tensor([0, 2], dtype=torch.int8)).tolist() == [2, 2]
    assert ops.vander(torch.tensor([1, 2], dtype=torch.int32), 0).dtype == torch.int32
    half = torch.ones(2, 3, dtype=torch.bfloat16)
    assert ops.rms_normalization(half, torch.ones(3, dtype=torch.int8)).dtype == torch.bfloat16


def test_two_large_integers() -> None:
    assert ops.floor_divide(-200, 2**31).item() == -1
    assert ops.add(1, 2**31).item() == ops.add(2**31, 1).item() == 2**31 + 1


def test_booleans_are_resized_found_and_divided_and_numbers_saturate_to_booleans() -> None:
    x = torch.tensor([True, False, True])
    assert ops.isin(x, torch.tensor([True])).tolist() == [True, False, True]
    assert ops.fmod(x, torch.tensor([True, True, True])).tolist() == [0, 0, 0]
    assert ops.saturate_cast(torch.tensor([-3.0, 0.0, 0.5]), "bool").tolist() == [True, False, True]
    image = torch.tensor([[True, False], [False, True]]).reshape(1, 2, 2, 1)
    nearest = ops.image.resize(image, (4, 4), interpolation="nearest")
    assert nearest.dtype == torch.bool
    assert nearest[0, :, :, 0].int().tolist() == [[1, 1, 0, 0]] * 2 + [[0, 0, 1, 1]] * 2


def test_distances_of_half_floats() -> None:
    found = ops.cdist(torch.zeros(1, 2, dtype=torch.bfloat16), torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert found.tolist() == [[5.0]]


def test_an_axis_may_be_rolled_twice() -> None:
    x = np.arange(6).reshape(2, 3)
    assert ops.roll(x, (1, 1), (1, 1)).tolist() == np.roll(x, (1, 1), (1, 1)).tolist()


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_normalizing_along_an_empty_axis(axis: Any) -> None:
    x, factors = torch.ones(2, 3, 0), torch.ones([(2, 3, 0)[each] for each in (axis if isinstance(axis, tuple) else (axis,))])
    for function in (ops.layer_normalization, ops.rms_normalization):
        assert function(x, factors, axis=axis).shape == (2, 3, 0)


def test_normalized_half_floats_stay_half_floats_beside_statistics_of_float32() -> None:
    found = ops.batch_normalization(torch.ones(2, 3, dtype=torch.float16), torch.zeros(3), torch.ones(3), -1)
    assert found.dtype == torch.float16


def test_updates_broadcast_however_they_are_combined() -> None:
    x, at, new = torch.arange(8).reshape(2, 2, 2), torch.tensor([[1]]), torch.tensor([[9, 0]])
    assert ops.scatter_update(x, at, new).tolist() == [[[0, 1], [2, 3]], [[9, 0], [9, 0]]]
    assert ops.scatter_update(x, at, new, reduction="min").tolist() == [[[0, 1], [2, 3]], [[4, 0], [6, 0]]]


@pytest.mark.parametrize(("kind", "dtype"), [("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64")])
def test_large_integers_without_a_sign_become_wider_ones_with_one(kind: str, dtype: str) -> None:
    x = np.array([1, 2, np.iinfo(kind).max if kind != "uint64" else 3], kind)
    assert str(ops.add(x, 0).dtype) == f"torch.{dtype}"
    assert ops.maximum(x, x).tolist() == x.tolist()
    symbolic = Input((3,), dtype=dtype)
    assert (
        Model(symbolic, symbolic + x)(np.stack([x, x])).tolist() == (2 * x.astype("int64")).reshape(1, 3).repeat(2, 0).tolist()
    )
    with pytest.raises(DtypeError, match="does not fit 64 bits"):
        ops.add(np.array([2**63], "uint64"), 1)


def test_a_batch_of_unknown_size_is_broadcast_to_a_known_one() -> None:
    x = Input((3,))
    y = ops.broadcast_to(x, (2, 5, 3))
    assert y.shape == (2, 5, 3)
    assert Model(x, y)(np.ones((1, 3), "float32")).shape == (2, 5, 3)
    for given in (x, np.ones((2, 3))):
        with pytest.raises(ShapeError, match="does not broadcast to the shape"):
            ops.broadcast_to(given, (3, 4))


def test_an_unknown_size_beside_one_of_0_is_0() -> None:
    a, b = Input(batch_shape=(3, None, 0, None), dtype="int8"), Input(batch_shape=(3, None, None, 2))
    assert ops.minimum(a, b).shape == (3, None, 0, 2)
    assert ops.hstack([Input(batch_shape=(17, 5, None, None)), Input(batch_shape=(None, None, 1, 1))]).shape == (17, None, 1, 1)


@pytest.mark.parametrize(("kind", "number"), [("int8", 200), ("uint8", -1), ("int32", 2**40)])
def test_numbers_that_a_dtype_cannot_hold_are_compared(kind: str, number: int) -> None:
    assert ops.maximum(torch.tensor([1, 2]).to(getattr(torch, kind)), number).tolist() == [max(1, number), max(2, number)]
    for x in (torch.tensor([1, 2]).to(getattr(torch, kind)), torch.tensor(1).to(getattr(torch, kind))):
        assert not ops.equal(x, number).any()
        assert ops.greater(x, number).tolist() == ops.less(number, x).tolist() == (x.long() > number).tolist()
    x = Input((2,), dtype=kind)
    assert Model(x, ops.greater_equal(x, number))(np.ones((1, 2), kind)).tolist() == [[number < 0] * 2]


def test_saturating_to_wider_floats_changes_nothing() -> None:
    assert ops.saturate_cast(torch.tensor([1.5, np.inf]), "float64").tolist() == [1.5, np.inf]
    assert ops.saturate_cast(torch.tensor([1e30, -np.inf]), "float16").tolist() == [65504.0, -65504.0]
    assert ops.saturate_cast(torch.tensor([np.inf], dtype=torch.float16), "int32").tolist() == [65504]


def test_integers_beside_half_floats_become_half_floats_in_networks_too() -> None:
    half, whole = torch.ones(1, 3, 2, 4, dtype=torch.bfloat16), torch.ones(1, 3, 2, 4, dtype=torch.int8)
    assert ops.dot_product_attention(whole, whole, half).dtype == torch.bfloat16
    assert ops.conv(whole, half.reshape(3, 1, 4, 2)).dtype == torch.bfloat16
    assert ops.cdist(whole, half).dtype == torch.bfloat16


def test_smooth_resizing_of_half_floats() -> None:
    assert ops.image.resize(torch.ones(1, 4, 4, 1, dtype=torch.float16), (2, 2), antialias=True).dtype == torch.float16


def test_causal_attention_of_an_empty_batch() -> None:
    x = torch.ones(0, 3, 2, 4)
    assert ops.dot_product_attention(x, x, x, bias=torch.ones(0, 2, 3, 3), is_causal=True).shape == (0, 3, 2, 4)
    inputs = Input((None, 2, 4))
    model = Model(inputs, ops.dot_product_attention(inputs, inputs, inputs, mask=np.ones((1, 1, 1, 1), "bool"), is_causal=True))
    for steps in (3, 5):
        given = torch.rand(2, steps, 2, 4)
        right = ops.dot_product_attention(given, given, given, is_causal=True)
        torch.testing.assert_close(model(given), right)


@pytest.mark.parametrize("number", [-2, -2.0, 2])
def test_a_negative_number_to_a_power_in_a_model(number: float) -> None:
    x = Input((2,))
    for y in (number**x, ops.power(number, x)):
        model = Model(x, y)
        assert model(np.array([[2.0, 3.0]], "float32")).tolist() == [[4.0, number**3]]
        assert model.to_torch()(torch.tensor([[2.0, 3.0]])).tolist() == [[4.0, number**3]]


def test_saturating_reaches_the_greatest_integer_that_the_floats_hold() -> None:
    assert ops.saturate_cast(torch.tensor([np.inf, -np.inf], dtype=torch.float64), "int32").tolist() == [2**31 - 1, -(2**31)]
    assert ops.saturate_cast(torch.tensor([np.inf]), "int32").tolist() == [2**31 - 128]
    assert ops.trapezoid(torch.ones(3, dtype=torch.float16), torch.arange(3, dtype=torch.uint8)).dtype == torch.float16


@pytest.mark.parametrize(
    ("number", "other", "less"), [(-1, 2, True), (70000, 2.5, False), (2.5, 70000, True), (2**40, 2**41, True)]
)
def test_two_numbers_are_compared(number: float, other: float, less: bool) -> None:
    assert ops.less(number, other).item() is less


def test_integers_of_two_dtypes_do_not_wrap_on_the_way_to_floats() -> None:
    unsigned, signed = torch.tensor([0, 1], dtype=torch.uint8), torch.tensor(-2, dtype=torch.int8)
    torch.testing.assert_close(ops.logaddexp2(unsigned, signed), torch.logaddexp2(unsigned.float(), signed.float()))
    assert ops.hypot(torch.tensor([1], dtype=torch.int64), torch.tensor([1.0], dtype=torch.float16)).dtype == torch.float16


def test_attention_of_several_unknown_sizes() -> None:
    key, value, bias = symbol(None, 6, 2, None, dtype="int8"), torch.ones(3, 6, 2, 4), np.ones((3, 4, 5, 6), "float32")
    found = ops.dot_product_attention(symbol(None, None, 4, 4, dtype="float16"), key, value, bias=bias)
    assert (found.shape, found.dtype) == ((3, 5, 4, 4), "float32")
    with pytest.raises(ValueError, match="dot_product_attention"):
        ops.dot_product_attention(symbol(None, 4, 4, 4), symbol(None, 6, 2, 4), value, bias=bias)


@pytest.mark.parametrize(("heads", "shared"), [(4, 2), (2, 2), (4, 1)])
def test_attention_of_numbers_of_heads_that_are_not_known(heads: int, shared: int) -> None:
    query, key = symbol(None, 5, None, 4), symbol(None, 6, None, 4)
    model = Model([query, key], ops.dot_product_attention(query, key, key))
    given = on_device(torch.rand(3, 5, heads, 4)), on_device(torch.rand(3, 6, shared, 4))
    torch.testing.assert_close(model([*given]), ops.dot_product_attention(*given, given[1]))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", ["mask", "bias"])
def test_masked_attention_in_a_model_of_several_dtypes(name: str, grouped: bool) -> None:
    query, key, value = symbol(3, 5, 4, None, dtype="int64"), symbol(None, None, None, 4, dtype="int64"), symbol(3, 6, None, 4)
    extra = symbol(3, 1, 5, 6)
    inputs = [query, key, value, extra]
    model = Model(inputs, ops.dot_product_attention(query, key, value, **{name: ops.abs(extra) > 0 if grouped else extra}))
    heads = 2 if grouped else 4
    given = [torch.ones(3, 5, 4, 4), torch.ones(3, 6, heads, 4), torch.rand(3, 6, heads, 4), torch.rand(3, 1, 5, 6)]
    given = [on_device(each.to(each.dtype if place > 1 else torch.int64)) for place, each in enumerate(given)]
    right = ops.dot_product_attention(*given[:3], **{name: given[3] > 0 if grouped else given[3]})
    torch.testing.assert_close(model(given), right)


@pytest.mark.parametrize("name", ["mask", "bias"])
@pytest.mark.parametrize(
    ("query", "given"),
    [((1, 3, 1, 4), (1, 17, 3, 3)), ((1, 3, 1, 4), (5, 1, 3, 3)), ((1, 1, 2, 4), (2, 3, 1)), ((2, 3, 2, 0), (2, 17, 3, 3)),
     ((1, 1, 1, 4), (1, 5)), ((1, 3, 1, 4), (1, 1, 1, 3, 3))],
)  # fmt: skip
def test_attention_whose_logits_would_be_stretched(name: str, query: tuple[int, ...], given: tuple[int, ...]) -> None:
    others = {name: np.ones(given, "float32")}
    for x in (torch.ones(query), symbol(*query)):
        for cap in (None, 2.0):
            with pytest.raises(ShapeError, match=f"{name} does not fit the logits"):
                ops.dot_product_attention(x, x, x, attn_logits_soft_cap=cap, **others)
    x = torch.ones(3, 5, 4, 4)
    for size in ((4, 5, 5), (1, 5), (5,), (), (3, 1, 5, 1)):
        assert ops.dot_product_attention(x, x, x, **{name: np.ones(size, "float32")}).shape == x.shape


@pytest.mark.parametrize("shape", [(4, 5, 1), (1, 1, 1), (1, 4, 3)])
def test_means_over_3d_windows_that_only_padding_behind_fills(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape, 3)
    found = ops.average_pool(x, 2, 2, "same")
    for axis, size in enumerate(shape, 1):  # padding is behind alone, and not counted
        pieces = [piece.mean(axis, keepdim=True) for piece in x.split(2, axis)]
        x = torch.cat(pieces, axis)
        assert x.shape[axis] == -(-size // 2)
    torch.testing.assert_close(found, x)


@pytest.mark.parametrize("shape", [(), (6,), (5, 1), (2, 5, 6)])
def test_what_is_added_to_logits_broadcasts(shape: tuple[int, ...]) -> None:
    x, bias = torch.rand(3, 6, 2, 4), torch.rand(shape)
    right = ops.dot_product_attention(x[:, :5], x, x, bias=bias + torch.zeros(3, 2, 5, 6))
    torch.testing.assert_close(ops.dot_product_attention(x[:, :5], x, x, bias=bias), right)
    assert ops.dot_product_attention(symbol(None, 5, 2, 4), x, x, bias=bias).shape == (3, 5, 2, 4)


def test_scales_over_axes_of_unknown_sizes() -> None:
    x, scale = torch.rand(3, 4, 5), torch.rand(3, 5)
    inputs = symbol(None, None, None)
    result = ops.rms_normalization(inputs, scale, axis=(0, 2))
    torch.testing.assert_close(Model(inputs, result)(x), ops.rms_normalization(x, scale, axis=(0, 2)))


def test_attention_of_several_unknown_sizes_beside_lists() -> None:
    query, key, bias = symbol(None, None, None, 4), torch.ones(3, 6, 2, 4), torch.zeros(3, 4, 5, 6).tolist()
    assert ops.dot_product_attention(query, key, key, bias=bias).shape == (3, 5, 4, 4)
    with pytest.raises(ValueError, match="dot_product_attention"):
        ops.dot_product_attention(query, key, key, bias=[[[[0.0] * 6], [[0.0] * 5]]])


def test_equal_parts_of_an_axis_of_unknown_size() -> None:
    inputs = symbol(1, None, 5)
    model = Model(inputs, ops.hsplit(inputs, 2))
    for steps in (4, 0):
        assert [part.shape for part in model(torch.ones(1, steps, 5))] == [(1, steps // 2, 5)] * 2
    with pytest.raises(ValueError, match="2 equal parts"):
        model(torch.ones(1, 5, 5))


@pytest.mark.parametrize("function", [ops.fmod, ops.mod])
@pytest.mark.parametrize("boolean", [True, torch.tensor(True), torch.tensor([True])])
def test_a_boolean_beside_integers_does_not_widen_them(function: Any, boolean: Any) -> None:
    for value in (torch.tensor(3, dtype=torch.uint8), torch.tensor([3], dtype=torch.uint8)):
        assert function(boolean, value).dtype == function(value, boolean).dtype == torch.uint8
    assert function(boolean, torch.tensor([True])).dtype == torch.int32


def test_attention_with_a_mask_of_unknown_batch() -> None:
    query, key, value = symbol(1, None, None, None), symbol(1, 1, None, 4, dtype="bool"), symbol(None, 1, 5, 4, dtype="int32")
    found = ops.dot_product_attention(query, key, value, mask=symbol(None, 1, 1, None, dtype="uint8"), is_causal=True)
    assert (found.shape, found.dtype) == ((1, None, None, 4), "float32")


@pytest.mark.on_cpu
def test_fractions_among_constant_indices_are_refused_while_a_call_is_described() -> None:
    with pytest.raises(ValueError, match="indices must be integers"):
        ops.take(symbol(None, 5), torch.tensor([0.5, 1.0]), axis=1)
    assert ops.take(symbol(None, 5), torch.tensor([1.0, 0.0]), axis=1).shape == (None, 2)


def test_what_fails_while_a_model_is_traced_is_a_sentence() -> None:
    inputs = symbol(1, None, None)
    model = Model(inputs, ops.rms_normalization(inputs, torch.ones(5), axis=(0, 1)))
    with pytest.raises(ValueError, match="rms_normalization could not run"):
        model(torch.ones(1, 5, 5))


def test_heads_that_do_not_divide_are_refused_where_they_are_known_late() -> None:
    inputs = [Input(batch_shape=(None,) * 4) for _ in range(3)]
    model = Model(inputs, ops.dot_product_attention(*inputs))
    for heads, groups in ((4, 2), (2, 2), (3, 1)):
        given = [torch.rand(2, 5, count, 4) for count in (heads, groups, groups)]
        torch.testing.assert_close(model(given), ops.dot_product_attention(*given))
    for heads, groups in ((1, 2), (3, 2)):
        with pytest.raises((EngineError, ShapeError), match=r"dot_product_attention|heads"):
            model([torch.rand(2, 5, count, 4) for count in (heads, groups, groups)])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("spatial", [1, 2])
def test_a_separable_convolution_of_unknown_sizes(padding: str, spatial: int) -> None:
    x, data = symbol(*(None,) * (spatial + 2)), on_device(torch.rand(3, *(8, 9)[:spatial], 4))
    kernels = np.ones((*(3,) * spatial, 4, 2), "float32"), np.ones((*(1,) * spatial, 8, 5), "float32")
    model = Model(x, ops.separable_conv(x, *kernels, padding=padding))
    torch.testing.assert_close(model(data), ops.separable_conv(data, *kernels, padding=padding))

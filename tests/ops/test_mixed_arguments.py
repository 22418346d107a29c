"""Functions of arguments whose dtypes, sizes or forms are unequal: lists beside symbols, sizes of 0 and 1, booleans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from anabranch import Input, ops


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

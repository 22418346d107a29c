"""Shape arithmetic against NumPy and against counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp

from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import shapes


@given(both=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4))
def test_broadcast_equals_numpy(both: Any) -> None:
    a, b = both.input_shapes
    assert shapes.broadcast(a, b) == both.result_shape


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [((None, 3), (3,), (None, 3)), ((None, 1), (4, 3), (4, 3)), ((1, 3), (None, 3), (None, 3)), ((None,), (None,), (None,))],
)
def test_an_unknown_size_takes_what_it_meets(a: Any, b: Any, expected: Any) -> None:
    assert shapes.broadcast(a, b) == shapes.broadcast(b, a) == expected


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="2 meets 3"):
        shapes.broadcast((4, 2), (4, 3))


@given(
    length=st.integers(1, 30), window=st.integers(1, 5), stride=st.integers(1, 4), dilation=st.integers(1, 3),
)  # fmt: skip
def test_windows_are_counted(length: int, window: int, stride: int, dilation: int) -> None:
    reach = (window - 1) * dilation + 1
    assert shapes.window_length(length, window, stride, "same", dilation) == len(range(0, length, stride))
    before, after = shapes.same_padding(length, window, stride, dilation)
    assert before <= after <= before + 1
    padded = length + before + after
    assert len(range(0, padded - reach + 1, stride)) == len(range(0, length, stride))
    assume(length >= reach)
    assert shapes.window_length(length, window, stride, "valid", dilation) == len(range(0, length - reach + 1, stride))


def test_an_unknown_length_stays_unknown() -> None:
    assert shapes.window_length(None, 3, 1, "valid") is None
    assert shapes.window_length(10, 3, 2, "causal") == 5


@given(sizes=st.lists(st.integers(0, 9), max_size=4))
def test_product_equals_numpy(sizes: list[int]) -> None:
    assert shapes.product(sizes) == int(np.prod(sizes, dtype=int))
    assert shapes.product([*sizes, None]) is None or 0 in sizes


@pytest.mark.parametrize(("a", "b", "fits"), [((None, 3), (5, 3), True), ((2, 3), (5, 3), False), ((3,), (3, 1), False)])
def test_same(a: Any, b: Any, fits: bool) -> None:
    assert shapes.same(a, b) is fits


@given(rank=st.integers(1, 5), axis=st.integers(-7, 7))
def test_axes_count_from_the_front(rank: int, axis: int) -> None:
    if -rank <= axis < rank:
        assert shapes.normalise_axis(axis, rank) == range(rank)[axis]
    else:
        with pytest.raises(ArgumentError, match="No such axis"):
            shapes.normalise_axis(axis, rank)


@pytest.mark.parametrize("value", [0, -1, True, "3", 2.0, (1, 2, 3), (1, 0), (1, True), (1, 2.0), None])
def test_sizes_that_are_none(value: Any) -> None:
    with pytest.raises(ArgumentError, match="kernel_size"):
        shapes.per_axis(value, 2, "kernel_size")


def test_sizes_per_axis() -> None:
    assert shapes.per_axis([1, 2], 2, "strides") == (1, 2)
    assert shapes.per_axis(0, 2, "padding", least=0) == (0, 0)


def test_rank_is_checked_with_the_axes_names() -> None:
    shapes.check_rank((None, 2), 2, "batch, features")
    with pytest.raises(ShapeError, match="Expected a 4-D input, got 2-D") as error:
        shapes.check_rank((None, 2), 4, "batch, height, width, channels")
    assert "(batch, height, width, channels)" in str(error.value)

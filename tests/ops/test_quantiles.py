"""Quantiles and medians against NumPy: every method, axes, NaN, ∞; what they cannot take; their masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from anabranch import Input, Model, layers, ops
from anabranch._errors import OutOfRangeError, ShapeError

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")
VALUES = np.random.default_rng(0).integers(0, 9, (3, 5, 4)).astype("float32")
GAPS = np.where(np.random.default_rng(1).random(VALUES.shape) < 0.2, np.float32("nan"), VALUES)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_they_are_numpys(method: Any, axis: Any, keepdims: bool) -> None:
    for name in ("quantile", "nanquantile"):
        for x in (VALUES, GAPS):
            for q in (0.0, 0.3, 1.0, np.float32([0.25, 0.5, 0.9])):
                expected = getattr(np, name)(x, q, axis=axis, method=method, keepdims=keepdims)
                found = getattr(ops, name)(x, q, axis, method, keepdims).cpu()
                np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"{name} of {q}")
                percent = getattr(ops, name.replace("quantile", "percentile"))
                np.testing.assert_array_equal(percent(x, q * np.float32(100), axis, method, keepdims).shape, expected.shape)


def test_infinity_is_a_value_like_others() -> None:
    """Torch's quantile computes ∞ - ∞ where an element itself is meant."""
    inf = float("inf")
    for x in ([1.0, inf, inf], [-inf, -inf, 0.0]):
        expected = sorted(x)[1]
        assert ops.median(x).item() == ops.nanmedian(x).item() == ops.quantile(x, torch.tensor([0.5])).item() == expected
    inputs = Input(())
    model = Model(inputs, ops.median(inputs, axis=0, keepdims=True))
    assert model(np.float32([1.0, inf, inf])).tolist() == [inf]


def test_more_elements_than_torch_takes() -> None:
    x = torch.arange(2**24 + 4) % 2 + 1.0
    assert ops.median(x).item() == 1.5
    assert ops.quantile(x, [0.5, 1.0]).tolist() == [1.5, 2.0]


def test_no_axes_and_no_rows() -> None:
    assert ops.quantile([[1.0, 2.0]], 0.5, axis=()).tolist() == [[1.0, 2.0]]
    assert ops.median(np.zeros((3, 0)), axis=0).shape == (0,)
    assert ops.quantile([1.0, 2.0], []).shape == (0,)


@pytest.mark.parametrize("name", ["quantile", "nanquantile", "percentile", "nanpercentile"])
def test_mistakes(name: str) -> None:
    function, whole = getattr(ops, name), 100 if "percentile" in name else 1
    for q in (1.5 * whole, -0.5, float("nan"), [0.5, 1.5 * whole]):
        with pytest.raises(OutOfRangeError, match=f"expected: q from 0 to {whole}"):
            function([1.0, 2.0], q)
    with pytest.raises(ShapeError, match="a number or a vector"):
        function([1.0, 2.0], [[0.5]])
    with pytest.raises(ShapeError, match="no elements"):
        function(np.zeros((3, 0)), 0.5, axis=1)


@pytest.mark.parametrize(
    ("function", "stays"),
    [
        (lambda x: ops.median(x, -1), True),
        (lambda x: ops.nanmedian(x, -1), True),
        (lambda x: ops.quantile(x, 0.5, axis=-1), True),
        (lambda x: ops.percentile(x, 50, axis=-1, keepdims=True), True),
        (lambda x: ops.nanquantile(x, 0.5, axis=2), True),
        (lambda x: ops.quantile(x, 0.5, axis=1), False),
        (lambda x: ops.quantile(x, [0.2, 0.5], axis=-1), False),  # whose axis comes before the masked ones
    ],
)
def test_masks_of_the_axes_before_stay(function: Any, stays: bool) -> None:
    inputs = Input((3, 2))
    model = Model(inputs, function(layers.Masking()(inputs)))
    result = model(np.float32([[[1, 2], [0, 0], [3, 1]]]))
    mask = getattr(result, "_keras_mask", None)
    assert (mask is not None and mask.tolist() == [[True, False, True]]) is stays

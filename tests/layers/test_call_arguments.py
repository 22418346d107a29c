"""What a call is given besides its inputs is what it should be, where it is only described too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from anabranch import Input, layers, ops
from anabranch._errors import ArgumentError, ArgumentTypeError

X = np.ones((2, 5, 3), "float32")


@pytest.mark.parametrize("flag", [np.int64(-3), np.float32(-1.5), np.array(np.nan), np.array([True]), "a", 2])
def test_a_flag_is_a_boolean(flag: Any) -> None:
    for x in (X, Input((5, 3))):
        with pytest.raises(ArgumentTypeError, match="training of GaussianDropout must be True, False or None"):
            layers.GaussianDropout(0.1)(x, training=flag)
        with pytest.raises(ArgumentTypeError, match="use_causal_mask of Attention must be"):
            layers.Attention()([x, x], use_causal_mask=flag)


@pytest.mark.parametrize("flag", [np.bool_(True), np.array(True), np.int64(1), torch.tensor(True), 1, True])
def test_numpys_and_torchs_booleans_are_flags(flag: Any) -> None:
    torch.testing.assert_close(layers.Dropout(0.5, seed=1)(X, training=flag), layers.Dropout(0.5, seed=1)(X, training=True))


@pytest.mark.parametrize("states", [".", object(), int, layers.Dense(2), [None], [], np.array(["a"]), lambda: None])
def test_states_are_tensors(states: Any) -> None:
    for x in (X, Input((5, 3))):
        with pytest.raises(ArgumentTypeError, match="initial_state of GRU must be a tensor for each state"):
            layers.GRU(4)(x, initial_state=states)
    with pytest.raises(ArgumentTypeError, match="count_weights of CategoryEncoding must be a tensor"):
        layers.CategoryEncoding(4)(Input((3,), dtype="int32"), count_weights=object())


@pytest.mark.parametrize("mask", [np.array(["a"]), np.array([None]), np.int64(-3), "a"])
def test_masks_hold_truth(mask: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="mask of Multiply must be a boolean tensor"):
        layers.Multiply()([Input((5, 3)), Input((5, 3))], mask=mask)


@pytest.mark.parametrize("number", [2**70, -(2**63) - 1])
def test_a_number_too_large_for_torch_is_refused_where_it_is_described(number: int) -> None:
    for x in (X, Input((5, 3))):
        with pytest.raises(ArgumentError, match="x1 of divide is out of range"):
            ops.divide(number, x)

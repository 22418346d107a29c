"""Arrays become tensors without copies, and what is no number is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anabranch._errors import DtypeError, ShapeError
from anabranch.training.data.arrays import is_array, to_tensor
from anabranch.training.data.checks import warn_of_not_finite


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float16", "bool", "uint16"])
def test_numpy_memory_is_shared(dtype):
    array = np.zeros((3, 2), dtype)
    tensor = to_tensor(array, "x")
    assert tensor.data_ptr() == array.__array_interface__["data"][0]
    assert str(tensor.dtype).removeprefix("torch.") == dtype


def test_read_only_memory_is_shared_without_a_warning():
    array = np.ones(4, "float32")
    array.flags.writeable = False
    assert to_tensor(array, "x").data_ptr() == array.__array_interface__["data"][0]


@pytest.mark.parametrize("array", [np.arange(6)[::-1], np.arange(3, dtype=">i4"), np.ones(2, np.longdouble)])
def test_what_torch_cannot_share_is_copied(array):
    np.testing.assert_array_equal(to_tensor(array, "x").cpu().numpy(), array)


def test_lists_of_numbers_are_arrays():
    assert is_array([[1, 2], [3, 4]])
    assert not is_array([np.zeros(2)])
    assert not is_array([])
    assert to_tensor([[1, 2], [3, 4]], "x").shape == (2, 2)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (np.array(["cat", "dog"]), DtypeError, "np.unique"),
        (np.array([np.zeros(2), None], dtype=object), DtypeError, "np.stack"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), DtypeError, "astype"),
        ([[1, 2], [3]], ShapeError, "ragged"),
    ],
)
def test_what_holds_no_numbers_is_refused(value, error, text):
    with pytest.raises(error, match=text):
        to_tensor(value, "x")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_nonfinite_value_is_named(bad):
    array = np.zeros((4, 3, 2), "float32")
    array[2, 1, 0] = array[3, 0, 0] = bad
    with pytest.warns(UserWarning, match=r"at index \[2, 1, 0\]"):
        warn_of_not_finite(torch.from_numpy(array), "x")
    with pytest.warns(UserWarning, match=r"at index \[0, 0, 3\]"):
        warn_of_not_finite(torch.from_numpy(array).permute(1, 2, 0), "x")


def test_finite_numbers_whose_sum_overflows_pass():
    warn_of_not_finite(torch.full((8,), 3e38), "x")
    warn_of_not_finite(torch.tensor([1, 2]), "x")

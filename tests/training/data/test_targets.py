"""Targets that do not fit their loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anabranch._errors import DataError, ShapeError
from anabranch.losses.registry import reducing
from anabranch.training.data.targets import Target


def check(loss, y, shape=(None, 3)):
    Target(True, reducing(loss), shape).check(torch.as_tensor(np.asarray(y)), "y")


@pytest.mark.parametrize(
    ("loss", "y", "shape"),
    [
        ("sparse_categorical_crossentropy", [0, 2], (None, 3)),
        ("sparse_categorical_crossentropy", [[0], [2]], (None, 3)),
        ("sparse_categorical_crossentropy", [0.0, 2.0], (None, 3)),
        ("sparse_categorical_crossentropy", [[0, 1], [2, 2]], (None, 2, 3)),
        ("sparse_categorical_crossentropy", [0, 200], (None, None)),
        ("categorical_crossentropy", np.eye(3), (None, 3)),
        ("mse", [1.0, 2.0], (None, 1)),
        ("mse", [[1.0], [2.0]], (None,)),
        ("mse", np.zeros((2, 5)), (None, None)),
        ("binary_crossentropy", [[0, 1, 1], [0, 0, 1]], (None, 3)),
        ("crossentropy", [7], (None, 3)),
        (lambda y, p: p, [7], (None, 3)),
    ],
)
def test_fitting_targets_pass(loss, y, shape):
    check(loss, y, shape)


@pytest.mark.parametrize(
    ("loss", "y", "error", "text"),
    [
        ("sparse_categorical_crossentropy", [0, 3], DataError, r"y\[1\] = 3"),
        ("sparse_categorical_crossentropy", [1, 3], DataError, "y - 1"),
        ("sparse_categorical_crossentropy", [0, -1], DataError, "none of the 3 classes"),
        ("sparse_categorical_crossentropy", [0.5, 1], DataError, "real values"),
        ("sparse_categorical_crossentropy", np.eye(3), DataError, "categorical_crossentropy"),
        ("sparse_categorical_crossentropy", np.zeros((2, 5)), ShapeError, "does not fit"),
        ("categorical_crossentropy", [0, 1], DataError, "to_categorical"),
        ("categorical_crossentropy", [[0], [1]], DataError, "to_categorical"),
        ("categorical_crossentropy", np.zeros((2, 5)), ShapeError, "does not fit"),
        ("binary_crossentropy", [[-1.0, 1.0, 1.0]], DataError, r"\(y \+ 1\) / 2"),
        ("mse", np.zeros((2, 1)), ShapeError, "does not fit"),
    ],
)
def test_targets_of_another_kind_are_refused(loss, y, error, text):
    with pytest.raises(error, match=text):
        check(loss, y)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal_crossentropy"])
@pytest.mark.parametrize("value", [1.02, -0.01, 1 + 1e-6])
def test_fractions_a_little_out_of_range_are_warned_of(loss, value):
    with pytest.warns(UserWarning, match="y holds labels below 0 or above 1"):
        check(loss, np.float32([[0.0], [value]]), (None, 1))


def test_class_indices_that_no_binary_loss_takes_are_refused():
    with pytest.raises(DataError, match=r"y\[1\] = 2"):
        check("binary_crossentropy", np.float32([0.0, 2.0]), (None, 1))

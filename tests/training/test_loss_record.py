"""Running means over samples."""

from __future__ import annotations

import numpy as np
import torch

from anabranch.training.loss_record import LossRecord


def test_the_mean_is_over_samples_not_batches():
    record = LossRecord()
    values, sizes = np.random.default_rng(0).random(1500).astype("float32"), [32] * 1499 + [5]
    for value, size in zip(values, sizes, strict=True):
        record.add(torch.tensor(value), size)
    np.testing.assert_allclose(record.mean(), np.average(values.astype("float64"), weights=sizes), rtol=1e-7)
    assert record.values().shape == (1500,)


def test_reading_does_not_change_the_record():
    record = LossRecord()
    assert record.mean() == 0
    record.add(torch.tensor(2.0), 1)
    assert record.mean() == record.mean() == 2
    record.add(torch.tensor(4.0), 3)
    assert record.mean() == 3.5
    record.reset()
    assert record.mean() == 0
    assert record.first_nan() is None


def test_the_first_nan_is_found():
    record = LossRecord()
    for value in (1.0, float("inf"), float("nan"), 1.0, float("nan")):
        record.add(torch.tensor(value), 1)
    assert record.first_nan() == 2


def test_a_loss_that_is_not_reduced_counts_by_its_mean():
    record = LossRecord()
    record.add(torch.tensor([2.0]), 5)
    record.add(torch.tensor([3.0, 5.0]), 5)
    assert record.values().tolist() == [2.0, 4.0]
    assert record.mean() == 3

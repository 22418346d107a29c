"""Where data in memory lie: what fits on a device, and how a batch is picked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices import equal

from anabranch.training.data.placement import fits, picked, placed_columns
from anabranch.training.strategy import SingleDevice

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("needed", "free", "expected"),
    [(0, 0, True), (1, 0, False), (154_000_000, 16_000_000_000, True), (5_000_000_000, 16_000_000_000, False), (25, 100, True),
     (26, 100, False)],
)  # fmt: skip
def test_what_may_stay_on_a_device(needed: int, free: int, expected: bool) -> None:
    assert fits(needed, free) is expected


def test_on_a_cpu_data_stay_where_they_are() -> None:
    x, y = torch.arange(12).reshape(6, 2), torch.arange(6)
    columns = placed_columns(([x, None], [y], [None]), CPU)
    assert columns[0][0] is x
    assert columns[1][0] is y
    assert columns[0][1] is None
    assert columns[2] == [None]
    np.testing.assert_array_equal(picked(x, torch.tensor([4, 0]), CPU), [[8, 9], [0, 1]])
    assert SingleDevice(CPU).place(x) is x


@pytest.mark.gpu
def test_on_a_gpu_data_stay_there_or_travel_pinned() -> None:
    gpu = torch.device("cuda", torch.cuda.current_device())
    x = torch.randint(0, 255, (64, 8), dtype=torch.uint8)
    ((there,),) = placed_columns(([x],), gpu)
    assert there is not None
    assert there.device == gpu
    assert there.dtype == torch.uint8
    part = torch.tensor([5, 3])
    staged = picked(x, part, gpu)
    assert staged.is_pinned()
    assert equal(SingleDevice(gpu).place(staged).cpu(), x[part])
    assert equal(picked(there, part.to(gpu), gpu).cpu(), x[part])

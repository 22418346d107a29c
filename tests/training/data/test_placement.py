"""Where data in memory lie: what fits on a device, what comes from the host meanwhile, and that no copy is ever stale."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from deferred_moves import DeferredMoves, There

from anabranch.training.data import arriving
from anabranch.training.data.arriving import Arrival
from anabranch.training.data.placement import Supply, fits
from anabranch.training.strategy import SingleDevice

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "PIECE", 64)


def columns(count: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(RNG.integers(0, 255, (count, 3, 2), dtype=np.uint8))
    return images, torch.arange(count), torch.from_numpy(RNG.normal(size=count).astype("float32"))


def supply(data: Any, mover: Any, stays: bool = True) -> Supply:
    x, y, weights = data
    return Supply([[x, None], [y], [weights]], mover, stays)


def arrived(found: Supply, deadline: float = 20.0) -> bool:
    """Let the thread end; return whether the copy is in use."""
    arrival = found._arrival
    if arrival is None:
        return False
    if arrival._thread is not None:
        arrival._thread.join(deadline)
    return arrival.there()


def assert_rows(found: Supply, data: Any, part: Any, start: int, stop: int, kind: type | None = None) -> None:
    x, y, weights = found.rows(start, stop)
    assert x[1] is None
    for column, got in zip(data, (x[0], y[0], weights[0]), strict=True):
        assert got is not None
        assert kind is None or isinstance(got, kind) is True
        assert got.dtype == column.dtype
        np.testing.assert_array_equal(np.asarray(got), column[part])


@pytest.mark.parametrize(
    ("needed", "free", "expected"),
    [(0, 0, True), (1, 0, False), (154_000_000, 16_000_000_000, True), (5_000_000_000, 16_000_000_000, False), (25, 100, True),
     (26, 100, False)],
)  # fmt: skip
def test_what_may_stay_on_a_device(needed: int, free: int, expected: bool) -> None:
    assert fits(needed, free) is expected


@pytest.mark.on_cpu
def test_on_a_cpu_data_stay_where_they_are() -> None:
    x, y, weights = data = columns()
    found = supply(data, None)
    found.begin(None, True)
    for got, column in zip(found.rows(4, 8), (x, y, weights), strict=True):
        assert got[0] is not None
        assert got[0].data_ptr() == column[4:].data_ptr()
    found.begin(torch.arange(39, -1, -1), True)
    assert_rows(found, data, [39, 38], 0, 2)
    assert SingleDevice(CPU).mover is None
    assert SingleDevice(CPU).place([x, None])[0] is x


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    "order", [None, torch.randperm(40, generator=torch.Generator().manual_seed(0))], ids=["in order", "shuffled"]
)
def test_rows_are_right_before_the_copy_is_there_and_after(order: Any) -> None:
    data, mover = columns(), DeferredMoves()
    mover.gate.clear()
    found = supply(data, mover)
    found.begin(order, True)
    part = slice(8, 16) if order is None else order[8:16]
    assert_rows(found, data, part, 8, 16)
    assert mover.filled == 0, "no step waits for the whole"
    mover.gate.set()
    assert arrived(found)
    assert_rows(found, data, part, 8, 16, There)
    found.close()
    assert mover.filled == sum(column.nbytes for column in data)
    assert mover.dtypes == {torch.uint8, torch.int64, torch.float32}
    assert mover.fills > 3, "in pieces"
    assert mover.largest_pinned <= 64, "two pieces, however large the data"


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    "make",
    [
        lambda a: a[::2], lambda a: a.T[:, :, None].permute(1, 0, 2), lambda a: a[:1].expand(20, -1),
        lambda a: a.to(torch.bfloat16), lambda a: a > 0, lambda a: a[:, :0], lambda a: torch.complex(a, a).conj().imag,
    ],
    ids=["strided", "permuted", "expanded", "bfloat16", "bool", "empty", "negated view"],
)  # fmt: skip
def test_every_kind_of_memory_arrives(make: Any) -> None:
    column = make(torch.from_numpy(RNG.normal(size=(20, 5)).astype("float32")))
    mover = DeferredMoves()
    found = Supply([[column], [], []], mover, True)
    found.begin(None, True)
    assert arrived(found)
    ((got,), _, _) = found.rows(1, len(column))
    assert isinstance(got, There)
    assert torch.equal(got.as_subclass(torch.Tensor), column[1:])
    found.close()


@pytest.mark.on_cpu
def test_samples_larger_than_a_piece_arrive_one_by_one() -> None:
    mover, column = DeferredMoves(), torch.arange(400.0).reshape(4, 100)
    found = Supply([[column], [], []], mover, True)
    found.begin(None, True)
    assert arrived(found)
    assert mover.fills == 4
    assert torch.equal(found.rows(0, 4)[0][0].as_subclass(torch.Tensor), column)  # type: ignore[union-attr]
    found.close()


@pytest.mark.on_cpu
def test_later_passes_copy_nothing_unless_arrays_may_have_changed() -> None:
    data, mover = columns(), DeferredMoves()
    whole = sum(column.nbytes for column in data)
    found = supply(data, mover)
    for _ in range(3):
        found.begin(torch.randperm(40), False)
        assert arrived(found)
    assert mover.filled == whole
    data[0][5] += 1  # as a callback might
    found.begin(None, True)
    assert_rows(found, data, slice(4, 8), 4, 8)
    assert arrived(found)
    assert_rows(found, data, slice(4, 8), 4, 8, There)
    assert mover.filled == 2 * whole
    found.close()


@pytest.mark.on_cpu
def test_what_is_changed_while_it_travels_is_seen_in_the_next_pass() -> None:
    data, mover = columns(), DeferredMoves()
    mover.gate.clear()
    found = supply(data, mover)
    found.begin(None, True)
    data[0][:] = 9
    mover.gate.set()
    found.begin(None, True)
    assert arrived(found)
    assert_rows(found, data, slice(0, 40), 0, 40, There)
    found.close()


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    ("free", "full"), [(100, 0), (1 << 30, 1), (1 << 30, 3)], ids=["too large", "taken", "taken for the last"]
)
def test_what_does_not_fit_comes_from_the_host_batch_by_batch(free: int, full: int) -> None:
    data, mover = columns(), DeferredMoves(free, full)
    found = supply(data, mover)
    for order in (torch.randperm(40), None):
        found.begin(order, True)
        assert not arrived(found)
        assert_rows(found, data, slice(0, 8) if order is None else order[:8], 0, 8)
    assert mover.filled == 0
    found.close()


@pytest.mark.on_cpu
def test_memory_that_cannot_be_pinned_leaves_batches_on_the_host() -> None:
    class Unpinned(DeferredMoves):
        def pinned(self, shape: Any, dtype: Any) -> Any:
            raise RuntimeError("cannot pin")

    data = columns()
    found = supply(data, Unpinned())
    found.begin(None, True)
    assert not arrived(found)
    assert_rows(found, data, slice(0, 8), 0, 8)
    found.close()


@pytest.mark.on_cpu
def test_one_pass_sends_no_copy() -> None:
    mover, data = DeferredMoves(), columns()
    found = supply(data, mover, stays=False)
    found.begin(None, True)
    assert_rows(found, data, slice(0, 8), 0, 8)
    assert found._arrival is None


@pytest.mark.on_cpu
def test_closing_ends_the_thread_and_waits_for_what_is_queued() -> None:
    data, mover = columns(4000), DeferredMoves()
    mover.gate.clear()
    found = supply(data, mover)
    found.begin(None, True)
    while not mover.fills:
        time.sleep(0.001)
    threading.Timer(0.05, mover.gate.set).start()
    arrival = found._arrival
    found.close()
    assert arrival is not None
    assert arrival._thread is not None
    assert not arrival._thread.is_alive()
    assert 0 < mover.filled < data[0].nbytes
    assert mover._last is not None
    assert not mover._last.work, "the room is given back behind the copies into it"


@pytest.mark.on_cpu
def test_a_device_with_one_queue_has_no_thread() -> None:
    mover = DeferredMoves()
    mover.overlaps = False
    column = torch.arange(40)
    arrival = Arrival([column], [mover.room(column)], mover)
    assert arrival._thread is None
    assert arrival.there()


@pytest.mark.gpu
@pytest.mark.parametrize("order", [None, torch.randperm(4000)], ids=["in order", "shuffled"])
def test_on_a_gpu_rows_are_right_while_data_arrive_and_after(order: Any) -> None:
    gpu = torch.device("cuda", torch.cuda.current_device())
    strategy = SingleDevice(gpu)
    data = columns(4000)
    found = supply(data, strategy.mover)
    for _ in range(3):
        found.begin(order, True)
        for start in range(0, 4000, 100):
            part = slice(start, start + 100) if order is None else order[start : start + 100]
            x, y, weights = found.rows(start, start + 100)
            for column, got in zip(data, strategy.place([x[0], y[0], weights[0]]), strict=True):
                assert got is not None
                assert got.device == gpu
                assert got.dtype == column.dtype
                assert torch.equal(got.cpu(), column[part])
        assert arrived(found)
        assert all(t is None or t.device == gpu for part in found.rows(0, 8) for t in part)
        data[0].add_(1)
    found.close()

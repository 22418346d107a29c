"""A device's queues on the CPU, as unhurried as a device may be: a copy is made when something waits for it, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from anabranch.training.moving import Mark, Mover


class There(torch.Tensor):
    """A tensor of the device, and what is computed from one."""


class Pinned(torch.Tensor):
    """Memory of the host that copies go from and to; its views are such too."""


class Point:
    """A mark; the work up to it is done when it is waited for."""

    def __init__(self, owner: DeferredMoves, work: Sequence[Callable[[], Any]] = ()) -> None:
        self.owner, self.work = owner, list(work)

    def synchronize(self) -> None:
        self.owner.waits += 1
        self.run()

    def run(self) -> None:
        with self.owner.lock:
            work, self.work = self.work, []
        for each in work:
            each()


class DeferredMoves(Mover):
    """Copies late, and counts.

    What is not copied yet reads as 77, so results are wrong where nothing waited, where pinned memory was written to before it
    was copied, or where a value was overwritten before it was fetched.

    Args:
        free: bytes that are free.
        full: how often taking room fails.
    """

    overlaps = True

    def __init__(self, free: int = 1 << 30, full: int = 0) -> None:
        self._free, self.full = free, full
        self.lock = threading.RLock()
        self.gate = threading.Event()  # which lets copies behind the steps go on
        self.gate.set()
        self.sent = self.filled = self.fetched = self.waits = self.pinnings = self.fills = 0
        self.largest_pinned = 0
        self.dtypes: set[torch.dtype] = set()
        self._last: Point | None = None

    def free(self) -> int:
        return self._free

    def has(self, tensor: torch.Tensor) -> bool:
        return isinstance(tensor, There)

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        self.pinnings += 1
        found = torch.full(tuple(shape), 77, dtype=dtype)
        self.largest_pinned = max(self.largest_pinned, found.nbytes)
        return found.as_subclass(Pinned)

    def staged(self, tensor: torch.Tensor) -> torch.Tensor:
        if isinstance(tensor, Pinned):
            return tensor
        return self.pinned(tensor.shape, tensor.dtype).copy_(tensor)

    def room(self, like: torch.Tensor) -> torch.Tensor:
        if self.full:
            self.full -= 1
            raise torch.OutOfMemoryError("The device is full.")
        return torch.full(like.shape, 77, dtype=like.dtype).as_subclass(There)

    def send(self, staged: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        assert all(isinstance(tensor, Pinned) for tensor in staged)
        self.sent += sum(tensor.nbytes for tensor in staged)
        self.dtypes |= {tensor.dtype for tensor in staged}
        return [tensor.as_subclass(torch.Tensor).clone().as_subclass(There) for tensor in staged]

    def fill(self, target: torch.Tensor, staged: torch.Tensor, after: Mark) -> Mark:
        assert isinstance(staged, Pinned)
        assert isinstance(target, There)
        assert isinstance(after, Point)
        self.fills += 1
        self.gate.wait(20)
        former = self._last  # a queue is in order

        def copy() -> None:
            if former is not None:
                former.run()
            target.as_subclass(torch.Tensor).copy_(staged.as_subclass(torch.Tensor))
            self.filled += staged.nbytes

        with self.lock:
            self.dtypes.add(staged.dtype)
            self._last = Point(self, [copy])
        return self._last

    def fetch(self, value: torch.Tensor) -> tuple[torch.Tensor, Mark]:
        held = self.pinned(value.shape, value.dtype)

        def copy() -> None:
            held.copy_(value.as_subclass(torch.Tensor))
            self.fetched += value.nbytes

        return held.as_subclass(torch.Tensor), Point(self, [copy])

    def reached(self) -> Mark:
        return Point(self)

    def follow(self, mark: Mark) -> None:
        assert isinstance(mark, Point)
        mark.run()

"""Columns on their way to a device: a thread sends them piece by piece while the first steps run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from anabranch.training.moving import Mark, Mover

PIECE = 1 << 24
"""Bytes of a piece. Two pinned pieces are in use: one is filled by the host while the other is being copied."""


class Arrival:
    """A copy of columns, made while batches are computed.

    Nothing waits for it: until it is there, batches come from the host. A copy is never older than the call that began it, so
    there is nothing that could be stale, and nothing to compare.

    Args:
        columns: where from, of the host.
        rooms: where to, of the device, from ``Mover.room``.
        mover: the device's queues.
    """

    def __init__(self, columns: Sequence[torch.Tensor], rooms: Sequence[torch.Tensor], mover: Mover) -> None:
        self._columns, self._rooms, self._mover = columns, rooms, mover
        self._begun = mover.reached()  # what computed with former values of the rooms
        self._last: Mark | None = None
        self._complete = self._followed = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if mover.overlaps:
            self._thread = threading.Thread(target=self._send, name="anabranch-data", daemon=True)
            self._thread.start()
        else:
            self._send()

    def there(self) -> bool:
        """Return whether what is computed from now on may use the copy; the host does not wait."""
        if not self._followed and self._complete:
            self._follow()
            self._followed = True
        return self._followed

    def close(self) -> None:
        """Stop, wait for the piece under way, and let what is computed later wait for what is queued.

        So the memory of the device is given to others only once no copy writes to it.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._follow()

    def _follow(self) -> None:
        if self._last is not None:
            self._mover.follow(self._last)

    def _send(self) -> None:
        try:
            buffers = [self._mover.pinned((size,), torch.uint8) for size in [_largest(self._columns)] * 2]
            busy: list[Mark | None] = [None, None]
            for number, (column, room) in enumerate(self._pieces()):
                if self._stop.is_set():
                    return
                buffer, mark = buffers[number % 2], busy[number % 2]
                if mark is not None:
                    mark.synchronize()
                staged = buffer[: column.nbytes].view(column.dtype).view(column.shape)
                copy(column, staged)
                self._last = busy[number % 2] = self._mover.fill(room, staged, self._begun)
        except (RuntimeError, MemoryError):  # no memory to pin, say: batches go on coming from the host, and say what is wrong
            return
        self._complete = True

    def _pieces(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for column, room in zip(self._columns, self._rooms, strict=True):
            yield from zip(torch.split(column, _rows(column)), torch.split(room, _rows(column)), strict=True)


def copy(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy within the host by one thread, beside others: torch's own copy would take the cores that gather batches."""
    if source.is_contiguous() and target.is_contiguous() and not source.is_neg():
        np.copyto(_bytes(target), _bytes(source))
    else:
        target.copy_(source)


def _bytes(tensor: torch.Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return tensor.view(-1).view(torch.uint8).numpy()


def _rows(column: torch.Tensor) -> int:
    """Return how many samples make a piece, at least one."""
    return max(1, PIECE * len(column) // max(column.nbytes, 1))


def _largest(columns: Sequence[torch.Tensor]) -> int:
    return max(column[: _rows(column)].nbytes for column in columns)

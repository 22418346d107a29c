"""Data in memory on the way to batches: gathered where they are, or on a GPU once they have arrived there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch.training.data.arriving import Arrival
from anabranch.training.data.batch import Columns, parted
from anabranch.training.moving import Mover

_FRACTION = 0.25
"""Of a GPU's free memory; the rest is for weights, gradients, optimizer state, and what is saved for the backward pass."""


def fits(needed: int, free: int) -> bool:
    """Return whether so many bytes of data may stay on a device that has so many free."""
    return needed <= free * _FRACTION


class Supply:
    """All columns of x, y and weights, as rows of batches.

    Columns on the host that fit on the device are copied there, in the dtype they have, images as bytes. They are copied behind
    the first steps, whose batches are gathered on the host meanwhile, so no step waits for the whole.

    Each supply copies anew. NumPy does not count changes, nor does torch count those by a view of NumPy's, so to know that an
    older copy is right takes reading all of the array. Reading it into pinned memory is the fastest way to read it: a checksum
    that differs for two orders of the same samples takes several times as long, and a comparison takes a second copy on the
    host. So what is sent is what was just read, and a stale copy cannot exist.

    Args:
        columns: of x, y and weights.
        mover: the device's queues; None where batches stay on the host.
        stays: whether a copy pays: more passes than one may come.
    """

    def __init__(self, columns: Sequence[Sequence[torch.Tensor | None]], mover: Mover | None, stays: bool) -> None:
        self._counts = len(columns[0]), len(columns[1])
        self._columns: Columns = [t for part in columns for t in part]
        self._mover, self._stays = mover, stays
        self._copies: Columns = list(self._columns)
        self._arrival: Arrival | None = None
        self._orders: dict[torch.device, torch.Tensor] = {}

    def begin(self, order: torch.Tensor | None, changed: bool) -> None:
        """Begin a pass in this order; ``changed``: the arrays may have changed since the last one."""
        self._orders = {} if order is None else {order.device: order}
        if self._mover is None or not self._stays:
            return
        if self._arrival is not None:
            if not changed:
                return
            self._arrival.close()
        away = [i for i, t in enumerate(self._columns) if t is not None and t.device.type == "cpu" and not self._mover.has(t)]
        if self._arrival is None and not self._make_room(away, self._mover):
            self._stays = False
            return
        sources, rooms = ([t for i in away if (t := some[i]) is not None] for some in (self._columns, self._copies))
        self._arrival = Arrival(sources, rooms, self._mover)

    def _make_room(self, away: Sequence[int], mover: Mover) -> bool:
        """Take memory of the device for these columns; False where there are none, or not enough of it."""
        found = [(i, t) for i in away if (t := self._columns[i]) is not None]
        if not found or not fits(sum(t.nbytes for _, t in found), mover.free()):
            return False
        try:
            rooms = [(i, mover.room(t)) for i, t in found]
        except torch.OutOfMemoryError:  # of what is free, another process may have taken some
            return False
        for i, room in rooms:
            self._copies[i] = room
        return True

    def rows(self, start: int, stop: int) -> tuple[Columns, Columns, Columns]:
        """Return these rows of the pass's order, each where its column is; those of the host in pinned memory."""
        there = self._arrival is not None and self._arrival.there()
        columns = self._copies if there else self._columns
        return parted([None if t is None else self._picked(t, start, stop) for t in columns], *self._counts)

    def _picked(self, column: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        if not self._orders:
            return column[start:stop]
        if column.device not in self._orders:
            self._orders[column.device] = next(iter(self._orders.values())).to(column.device)
        part = self._orders[column.device][start:stop]
        if self._mover is None or column.device.type != "cpu" or self._mover.has(column):
            return column.index_select(0, part)
        return torch.index_select(column, 0, part, out=self._mover.pinned((len(part), *column.shape[1:]), column.dtype))

    def close(self) -> None:
        """End the copying, and let the copies go."""
        if self._arrival is not None:
            self._arrival.close()
        self._arrival, self._copies = None, list(self._columns)

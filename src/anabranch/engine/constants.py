"""What follows from weights alone, cached until a weight changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch


class Observed:
    """Weights whose changes are noticed.

    torch counts a tensor's changes, and the counts are compared at every question; but ``weight.data.copy_(…)``, which people
    write, goes uncounted, as what is written to a NumPy view does. So where ``valid`` is false, as when ``predict`` begins, the
    values are compared.
    """

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        self.valid = False
        self.moved = False
        """Whether weights had been elsewhere before, when it was last asked."""
        self.tensors = weights
        self._memory = Memory(weights)
        self._versions: list[int] = []

    def have_changed(self) -> bool:
        """Return whether a weight has changed since this was last asked; true at first."""
        versions = [weight._version for weight in self.tensors]
        counted = versions != self._versions
        if self.valid and not counted:
            return False
        places = self._memory.places
        changed = self._memory.note_changes()
        self.moved = places != self._memory.places
        self.valid, self._versions = True, versions
        return changed or counted


class Constants:
    """What ``prepare`` computes of the weights, recomputed when one of them has changed."""

    def __init__(self, prepare: torch.nn.Module, weights: Sequence[torch.Tensor]) -> None:
        self._read_in_place = False
        self._moves = 0
        self._prepare = prepare
        self._weights = Observed(weights)
        self._values: Sequence[Any] = ()
        self._lock = threading.RLock()  # else a thread would take what another is about to renew

    def invalidate(self) -> None:
        """Compare the weights' values before the next batch."""
        self._weights.valid = False

    def values(self) -> Sequence[Any]:
        """Return what was prepared."""
        with self._lock:
            if self._weights.have_changed():
                try:
                    self._renew(stay=not self._weights.moved)
                except BaseException:
                    self._weights = Observed(self._weights.tensors)  # or what failed would be taken for done
                    raise
            return self._values

    def refresh(self) -> int:
        """Bring all up to date where it is, as captured work reads it there; return how often it had to move all the same."""
        self._read_in_place = True
        self.values()
        return self._moves

    def _renew(self, stay: bool) -> None:
        """Prepare again; weights that ``stay`` where they are leave views of them in place."""
        with torch.inference_mode(False), torch.no_grad():
            new: Sequence[Any] = self._prepare()
            if not (self._read_in_place and stay and _copied(self._values, new)):
                self._values = new
                self._moves += 1


def _copied(cached: Sequence[Any], new: Sequence[Any]) -> bool:
    """Copy new values over the cached ones, and return whether that was possible: not for oneDNN's own layouts."""
    if any(each.layout != torch.strided for each in cached):
        return False
    for old, value in zip(cached, new, strict=True):
        if old.data_ptr() != value.data_ptr():  # else it is a weight, or a view of one
            old.copy_(value)
    return True


class Memory:
    """The memory of tensors, to see whether a value in it has changed: a copy of each byte, compared by ``memcmp``.

    A comparison misses nothing, where a checksum may, and at the sizes that fit a processor's cache it is faster than one.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.places: list[int] = []
        """Where the tensors were when it was last looked."""
        self._tensors = tensors
        self._parts: list[memoryview] = []  # the memory itself, which stays as long as it is looked at here
        self._copies: list[bytearray] = []

    def note_changes(self) -> bool:
        """Return whether tensors are elsewhere or hold other values than when this was last asked; true at first."""
        places = [tensor.data_ptr() for tensor in self._tensors]
        if places != self.places or not self._copies:
            found = {tensor.untyped_storage().data_ptr(): tensor for tensor in self._tensors}
            self._parts = [_bytes(tensor) for tensor in found.values()]
            self._copies = [bytearray(part) for part in self._parts]
            self.places = places
            return True
        # a bytearray compares itself with any buffer by memcmp, a memoryview value by value
        changed = [index for index, (copy, part) in enumerate(zip(self._copies, self._parts, strict=True)) if copy != part]
        for index in changed:
            self._copies[index][:] = self._parts[index]
        return bool(changed)


def _bytes(tensor: torch.Tensor) -> memoryview:
    with torch.inference_mode(False), torch.no_grad():
        whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload]  # torch's stub lacks it
        return whole.numpy().data

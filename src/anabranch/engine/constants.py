"""What follows from weights alone, kept until a weight changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Constants:
    """What ``prepare`` gives of the weights, computed again when one of them has changed.

    torch counts a tensor's changes, which is looked at before every batch; but ``weight.data.copy_(…)``, which people
    write, goes uncounted. So where there is doubt (``sure`` is false, as when ``predict`` begins) the numbers are looked at.
    """

    def __init__(self, prepare: torch.nn.Module, weights: Sequence[torch.Tensor]) -> None:
        self.sure = False
        self._read_in_place = False
        self._moves = 0
        self._prepare = prepare
        self._weights = weights
        self._versions: list[int] = []
        self._contents: list[tuple[int, int]] = []
        self._values: Sequence[Any] = ()

    def values(self) -> Sequence[Any]:
        """Return what was prepared."""
        versions = [weight._version for weight in self._weights]
        if not self.sure or versions != self._versions:
            self._look()
            self.sure, self._versions = True, versions
        return self._values

    def settled(self) -> int:
        """Bring all up to date where it lies, as captured work reads it there; return how often it had to move all the same."""
        self._read_in_place = True
        self.values()
        return self._moves

    def _look(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            contents = [(weight.data_ptr(), content(weight)) for weight in self._weights]
            if contents == self._contents:
                return
            new: Sequence[Any] = self._prepare()
            stay = [place for place, _ in contents] == [place for place, _ in self._contents]  # else views of old weights move
            if not (self._read_in_place and stay and _copied(self._values, new)):
                self._values = new
                self._moves += 1
            self._contents = contents


def _copied(kept: Sequence[Any], new: Sequence[Any]) -> bool:
    """Copy new values over those that are kept, and return whether that was possible: not for oneDNN's own layouts."""
    if any(each.layout != torch.strided for each in kept):
        return False
    for old, value in zip(kept, new, strict=True):
        if old.data_ptr() != value.data_ptr():  # else it is a weight, or a view of one
            old.copy_(value)
    return True


def content(tensor: torch.Tensor) -> int:
    """Return the sum of a tensor's memory, eight bytes at a time: another number whenever an element or a sign changes.

    Missed would be changes that cancel to the last bit, and numbers that change places.
    """
    data = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload]  # torch's stub lacks it
    whole = data.numel() // 8 * 8
    return int(data[:whole].view(torch.int64).sum()) + int(data[whole:].sum())

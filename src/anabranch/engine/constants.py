"""What follows from weights alone, cached until a weight changes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch


class Constants:
    """What ``prepare`` computes of the weights, recomputed when one of them has changed.

    torch counts a tensor's changes, and the counts are compared before every batch; but ``weight.data.copy_(…)``, which people
    write, goes uncounted. So where ``valid`` is false, as when ``predict`` begins, the values are compared.
    """

    def __init__(self, prepare: torch.nn.Module, weights: Sequence[torch.Tensor]) -> None:
        self.valid = False
        self._read_in_place = False
        self._moves = 0
        self._prepare = prepare
        self._weights = weights
        self._memory = Memory(weights)
        self._versions: list[int] = []
        self._contents: tuple[list[int], list[int]] = [], []
        self._values: Sequence[Any] = ()

    def values(self) -> Sequence[Any]:
        """Return what was prepared."""
        versions = [weight._version for weight in self._weights]
        if versions != self._versions or not self.valid:
            contents = self._memory.contents()
            if versions != self._versions or contents != self._contents:
                self._renew(contents)
            self.valid, self._versions = True, versions
        return self._values

    def refresh(self) -> int:
        """Bring all up to date where it is, as captured work reads it there; return how often it had to move all the same."""
        self._read_in_place = True
        self.values()
        return self._moves

    def _renew(self, contents: tuple[list[int], list[int]]) -> None:
        with torch.inference_mode(False), torch.no_grad():
            new: Sequence[Any] = self._prepare()
            stay = contents[0] == self._contents[0]  # else views of old weights move
            if not (self._read_in_place and stay and _copied(self._values, new)):
                self._values = new
                self._moves += 1
            self._contents = contents


def _copied(cached: Sequence[Any], new: Sequence[Any]) -> bool:
    """Copy new values over the cached ones, and return whether that was possible: not for oneDNN's own layouts."""
    if any(each.layout != torch.strided for each in cached):
        return False
    for old, value in zip(cached, new, strict=True):
        if old.data_ptr() != value.data_ptr():  # else it is a weight, or a view of one
            old.copy_(value)
    return True


class Memory:
    """The memory of tensors, to see whether a value in it has changed."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = tensors
        self._places: list[int] = []
        self._small: list[torch.Tensor] = []
        self._large: list[torch.Tensor] = []

    def contents(self) -> tuple[list[int], list[int]]:
        """Return where the tensors are, and integers that follow from their values."""
        with torch.inference_mode(False), torch.no_grad():
            places = [tensor.data_ptr() for tensor in self._tensors]
            if places != self._places:
                found = {tensor.untyped_storage().data_ptr(): _bytes(tensor) for tensor in self._tensors}
                self._small = [data for data in found.values() if len(data) <= _SMALL]
                self._large = [data for data in found.values() if len(data) > _SMALL]
                self._places = places
            together = [torch.cat(self._small)] if self._small else []
            return places, [content(data) for data in (*together, *self._large)]


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload,no-any-return]  # torch's stub lacks it


_SMALL = 1 << 18  # bytes up to which tensors are looked at together: a call for each would take longer
_KEYS = 1 << 16
_FEW, _ROW = 1 << 12, 64  # up to so many words each has a key of its own; of more, each row


def content(data: torch.Tensor) -> int:
    """Return a number that follows from all bytes of ``data``.

    It is Σ wᵢ kᵢ modulo 2⁶⁴ of words of eight bytes and odd random keys; of large data w are sums of 64 words, five times as
    fast. One word that changes always changes it; words that change places almost surely do, unless within such a sum.
    """
    whole = len(data) // 8 * 8
    words = data[:whole].view(torch.int64)
    if len(words) > _FEW:
        cut = len(words) // _ROW * _ROW
        words = torch.cat([words[:cut].view(-1, _ROW).sum(1), words[cut:]])
    found = int.from_bytes(data[whole:].tolist())
    for part in torch.split(words, _KEYS):
        found = (3 * found + int(torch.dot(part, _keys()[: len(part)]))) % 2**64
    return found


@functools.cache
def _keys() -> torch.Tensor:
    return torch.randint(-(2**62), 2**62, (_KEYS,), generator=torch.Generator().manual_seed(1)) * 2 + 1

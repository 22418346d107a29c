"""The order of samples: one permutation for each epoch, a function of the seed, of which fit this is, and of the epoch."""

from __future__ import annotations

import hashlib

import torch

from anabranch import _process, config
from anabranch._asked import is_boolean, shown
from anabranch._errors import ArgumentError

_counted: tuple[_process.Seeding | None, int] = (None, -1)


def next_fit() -> int:
    """Return how many fits ran since the seed was set, and count one more."""
    global _counted
    (seeding, fits), now = _counted, _process.seeding()
    _counted = (now, fits + 1 if seeding is now else 0)
    return _counted[1]


def generator(fit: int, epoch: int) -> torch.Generator:
    """Return the generator of one epoch's order.

    Nothing else draws from it, so that neither validation nor dropout changes the order, and a resumed run repeats it.
    """
    digest = hashlib.blake2b(f"order/{config.seed()}/{fit}/{epoch}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def permutation(count: int, shuffle: bool | str, batch_size: int, fit: int, epoch: int) -> torch.Tensor | None:
    """Return the order of ``count`` samples, shape (count,), or None for the order they are in.

    ``shuffle="batch"`` shuffles whole batches and leaves the last, smaller one at the end.
    """
    if not shuffle:
        return None
    draw = generator(fit, epoch)
    if shuffle != "batch":
        return torch.randperm(count, generator=draw)
    full = count // batch_size
    blocks = torch.arange(full * batch_size).reshape(full, batch_size)[torch.randperm(full, generator=draw)]
    return torch.cat([blocks.reshape(-1), torch.arange(full * batch_size, count)])


def check_shuffle(shuffle: object) -> None:
    """Refuse what is neither True, False nor ``"batch"``."""
    if not (shuffle == "batch" if isinstance(shuffle, str) else is_boolean(shuffle)):
        raise ArgumentError("shuffle must be True, False or 'batch'.", expected="True, False or 'batch'", got=shown(shuffle))

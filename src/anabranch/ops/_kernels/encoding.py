"""Integers of categories as vectors, bins of numbers, positions in sorted tables."""

from __future__ import annotations

import torch

from anabranch import runtime
from anabranch.ops._types import Tensor


def encode(
    indices: Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Tensor | None = None, like: Tensor | None = None
) -> Tensor:
    """Return indices as vectors of ``depth`` values; an index outside of them has none.

    ``"one_hot"``: each index, (B, …, 1) -> (B, …, depth) or (B, …, n) -> (B, …, n, depth). ``"multi_hot"`` and ``"count"``: all
    those of the last axis, (B, …, n) -> (B, …, depth), as 1 or as how many there are, or the sum of ``weights``. ``like``:
    a tensor of the shape of ``indices`` where that is not known.
    """
    like = indices if like is None else like
    rank = runtime.rank_of(like)
    sizes = runtime.sizes(like, rank) or (1,)
    x = (indices if rank else indices.reshape(1)).long()
    if mode == "one_hot":
        if rank > 1 and (runtime.shape_of(like) or (None,))[-1] == 1:
            x = x.squeeze(-1)
        return (x.unsqueeze(-1) == runtime.create(torch.arange, depth, device=x.device)).to(dtype)
    x = torch.where((x >= 0) & (x < depth), x, depth)
    found = runtime.create(torch.zeros, (*sizes[:-1], depth + 1), dtype=dtype, device=x.device)
    if mode == "multi_hot":
        found = found.scatter(-1, x, 1.0)
    else:
        found = found.scatter_add(-1, x, torch.ones_like(x, dtype=dtype) if weights is None else weights.to(dtype))
    return found[..., :depth]


def bins(x: Tensor, boundaries: Tensor) -> Tensor:
    """Return the number of each value's bin: how many boundaries are at most as great."""
    return torch.bucketize(x, boundaries, right=True)


def find(x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the value beside each key that is in the sorted ``keys``, and where there is one."""
    at = torch.searchsorted(keys, x.contiguous()).clamp(max=len(keys) - 1)
    return values[at], keys[at] == x


def first_or(found: Tensor, known: Tensor, otherwise: Tensor | int) -> Tensor:
    """Return ``found`` where it is known, ``otherwise`` elsewhere."""
    return torch.where(known, found, otherwise)

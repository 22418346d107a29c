"""Where the positions that attend to each other are among the axes of an input, and how heads come before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from anabranch import runtime
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Placing(NamedTuple):
    """Which axes of (B, …, C) hold the positions that attend to each other, and how heads come before them.

    Args:
        rank: how many axes an input has, batch and channels included.
        attended: the axes of the positions.
    """

    rank: int
    attended: tuple[int, ...]

    @property
    def apart(self) -> tuple[int, ...]:
        """The batch and the axes along which nothing attends."""
        return tuple(axis for axis in range(self.rank - 1) if axis not in self.attended)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of (B, …, N, H) as (…apart, N, …attended, H)."""
        return (*self.apart, self.rank - 1, *self.attended, self.rank)

    def heads_first(self, projected: Tensor) -> Tensor:
        """Return (B, …, N, H) as (…apart, N, T, H)."""
        found = projected.permute(self.order)
        return found if len(self.attended) == 1 else found.flatten(-1 - len(self.attended), -2)

    def heads_last(self, result: Tensor, projected: Tensor) -> Tensor:
        """Return (…apart, N, T, V) as (B, …, N, V), with the positions of the projected queries."""
        if len(self.attended) > 1:
            result = result.unflatten(-2, tuple(projected.shape[axis] for axis in self.attended))  # type: ignore[no-untyped-call]  # untyped in torch
        return result.permute(*map(self.order.index, range(self.rank + 1)))

    def scores(self, scores: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Return scores (…apart, N, T, S) with the axes of positions as those of the projected queries and keys."""
        if len(self.attended) == 1:
            return scores
        of_queries, of_keys = (tuple(x.shape[axis] for axis in self.attended) for x in (query, key))
        return scores.unflatten(-1, of_keys).unflatten(-1 - len(of_keys), of_queries)  # type: ignore[no-untyped-call]  # untyped in torch

    def positions(self, mask: Tensor, projected: Tensor) -> Tensor:
        """Return the mask of an input, (B, …), as (…apart, 1, T)."""
        found = runtime.spread(kernels.truth(mask), self.rank - 1).permute(*self.apart, *self.attended)
        if len(self.attended) > 1:
            sizes = [projected.shape[axis] for axis in (*self.apart, *self.attended)]
            found = found.expand(sizes).flatten(len(self.apart))
        return found.unsqueeze(-2)

    def pairs(self, mask: Tensor, rank: int, query: Tensor, key: Tensor) -> Tensor:
        """Return a mask (…apart, N, …of queries, …of keys), some of which it may lack, as one for (…apart, N, T, S)."""
        count = len(self.attended)
        found = kernels.truth(mask)
        for _ in range(self.rank + count - rank):
            found = found.unsqueeze(max(-2 * count - 1, -1 - rank))
        if count > 1:
            sizes = [x.shape[axis] for x in (query, key) for axis in self.attended]
            found = found.expand(*[-1] * (len(self.apart) + 1), *sizes).flatten(-2 * count, -count - 1).flatten(-count)
        return found

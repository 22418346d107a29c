"""Quantiles from sorted values: torch's own take no symbolic tensors before 2.11, and give NaN beside ∞."""

from __future__ import annotations

import math

import torch

from anabranch.ops._types import Tensor


def quantile(x: Tensor, ranks: float | Tensor, method: str, skip_nan: bool) -> Tensor:
    """Return what is at ``ranks`` among the sorted elements of the last axis, which gets as long as a vector of ranks.

    With ``skip_nan`` each row has its own ranks (…, Q); otherwise a row with NaN gives NaN.
    """
    ordered = torch.sort(x, -1)[0]  # NaN comes last
    if isinstance(ranks, float):
        found, last = _at_number(ordered, ranks, method), ordered[..., -1]
    else:
        found, last = _at_each(ordered, ranks, method, skip_nan), ordered[..., -1:]
    return found if skip_nan else torch.where(last.isnan(), last, found)


def _at_number(ordered: Tensor, rank: float, method: str) -> Tensor:
    floor, ceil = math.floor(rank), math.ceil(rank)
    if floor == ceil or method in ("lower", "higher", "nearest"):
        return ordered[..., {"lower": floor, "higher": ceil}.get(method, round(rank))]
    return torch.lerp(ordered[..., floor], ordered[..., ceil], rank - floor if method == "linear" else 0.5)


def _at_each(ordered: Tensor, ranks: Tensor, method: str, per_row: bool) -> Tensor:
    def at(places: Tensor) -> Tensor:
        return ordered.gather(-1, places.long()) if per_row else ordered.index_select(-1, places.long())

    rounded = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}.get(method)
    if rounded is not None:
        return at(rounded(ranks))
    floor = torch.floor(ranks)
    part, below, above = ranks - floor, at(floor), at(torch.ceil(ranks))
    between = torch.lerp(below, above, part) if method == "linear" else torch.lerp(below, above, 0.5)
    return torch.where(part == 0, below, between)  # as ∞ - ∞ is NaN

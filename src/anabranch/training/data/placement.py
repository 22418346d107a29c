"""Data in memory on the device: all of it on a GPU where it fits, else one gathered batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch import runtime

_FRACTION = 0.25
"""Of a GPU's free memory; the rest is for weights, gradients, optimizer state, and what is saved for the backward pass."""

Columns = Sequence[torch.Tensor | None]


def fits(needed: int, free: int) -> bool:
    """Return whether so many bytes of data may stay on a device that has so many free."""
    return needed <= free * _FRACTION


def placed_columns(parts: Sequence[Columns], device: torch.device) -> list[list[torch.Tensor | None]]:
    """Return all columns of x, y and weights on a GPU where all of them fit there, else as they are.

    They travel in the dtype they have, images as bytes, and once for all epochs.
    """
    away = [t for part in parts for t in part if t is not None and t.device != device]
    if device.type == "cpu" or not away:
        return [list(part) for part in parts]
    if not fits(sum(t.numel() * t.element_size() for t in away), runtime.free_memory(device)):
        return [list(part) for part in parts]
    return [[None if t is None else t.to(device) for t in part] for part in parts]


def picked(column: torch.Tensor, part: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the samples of one batch, shape (batch, ...); those that go to a GPU are in pinned memory.

    Torch reuses such memory once the copy from it is done, so a batch is gathered while the one before is being copied and the
    step before that still runs.
    """
    if not runtime.pins(device) or column.device.type != "cpu":
        return column.index_select(0, part)
    staging = torch.empty((len(part), *column.shape[1:]), dtype=column.dtype, pin_memory=True)
    return torch.index_select(column, 0, part, out=staging)

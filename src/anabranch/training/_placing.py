"""Where data in memory lie while a model takes them: on a GPU as a whole where they fit, else gathered for the way there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_SHARE = 0.25
"""Of a GPU's free memory: the rest is for weights, gradients, what optimizers keep, and what layers keep for the way back."""

Columns = Sequence[torch.Tensor | None]


def fits(needed: int, free: int) -> bool:
    """Return whether so many bytes of data may stay on a device that has so many free."""
    return needed <= free * _SHARE


def placed_columns(parts: Sequence[Columns], device: torch.device) -> list[list[torch.Tensor | None]]:
    """Return all columns of x, y and weights on a GPU where all of them fit there, else as they are.

    They travel as they are kept, images as bytes, and once for all epochs.
    """
    away = [t for part in parts for t in part if t is not None and t.device != device]
    if device.type != "cuda" or not away:
        return [list(part) for part in parts]
    if not fits(sum(t.numel() * t.element_size() for t in away), torch.cuda.mem_get_info(device)[0]):
        return [list(part) for part in parts]
    return [[None if t is None else t.to(device) for t in part] for part in parts]


def picked(column: torch.Tensor, part: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the samples of one batch, shape (batch, ...); those that are to go to a GPU lie in pinned memory.

    Torch keeps such memory and gives it out again when the copy from it is done, so a batch is gathered while the one before
    is on its way and the step before that still runs.
    """
    if device.type != "cuda" or column.device.type != "cpu":
        return column.index_select(0, part)
    staging = torch.empty((len(part), *column.shape[1:]), dtype=column.dtype, pin_memory=True)
    return torch.index_select(column, 0, part, out=staging)


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on the device; on the way to a GPU by pinned memory, so that nobody waits for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)

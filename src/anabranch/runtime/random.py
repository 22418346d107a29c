"""The generators of layers that were given a seed."""

from __future__ import annotations

import torch

from anabranch.runtime.device import device


def generator(seed: int, known: torch.Generator | None = None) -> torch.Generator:
    """Return the generator of a layer that was given a seed: the ``known`` one, or where the device is another a new one."""
    if known is not None and known.device.type == device().type:
        return known
    return torch.Generator(device()).manual_seed(seed)

"""The generators of layers that were given a seed."""

from __future__ import annotations

import torch

from anabranch.runtime.device import device


def generator(seed: int, kept: torch.Generator | None = None) -> torch.Generator:
    """Return the generator of a layer that was given a seed: the ``kept`` one, or where the device is another a new one."""
    if kept is not None and kept.device.type == device().type:
        return kept
    return torch.Generator(device()).manual_seed(seed)

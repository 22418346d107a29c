"""The generators of layers that were given a seed."""

from __future__ import annotations

import torch

from anabranch.runtime.devices import device


def generator(seed: int, known: torch.Generator | None = None) -> torch.Generator:
    """Return the generator of a layer that was given a seed: the ``known`` one, or a new one for another seed or device."""
    if known is not None and known.device.type == device().type and known.initial_seed() == seed:
        return known
    return torch.Generator(device()).manual_seed(seed)

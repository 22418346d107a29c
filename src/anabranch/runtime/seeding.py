"""Torch's random generators follow the global seed."""

from __future__ import annotations

import torch

from anabranch import _process, config
from anabranch.runtime.devices import HOST, device

_followed = 0


def random_state() -> bytes:
    """Return the state of torch's generators, of the CPU and of the device, by which it is known whether somebody drew."""
    state = torch.get_rng_state().numpy().tobytes()
    place = device()
    if place.type in HOST:
        return state
    of_device = torch.get_device_module(place).get_rng_state
    return state + bytes((of_device(place) if place.index else of_device()).numpy())  # not all kinds take a number


def synchronise_seed() -> None:
    """Seed torch's generators once for each ``set_random_seed`` since the last call."""
    global _followed
    if _process.seedings() != _followed:
        torch.manual_seed(config.seed())
        _followed = _process.seedings()

"""Torch's random generators follow the global seed."""

from __future__ import annotations

import torch

from anabranch import _process, config

_followed = 0


def random_state() -> bytes:
    """Return the state of torch's generator, by which it is known whether somebody drew from it."""
    return torch.get_rng_state().numpy().tobytes()


def synchronise_seed() -> None:
    """Seed torch's generators once for each ``set_random_seed`` since the last call."""
    global _followed
    if _process.seedings() != _followed:
        torch.manual_seed(config.seed())
        _followed = _process.seedings()

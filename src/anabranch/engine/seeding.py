"""Randomness and place: torch's generators follow the global seed; the device in use."""

from __future__ import annotations

import torch

from anabranch import runtime


def synchronise_seed() -> None:
    """Seed torch's generators once for each ``set_random_seed`` since the last call."""
    runtime.synchronise_seed()


def device() -> torch.device:
    """Return the device that weights and batches live on."""
    return runtime.device()

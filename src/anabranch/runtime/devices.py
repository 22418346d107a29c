"""Where tensors live: the device asked for, or CUDA if it is there, else the CPU."""

from __future__ import annotations

import functools

import torch

from anabranch import config
from anabranch._errors import ArgumentError


def device() -> torch.device:
    """Return the device that weights and batches live on."""
    return _device(config.device())


@functools.cache
def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name.replace("gpu", "cuda"))
    except RuntimeError as error:
        raise ArgumentError("Unknown device.", expected="'cpu', 'cuda' or 'cuda:N'", got=repr(name)) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("No CUDA device is available.", got=repr(name), repair="config.set_device('cpu')")
    return chosen


_torchs_own: tuple[bool, bool] | None = None  # what torch itself allowed, of matrix products and of convolutions


def settle_tf32() -> None:
    """Let CUDA round to TF32 as ``config.tf32`` says; None puts back what torch itself had."""
    global _torchs_own
    allowed, own = config.tf32(), _torchs_own
    if allowed is None and own is None:
        return
    if own is None:
        _torchs_own = own = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = own if allowed is None else (allowed, allowed)


def describe_device() -> str:
    """Return the device in words."""
    chosen = device()
    return f"{chosen} ({torch.cuda.get_device_name(chosen)})" if chosen.type == "cuda" else str(chosen)


def threads() -> int:
    """Return how many threads torch computes with."""
    return torch.get_num_threads()

"""Where tensors live: the device asked for, or the accelerator that torch finds, else the CPU."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import torch

from anabranch import config
from anabranch._errors import ArgumentError

HOST = ("cpu", "meta")
"""Kinds of devices that have no number."""

_UNPINNED = (*HOST, "mps")
"""Kinds of devices that copy no faster from pinned memory: Apple's share theirs with the host."""


def device() -> torch.device:
    """Return the device that weights and batches live on, with its number where its kind has several."""
    chosen, current = _device(config.device())
    return chosen if current is None else torch.device(chosen.type, current())


def accelerator() -> torch.device | None:
    """Return the accelerator that torch was built for and finds: CUDA, XPU, MPS, …"""
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def named_device(name: str | None) -> torch.device:
    """Return the device of a name; None: the accelerator, else the CPU."""
    if name is None:
        return accelerator() or torch.device("cpu")
    found = accelerator()
    try:
        chosen = torch.device(name.replace("gpu", found.type if found else "cuda"))
    except RuntimeError as error:
        raise ArgumentError("Unknown device.", expected="'cpu', 'cuda' or 'cuda:N'", got=repr(name)) from error
    count = device_count(chosen.type)
    if (chosen.index or 0) >= count:
        known = f" number {chosen.index}" if count else ""
        kind = chosen.type.upper()
        raise ArgumentError(f"No {kind} device{known} is available.", got=repr(name), repair="config.set_device('cpu')")
    return chosen


def device_count(kind: str) -> int:
    """Return how many devices of a kind there are."""
    if kind in HOST:
        return 1
    found = accelerator()
    if found is not None and found.type == kind:
        return torch.accelerator.device_count()
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:  # torch knows the name, and has nothing to offer for it
        return 0
    return int(module.device_count()) if module.is_available() else 0


@functools.cache
def _device(name: str | None) -> tuple[torch.device, Callable[[], int] | None]:
    """Return the device of a name, and what reports the number that it has now, None where it has its own or none."""
    chosen = named_device(name)
    if chosen.index is not None or chosen.type in HOST:
        return chosen, None
    module = torch.get_device_module(chosen.type)
    return chosen, module.current_device if "current_device" in vars(module) else int


def pins(chosen: torch.device) -> bool:
    """Return whether copies to a device come from pinned memory, so that the host need not wait for them."""
    return chosen.type not in _UNPINNED


def free_memory(chosen: torch.device) -> int:
    """Return the bytes that are free on a device; 0 where it does not say."""
    if chosen.type in HOST:
        return 0
    module = torch.get_device_module(chosen)
    return int(module.mem_get_info(chosen)[0]) if "mem_get_info" in vars(module) else 0


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
    if chosen.type in HOST:
        return str(chosen)
    module = torch.get_device_module(chosen)
    return f"{chosen} ({module.get_device_name(chosen)})" if "get_device_name" in vars(module) else str(chosen)


def processes() -> tuple[int, str]:
    """Return how many connected processes there are, and what says so."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count = torch.distributed.get_world_size()
        return count, f"torch.distributed was initialized with world_size={count}"
    count_by_launcher = os.environ.get("WORLD_SIZE", "1")
    count = int(count_by_launcher) if count_by_launcher.isdecimal() else 1
    return count, f"WORLD_SIZE={count_by_launcher}, as torchrun sets it"

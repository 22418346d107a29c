"""Logs: loss and metrics by name, read from the device when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from anabranch._arguments import is_array_like
from anabranch._asked import is_without_values, shown
from anabranch._errors import ArgumentTypeError

Logs = dict[str, Any]
Reported = float | list[float] | Logs  # what evaluate returns: the loss, the loss and metrics, or these by name


class RunningLogs(Mapping[str, Any]):
    """Loss and metrics so far; the device is read when a value is looked up, not before."""

    def __init__(self, names: list[str], read: Callable[[], Logs]) -> None:
        self._names = names
        self._read = read
        self._values: Logs | None = None

    def __getitem__(self, name: str) -> object:
        if self._values is None:
            self._values = self._read()
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def flat(logs: Mapping[str, Any]) -> Logs:
    """Return logs with nested dicts opened."""
    found: Logs = {}
    for name, value in logs.items():
        found.update(flat(value) if isinstance(value, dict) else {name: value})
    return found


def numbers(logs: Mapping[str, Any]) -> Logs:
    """Return logs with tensors read from the device, scalars as numbers, and nested dicts opened."""
    found = {name: _number(value) for name, value in flat(logs).items()}
    for name, value in found.items():
        if not is_array_like(value) or is_without_values(value):
            raise ArgumentTypeError(
                f"{name!r} of the logs must be a number.", expected="a number or an array", got=shown(value)
            )
    return found


def _number(value: object) -> object:
    if isinstance(value, torch.Tensor) and not is_without_values(value):
        return value.item() if value.numel() == 1 else value.detach().cpu().numpy()
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 else value

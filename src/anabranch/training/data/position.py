"""What of the user's data a backup saves and compares: what changes from pass to pass, and a sketch of what is in memory."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader

from anabranch import runtime
from anabranch._asked import method, module_of
from anabranch.registry import Json
from anabranch.training.data.batch import Batch

_SAMPLES = 64  # of which a checksum is taken
_LONGEST = 1 << 24  # values of an attribute that is taken for an order of samples
_PLAIN = (bool, int, float, str)


@runtime_checkable
class Stateful(Protocol):
    """Data that know where they are, as torchdata's StatefulDataLoader does."""

    def state_dict(self) -> dict[str, Any]:
        """Return where they are."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there."""


def sketch(data: Batch) -> dict[str, Json]:
    """Return types and sizes of data in memory, and a checksum of some of their samples."""
    columns = [column for part in data[:3] for column in part if column is not None]
    picked = torch.linspace(0, data.size - 1, min(data.size, _SAMPLES)).long()
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        digest.update(column[picked.to(column.device)].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    sizes = [f"{str(column.dtype).removeprefix('torch.')} {tuple(column.shape[1:])}" for column in columns]
    return {"columns": sizes, "checksum of samples": digest.hexdigest()}


def state_of(items: object) -> dict[str, Any]:
    """Return what of a user's data changes between passes, as far as that can be seen.

    Data with ``state_dict`` say it themselves. Of others it is their random generators, and of the user's own classes numbers,
    strings and orders of samples, (N,) integers, among the attributes.
    """
    if isinstance(items, Stateful):
        return {"own": items.state_dict()}
    found = {}
    for index, part in enumerate(_parts(items)):
        for name, value in _attributes(part).items():
            state = _generator_state(value)
            if state is None and not _is_torchs(part) and (type(value) in _PLAIN or _is_order(value)):
                state = np.array(value) if isinstance(value, np.ndarray) else value
            if state is not None:
                found[f"{index}.{name}"] = state
    return {"seen": found}


def set_state(items: object, state: Mapping[str, Any]) -> None:
    """Set what ``state_of`` returned."""
    if isinstance(items, Stateful):
        if "own" in state:
            items.load_state_dict(state["own"])
        return
    for index, part in enumerate(_parts(items)):
        for name, value in list(_attributes(part).items()):
            saved = state["seen"].get(f"{index}.{name}")
            if saved is None:
                continue
            if _generator_state(value) is not None:
                _set_generator(value, saved)
            elif isinstance(value, np.ndarray):
                if value.shape == saved.shape and not np.array_equal(value, saved):
                    setattr(part, name, saved)
            elif value != saved:
                setattr(part, name, saved)


def _parts(items: object) -> Iterator[object]:
    """Yield an object, and what it reads from and is ordered by, where it is a loader."""
    yield items
    if isinstance(items, DataLoader):
        yield items.dataset
        yield items.sampler
        yield items.batch_sampler


def _attributes(part: object) -> dict[str, Any]:
    try:
        return vars(part)
    except TypeError:
        return {}


def _is_torchs(part: object) -> bool:
    return module_of(type(part)).startswith("torch.")


def _is_order(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu" and value.size <= _LONGEST


def _generator_state(value: object) -> Any:
    """Return the state of a random generator; None of anything else."""
    if isinstance(value, torch.Generator):
        return value.get_state().numpy()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    if isinstance(value, random.Random) and method(value, "getstate"):
        return runtime.python_state(value)
    return None


def _set_generator(value: Any, state: Any) -> None:
    if isinstance(value, torch.Generator):
        value.set_state(torch.from_numpy(state))
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    elif isinstance(value, np.random.RandomState):
        value.set_state(state)
    else:
        runtime.set_python_state(value, state)

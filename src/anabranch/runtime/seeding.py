"""Torch's random generators follow the global seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from anabranch import _process
from anabranch.runtime.devices import HOST, device
from anabranch.runtime.random import set_stream_states, stream_states


def random_state() -> bytes:
    """Return the state of torch's generators, of the CPU and of the device, by which it is known whether somebody drew."""
    streams = stream_states(drawn=True).values()
    state = b"".join(each.numpy().tobytes() for each in (torch.get_rng_state(), *streams))
    place = device()
    if place.type in HOST:
        return state
    of_device = torch.get_device_module(place).get_rng_state
    return state + bytes((of_device(place) if place.index else of_device()).numpy())  # not all kinds take a number


def synchronise_seed() -> None:
    """Seed torch's generators where the seed that was set last has not reached them yet."""
    seeding = _process.seeding()
    if not seeding.reached_torch:
        seeding.reach_torch(torch.manual_seed)


def random_states() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's generators, of every device of the kind in use, and of layers."""
    synchronise_seed()
    found = {"cpu": torch.get_rng_state()}
    for place, module in _devices():
        found[str(place)] = module.get_rng_state(place) if place.index is not None else module.get_rng_state()
    return {
        "python": python_state(random),
        "numpy": np.random.get_state(legacy=False),
        "torch": found,
        "streams": stream_states(),
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Set what ``random_states`` returned; a device that is not here is left out."""
    synchronise_seed()
    set_python_state(random, states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"]["cpu"])
    set_stream_states(states.get("streams", {}))
    for place, module in _devices():
        state = states["torch"].get(str(place))
        if state is not None:
            module.set_rng_state(*((state, place) if place.index is not None else (state,)))


class PythonRandom(Protocol):
    """A ``random.Random``, or the module, which draws from one."""

    def getstate(self) -> Any:
        """Return the state."""

    def setstate(self, state: Any, /) -> None:
        """Set it."""


def python_state(source: PythonRandom) -> tuple[int, np.ndarray[Any, Any], float | None]:
    """Return the state of a generator of Python's, its words as an array."""
    version, words, gauss = source.getstate()
    return version, np.array(words, "uint32"), gauss


def set_python_state(source: PythonRandom, state: tuple[int, np.ndarray[Any, Any], float | None]) -> None:
    """Set what ``python_state`` returned."""
    version, words, gauss = state
    source.setstate((version, tuple(map(int, words)), gauss))


def _devices() -> list[tuple[torch.device, Any]]:
    """Return the devices of the kind in use, besides the CPU, and torch's module for them."""
    place = device()
    if place.type in HOST:
        return []
    module = torch.get_device_module(place)
    if place.index is None:
        return [(place, module)]
    return [(torch.device(place.type, index), module) for index in range(module.device_count())]

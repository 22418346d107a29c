"""The generators that layers draw from: of a layer with a seed, and of one without, whose numbers follow from its path."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import torch

from anabranch import _process, config
from anabranch._asked import is_integer, method
from anabranch._errors import ArgumentTypeError
from anabranch.graph import Home
from anabranch.runtime.devices import HOST, device


def generator(seed: int, known: torch.Generator | None = None) -> torch.Generator:
    """Return the generator of a layer that was given a seed: the ``known`` one, or a new one for another seed or device."""
    if known is not None and known.device.type == device().type and known.initial_seed() == seed:
        return known
    return torch.Generator(device()).manual_seed(seed)


def drawn_from(seed: object, like: torch.Tensor) -> dict[str, Any]:
    """Return the argument that says where numbers are drawn from; ``like`` is what they go into.

    None is the process's generator, an integer a new one at each call, and what has a ``generator()`` the one it returns.
    """
    if seed is None:
        return {}
    own = method(seed, "generator")
    if own is not None:
        return {"generator": own()}
    if not is_integer(seed):
        raise ArgumentTypeError("seed must be None, an integer or a SeedGenerator.", got=repr(seed))
    seed = int(seed)
    if isinstance(like, torch.fx.Proxy):
        made = like.tracer.create_proxy("call_function", torch.Generator, (str(device()),), {})
        return {"generator": made.manual_seed(seed)}
    return {"generator": torch.Generator(device()).manual_seed(seed)}


# Layers without a seed


class _Stream:
    """A generator, and since which seed it draws under which name."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator, self.name = generator, ""
        self.seeding: _process.Seeding | None = None
        self.initial = generator.get_state()  # before the first draw


_streams: weakref.WeakKeyDictionary[Home, _Stream] = weakref.WeakKeyDictionary()
# by seed and name, states of streams that nobody has asked for yet
_resumed: dict[tuple[_process.Seeding | None, str], torch.Tensor] = {}
_named: dict[str, int] = {}  # how many layers of a path have drawn since the seed was set
_seeding: _process.Seeding | None = None  # which that was
_own: ContextVar[bool] = ContextVar("own", default=True)


def has_streams() -> bool:
    """Return whether layers without a seed draw from streams of their own now, or all from the process's generator.

    On a GPU they do for deterministic algorithms alone: torch's fused dropout draws from the device's generator, and a captured
    step has work for each other one. Processes that load data are seeded by torch, each differently.
    """
    return (
        _own.get()
        and (device().type in HOST or config.is_op_determinism_enabled())
        and torch.utils.data.get_worker_info() is None
        and not torch.compiler.is_compiling()
    )


@contextlib.contextmanager
def one_stream() -> Iterator[None]:
    """Let layers without a seed draw from the process's generator inside the block."""
    token = _own.set(False)
    try:
        yield
    finally:
        _own.reset(token)


def stream(home: Home) -> torch.Generator | None:
    """Return the generator of a layer without a seed, which follows from the global seed and the layer's path in its model.

    Of layers with the same path in several models, the first that draws after the seed was set has the first stream, and so on.
    None is the process's own generator, as for layers that no model owns.
    """
    if home.ordinal is None or not has_streams():
        return None
    known = _streams.get(home)
    if known is None or known.generator.device.type != device().type:
        known = _streams[home] = _Stream(torch.Generator(device()))
    if known.seeding is not _process.seeding():
        _begin(home, known)
    return known.generator


def restart_streams(generators: Iterable[torch.Generator]) -> None:
    """Let those of the generators that are streams follow the seed that was set since they last drew."""
    asked = set(map(id, generators))
    for home, known in list(_streams.items()):
        if id(known.generator) in asked and known.seeding is not _process.seeding():
            _begin(home, known)


def stream_states(*, drawn: bool = False) -> dict[str, torch.Tensor]:
    """Return the states of all streams in use by name; ``drawn``: of those from which somebody has drawn."""
    used = [known for known in list(_streams.values()) if known.seeding is _process.seeding()]
    states = {known.name: (known.generator.get_state(), known.initial) for known in used}
    return {name: state for name, (state, initial) in states.items() if not (drawn and torch.equal(state, initial))}


def set_stream_states(states: Mapping[str, torch.Tensor]) -> None:
    """Set what ``stream_states`` returned, also of streams that are asked for later."""
    _resumed.clear()
    _resumed.update({(_process.seeding(), name): state for name, state in states.items()})
    for known in list(_streams.values()):
        _resume(known)


def _begin(home: Home, known: _Stream) -> None:
    """Seed a stream anew, or set the state in which a run left it."""
    global _seeding
    if _seeding is not _process.seeding():
        _seeding = _process.seeding()
        _named.clear()
    number = _named[home.path] = _named.get(home.path, -1) + 1
    known.seeding, known.name = _seeding, f"{home.path}#{number}"
    digest = hashlib.blake2b(f"{config.seed()}/{known.name}/draws".encode(), digest_size=7).digest()
    known.generator.manual_seed(int.from_bytes(digest, "little"))
    known.initial = known.generator.get_state()
    _resume(known)


def _resume(known: _Stream) -> None:
    state = _resumed.pop((known.seeding, known.name), None)
    if state is not None:
        known.generator.set_state(state)

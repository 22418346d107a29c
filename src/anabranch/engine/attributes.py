"""Plain attributes that the ``call`` of a user's layer reads: traced code holds them as constants, so a change is noticed."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from anabranch._asked import is_from, unwrapped
from anabranch.engine.opaque import Opaque
from anabranch.graph import AnyModel

_PLAIN = frozenset((bool, int, float, str, types.NoneType))


class Watched(NamedTuple):
    """A layer, with the attributes that its traced code holds."""

    layer: Any
    held: dict[str, object]


def watched(model: AnyModel, root: torch.nn.Module) -> list[Watched]:
    """Return the users' layers of a model whose traced ``call`` reads plain attributes; layers that run whole have none."""
    whole = {id(inner) for part in root.modules() if isinstance(part, Opaque) for inner in part.layer.inner_layers()}
    own = [layer for layer in model.inner_layers() if not is_from(type(layer), "anabranch") and id(layer) not in whole]
    found = [Watched(layer, attributes(layer)) for layer in own]
    return [each for each in found if each.held]


def note_changes(layers: list[Watched]) -> None:
    """Let the model look again at the layers whose attributes have changed."""
    for layer, held in layers:
        if attributes(layer) != held:
            layer.note_change()


def attributes(layer: object) -> dict[str, object]:
    """Return the numbers, strings and tuples of them that ``call`` and the methods it calls read of a layer."""
    values, names = vars(layer), _read(type(layer))  # type: ignore[arg-type]  # a class is hashable
    return {name: found for name in names if name in values and (found := _plain(values[name])) is not NotImplemented}


def _plain(value: object) -> object:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        found = tuple(map(_plain, value))
        return found if NotImplemented not in found else NotImplemented
    return NotImplemented


@functools.cache
def _read(kind: type) -> tuple[str, ...]:
    """Return the names that ``call``, and what it calls of its class, look up, without those of the library's own classes."""
    users = [base for base in kind.__mro__ if not is_from(base, "anabranch")]
    members: dict[str, object] = {name: member for base in reversed(users) for name, member in vars(base).items()}
    found: set[str] = set()
    waiting = ["call"]
    while waiting:
        member = members.get(waiting.pop())
        function = unwrapped(member.fget if isinstance(member, property) else member)
        new = set(_names(function.__code__)) - found if isinstance(function, types.FunctionType) else set()
        found |= new
        waiting += new & members.keys()
    library = {name for base in kind.__mro__ if is_from(base, "anabranch") for name in vars(base)}
    return tuple(sorted(found - library))


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)

"""Attributes that the ``call`` of a user's layer reads: traced code holds them as constants, so a change is noticed.

Numbers and strings are compared; of tensors, torch modules and other objects it is noticed where another one takes their place.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch

from anabranch._asked import is_from, unwrapped
from anabranch.engine.opaque import Opaque
from anabranch.graph import AnyModel, Operation

_PLAIN = frozenset((bool, int, float, str, types.NoneType))


class Watched(NamedTuple):
    """A layer, with the attributes that its traced code holds."""

    layer: Any
    held: dict[str, object]


def watched(model: AnyModel, root: torch.nn.Module) -> list[Watched]:
    """Return the users' layers of a model whose ``call`` is traced, with what it reads; layers that run whole have none."""
    whole = {id(inner) for part in root.modules() if isinstance(part, Opaque) for inner in part.layer._inner_layers_()}
    own = [layer for layer in model._inner_layers_() if not is_from(type(layer), "anabranch") and id(layer) not in whole]
    return [Watched(layer, attributes(layer)) for layer in own]


def note_changes(layers: list[Watched]) -> None:
    """Let the model look again at the layers whose attributes have changed."""
    for layer, held in layers:
        if attributes(layer) != held:
            layer._note_change_()


class _Same:
    """An object, equal to itself alone."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]  # it is compared


def attributes(layer: Operation) -> dict[str, object]:
    """Return ``call``, and what it and the methods it calls read of a layer, without objects that they store themselves."""
    values, kind = vars(layer), cast(Any, type(layer))  # a key of caches, for mypy too
    call = kind.call
    found = {name: _seen(values[name]) for name in _read(kind, call) if name in values}
    held = {name: value for name, value in found.items() if name not in _stored(kind, call) or not _holds_objects(value)}
    return held | {"call": _Same(values.get("call", call))}


def _seen(value: object) -> object:
    """Return a value that is equal to another one where traced code is the same."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_seen, value))
    if isinstance(value, torch.nn.Module):  # whose parameters may be replaced
        return (_Same(value), *map(_Same, value.parameters()))
    return _Same(value)


def _holds_objects(value: object) -> bool:
    return any(map(_holds_objects, value)) if isinstance(value, tuple) else isinstance(value, _Same)


@functools.cache
def _code(kind: type, call: Callable[..., Any]) -> tuple[types.CodeType, ...]:
    """Return the code of ``call`` and of what it calls of its class, without that of the library's own classes."""
    users = [base for base in kind.__mro__ if not is_from(base, "anabranch")]
    members: dict[str, object] = {name: member for base in reversed(users) for name, member in vars(base).items()}
    found: list[types.CodeType] = []
    seen, waiting = {"call"}, ["call"]
    while waiting:
        member = members.get(waiting.pop())
        function = unwrapped(member.fget if isinstance(member, property) else member)
        if isinstance(function, types.FunctionType):
            parts = list(_parts(function.__code__))
            found += parts
            new = {name for part in parts for name in part.co_names if name in members} - seen
            seen |= new
            waiting += new
    return tuple(found)


@functools.cache
def _read(kind: type, call: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that the code looks up, without those of the library's own classes."""
    library = {name for base in kind.__mro__ if is_from(base, "anabranch") for name in vars(base)}
    return tuple(sorted({name for part in _code(kind, call) for name in part.co_names} - library))  # type: ignore[arg-type]


@functools.cache
def _stored(kind: type, call: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the attributes that the code sets."""
    found = (each for part in _code(kind, call) for each in dis.get_instructions(part))  # type: ignore[arg-type]
    return frozenset(each.argval for each in found if each.opname == "STORE_ATTR")


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _parts(constant)

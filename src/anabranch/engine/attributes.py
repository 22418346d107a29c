"""What the ``call`` of a user's layer reads beside its values: traced code holds it as constants, so a change is noticed.

Numbers and strings, in lists and dicts too, are compared, be they attributes or variables of the module that the code is in;
of tensors, torch modules and other objects it is noticed where another one takes their place.
"""

from __future__ import annotations

import dis
import functools
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.fx import Proxy

from anabranch import _tree, runtime
from anabranch._asked import answers, is_from, module_of, unwrapped
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
    layers = dict.fromkeys(
        [*users_layers(cast(Operation, model)), *(each for each in model._inner_layers_() if _settings(each))]
    )
    return [Watched(layer, attributes(layer)) for layer in layers if id(layer) not in whole]


def users_layers(layer: Operation) -> list[Operation]:
    """Return a layer and those inside it which run a user's code."""
    return [each for each in layer._inner_layers_() if not is_from(type(each), "anabranch") or answers(each, "function")]


def held_numbers(layers: Iterable[Operation]) -> list[dict[str, object]]:
    """Return the numbers and strings that the code of users' layers reads of them and sets, as far as it is known."""
    found = ((vars(layer), cast(Any, type(layer))) for layer in layers)
    return [_only_numbers((name, values[name]) for name in _read(kind, kind.call) if name in values) for values, kind in found]


def tensors_of(layers: Iterable[Operation]) -> frozenset[int]:
    """Return the ids of torch's tensors among the attributes of layers; parameters are weights of their own."""
    held = (leaf for layer in layers for value in vars(layer).values() for leaf in _tree.leaves(value))
    return frozenset(id(leaf) for leaf in held if type(leaf) is torch.Tensor)


def carries(layers: Iterable[Operation]) -> bool:
    """Return whether a traced call has left a value in an attribute that it reads before it sets it: for the next call."""
    found = ((vars(layer), cast(Any, type(layer))) for layer in layers)
    left = (values.get(name) for values, kind in found for name in _carried(kind, kind.call))
    return any(isinstance(leaf, Proxy) for value in left for leaf in _tree.leaves(value))


def drawn(layers: Iterable[Operation]) -> tuple[object, ...]:
    """Return the states of the generators that a user's code may draw from: the process's, and those that layers hold."""
    held = (_state(value) for layer in layers for value in vars(layer).values())
    own = (state for state in held if state is not None)
    return runtime.random_state(), random.getstate(), _legacy(np.random.get_state()), *own


def _legacy(state: object) -> tuple[object, ...]:
    """Return a state of NumPy's older generators, to be compared."""
    return tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in cast(tuple[object, ...], state))


def _state(value: object) -> object:
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return _legacy(value.get_state())
    return value.getstate() if isinstance(value, random.Random) else None


def note_changes(layers: list[Watched]) -> None:
    """Let the model look again at the layers whose attributes have changed."""
    for layer, held in layers:
        if (now := attributes(layer)) != held:
            if now[_OF_SETTINGS] != held[_OF_SETTINGS] and answers(layer, "_describe_again_"):
                layer._describe_again_()
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
    return held | _variables(_functions(kind, call)) | {"call": _Same(values.get("call", call)), _OF_SETTINGS: _settings(layer)}


_OF_SETTINGS = "variables of functions among the settings"


def _settings(layer: Operation) -> dict[str, object]:
    """Return the numbers and strings that functions among a layer's settings look up around them, such as an activation."""
    given = (
        value for value in vars(layer).values() if isinstance(value, types.FunctionType) and not is_from(value, "anabranch")
    )
    return _variables(tuple(function for value in given for function in _reached(value)))


def _variables(functions: tuple[types.FunctionType, ...]) -> dict[str, object]:
    """Return the numbers and strings that functions look up around them."""
    return _only_numbers((f"{f.__qualname__}: {name}", value) for f in functions for name, value in _around(f).items())


def _only_numbers(values: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {name: seen for name, value in values if not _holds_objects(seen := _numbers(value))}


def _is_set(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _seen(value: object) -> object:
    """Return a value that is equal to another one where traced code is the same."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_seen, value))
    if isinstance(value, dict):
        return tuple((key, _seen(part)) for key, part in value.items())
    if isinstance(value, torch.nn.Module):  # whose parameters may be replaced
        return (_Same(value), *map(_Same, value.parameters()))
    return (_Same(value), *_plain_parts(value)) if _is_users(value) else _Same(value)


def _numbers(value: object) -> object:
    """Return the numbers and strings of a value, which may be an object or a class of a user's that holds some."""
    return _plain_parts(value) if _is_users(value) else _seen(value)


def _is_users(value: object) -> bool:
    """Return whether a value is an object or a class of a user's that may hold settings, such as a dataclass."""
    kind = value if isinstance(value, type) else type(value)
    others = (types.ModuleType, types.FunctionType, torch.Tensor, torch.nn.Module)
    return (
        answers(value, "__dict__")
        and not isinstance(value, others)
        and not is_from(kind, "anabranch", "torch", "numpy", "builtins")
    )


def _plain_parts(value: object) -> tuple[tuple[str, object], ...]:
    parts = vars(value) if isinstance(value, type) else {**vars(type(value)), **vars(value)}
    return tuple((name, part) for name, part in parts.items() if type(part) in _PLAIN and not name.startswith("__"))


def _holds_objects(value: object) -> bool:
    return any(map(_holds_objects, value)) if isinstance(value, tuple) else isinstance(value, _Same)


@functools.cache
def _functions(kind: type, call: Callable[..., Any]) -> tuple[types.FunctionType, ...]:
    """Return ``call`` and what it calls of its class and its module, without what is of the library's own classes."""
    users = [base for base in kind.__mro__ if not is_from(base, "anabranch")]
    members: dict[str, object] = {name: member for base in reversed(users) for name, member in vars(base).items()}
    return _walked(members.get("call"), members)


def _reached(function: types.FunctionType) -> tuple[types.FunctionType, ...]:
    """Return a function and those of its module that it calls."""
    return _walked(function, {})


def _walked(first: object, members: dict[str, object]) -> tuple[types.FunctionType, ...]:
    found: list[types.FunctionType] = []
    waiting = [first]
    while waiting:
        member = waiting.pop()
        function = unwrapped(member.fget if isinstance(member, property) else member)
        if isinstance(function, types.FunctionType) and function not in found:
            found.append(function)
            around = {name: value for name, value in _around(function).items() if isinstance(value, types.FunctionType)}
            own = {name: value for name, value in around.items() if module_of(value) == module_of(function)}
            waiting += [
                (own | members)[name] for part in _parts(function.__code__) for name in _names(part) if name in own | members
            ]
    return tuple(found)


def _names(code: types.CodeType) -> tuple[str, ...]:
    return code.co_names + code.co_freevars


def _around(function: types.FunctionType) -> dict[str, object]:
    """Return what a function looks up in its module, and in the functions around it, by name."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    names = {name for part in _parts(function.__code__) for name in part.co_names}
    looked_up = {name: function.__globals__[name] for name in names if name in function.__globals__}
    return looked_up | {name: cell.cell_contents for name, cell in cells if name != "__class__" and _is_set(cell)}


def _code(kind: type, call: Callable[..., Any]) -> Iterator[types.CodeType]:
    """Return the code of ``call`` and of what it calls of its class."""
    return (part for function in _functions(kind, call) for part in _parts(function.__code__))  # type: ignore[arg-type]


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


@functools.cache
def _carried(kind: type, call: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the attributes that the code reads before it sets them."""
    first: dict[str, str] = {}
    for part in _code(kind, call):
        for each in dis.get_instructions(part):
            if each.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
                first.setdefault(each.argval, each.opname)
    return frozenset(name for name in _stored(kind, call) if first[name] != "STORE_ATTR")  # type: ignore[arg-type]


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _parts(constant)

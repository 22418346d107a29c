"""Classes and functions that users let data name: registered for the process, or in scope for a block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from anabranch._asked import method, module_of, name_of, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bound_methods, bounded

C = TypeVar("C")

_registered: dict[str, Any] = {}  # by registered name, such as "Custom>Gate"
_names: dict[Any, str] = {}  # the other way

_defined: ContextVar[Mapping[str, str] | None] = ContextVar("defined", default=None)  # where missing classes were
_scopes: ContextVar[tuple[Mapping[str, Any], ...]] = ContextVar("custom_objects", default=())  # of this thread


@bounded
def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[C], C]:
    """Register a class or function under ``package>name``, so that data may name it.

    Args:
        package: a prefix that keeps the names of different authors apart.
        name: the name; that of the class or function unless given.

    Raises:
        ArgumentTypeError: a class without ``get_config``.
        ArgumentError: another object has that name already.

    Example:
        >>> @register_keras_serializable("example")
        ... def half(x):
        ...     return x / 2
        >>> get_registered_name(half)
        'example>half'
    """
    for argument, given in (("package", package), ("name", name)):
        if not isinstance(given, str) and not (argument == "name" and given is None):
            raise ArgumentTypeError(f"{argument} of register_keras_serializable must be a string.", got=shown(given))

    def registered(thing: C) -> C:
        if not (callable(thing) and name_of(thing)):
            raise ArgumentTypeError(
                "Only classes and functions are registered.", got=shown(thing), repair="its class, or a def around it"
            )
        full = f"{package}>{name or name_of(thing)}"
        if isinstance(thing, type) and method(thing, "get_config") is None:
            raise ArgumentTypeError(
                f"{thing.__name__} cannot be registered: it has no get_config.",
                repair="def get_config(self): return the constructor's arguments as a dict",
            )
        known = _registered.get(full)
        if known is not None and _source(known) != _source(thing):  # a cell that runs again defines the same anew
            raise ArgumentError(
                f"{full!r} is registered already.", got=repr(thing), expected=f"another name than that of {known!r}"
            )
        _registered[full] = thing
        _names[thing] = full
        return thing

    return registered


def _source(thing: Any) -> tuple[str, str]:
    return module_of(thing), thing.__qualname__


@bounded
def get_registered_name(obj: object) -> str:
    """Return the name under which a class or function was registered, its own name where it was not.

    Args:
        obj: a class or a function.

    Example:
        >>> get_registered_name(dict)
        'dict'
    """
    if not callable(obj):
        raise ArgumentTypeError("obj of get_registered_name must be a class or a function.", got=shown(obj))
    return _names.get(obj) or name_of(obj, type(obj).__name__)


@bounded
def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Callable[..., Any] | None:
    """Return what is registered, in scope, or given under ``name``; None where nothing is.

    Args:
        name: a registered name such as ``"Custom>Gate"``, or one of the tables'.
        custom_objects: a table to look in after what is in scope and registered.
        module_objects: a table to look in last.

    Example:
        >>> get_registered_object("Gate", {"Gate": dict})
        <class 'dict'>
    """
    for given, argument in ((custom_objects, "custom_objects"), (module_objects, "module_objects")):
        if given is not None and not isinstance(given, Mapping):
            raise ArgumentTypeError(f"{argument} must be a dict of names.", got=shown(given))
    if not isinstance(name, str):
        raise ArgumentTypeError("name of get_registered_object must be a string.", got=shown(name))
    for table in (*reversed(_scopes.get()), _registered, custom_objects or {}, module_objects or {}):
        if name in table:
            found: Callable[..., Any] = table[name]
            return found
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the process-wide table of registered objects, which may be changed.

    Example:
        >>> get_custom_objects()["cube"] = lambda x: x**3
        >>> get_registered_object("cube")(2)
        8
        >>> del get_custom_objects()["cube"]
    """
    return _registered


@bound_methods
class CustomObjectScope:
    """Let data name the objects of a table while the block runs, in this thread.

    Args:
        custom_objects: classes and functions by name.

    Raises:
        ArgumentTypeError: ``custom_objects`` is no dict.

    Example:
        >>> with CustomObjectScope({"half": lambda x: x / 2}):
        ...     get_registered_object("half")(4)
        2.0
    """

    def __init__(self, custom_objects: Mapping[str, Any]) -> None:
        if not isinstance(custom_objects, Mapping):
            raise ArgumentTypeError("custom_objects must be a dict of names.", got=shown(custom_objects))
        self.custom_objects = custom_objects

    def __enter__(self) -> CustomObjectScope:
        _scopes.set((*_scopes.get(), self.custom_objects))
        return self

    def __exit__(self, *error: object) -> None:
        _scopes.set(_scopes.get()[:-1])


custom_object_scope = CustomObjectScope


@contextlib.contextmanager
def scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let data name ``custom_objects`` inside the block; None adds nothing."""
    with CustomObjectScope({} if custom_objects is None else custom_objects):
        yield


@contextlib.contextmanager
def definitions(places: Mapping[str, str]) -> Iterator[None]:
    """Let errors inside the block say where a class or function that is not known was defined, by its name."""
    token = _defined.set(places)
    try:
        yield
    finally:
        _defined.reset(token)


def definition(name: str) -> str | None:
    """Return where a class or function that is not known was defined, None where nothing says so."""
    return (_defined.get() or {}).get(name)


def registered_name(obj: object) -> str | None:
    """Return the name under which a class or function was registered, None where it was not."""
    return _names.get(obj)


def custom_object(name: str) -> Callable[..., Any] | None:
    """Return what users registered or put in scope under ``name``; None where there is none, the usual case, soon."""
    return get_registered_object(name) if _registered or _scopes.get() else None

"""What is asked of any object, the user's included: its name, module and parameters, whether it has a shape or a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeGuard


class Shaped(Protocol):
    """What has a shape: an array, a tensor, a traced value."""

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes."""


def has_shape(value: object) -> TypeGuard[Shaped]:
    """Return whether a value has a shape, whoever made it.

    >>> has_shape(1.0)
    False
    """
    return hasattr(value, "shape")  # not a Protocol's isinstance: traced values answer through __getattr__


def name_of(thing: object, default: str = "") -> str:
    """Return the name of a function or class; callable objects have none.

    >>> name_of(len), name_of(1, "a number")
    ('len', 'a number')
    """
    return str(getattr(thing, "__name__", default))  # functools.partial and callable objects have no name


def module_of(thing: object) -> str:
    """Return the name of the module that defines a class or function, or an object's class; "" where it is not known.

    >>> module_of(name_of)
    'anabranch._asked'
    """
    return str(getattr(thing, "__module__", None) or "")  # built-in functions have None, some objects nothing


def is_from(thing: object, *packages: str) -> bool:
    """Return whether a class or function, or an object's class, is defined in one of the packages.

    >>> is_from(name_of, "anabranch"), is_from(name_of, "torch", "numpy")
    (True, False)
    """
    return f"{module_of(thing)}.".startswith(tuple(f"{package}." for package in packages))


def parameters_of(function: object) -> tuple[str, ...]:
    """Return the names of a Python function's or method's parameters; () for what is not written in Python.

    >>> parameters_of(name_of)
    ('thing', 'default')
    """
    code = getattr(function, "__code__", None)  # built-in functions and callable objects have none
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def method(thing: object, name: str) -> Callable[..., Any] | None:
    """Return a method that an object may have, or None.

    >>> method([], "tolist") is None
    True
    """
    found = getattr(thing, name, None)  # the object is the user's, and each of its methods is optional
    return found if callable(found) else None

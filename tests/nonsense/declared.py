"""What the arguments of public names are declared to take: by the fields of classes and the annotations of functions."""

from __future__ import annotations

import functools
import inspect
import operator
import re
import types
from typing import Any

import anabranch
from anabranch._arguments import UNKNOWN, Checks, Kind
from anabranch._asked import unwrapped
from anabranch._fields import Configurable


@functools.cache
def kinds(name: str) -> dict[str, Kind]:
    """Return what the arguments of a target's name are declared as, as far as it is known."""
    path, called, _ = re.sub(r" of .*|\.…=", "", name).partition("()")
    try:
        thing: Any = operator.attrgetter(path)(anabranch)
    except AttributeError:
        return {}
    if called and isinstance(thing, type):
        call: Any = getattr(thing, "call", None)
        thing = call if callable(call) else vars(thing).get("__call__", thing.__call__)
    return _of(thing)


def _of(thing: Any) -> dict[str, Kind]:
    if isinstance(thing, type):
        found = {}
        for base in reversed(thing.__mro__):
            init = vars(base).get("__init__")
            if isinstance(init, types.FunctionType):
                found.update(_of(init))
        return found | {each.name: each.kind for each in thing._order_} if issubclass(thing, Configurable) else found
    written = unwrapped(thing.__func__ if inspect.ismethod(thing) else thing)
    if not isinstance(written, types.FunctionType):
        return {}
    checks = Checks(written)
    try:
        checks.named((), {})
    except RecursionError:  # an alias that holds itself, which nothing checks
        return {}
    return checks.kinds


def declared(name: str, argument: str) -> Kind:
    """Return what an argument is declared as."""
    return kinds(name).get(argument, UNKNOWN)

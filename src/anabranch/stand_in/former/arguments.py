"""Former arguments of classes, methods and functions, as those of today."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from anabranch._errors import ArgumentError
from anabranch._fields import Configurable
from anabranch.stand_in.former import words
from anabranch.stand_in.former.saying import say

Given = dict[str, Any]


@functools.cache
def table_of(kind: type) -> dict[str, str]:
    """Return the former arguments of a class and its bases, without those that are its settings today."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= words.ARGUMENTS.get(base.__name__, {})
    fields: Mapping[str, Any] = kind._fields_ if issubclass(kind, Configurable) else {}
    return {former: today for former, today in found.items() if former not in fields}


def constructed(kind: type, args: tuple[Any, ...], given: Given) -> tuple[tuple[Any, ...], Given]:
    """Return the arguments of a constructor with today's names and values."""
    table = table_of(kind)
    rates = "lr" in table  # an optimizer's
    if table.keys().isdisjoint(given) and not (rates and given.get("epsilon", 0) is None):
        return args, given
    if rates:
        given = _optimizer(kind, args, given)
    else:
        args, given = _windows(kind, args, given)
        given = _shapes(given, table)
    return args, renamed(kind.__name__, table, given)


def renamed(owner: str, table: Mapping[str, str], given: Given) -> Given:
    """Return arguments under today's names, without those that have no effect any more; one warning each."""
    found: Given = {}
    for name, value in given.items():
        today = table.get(name, name)
        if name in table:
            said = f"{owner}({today}=…)" if today else "without it, as it has no effect"
            say(f"{name} of {owner}", said)
        if today:
            found[today] = words.VALUES.get(today, {}).get(value, value) if isinstance(value, str) else value
    return found


def renaming(key: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function or method that takes its former arguments too."""
    table = words.ARGUMENTS[key]

    @functools.wraps(function)
    def taking(*args: Any, **given: Any) -> Any:
        if not table.keys().isdisjoint(given):
            given = renamed(key, table, given)
        return function(*args, **given)

    return taking


def _optimizer(kind: type, args: tuple[Any, ...], given: Given) -> Given:
    """Turn ``decay`` into a schedule; an epsilon of None was Keras 2's word for the default."""
    found = dict(given)
    if found.get("epsilon", 0) is None:
        del found["epsilon"]
    decay = found.pop("decay", 0.0)
    if not decay:
        if "decay" in given:
            say(f"decay of {kind.__name__}", "without it, as 0 has no effect")
        return found
    from anabranch.optimizers.schedules import InverseTimeDecay  # which loads the engine

    rate = args[0] if args else found.pop("lr", found.pop("learning_rate", None))
    if args:
        raise ArgumentError(
            f"decay of {kind.__name__} is a schedule today.",
            repair=f"{kind.__name__}(schedules.InverseTimeDecay({rate}, decay_steps=1, decay_rate={decay}))",
        )
    if rate is None:
        rate = kind._fields_["learning_rate"].default if issubclass(kind, Configurable) else 0.001
    say(f"decay of {kind.__name__}", f"learning_rate=schedules.InverseTimeDecay({rate}, decay_steps=1, decay_rate={decay})")
    return found | {"learning_rate": InverseTimeDecay(float(rate), 1, float(decay))}


def _windows(kind: type, args: tuple[Any, ...], given: Given) -> tuple[tuple[Any, ...], Given]:
    """Join rows and columns of a kernel, by name or, beside former names, by position."""
    if "nb_row" in given and "nb_col" in given:
        say(f"nb_row and nb_col of {kind.__name__}", "kernel_size=(rows, columns)")
        rest = {name: value for name, value in given.items() if name not in ("nb_row", "nb_col")}
        return args, rest | {"kernel_size": (given["nb_row"], given["nb_col"])}
    if kind.__name__.startswith("Conv2D") and len(args) == 3 and all(isinstance(each, int) for each in args):
        say(f"{kind.__name__}(filters, rows, columns)", f"{kind.__name__}(filters, (rows, columns))")
        return (args[0], (args[1], args[2])), given
    return args, given


def _shapes(given: Given, table: Mapping[str, str]) -> Given:
    """Turn ``input_dim`` and ``input_length`` into the shape that they mean."""
    if "input_dim" in table and given.get("input_dim") is not None:
        length = (given["input_length"],) if "input_length" in given else ()
        rest = {name: value for name, value in given.items() if name not in ("input_dim", "input_length")}
        say("input_dim of a layer", "Input(shape) as the first of a Sequential")
        return rest | {"input_shape": (*length, given["input_dim"])}
    return {name: value for name, value in given.items() if name != "input_length" or name not in table}

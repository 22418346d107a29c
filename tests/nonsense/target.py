"""What is called with wrong values: a public name, its arguments, and how to call and use it with one of them wrong."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nonsense.values import RIGHT, WRONG

Right = Callable[[], Mapping[str, Any]]  # makes the right arguments of a call, by name


@dataclass(frozen=True)
class Target:
    """A public name and how it is called.

    Args:
        name: the public name, which cases are listed by.
        call: takes all arguments by name and uses what comes of them.
        right: makes arguments with which that succeeds.
        arguments: those that are given wrong values, one at a time.
        alone: each case runs in a process of its own, as a call changes the process.
        values: the wrong values, by their labels.
    """

    name: str
    call: Callable[..., Any]
    right: Right
    arguments: tuple[str, ...]
    alone: bool = False
    values: Mapping[str, Callable[[], Any]] = field(default_factory=lambda: WRONG, compare=False)

    def run(self, argument: str, label: str) -> Any:
        """Call it with a wrong value for one argument."""
        given = dict(self.right())
        if label != RIGHT:
            given[argument] = self.values[label]()
        return self.call(**given)

    def cases(self) -> Iterator[tuple[str, str]]:
        """Yield argument and value of each case; the first is right."""
        yield "", RIGHT
        for argument in self.arguments:
            for label in self.values:
                yield argument, label

    def some(self, count: int, seed: str) -> list[tuple[str, str]]:
        """Return the right case, and ``count`` of those of each argument."""
        draw = random.Random(seed)
        drawn = [
            (name, label) for name in self.arguments for label in draw.sample([*self.values], min(count, len(self.values)))
        ]
        return [("", RIGHT), *drawn]


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what a function, class or bound method takes by name."""
    if not inspect.isroutine(function) and not isinstance(function, type):
        function = type(function).__call__.__get__(function)  # an object that is called: its constructor's are others
    found = inspect.signature(function).parameters.values()
    return [each for each in found if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]


def function(
    name: str, called: Callable[..., Any], right: Right = dict, *, use: Callable[[Any], Any] | None = None,
    more: Iterable[str] = (), alone: bool = False,
) -> Target:  # fmt: skip
    """Return the target of a function or class that is called by names; ``use`` takes what it returns."""

    def call(**given: Any) -> Any:
        made = called(**given)
        return made if use is None else use(made)

    arguments = dict.fromkeys([*(each.name for each in parameters(called)), *more])
    return Target(name, call, right, tuple(arguments), alone)


def method(name: str, make: Callable[[], Any], right: Right = dict, *, more: Iterable[str] = ()) -> Target:
    """Return the target of a method, named ``…Class.method``, of an object that ``make`` makes for each call."""
    word = name.rpartition(".")[2]

    def call(**given: Any) -> Any:
        return getattr(make(), word)(**given)

    arguments = dict.fromkeys([*(each.name for each in parameters(getattr(make(), word))), *more])
    return Target(name, call, right, tuple(arguments))

"""Which layer of one model is which of another: by given names, by what comes before or after, then by numbered names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias


class Source(NamedTuple):
    """Where a tensor comes from: the path of the operation, which call of it, which output."""

    path: str
    call: int
    output: int


class Part(NamedTuple):
    """What is compared of one operation of a graph."""

    path: str
    name: str
    named: bool
    """Whether its author gave the name."""
    parent: str
    """The path of the nested model that it is in; "" at the top."""
    type: str
    made: str
    config: dict[str, str]
    shape: str
    inputs: str
    sources: tuple[tuple[Source, ...], ...]
    """Of each call."""
    weights: dict[str, str]
    ends: tuple[int, ...]
    """Which outputs of its graph it gives."""

    @property
    def key(self) -> Hashable:
        """What it does, apart from where."""
        return self.type, tuple(sorted(self.config.items())), tuple(self.weights.items())


Parts: TypeAlias = "dict[str, Part]"
_Label: TypeAlias = "dict[str, Hashable]"


def matched(before: Parts, after: Parts) -> dict[str, str]:
    """Return the path in the second model of what each path of the first is there; level by level through nested models."""
    levels = [_by_parent(before), _by_parent(after)]
    found: dict[str, str] = {}
    waiting = [("", "")]
    numbers: dict[Hashable, int] = {}
    while waiting:
        old, new = waiting.pop()
        pairs = _matched(levels[0].get(old, []), levels[1].get(new, []), numbers)
        found.update(pairs)
        waiting += [(a, b) for a, b in pairs.items() if a in levels[0] and b in levels[1]]
    _add_moved(before, after, found)
    return found


def _by_parent(parts: Parts) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = defaultdict(list)
    for part in parts.values():
        found[part.parent].append(part)
    return found


def _matched(before: Sequence[Part], after: Sequence[Part], numbers: dict[Hashable, int]) -> dict[str, str]:
    """Return the pairs within one graph: each way of matching takes what those before it left."""
    found: dict[str, str] = {}
    taken: set[str] = set()

    def by(key: Callable[[Part], Hashable], other: Callable[[Part], Hashable]) -> None:
        """Pair those of equal keys, in order where several have one; None is no key."""
        open_ = defaultdict(list)
        for part in reversed(after):
            if part.path not in taken and other(part) is not None:
                open_[other(part)].append(part.path)
        for part in before:
            fitting = [] if part.path in found or key(part) is None else open_.get(key(part), [])
            if fitting:
                found[part.path] = fitting.pop()
                taken.add(found[part.path])

    named = {part.name for part in (*before, *after) if part.named}

    def by_name(part: Part) -> Hashable:
        return (part.name, part.type) if part.name in named else None

    by(by_name, by_name)
    labels = [(label(before, numbers), label(after, numbers)) for label in (_histories, _futures)]
    for alike in (True, False):  # a given name is taken for a name that follows from the graph where nothing else fits
        for one, two in labels:
            by(
                lambda part, of=one, alike=alike: (of[part.path], alike and part.named),  # type: ignore[misc]  # defaults
                lambda part, of=two, alike=alike: (of[part.path], alike and part.named),  # type: ignore[misc]  # defaults
            )
    by(lambda part: part.name, lambda part: part.name)
    return found


def _histories(parts: Sequence[Part], numbers: dict[Hashable, int]) -> _Label:
    """Return a label for each part that is equal where it does the same on the same inputs."""
    found: _Label = {}
    for part in parts:
        sources = tuple(tuple((found.get(s.path, -1), s.output) for s in call) for call in part.sources)
        found[part.path] = numbers.setdefault(("from", part.key, sources), len(numbers))
    return found


def _futures(parts: Sequence[Part], numbers: dict[Hashable, int]) -> _Label:
    """Return a label for each part that is equal where it does the same and the same is done with its results."""
    takers: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for part in parts:
        for call in part.sources:
            for position, source in enumerate(call):
                takers[source.path].append((part.path, position))
    found: dict[str, int] = {}
    for part in reversed(parts):
        uses = tuple(sorted((found.get(path, -1), position) for path, position in takers[part.path]))
        key = ("to", part.key, uses, part.ends)
        found[part.path] = numbers.setdefault(key, len(numbers))
    return dict(found)


def _add_moved(before: Parts, after: Parts, found: dict[str, str]) -> None:
    """Pair what is left where one part of each model does the same with weights of the same shapes: it was moved."""
    there = set(found.values())
    left: list[dict[Hashable, list[str]]] = [defaultdict(list), defaultdict(list)]
    for side, parts, done in ((left[0], before, found), (left[1], after, there)):
        for path, part in parts.items():
            if path not in done and part.weights:
                side[part.key].append(path)
    for key, paths in left[0].items():
        others = left[1].get(key, [])
        if len(paths) == len(others) == 1:
            found[paths[0]] = others[0]

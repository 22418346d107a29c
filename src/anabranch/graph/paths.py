"""Paths: how the operations and tensors of a graph are addressed, through nested models too.

``backbone/block3/conv2`` is an operation, and the tensor that its only call gives; ``shared@2`` the third call of a shared one
(calls are counted from 0); ``split:1`` the second output; ``backbone@1/conv`` an inner tensor of the backbone's second call.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple, TypeAlias

from anabranch import _tree
from anabranch._asked import parameters_of, shown, takes_any
from anabranch._errors import ArgumentError, ArgumentTypeError, GraphError, unknown
from anabranch.graph.clues import NothingSelected, explained
from anabranch.graph.graph import Graph
from anabranch.graph.model import AnyModel
from anabranch.graph.records import Node, Operation, Tensor, spec_leaves
from anabranch.graph.replaying import subgraph
from anabranch.graph.tensor import outputs_of


class Place:
    """A tensor inside a graph: the calls of nested models that lead to it, its node, and which output it is."""

    __slots__ = ("calls", "index", "node")

    def __init__(self, calls: tuple[Node, ...], node: Node, index: int) -> None:
        self.calls = calls
        self.node = node
        self.index = index

    def tensor(self) -> Tensor:
        """Return the tensor, as the innermost graph knows it."""
        tensor: Tensor = _tree.leaves(outputs_of(self.node))[self.index]
        return tensor


class Address(NamedTuple):
    """A path taken apart: names with the calls asked for, and the output asked for."""

    parts: tuple[tuple[str, int | None], ...]
    output: int | None


def parse(path: str) -> Address:
    """Take a path apart.

    >>> parse("backbone@1/split:2")
    Address(parts=(('backbone', 1), ('split', None)), output=2)
    """
    if not isinstance(path, str):
        position = isinstance(path, int)  # as torch's tools ask that go over a module
        raise ArgumentTypeError(
            "A path is a string.",
            expected="'backbone/conv2d', 'shared@2'",
            got=f"{type(path).__name__}: {path!r}",
            repair="model.layers, which has them in order; model.to_torch() for torch's tools" if position else None,
        )
    *parents, last = path.split("/")
    last, _, output = last.partition(":")
    return Address(tuple(_part(part, path) for part in (*parents, last)), _number(output, path) if output else None)


def _part(part: str, path: str) -> tuple[str, int | None]:
    name, at, call = part.partition("@")
    if not name:
        raise ArgumentError("A path has an empty part.", expected="name/name, name@call, name:output", got=repr(path))
    return name, _number(call, path) if at else None


def _number(text: str, path: str) -> int:
    if not text.isdigit():
        raise ArgumentError("A path counts calls and outputs by integers.", expected="shared@2, split:1", got=repr(path))
    return int(text)


def operation_at(graph: Graph, path: str) -> Operation:
    """Return the operation at ``path``."""
    here: Graph | None = graph
    found: Operation | None = None
    walked = ""
    parts = list(parse(path).parts)
    while parts:
        known = _by_name(here, found)
        name, _ = _next(parts, known)
        if not known:
            raise ArgumentError(f"{walked.rstrip('/')!r} holds no layers, so a path ends there.", got=repr(path))
        if name not in known:
            raise unknown("path", walked + name, (walked + n for n in known))
        found = known[name]
        here = subgraph(found)
        walked += name + "/"
    return found  # type: ignore[return-value]  # a path has one part at least


def _next(parts: list[tuple[str, int | None]], known: dict[str, Operation]) -> tuple[str, int | None]:
    """Take the longest of the names that a path may go on with off its parts; parts of opened torch modules have several."""
    for count in range(len(parts), 1, -1):
        name = "/".join(part for part, _ in parts[:count])
        if name in known:
            number = parts[count - 1][1]
            del parts[:count]
            return name, number
    return parts.pop(0)


def _by_name(graph: Graph | None, owner: Operation | None) -> dict[str, Operation]:
    """Return what a path can go on to: the operations of a graph, else the layers that a layer holds."""
    if graph is not None:
        return graph.by_name
    return {} if owner is None else {layer.name: layer for layer in owner._sublayers_()}


def place_of(graph: Graph, path: str) -> Place:
    """Return the tensor at ``path``; an ambiguous path is an error that lists the calls."""
    address = parse(path)
    calls: list[Node] = []
    here: Graph | None = graph
    walked = ""
    parts = list(address.parts)
    while parts:
        if here is None:
            raise GraphError(f"{walked.rstrip('/')!r} is a layer, not a model, so a path ends there.", got=repr(path))
        known = _by_name(here, None)
        name, number = _next(parts, known)
        if name not in known:
            raise unknown("path", walked + name, (walked + n for n in known))
        calls.append(_call(here, known[name], walked + name, number))
        here = subgraph(known[name])
        walked += name + "/"
    node = calls.pop()
    count = len(spec_leaves(node.output_specs))
    if address.output is None and count != 1:
        raise GraphError(
            f"{path!r} gives {count} tensors, so which one is meant is ambiguous.",
            expected=", ".join(f"{path}:{index}" for index in range(count)),
        )
    if address.output is not None and address.output >= count:
        raise ArgumentError(f"{path!r} has no output {address.output}.", expected=f"0 to {count - 1}")
    return Place(tuple(calls), node, address.output or 0)


def _call(graph: Graph, operation: Operation, path: str, number: int | None) -> Node:
    nodes = graph.calls_of(operation)
    if number is None and len(nodes) > 1:
        raise GraphError(
            f"{path!r} is called {len(nodes)} times, so its tensor is ambiguous.",
            expected=", ".join(f"{path}@{index} (at {node.site})" for index, node in enumerate(nodes[:8])),
        )
    if number is not None and number >= len(nodes):
        raise ArgumentError(
            f"{path!r} has no call {number}.", expected=f"0 to {len(nodes) - 1}, counted from 0", got=str(number)
        )
    return nodes[number or 0]


def walk(graph: Graph) -> Iterator[tuple[str, Operation]]:
    """Yield every operation with its path, nested models' after their own; in the order of ``layers``."""
    stack = [("", graph, iter(graph.operations))]
    while stack:
        prefix, here, operations = stack[-1]
        operation = next(operations, None)
        if operation is None:
            stack.pop()
            continue
        path = prefix + here.names[operation]
        yield path, operation
        inner = subgraph(operation)
        if inner is not None:
            stack.append((path + "/", inner, iter(inner.operations)))


def owners(model: AnyModel) -> Iterator[tuple[str, AnyModel | Operation]]:
    """Yield a model and all that is in it, nested models before their layers, with what precedes the names of its parts."""
    stack: list[tuple[str, AnyModel | Operation]] = [("", model)]
    while stack:
        prefix, owner = stack.pop()
        yield prefix, owner
        if owner._graph_ is not None:
            names = owner._graph_.names
            stack.extend((f"{prefix}{names[layer]}/", layer) for layer in reversed(owner._sublayers_()))


Selector: TypeAlias = "str | type[Any] | Operation | Callable[..., Any] | Collection[Selector]"
"""A path, a pattern of paths or names, a type, an operation, a predicate, or several of these."""


def matcher(selector: Selector) -> Callable[[str, Operation], bool]:
    """Return the function that says whether a path and its operation are meant by ``selector``."""
    if isinstance(selector, str):
        return lambda path, operation: (
            fnmatch.fnmatchcase(path, selector) or fnmatch.fnmatchcase(path.rpartition("/")[2], selector)
        )
    if isinstance(selector, type):
        return lambda path, operation: isinstance(operation, selector)
    if isinstance(selector, (list, tuple, set, frozenset)):
        if _tree.holds_itself(selector):
            raise _tree.too_deep()
        several = [matcher(one) for one in selector]
        return lambda path, operation: any(matches(path, operation) for matches in several)
    if isinstance(selector, Operation):
        return lambda path, operation: operation is selector
    if callable(selector):
        if not takes_any(selector) and not parameters_of(selector):
            raise ArgumentTypeError("A predicate that selects layers is called as f(layer).", got=shown(selector))
        return lambda path, operation: bool(selector(operation))
    raise ArgumentTypeError(
        "Layers are selected by a path, a pattern, a type, a layer, a predicate, or a list of these.",
        expected="'stage4/*', layers.ReLU, lambda layer: layer.trainable",
        got=f"{type(selector).__name__}: {selector!r}"[:120],
    )


def select(graph: Graph, selector: Selector) -> dict[str, Operation]:
    """Return the operations that ``selector`` means, by path; nested models' too. A whole path means nothing besides."""
    matches = matcher(selector)
    found = {path: operation for path, operation in walk(graph) if matches(path, operation)}
    return {selector: found[selector]} if isinstance(selector, str) and selector in found else found


def places(graph: Graph, wanted: _tree.Nest) -> _tree.Nest:
    """Return the place at each path of a nest; a pattern, a type or a predicate means a dict of all tensors it selects."""
    if isinstance(wanted, str) and not set(wanted) & set("*?["):
        return place_of(graph, wanted)
    if isinstance(wanted, dict):
        return {key: places(graph, one) for key, one in wanted.items()}
    if isinstance(wanted, (list, tuple)):
        return type(wanted)(places(graph, one) for one in wanted)
    found = select(graph, wanted)
    if not found:
        raise explained(ArgumentError("Nothing in the model is selected.", got=repr(wanted), clue=NothingSelected(wanted)))
    return {path: place_of(graph, path) for operation in found for path in _tensor_paths(graph, operation)}


def _tensor_paths(graph: Graph, path: str) -> Iterator[str]:
    """Yield a path for each tensor that the calls of one operation give."""
    parent, slash, name = path.rpartition("/")
    here = subgraph(operation_at(graph, parent)) if slash else graph
    if here is None:
        return
    nodes = here.calls_of(_by_name(here, None)[name])
    for number, node in enumerate(nodes):
        call = f"{path}@{number}" if len(nodes) > 1 else path
        count = len(spec_leaves(node.output_specs))
        yield from [call] if count == 1 else [f"{call}:{index}" for index in range(count)]

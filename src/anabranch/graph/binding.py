"""The one binder: what a user wrote for x, y, loss, metrics or weights, onto a model's inputs or outputs by the user's keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch import _tree
from anabranch._errors import AnabranchError, ArgumentError, nearest, unknown

if TYPE_CHECKING:
    from anabranch.graph.graph import Graph
    from anabranch.graph.model import WithGraph

Predicate = Callable[[Any], bool]
_LEFT_OUT: Any = object()


class Slots(NamedTuple):
    """The named places that values are bound onto: a model's inputs or its outputs, in the model's order."""

    kind: str
    names: tuple[str, ...]
    tensors: tuple[Any, ...]
    structure: _tree.Nest

    @classmethod
    def inputs(cls, model: WithGraph) -> Slots:
        """Return the inputs of ``model``."""
        graph = model._graph_ or model._need_running_graph_()
        return cls("input", _names(model, graph, graph.input_structure, "input"), tuple(graph.inputs), graph.input_structure)

    @classmethod
    def outputs(cls, model: WithGraph) -> Slots:
        """Return the outputs of ``model``."""
        graph = model._need_running_graph_()
        names = _names(model, graph, graph.output_structure, "output")
        return cls("output", names, tuple(graph.outputs), graph.output_structure)

    def described(self) -> str:
        """Return e.g. ``2 inputs: 'image', 'age'``."""
        plural = "s" if len(self.names) != 1 else ""
        return f"{len(self.names)} {self.kind}{plural}: {', '.join(map(repr, self.names))}"


class Rule(NamedTuple):
    """How one argument is bound."""

    what: str
    """The argument's name, for messages."""
    is_leaf: Predicate
    """Whether a value is for one slot rather than for a nest of them."""
    spread: bool = False
    """Whether one leaf serves every slot."""
    optional: Collection[int] = ()
    """Slots that may go without a value."""
    error: type[AnabranchError] = ArgumentError


def bind(value: _tree.Nest, slots: Slots, rule: Rule) -> list[Any]:
    """Return one value for each slot, in the model's order; None where an optional slot got none.

    A dict is bound by key: the keys of the structure the user built the model from, or the names of the tensors. A list is
    bound by position. Nothing is sorted, an unknown or a missing key is an error.
    """
    if rule.is_leaf(value):
        if len(slots.names) == 1 or rule.spread:
            return [value] * len(slots.names)
        needed = [i for i in range(len(slots.names)) if i not in rule.optional]
        if len(needed) == 1:
            return _placed({needed[0]: value}, slots)
        raise _miscounted(1, slots, rule)
    if _tree.is_nest(slots.structure) and any(_tree.is_nest(part) for part in _parts(slots.structure)):
        bound = _by_structure(value, slots, rule)
        if bound is not None:
            return bound
    if isinstance(value, dict):
        return _by_key(value, slots, rule)
    if isinstance(value, (list, tuple)):
        return _by_position(list(value), slots, rule)
    raise rule.error(
        f"{rule.what} is of a kind that cannot be bound to the model's {slots.kind}s.",
        expected=slots.described(),
        got=f"{type(value).__name__}: {value!r}"[:120],
    )


def names_in(structure: _tree.Nest, kind: str) -> tuple[str, ...]:
    """Return the names of places that nobody named: the keys of a dict, else ``output_1``, ``output_2`` …, or ``output``."""
    if isinstance(structure, dict) and not any(_tree.is_nest(part) for part in structure.values()):
        return tuple(structure)
    count = len(_tree.leaves(structure))
    return (kind,) if count == 1 else tuple(f"{kind}_{number}" for number in range(1, count + 1))


def _names(model: WithGraph, graph: Graph, structure: _tree.Nest, kind: str) -> tuple[str, ...]:
    """Return the keys of a dict, else the names of the layers that give the tensors; a model's own ``call`` names none."""
    if model._graph_ is None or (isinstance(structure, dict) and not any(map(_tree.is_nest, structure.values()))):
        return names_in(structure, kind)
    return tuple(graph.names.get(tensor.node.operation, tensor.name) for tensor in _tree.leaves(structure))


def _parts(structure: _tree.Nest) -> Iterable[Any]:
    return structure.values() if isinstance(structure, dict) else structure


def _placed(found: dict[int, Any], slots: Slots) -> list[Any]:
    return [found.get(index) for index in range(len(slots.names))]


def _by_key(value: dict[Any, Any], slots: Slots, rule: Rule) -> list[Any]:
    places: dict[str, list[int]] = {}
    for index, name in enumerate(slots.names):
        places.setdefault(name, []).append(index)
    if any(key not in places for key in value):
        # The tensors' own names serve too, where the structure has other keys.
        for index, tensor in enumerate(slots.tensors):
            if tensor.name not in slots.names:
                places.setdefault(tensor.name, []).append(index)
    found: dict[int, Any] = {}
    for key, item in value.items():
        if key not in places:
            raise _unknown_key(key, slots, rule)
        for index in places[key]:
            if index in found:
                raise rule.error(f"{rule.what} has two values for {slots.kind} {slots.names[index]!r}.", got=_keys(value))
            found[index] = _leaf(item, slots.names[index], rule)
    for index, name in enumerate(slots.names):
        if index not in rule.optional and (index not in found or (found[index] is None and not rule.is_leaf(None))):
            raise _missing_key(name, value, slots, rule)
    return _placed(found, slots)


def _by_position(value: list[Any], slots: Slots, rule: Rule) -> list[Any]:
    if len(value) == len(slots.names):
        for index, (item, name) in enumerate(zip(value, slots.names, strict=True)):
            if item is None and index not in rule.optional and not rule.is_leaf(None):
                raise rule.error(f"{rule.what} has no value for {slots.kind} {name!r}.", got="None in its place")
        return [_leaf(item, name, rule) for item, name in zip(value, slots.names, strict=True)]
    needed = [index for index in range(len(slots.names)) if index not in rule.optional]
    if len(value) == len(needed):
        return _placed({i: _leaf(v, slots.names[i], rule) for i, v in zip(needed, value, strict=True)}, slots)
    raise _miscounted(len(value), slots, rule)


def _by_structure(value: _tree.Nest, slots: Slots, rule: Rule) -> list[Any] | None:
    """Walk value and structure together; None where they differ in shape, so that flat forms are tried."""
    found: list[Any] = []
    stack: list[tuple[Any, Any]] = [(value, slots.structure)]
    while stack:
        item, structure = stack.pop()
        if item is _LEFT_OUT:
            places = range(len(found), len(found) + len(_tree.leaves(structure)))
            if not all(place in rule.optional for place in places):
                return None
            found.extend(None for _ in places)
        elif not _tree.is_nest(structure):
            if not rule.is_leaf(item):
                return None
            found.append(item)
        elif isinstance(structure, dict):
            if not isinstance(item, dict):
                return None
            if any(key not in structure for key in item):
                return None
            stack.extend((item.get(key, _LEFT_OUT), part) for key, part in reversed(structure.items()))
        else:
            if rule.is_leaf(item) or not isinstance(item, (list, tuple)) or len(item) != len(structure):
                return None
            stack.extend(reversed(list(zip(item, structure, strict=True))))
    return found


def _leaf(item: _tree.Nest, name: str, rule: Rule) -> _tree.Nest:
    if item is None or rule.is_leaf(item):
        return item
    if isinstance(item, (list, tuple)) and len(item) == 1 and rule.is_leaf(item[0]):
        return item[0]
    raise rule.error(
        f"{rule.what} for {name!r} is of a kind that cannot be used.",
        got=f"{type(item).__name__}: {item!r}"[:120],
    )


def _keys(value: dict[Any, Any]) -> str:
    return f"keys {', '.join(repr(key) for key in value)}" if value else "no keys"


def _unknown_key(key: object, slots: Slots, rule: Rule) -> AnabranchError:
    error = unknown("key", key if isinstance(key, str) else repr(key), slots.names, of=rule.what)
    error.expected = slots.described()
    return error


def _missing_key(name: str, value: dict[Any, Any], slots: Slots, rule: Rule) -> AnabranchError:
    close = nearest(name, [key for key in value if isinstance(key, str) and key not in slots.names])
    return rule.error(
        f"{rule.what} has no value for {slots.kind} {name!r}.",
        expected=slots.described(),
        got=_keys(value),
        repair=f"is {close!r} meant for it?" if close else _leave_out(name, rule),
    )


def _leave_out(name: str, rule: Rule) -> str | None:
    return f"{{{name!r}: None}} leaves this output without one" if rule.is_leaf(None) else None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")


def _miscounted(count: int, slots: Slots, rule: Rule) -> AnabranchError:
    return rule.error(
        f"{rule.what} has {_counted(count, 'value')} for {_counted(len(slots.names), slots.kind)}.",
        expected=slots.described(),
        got=_counted(count, "value"),
        repair=f"pass a dict, {{{', '.join(f'{name!r}: …' for name in slots.names)}}}, or a list in that order",
    )

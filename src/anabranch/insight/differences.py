"""What differs between two models: an object, with a text view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from anabranch import _tree
from anabranch._asked import name_of
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable
from anabranch._frames import bound_methods, bounded
from anabranch.graph import AnyModel, Graph, Node, Operation, Tensor, Weight, spec_leaves, subgraph
from anabranch.graph.arrays import is_parameter


class Change(NamedTuple):
    """One difference.

    Args:
        path: of the layer.
        kind: added, removed, type, config, shape, inputs, calls, weights or outputs.
        before: what the old model has.
        after: what the new one has.

    Example:
        >>> Change("dense", "config", "units=2", "units=3").kind
        'config'
    """

    path: str
    kind: str
    before: str
    after: str


@bound_methods
class Diff(NamedTuple):
    """The differences between two models; true where there are any.

    Args:
        changes: in the order of the layers.
        unchanged: how many layers are the same.

    Example:
        >>> print(Diff([Change("dense", "config", "units=2", "units=3")], 4))
        ~ dense  config: units=2 -> units=3
        4 layers are the same.
    """

    changes: list[Change]
    unchanged: int

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, kind: str) -> list[str]:
        """Return the paths of the changes of one kind.

        Args:
            kind: as in :class:`Change`.

        Example:
            >>> Diff([Change("dense", "config", "units=2", "units=3")], 4).of("config")
            ['dense']
        """
        return [change.path for change in self.changes if change.kind == kind]

    def text(self) -> str:
        """Return a line for each difference: + added, - removed, ~ changed.

        Example:
            >>> Diff([], 4).text()
            'The models are alike: 4 layers.'
        """
        if not self.changes:
            return f"The models are alike: {self.unchanged} layers."
        width = max(len(change.path) for change in self.changes)
        lines = [_line(change, width) for change in self.changes]
        return "\n".join([*lines, f"{self.unchanged} layers are the same."])

    def __str__(self) -> str:
        return self.text()


def _line(change: Change, width: int) -> str:
    path = change.path.ljust(width)
    if change.kind == "added":
        return f"+ {path}  {change.after}"
    if change.kind == "removed":
        return f"- {path}  {change.before}"
    return f"~ {path}  {change.kind}: {change.before} -> {change.after}"


class Facts(NamedTuple):
    """What is compared of one operation."""

    type: str
    made: str
    config: dict[str, str]
    shape: str
    inputs: str
    weights: dict[str, str]


@bounded
def diff(old: AnyModel, new: AnyModel) -> Diff:
    """Return what differs between two models, layer by layer, matched by path; the numbers in the weights are not compared.

    Args:
        old: a model.
        new: the model that it is compared with.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> old, new = (Sequential([Input((4,)), layers.Dense(units, name="head")]) for units in (2, 3))
        >>> diff(old, new).of("config")
        ['head']
    """
    first, second = _graph_of(old), _graph_of(new)
    before, after = _facts(first), _facts(second)
    changes: list[Change] = []
    unchanged = 0
    for path in _merged(list(before), list(after)):
        if path not in after:
            changes.append(Change(path, "removed", f"{before[path].type} {before[path].shape}", ""))
        elif path not in before:
            facts = after[path]
            changes.append(Change(path, "added", "", f"{facts.type} {facts.shape} from {facts.inputs or 'outside'}"))
        else:
            found = list(_changes(path, before[path], after[path]))
            changes += found
            unchanged += not found
    ends = [_ends(first), _ends(second)]
    if ends[0] != ends[1]:
        changes.append(Change("outputs", "outputs", *ends))
    return Diff(changes, unchanged)


def _graph_of(model: object) -> Graph:
    graph = subgraph(model)
    if graph is None:
        raise ArgumentTypeError("diff compares models with a graph.", got=f"{type(model).__name__}: {model!r}"[:120])
    return graph


def _changes(path: str, a: Facts, b: Facts) -> list[Change]:
    found = []
    if a.type != b.type:
        found.append(Change(path, "type", a.made, b.made))
    else:
        for key in a.config.keys() | b.config.keys():
            one, other = a.config.get(key, "-"), b.config.get(key, "-")
            if one != other:
                found.append(Change(path, "config", f"{key}={one}", f"{key}={other}"))
        found.sort()
    if a.shape != b.shape:
        found.append(Change(path, "shape", a.shape, b.shape))
    if a.inputs != b.inputs:
        found.append(Change(path, "inputs", a.inputs, b.inputs))
    if a.type == b.type and a.weights != b.weights:
        names = [name for name in a.weights | b.weights if a.weights.get(name) != b.weights.get(name)]
        one, other = (", ".join(f"{name} {held.get(name, 'none')}" for name in names) for held in (a.weights, b.weights))
        found.append(Change(path, "weights", one, other))
    return found


def _merged(a: list[str], b: list[str]) -> list[str]:
    """Return the paths of both in an order that keeps each one's own as far as they agree."""
    known = set(b)
    merged: list[str] = []
    following = iter(b)
    seen: set[str] = set()
    for path in a:
        if path in known:
            for other in following:
                if other not in seen:
                    merged.append(other)
                    seen.add(other)
                if other == path:
                    break
        if path not in seen:
            merged.append(path)
            seen.add(path)
    return [*merged, *(path for path in following if path not in seen)]


def _facts(graph: Graph) -> dict[str, Facts]:
    """Return the facts of every operation by path, nested models' after their own."""
    found: dict[str, Facts] = {}
    stack: list[tuple[str, Graph, Iterator[tuple[Operation, list[Node]]]]] = [("", graph, _calls(graph))]
    while stack:
        prefix, here, following = stack[-1]
        operation, calls = next(following, (None, []))
        if operation is None:
            stack.pop()
            continue
        path = prefix + here.names[operation]
        shapes = [spec.shape for node in calls for spec in spec_leaves(node.output_specs)]
        sources = " | ".join(", ".join(_source(here, tensor) for tensor in node.inputs) for node in calls)
        inner = subgraph(operation)
        weights = {} if inner else {_relative(w, operation): str(w.shape) for w in operation.weights}
        kind = operation.summary_kind()
        made = kind if operation.is_function else operation.written_code(named=False)
        found[path] = Facts(
            kind, made.removesuffix("()"), _config(operation, calls), ", ".join(map(str, shapes)), sources, weights
        )
        if inner is not None:
            stack.append((path + "/", inner, _calls(inner)))
    return found


def _calls(graph: Graph) -> Iterator[tuple[Operation, list[Node]]]:
    """Yield each operation with its calls, in Keras's order of layers."""
    nodes: dict[Operation, list[Node]] = {operation: [] for operation in graph.operations}
    for node in graph.nodes:
        nodes[node.operation].append(node)
    yield from nodes.items()


def _source(graph: Graph, tensor: Tensor) -> str:
    """Return where a tensor comes from: its operation's name, with the call and the output where there are several."""
    name = graph.names.get(tensor.node.operation, tensor.name)
    call = f"@{graph.call_index(tensor.node)}" if graph.call_index(tensor.node) else ""
    return name + call + (f":{tensor.index}" if tensor.index else "")


def _config(operation: Operation, calls: list[Any]) -> dict[str, str]:
    """Return the settings of an operation, and the values it is called with, as texts."""
    config: dict[str, Any] = {}
    if subgraph(operation) is None:
        config = {key: value for key, value in operation.settings_by_name().items() if key != "name"}
    constants = [
        leaf for node in calls for leaf in _tree.leaves((node.args, list(node.kwargs.values()))) if not isinstance(leaf, Tensor)
    ]
    if constants:
        config["called with"] = constants
    return {key: _text(value) for key, value in config.items()}


def _relative(weight: Weight, operation: Operation) -> str:
    """Return a weight's path below its operation; one that another operation was the first to hold goes by its name."""
    start = operation.path + "/"
    return str(weight.path.removeprefix(start) if weight.path.startswith(start) else weight.name)


def _text(value: object) -> str:
    """Return a value as text that is the same for the same value, whatever its address."""
    if isinstance(value, Configurable):
        return f"{type(value).__name__}({value.get_config()})"
    if isinstance(value, Operation):
        return f"{type(value).__name__}({ {name: _text(held) for name, held in value.settings_by_name().items()} })"
    if callable(value):
        return name_of(value, type(value).__name__)
    return repr(_tree.map_leaves(lambda leaf: f"parameter {tuple(leaf.shape)}" if is_parameter(leaf) else leaf, value))


def _ends(graph: Graph) -> str:
    return repr(_tree.map_leaves(lambda tensor: _source(graph, tensor), graph.output_structure)).replace("'", "")

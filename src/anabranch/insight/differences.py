"""What differs between two models: an object, with views as text, rows, JSON, HTML and marks in a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch import _tree
from anabranch._asked import name_of
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable
from anabranch._frames import bound_methods, bounded
from anabranch._tables import Column, Table
from anabranch.graph import AnyModel, Graph, Node, Operation, Tensor, Weight, spec_leaves, subgraph
from anabranch.graph.arrays import is_parameter
from anabranch.insight.matching import Part, Parts, Source, matched

if TYPE_CHECKING:
    from typing import Unpack

    from anabranch.insight.drawing.drawn import Drawing, Settings


@bound_methods
class Change(NamedTuple):
    """One difference.

    Args:
        path: of the layer, in the new model unless it was removed.
        kind: added, removed, renamed, moved, type, config, shape, inputs, weights or outputs.
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

    def sentence(self) -> str:
        """Return the difference in words.

        Example:
            >>> Change("head", "config", "units=2", "units=3").sentence()
            "'head' has units=3 instead of units=2."
        """
        if self.kind == "added":
            return f"'{self.path}' was added: {self.after}."
        if self.kind == "removed":
            return f"'{self.path}' was removed: {self.before}."
        words = _WORDS[self.kind]
        return (
            (f"'{self.path}' " if self.kind != "outputs" else "")
            + words.format(self.before or "nothing", self.after or "nothing")
            + "."
        )


_WORDS = {
    "renamed": "was called '{0}'", "moved": "was '{0}'", "type": "is {1} instead of {0}", "config": "has {1} instead of {0}",
    "shape": "gives {1} instead of {0}", "inputs": "takes {1} instead of {0}", "weights": "has weights {1} instead of {0}",
    "outputs": "the model gives {1} instead of {0}",
}  # fmt: skip


@bound_methods
class Diff(NamedTuple):
    """The differences between two models; true where there are any.

    Args:
        changes: in the order of the layers.
        unchanged: how many layers are the same.
        models: the old and the new model, where these are to be drawn.
        paths: the path in the old model by that in the new one.

    Example:
        >>> print(Diff([Change("dense", "config", "units=2", "units=3")], 4))
        ~ dense  config: units=2 -> units=3
        4 layers are the same.
    """

    changes: list[Change]
    unchanged: int
    models: tuple[AnyModel, AnyModel] | None = None
    paths: Mapping[str, str] = MappingProxyType({})

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

    def words(self) -> str:
        """Return a sentence for each difference.

        Example:
            >>> print(Diff([Change("top", "renamed", "head", "top")], 4).words())
            'top' was called 'head'.
        """
        return "\n".join(change.sentence() for change in self.changes) or self.text()

    def records(self) -> list[dict[str, str]]:
        """Return the differences as dicts, which pandas takes.

        Example:
            >>> Diff([Change("top", "renamed", "head", "top")], 4).records()[0]["kind"]
            'renamed'
        """
        return [change._asdict() | {"words": change.sentence()} for change in self.changes]

    def to_json(self) -> str:
        """Return the differences as JSON.

        Example:
            >>> Diff([], 4).to_json()
            '{"changes": [], "unchanged": 4}'
        """
        import json

        return json.dumps({"changes": self.records(), "unchanged": self.unchanged})

    def html(self) -> str:
        """Return a table as HTML, for notebooks.

        Example:
            >>> Diff([], 4).html()
            '<p>The models are alike: 4 layers.</p>'
        """
        from html import escape

        rows = [(change.path, change.kind, change.before, change.after) for change in self.changes]
        table = Table([Column(title) for title in ("path", "change", "before", "after")], rows)
        return (table.html() if rows else "") + f"<p>{escape(self.text().splitlines()[-1])}</p>"

    def _repr_html_(self) -> str:
        return self.html()

    def marks(self, before: bool = False) -> dict[str, str]:
        """Return ``"added"``, ``"removed"`` or ``"changed"`` by the ids of boxes in a drawing of the new model.

        Args:
            before: of the old model instead.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,), name="x")
            >>> old, new = (Model(x, layers.Dense(units, name="head")(x)) for units in (2, 3))
            >>> old.diff(new).marks()
            {'head': 'changed'}
        """
        if self.models is None:
            return {}
        from anabranch.insight.drawing.picture import Picture  # which a diff as text does without

        wanted, other = ("removed", "added") if before else ("added", "removed")
        found: dict[str, str] = {}
        for change in self.changes:
            if change.kind not in (other, "outputs"):
                path = self.paths.get(change.path, change.path) if before else change.path
                found[path] = wanted if change.kind == wanted else found.get(path, "changed")
        picture = Picture.of(self.models[0 if before else 1])
        return {box.id: found[box.path] for box in picture.boxes if box.path in found}

    def draw(self, before: bool = False, **settings: Unpack[Settings]) -> Drawing:
        """Return the drawing of the new model, or the old one, with what differs framed: added, removed, changed.

        Args:
            before: whether the old model is drawn.
            settings: as of ``draw``; nested models are open and repeats are not folded unless these say otherwise.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,), name="x")
            >>> old, new = (Model(x, layers.Dense(units, name="head")(x)) for units in (2, 3))
            >>> old.diff(new).draw()
            <Drawing of functional: 2 boxes, 1 edge>
        """
        from anabranch.insight.drawing.drawn import draw  # which a diff as text does without

        if self.models is None:
            raise ArgumentTypeError("This diff holds no models to draw.", repair="model.diff(other).draw()")
        chosen: Settings = {"expand_nested": True, "repeats": False, **settings}
        return draw(self.models[0 if before else 1], **chosen).marked(self.marks(before))

    def __str__(self) -> str:
        return self.text()


def _line(change: Change, width: int) -> str:
    path = change.path.ljust(width)
    if change.kind == "added":
        return f"+ {path}  {change.after}"
    if change.kind == "removed":
        return f"- {path}  {change.before}"
    return f"~ {path}  {change.kind}: {change.before} -> {change.after}"


@bounded
def diff(old: AnyModel, new: AnyModel) -> Diff:
    """Return what differs between two models, layer by layer; the numbers in the weights are not compared.

    Layers answer to each other by given names, then by what comes before or after them: an inserted layer renumbers no others,
    and one of another name in the same place was renamed.

    Args:
        old: the model as it was.
        new: the model as it is.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> print(diff(Model(x, layers.Dense(2, name="head")(x)), Model(x, layers.Dense(2, name="top")(x))))
        ~ top  renamed: head -> top
        1 layers are the same.
    """
    first, second = _graph_of(old), _graph_of(new)
    before, after = _parts(first), _parts(second)
    there = matched(before, after)
    old_paths = {new: old for old, new in there.items()}
    changes: list[Change] = []
    unchanged = 0
    removed = {f"\0{path}": path for path in before if path not in there}  # which a new path may be equal to
    for path in _merged([there.get(path, f"\0{path}") for path in before], list(after)):
        if path in removed:
            part = before[removed[path]]
            changes.append(Change(part.path, "removed", f"{part.type} {part.shape}", ""))
        elif path not in old_paths:
            part = after[path]
            changes.append(Change(path, "added", "", f"{part.type} {part.shape} from {part.inputs or 'outside'}"))
        else:
            found = list(_changes(before[old_paths[path]], after[path], there))
            changes += found
            unchanged += not found
    ends = [_ends(first, {}), _ends(second, {})]
    if _ends(first, there) != ends[1]:
        changes.append(Change("outputs", "outputs", *(repr(each).replace("'", "") for each in ends)))
    return Diff(changes, unchanged, (old, new), old_paths)


def _graph_of(model: object) -> Graph:
    graph = subgraph(model)
    if graph is None:
        raise ArgumentTypeError("diff compares models with a graph.", got=f"{type(model).__name__}: {model!r}"[:120])
    return graph


def _changes(a: Part, b: Part, there: dict[str, str]) -> list[Change]:
    found = []
    path = b.path
    if a.parent != b.parent and there.get(a.parent, a.parent) != b.parent:
        found.append(Change(path, "moved", a.path, b.path))
    elif a.name != b.name and (a.named or b.named):
        found.append(Change(path, "renamed", a.path, b.path))
    if a.type != b.type:
        found.append(Change(path, "type", a.made, b.made))
    else:
        keys = sorted(key for key in a.config.keys() | b.config.keys() if a.config.get(key, "-") != b.config.get(key, "-"))
        found += [Change(path, "config", *(f"{key}={each.config.get(key, '-')}" for each in (a, b))) for key in keys]
    if a.shape != b.shape:
        found.append(Change(path, "shape", a.shape, b.shape))
    if [[source._replace(path=there.get(source.path, "")) for source in call] for call in a.sources] != list(
        map(list, b.sources)
    ):
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


def _parts(graph: Graph) -> Parts:
    """Return what is compared of every operation, by path, nested models' after their own."""
    found: Parts = {}
    stack: list[tuple[str, Graph, Iterator[tuple[Operation, list[Node]]]]] = [("", graph, _calls(graph))]
    while stack:
        prefix, here, following = stack[-1]
        operation, calls = next(following, (None, []))
        if operation is None:
            stack.pop()
            continue
        name = here.names[operation]
        path = prefix + name
        shapes = [spec.shape for node in calls for spec in spec_leaves(node.output_specs)]
        sources = tuple(tuple(_source(here, tensor, prefix) for tensor in node.inputs) for node in calls)
        inner = subgraph(operation)
        weights = {} if inner else {_relative(w, operation): str(w.shape) for w in operation.weights}
        kind = operation._summary_kind_()
        made = kind if operation._is_function_ else operation._written_code_(named=False)
        written = " | ".join(", ".join(_written(source, prefix) for source in call) for call in sources)
        ends = tuple(index for index, tensor in enumerate(here.outputs) if tensor.node.operation is operation)
        found[path] = Part(
            path, name, operation._explicit_name_ is not None, prefix[:-1], kind, made.removesuffix("()"),
            _config(operation, calls), ", ".join(map(str, shapes)), written, sources, weights, ends,
        )  # fmt: skip
        if inner is not None:
            stack.append((path + "/", inner, _calls(inner)))
    return found


def _calls(graph: Graph) -> Iterator[tuple[Operation, list[Node]]]:
    """Yield each operation with its calls, in Keras's order of layers."""
    nodes: dict[Operation, list[Node]] = {operation: [] for operation in graph.operations}
    for node in graph.nodes:
        nodes[node.operation].append(node)
    yield from nodes.items()


def _source(graph: Graph, tensor: Tensor, prefix: str) -> Source:
    name = graph.names.get(tensor.node.operation, tensor.name)
    return Source(prefix + name, graph.call_index(tensor.node), tensor.index)


def _written(source: Source, prefix: str) -> str:
    """Return where a tensor comes from: its operation's name, with the call and the output where there are several."""
    call = f"@{source.call}" if source.call else ""
    return source.path.removeprefix(prefix) + call + (f":{source.output}" if source.output else "")


def _config(operation: Operation, calls: list[Any]) -> dict[str, str]:
    """Return the settings of an operation, and the values it is called with, as texts."""
    config: dict[str, Any] = {}
    if subgraph(operation) is None:
        config = {key: value for key, value in operation._settings_by_name_().items() if key != "name"}
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
        return f"{type(value).__name__}({ {name: _text(held) for name, held in value._settings_by_name_().items()} })"
    if callable(value):
        return name_of(value, type(value).__name__)
    return repr(_tree.map_leaves(lambda leaf: f"parameter {tuple(leaf.shape)}" if is_parameter(leaf) else leaf, value))


def _ends(graph: Graph, there: dict[str, str]) -> object:
    """Return the outputs in their nest, by the paths that ``there`` has in place of theirs."""

    def end(tensor: Tensor) -> str:
        source = _source(graph, tensor, "")
        return _written(source._replace(path=there.get(source.path, source.path)), "")

    return _tree.map_leaves(end, graph.output_structure)

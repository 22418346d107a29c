"""What is drawn of a model, as plain data: a box for each call, groups around boxes, edges between them.

Edges run between boxes, never between groups; who folds a group draws the edges of what is in it at the group
(:meth:`Picture.folded`).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from anabranch._asked import name_of
from anabranch.graph import AnyModel, Graph, Node, Operation, Shape, Spec, Tensor, spec_leaves, subgraph
from anabranch.graph.names import name_operations
from anabranch.graph.operators import SIGNS

MOST = 50_000  # boxes, after which further calls of a nested model that was opened before stay closed


class Box(NamedTuple):
    """One call of an operation, or a group: a nested model that is open, or boxes that repeat."""

    id: str
    """The path with the call where there are several: ``backbone/conv2d``, ``shared@2``."""
    parent: str = ""
    """The id of the group around it; "" at the top."""
    path: str = ""
    """The path of the layer, as ``model[path]`` takes it; the same for all calls of a shared layer."""
    name: str = ""
    """The name in its model."""
    kind: str = ""
    """``Conv2D``; of a function its name, of an operator its sign; of repeats ``×9``."""
    role: str = "layer"
    """``input``, ``layer``, ``function`` (operators too) or ``model``; of groups also ``repeat`` and ``block``."""
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    dtypes: tuple[str, ...] = ()
    """Of the outputs."""
    params: int | None = None
    """None before it is built."""
    trainable: bool | None = None
    """None without weights."""
    activation: str = ""
    code: str = ""
    """A layer as it is written: ``Conv2D(64, 3, strides=2)``; "" for models and functions."""
    site: str = ""
    """The user's line of the call: ``resnet.py:12``."""
    calls: int = 1
    """How often its layer is called, inside its model; of repeats, how many there are."""
    group: bool = False
    """Whether other boxes are in it."""


class Edge(NamedTuple):
    """A tensor on its way: which output of the source becomes which input of the target, both counted from 0.

    Into an Input of a nested model, ``input`` is that one's position among the Inputs.
    """

    source: str
    target: str
    output: int = 0
    input: int = 0
    shape: Shape = ()
    masked: bool = False


class Output(NamedTuple):
    """A tensor that the model gives: its name among the outputs, its box, which output of that."""

    name: str
    source: str
    output: int = 0


class Picture(NamedTuple):
    """A model as boxes and edges; boxes are in an order to run in, and a group comes before what is in it."""

    name: str
    kind: str
    boxes: list[Box]
    edges: list[Edge]
    outputs: list[Output]
    ordered: bool = True
    """False where only the layers are known, not what goes where: a model that writes its own ``call``."""

    @classmethod
    def of(cls, model: AnyModel, expand_nested: bool = True) -> Picture:
        """Return the picture of a model.

        Args:
            model: the model; its graph, or else its layers.
            expand_nested: whether nested models are groups of their boxes; else each is one box.
        """
        kind = model._summary_kind_() if isinstance(model, Operation) else type(model).__name__
        graph = model._graph_
        if graph is None:
            return _of_layers(model, kind)
        walk = _Walk(graph, expand_nested)
        return cls(model.name, kind, walk.boxes, walk.edges, walk.outputs)

    def children(self) -> dict[str, list[Box]]:
        """Return the boxes of each group by its id; those at the top are under ""."""
        found: dict[str, list[Box]] = {"": []}
        for box in self.boxes:
            found[box.parent].append(box)
            if box.group:
                found[box.id] = []
        return found

    def folded(self, closed: Collection[str]) -> Picture:
        """Return the picture with some groups as one box each: what goes into one of its boxes goes into it."""
        shown: dict[str, str] = {}
        boxes = []
        for box in self.boxes:  # a group comes before its boxes
            around = shown.get(box.parent, "")
            shown[box.id] = around or (box.id if box.id in closed else "")
            if not around:
                boxes.append(box._replace(group=False) if box.id in closed else box)

        def at(name: str) -> str:
            return shown[name] or name

        lifted = (edge._replace(source=at(edge.source), target=at(edge.target)) for edge in self.edges)
        edges = list(dict.fromkeys(edge for edge in lifted if edge.source != edge.target))
        return self._replace(boxes=boxes, edges=edges, outputs=[o._replace(source=at(o.source)) for o in self.outputs])

    def data(self) -> dict[str, Any]:
        """Return it as dicts and lists."""
        return self._asdict() | {
            "boxes": [box._asdict() for box in self.boxes],
            "edges": [edge._asdict() for edge in self.edges],
            "outputs": [output._asdict() for output in self.outputs],
        }

    def to_json(self) -> str:
        """Return it as JSON."""
        import json

        return json.dumps(self.data())


Source = tuple[str, int]
"""The id of a box and which of its outputs."""


class _Frame(NamedTuple):
    """A graph being walked: the id and path that precede those of its boxes, where its tensors come from."""

    id: str
    path: str
    graph: Graph
    sources: dict[tuple[Node, int], Source]
    nodes: Iterator[Node]
    opened_by: Node | None


class _Walk:
    """One walk over a graph and the nested models in it, with a stack of its own."""

    def __init__(self, graph: Graph, expand_nested: bool) -> None:
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []
        self.outputs: list[Output] = []
        self._opened: set[Graph] = set()
        self._ids: set[str] = set()
        stack = [self._enter(graph, "", "", None, ())]
        while stack:
            here = stack[-1]
            node = next(here.nodes, None)
            if node is None:
                stack.pop()
                self._leave(here, stack[-1] if stack else None)
                continue
            if not node.inputs and any(node is tensor.node for tensor in here.graph.inputs):
                continue  # on entering
            inner = subgraph(node.operation) if expand_nested else None
            opens = inner is not None and (len(self.boxes) < MOST or inner not in self._opened)
            box = self._add(here, node, opens)
            given = [here.sources[tensor.key] for tensor in node.inputs]
            if opens and inner is not None:
                stack.append(self._enter(inner, box.id + "/", box.path + "/", node, given))
                continue
            self._connect(box.id, node.inputs, given)
            for index in range(node.output_count):
                here.sources.setdefault((node, index), (box.id, index))

    def _enter(self, graph: Graph, id: str, path: str, opened_by: Node | None, given: Sequence[Source]) -> _Frame:
        """Return a frame whose inputs have a box each, which what is given goes to."""
        self._opened.add(graph)
        frame = _Frame(id, path, graph, {}, iter(graph.nodes), opened_by)
        for position, tensor in enumerate(graph.inputs):
            node = tensor.node
            if node.inputs:  # the model begins in the middle of another one
                name = self._free(id + tensor.name)
                box = Box(name, id[:-1], "", tensor.name, "Input", "input", (), (tensor.shape,), (tensor.dtype,), 0)
                self.boxes.append(box)
            else:
                box = self._add(frame, node, False)
            frame.sources[tensor.key] = (box.id, 0)
            if opened_by is not None:
                self._connect(box.id, [opened_by.inputs[position]], [given[position]], position)
        return frame

    def _leave(self, frame: _Frame, around: _Frame | None) -> None:
        sources = [frame.sources[tensor.key] for tensor in frame.graph.outputs]
        if around is not None and frame.opened_by is not None:
            for index, source in enumerate(sources):
                around.sources.setdefault((frame.opened_by, index), source)
        elif around is None:
            names = _output_names(frame.graph)
            self.outputs = [Output(name, *source) for name, source in zip(names, sources, strict=True)]

    def _connect(self, target: str, tensors: Sequence[Tensor], given: Sequence[Source], first: int = 0) -> None:
        for position, (tensor, (source, index)) in enumerate(zip(tensors, given, strict=True), first):
            self.edges.append(Edge(source, target, index, position, tensor.shape, tensor.masked))

    def _add(self, frame: _Frame, node: Node, group: bool) -> Box:
        operation = node.operation
        name = frame.graph.names[operation]
        calls = len(frame.graph.calls_of(operation))
        call = f"@{frame.graph.call_index(node)}" if calls > 1 else ""
        box = _box(operation, name, frame.path + name, spec_leaves(node.output_specs))
        box = box._replace(
            id=self._free(f"{frame.id}{name}{call}"), parent=frame.id[:-1], site=str(node.site), calls=calls, group=group,
            input_shapes=tuple(tensor.shape for tensor in node.inputs),
        )  # fmt: skip
        self.boxes.append(box)
        return box

    def _free(self, id: str) -> str:
        """Return an id that no box has: parts of torch modules have "/" in their names."""
        found, number = id, 1
        while found in self._ids:
            number += 1
            found = f"{id}#{number}"
        self._ids.add(found)
        return found


def _box(operation: Operation, name: str, path: str, specs: Sequence[Spec]) -> Box:
    """Return what is known of an operation without its calls."""
    weights = operation.weights
    role = _role(operation)
    kind = SIGNS.get(operation._base_name_, "") if role == "function" else operation._kind_name_() if role != "model" else ""
    return Box(
        path, "", path, name, kind or operation._summary_kind_(), role, (), tuple(spec.shape for spec in specs),
        tuple(spec.dtype for spec in specs), sum(weight.size for weight in weights) if operation.built else None,
        operation.trainable if weights else None, _activation(operation),
        operation._written_code_(named=False, whole=True) if role == "layer" else "", str(operation._made_at_ or ""),
    )  # fmt: skip


def _role(operation: Operation) -> str:
    if operation._is_source_:
        return "input"
    return "function" if operation._is_function_ else "model" if operation._has_layers_ else "layer"


def _activation(operation: Operation) -> str:
    """Return the name of the activation that an operation applies, "" where it has none or passes on what comes."""
    if operation._has_layers_ or operation._is_function_:
        return ""
    found = operation._settings_by_name_().get("activation")
    if found is None or isinstance(found, str):
        return "" if found in (None, "linear") else str(found)
    name = found.name if isinstance(found, Operation) else name_of(found, type(found).__name__)
    return "" if name == "linear" else name


def _output_names(graph: Graph) -> list[str]:
    structure = graph.output_structure
    if isinstance(structure, dict) and len(structure) == len(graph.outputs):
        return list(structure)
    return [graph.names.get(tensor.node.operation, tensor.name) for tensor in graph.outputs]


def _of_layers(model: AnyModel, kind: str) -> Picture:
    """Return the layers of a model without a graph: in a row where they follow each other, else without edges."""
    row = isinstance(model, Operation) and model._in_a_row_
    boxes = [_box(layer, name, name, ()) for layer, name in name_operations(model.layers).items()]
    edges = [Edge(a.id, b.id) for a, b in itertools.pairwise(boxes)] if row else []
    outputs = [Output(boxes[-1].name, boxes[-1].id)] if row and boxes else []
    return Picture(model.name, kind, boxes, edges, outputs, row)

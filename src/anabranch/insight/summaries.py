"""The table of a model's layers: rows first; text, HTML and JSON are views of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, nearest
from anabranch.graph import AnyModel, Graph, Node, Operation, Shape, Weight, spec_leaves, subgraph
from anabranch.graph.names import name_operations

HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to")
BYTES = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1, "int16": 2}
HINT = "Sizes marked ? follow from the input: begin with an Input, call the model on data, or build((None, ...))."


class Row(NamedTuple):
    """One layer, nested model or operator.

    ``path`` names it from the outermost model. ``shapes`` are those of its outputs, of each call where calls differ, and empty
    while they are not known; ``masked`` says which of them carry a mask. ``params`` is None before it is built, ``trainable``
    None without weights.
    """

    name: str
    path: str
    kind: str
    shapes: list[Shape]
    params: int | None
    connected_to: list[str]
    trainable: bool | None
    depth: int
    masked: list[bool]


class Summary(NamedTuple):
    """A model's rows, and the totals of the whole model; ``connected`` is False where layers simply follow each other."""

    model: str
    rows: list[Row]
    connected: bool
    total: int
    trainable: int
    bytes_total: int
    bytes_trainable: int

    def text(
        self, line_length: int | None = None, positions: Sequence[float] | None = None, show_trainable: bool = False
    ) -> str:
        """Return the table as plain text; columns grow to what they hold, so that no name is ever cut."""
        header, *cells = self._columns(show_trainable)
        widths = [max(len(line) for row in (header, *cells) for line in row[i]) for i in range(len(header))]
        if line_length is not None:
            widths = _widened(widths, line_length, positions)
        length = sum(widths) + 2 * (len(widths) - 1)
        lines = [f'Model: "{self.model}"', "_" * length, *_lines(header, widths), "=" * length]
        for row in cells:
            lines += _lines(row, widths)
        return "\n".join([*lines, "=" * length, *self.totals(), "_" * length])

    def totals(self) -> list[str]:
        """Return the lines below the table."""
        rest, rest_bytes = self.total - self.trainable, self.bytes_total - self.bytes_trainable
        lines = [
            f"Total params: {self.total:,} ({_size(self.bytes_total)})",
            f"Trainable params: {self.trainable:,} ({_size(self.bytes_trainable)})",
            f"Non-trainable params: {rest:,} ({_size(rest_bytes)})",
        ]
        return lines if all(row.params is not None for row in self.rows) else [*lines, HINT]

    def json(self) -> str:
        """Return rows and totals as JSON."""
        import json

        return json.dumps(self._asdict() | {"rows": [row._asdict() for row in self.rows]}, indent=1)

    def html(self, show_trainable: bool = False) -> str:
        """Return the table as HTML, for notebooks."""
        from html import escape

        def row(cells: Iterable[list[str]], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{'<br>'.join(map(escape, cell))}</{tag}>" for cell in cells) + "</tr>"

        header, *cells = self._columns(show_trainable)
        body = "".join(row(cell, "td") for cell in cells)
        totals = "<br>".join(map(escape, self.totals()))
        return f"<p>Model: {escape(self.model)}</p><table>{row(header, 'th')}{body}</table><p>{totals}</p>"

    def _repr_html_(self) -> str:
        return self.html()

    def _columns(self, show_trainable: bool) -> list[list[list[str]]]:
        """Return header and rows as cells, each a list of lines."""
        shown = [True, True, True, self.connected, show_trainable]
        rows = [[[title] for title in (*HEADER, "Trainable")], *(_cells(row) for row in self.rows)]
        return [[cell for cell, show in zip(row, shown, strict=True) if show] for row in rows]


def _is_model(value: object) -> bool:
    return isinstance(value, Operation)


@checked
def summarise(model: AnyModel, expand_nested: bool = False, layer_range: Sequence[str] | None = None) -> Summary:
    """Return the model's rows: its layers in Keras's order, with connections as ``name[call][output]``."""
    if not _is_model(model):
        raise ArgumentTypeError("model of summary must be a model.", got=shown(model))
    graph: Graph | None = model.graph
    layers = set(model.layers)
    if graph is None:
        rows = [_row(layer, name, "", [], [], [], 0) for layer, name in name_operations(model.layers).items()]
        connected = False
    else:
        rows = list(_rows(model, graph, expand_nested))
        connected = all(node.operation in layers for node in graph.nodes if not node.inputs)
    if layer_range is not None:
        rows = _between(rows, layer_range)
    weights, training = model.weights, model.trainable_weights
    return Summary(model.name, rows, connected, _count(weights), _count(training), _bytes(weights), _bytes(training))


@checked
def summary(
    model: AnyModel,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the table, or hand its text to ``print_fn``.

    Args:
        model: the model.
        line_length: width of the table; it is wider where names need it.
        positions: where the columns end, as parts of ``line_length`` or in characters.
        print_fn: called once with the whole text.
        expand_nested: whether the layers of nested models follow these, indented.
        show_trainable: whether a column says which layers train.
        layer_range: names or patterns of the first and the last layer to show.
    """
    text = summarise(model, expand_nested, layer_range).text(line_length, positions, show_trainable)
    (print_fn or _print)(text)


def _print(text: str) -> None:
    """Print, with ? for what the output's encoding lacks, such as Windows' code pages."""
    try:
        print(text)  # noqa: T201 - what a summary is for
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "replace").decode(encoding))  # noqa: T201


def _rows(model: AnyModel, graph: Graph, expand_nested: bool) -> Iterator[Row]:
    """Yield the rows of a graph; a nested model's follow its own, once for all its calls."""
    stack = [("", graph, iter(_shown_operations(model, graph)))]
    while stack:
        prefix, here, operations = stack[-1]
        for operation in operations:
            nodes, name = here.calls_of(operation), here.names[operation]
            sources = (t for node in nodes for t in node.inputs)
            connections = [f"{here.names.get(t.node.operation, t.name)}[{here.call_index(t.node)}][{t.index}]" for t in sources]
            shapes, masked = _shapes(nodes)
            yield _row(operation, name, prefix, shapes, masked, connections, len(stack) - 1)
            inner = subgraph(operation)
            if expand_nested and inner is not None:
                stack.append((f"{prefix}{name}/", inner, iter(_shown_operations(operation, inner))))
                break
        else:
            stack.pop()


def _shown_operations(model: AnyModel | Operation, graph: Graph) -> list[Operation]:
    """Return the operations that get a row: Keras's Sequential does not count its Input among its layers."""
    layers = set(model.sublayers())
    sources = {node.operation for node in graph.nodes if not node.inputs}
    return [operation for operation in graph.operations if operation in layers or operation not in sources]


def _row(
    operation: Operation, name: str, prefix: str, shapes: list[Shape], masked: list[bool], connected_to: list[str], depth: int
) -> Row:
    weights: list[Weight] = operation.weights
    params = _count(weights) if operation.built else None
    trainable = operation.trainable if weights else None
    return Row(name, prefix + name, operation.summary_kind(), shapes, params, connected_to, trainable, depth, masked)


def _shapes(nodes: list[Node]) -> tuple[list[Shape], list[bool]]:
    """Return the shapes of the first call where all calls agree, else of every call; and which of them carry a mask."""
    calls = [
        [(spec.shape, masked) for spec, masked in zip(spec_leaves(node.output_specs), node.masked, strict=True)]
        for node in nodes
    ]
    shown = calls[0] if all(other == calls[0] for other in calls) else [output for call in calls for output in call]
    return [shape for shape, _ in shown], [masked for _, masked in shown]


def _between(rows: list[Row], layer_range: Sequence[str]) -> list[Row]:
    """Return the rows from the first that fits one pattern to the last that fits the other; nested rows follow theirs."""
    if isinstance(layer_range, str) or len(layer_range) != 2:
        raise ArgumentError("layer_range is a pair of names.", expected="(first, last)", got=repr(layer_range))
    if not all(isinstance(pattern, str) for pattern in layer_range):
        raise ArgumentTypeError("layer_range holds names or patterns.", expected="two strings", got=repr(layer_range))
    top = [number for number, row in enumerate(rows) if row.depth == 0]
    fitting = [[i for i, number in enumerate(top) if re.match(pattern, rows[number].name)] for pattern in layer_range]
    for pattern, found in zip(layer_range, fitting, strict=True):
        if not found:
            names = [rows[number].name for number in top]
            close = nearest(pattern, names)
            raise ArgumentError(
                f"No layer's name fits {pattern!r}.", expected=f"one of: {', '.join(names)}",
                repair=f"did you mean {close!r}?" if close else None,
            )  # fmt: skip
    first, last = min(fitting[0][0], fitting[1][0]), max(fitting[0][-1], fitting[1][-1])
    return rows[top[first] : [*top, len(rows)][last + 1]]


def _cells(row: Row) -> list[list[str]]:
    """Return each cell as its lines."""
    return [
        ["   " * (row.depth - 1) + "└─ " * (row.depth > 0) + f"{row.name} ({row.kind})"],
        [f"{shape}{' + mask' * masked}" for shape, masked in zip(row.shapes, row.masked, strict=True)] or ["?"],
        ["?" if row.params is None else f"{row.params:,}"],
        row.connected_to or ["-"],
        [{True: "Y", False: "N", None: "-"}[row.trainable]],
    ]


def _lines(cells: list[list[str]], widths: Sequence[int]) -> list[str]:
    """Return one row's lines: as many as its highest cell has."""
    height = max(len(cell) for cell in cells)
    padded = [[*cell, *[""] * (height - len(cell))] for cell in cells]
    return [
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]


def _widened(widths: list[int], line_length: int, positions: Sequence[float] | None) -> list[int]:
    """Spread the columns over ``line_length`` by the relative positions of their ends, never below what they hold."""
    ends = list(positions or (0.34, 0.56, 0.70, 1.0)[-len(widths) :])[: len(widths)]
    ends = [end * 0.9 for end in ends] + [1.0] * (len(widths) - len(ends)) if len(ends) < len(widths) else ends
    absolute = [int(end * line_length) if max(ends) <= 1 else int(end) for end in ends]
    starts = [0, *(end + 2 for end in absolute[:-1])]
    return [max(width, end - start) for width, start, end in zip(widths, starts, absolute, strict=True)]


def _count(weights: Iterable[Weight]) -> int:
    return sum(weight.size for weight in weights)


def _bytes(weights: Iterable[Weight]) -> int:
    return sum(weight.size * BYTES.get(weight.dtype, 4) for weight in weights)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GB"

"""The table of a model's layers: rows first; text, HTML and JSON are views of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from anabranch._errors import ArgumentError
from anabranch.graph import Graph, Node, Shape, Weight, spec_leaves, subgraph

HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to")
BYTES = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1, "int16": 2}


class Row(NamedTuple):
    """One layer, nested model or operator."""

    name: str
    kind: str
    shapes: list[Shape]
    params: int | None
    connected_to: list[str]
    trainable: bool
    depth: int


class Summary(NamedTuple):
    """A model's rows and totals."""

    model: str
    rows: list[Row]
    total: int
    trainable: int
    bytes_total: int
    bytes_trainable: int

    def text(
        self, line_length: int | None = None, positions: Sequence[float] | None = None, show_trainable: bool = False
    ) -> str:
        """Return the table as plain text; columns grow to what they hold, so that no name is ever cut."""
        cells = [_cells(row, show_trainable) for row in self.rows]
        header = [*HEADER, *(["Trainable"] if show_trainable else [])]
        widths = [max(len(line) for row in [[[h] for h in header], *cells] for line in row[i]) for i in range(len(header))]
        if line_length is not None:
            widths = _widened(widths, line_length, positions)
        length = sum(widths) + 2 * (len(widths) - 1)
        lines = [f'Model: "{self.model}"', "_" * length, _line(header, widths), "=" * length]
        for row in cells:
            height = max(len(cell) for cell in row)
            lines += [_line([cell[i] if i < len(cell) else "" for cell in row], widths) for i in range(height)]
        return "\n".join([*lines, "=" * length, *self._totals(), "_" * length])

    def _totals(self) -> list[str]:
        rest, rest_bytes = self.total - self.trainable, self.bytes_total - self.bytes_trainable
        return [
            f"Total params: {self.total:,} ({_size(self.bytes_total)})",
            f"Trainable params: {self.trainable:,} ({_size(self.bytes_trainable)})",
            f"Non-trainable params: {rest:,} ({_size(rest_bytes)})",
        ]

    def json(self) -> str:
        """Return rows and totals as JSON."""
        data = {"model": self.model, "rows": [row._asdict() for row in self.rows]}
        return json.dumps(data | {"total": self.total, "trainable": self.trainable}, indent=1)

    def html(self) -> str:
        """Return the table as HTML, for notebooks."""
        from html import escape

        def row(cells: Any, tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(("\n".join(cell) for cell in _cells(r, False)), "td") for r in self.rows)
        totals = "<br>".join(escape(line) for line in self._totals())
        return f"<p>Model: {escape(self.model)}</p><table>{row(HEADER, 'th')}{body}</table><p>{totals}</p>"

    def _repr_html_(self) -> str:
        return self.html()


def summarise(model: Any, expand_nested: bool = False, layer_range: Sequence[str] | None = None) -> Summary:
    """Return the model's rows: its layers in Keras's order, with connections as ``name[call][output]``."""
    graph = model.graph
    if graph is None:
        rows = [Row(layer.name, type(layer).__name__, [], None, [], layer.trainable, 0) for layer in model.layers]
    else:
        rows = list(_rows(graph, expand_nested))
    if layer_range is not None:
        rows = _between(rows, layer_range)
    weights: list[Weight] = model.weights
    training = model.trainable_weights
    return Summary(model.name, rows, _count(weights), _count(training), _bytes(weights), _bytes(training))


def summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the table, or hand its text to ``print_fn``."""
    text = summarise(model, expand_nested, layer_range).text(line_length, positions, show_trainable)
    (print_fn or print)(text)


def _rows(graph: Graph, expand_nested: bool) -> Iterator[Row]:
    stack: list[tuple[int, Graph, Any]] = [(0, graph, iter(graph.operations))]
    calls = {graph: _calls(graph)}
    while stack:
        depth, here, operations = stack[-1]
        operation = next(operations, None)
        if operation is None:
            stack.pop()
            continue
        nodes = calls[here].get(operation, [])
        weights = list(getattr(operation, "weights", ()))
        yield Row(
            here.names[operation],
            "Operator" if not hasattr(operation, "weights") else type(operation).__name__,
            _shapes(nodes),
            _count(weights),
            [
                f"{here.names.get(t.node.operation, t.name)}[{here.call_index(t.node)}][{t.index}]"
                for n in nodes
                for t in n.inputs
            ],
            bool(getattr(operation, "trainable", True)),
            depth,
        )
        inner = subgraph(operation)
        if expand_nested and inner is not None:
            calls[inner] = _calls(inner)
            stack.append((depth + 1, inner, iter(inner.operations)))


def _calls(graph: Graph) -> dict[Any, list[Node]]:
    found: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        found.setdefault(node.operation, []).append(node)
    return found


def _shapes(nodes: list[Node]) -> list[Shape]:
    """Return the shapes of the first call, and of each later one that differs."""
    shapes = [[spec.shape for spec in spec_leaves(node.output_specs)] for node in nodes]
    if all(other == shapes[0] for other in shapes):
        return shapes[0] if shapes else []
    return [shape for call in shapes for shape in call]


def _between(rows: list[Row], layer_range: Sequence[str]) -> list[Row]:
    if len(layer_range) != 2:
        raise ArgumentError("layer_range is a pair of names.", expected="(first, last)", got=repr(layer_range))
    first, last = ([i for i, row in enumerate(rows) if re.match(pattern, row.name)] for pattern in layer_range)
    if not first or not last:
        lost = layer_range[1] if first else layer_range[0]
        raise ArgumentError(f"No layer's name fits {lost!r}.", expected=f"one of: {', '.join(row.name for row in rows)}")
    return rows[min(first[0], last[0]) : max(first[-1], last[-1]) + 1]


def _cells(row: Row, show_trainable: bool) -> list[list[str]]:
    """Return each cell as its lines."""
    shapes = [str(shape) for shape in row.shapes] or ["?"]
    params = "not built" if row.params is None else f"{row.params:,}"
    cells = [["  " * row.depth + f"{row.name} ({row.kind})"], shapes, [params], row.connected_to or [""]]
    return [*cells, ["Y" if row.trainable else "N"]] if show_trainable else cells


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _widened(widths: list[int], line_length: int, positions: Sequence[float] | None) -> list[int]:
    """Spread the columns over ``line_length`` by Keras's relative positions of their ends, never below what they hold."""
    ends = list(positions or (0.34, 0.56, 0.70, 1.0))[: len(widths)]
    if len(ends) < len(widths):
        ends = [end * 0.9 for end in ends] + [1.0] * (len(widths) - len(ends))
    absolute = [int(end * line_length) if max(ends) <= 1 else int(end) for end in ends]
    starts = [0, *absolute[:-1]]
    return [max(width, end - start - 2) for width, start, end in zip(widths, starts, absolute, strict=True)]


def _count(weights: list[Weight]) -> int:
    return sum(weight.size for weight in weights)


def _bytes(weights: list[Weight]) -> int:
    return sum(weight.size * BYTES.get(weight.dtype, 4) for weight in weights)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GB"

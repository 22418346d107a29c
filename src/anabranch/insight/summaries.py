"""The table of a model's layers: rows first; text, HTML and JSON are views of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from anabranch._arguments import Count, checked
from anabranch._asked import answers, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, nearest, printable
from anabranch._frames import bound_methods
from anabranch._tables import GAP, Table, bytes_text, terminal_width, wrapped_line
from anabranch.graph import AnyModel, Graph, Node, Operation, Weight, spec_leaves, subgraph
from anabranch.graph.names import name_operations
from anabranch.graph.records import item_bytes
from anabranch.insight.columns import DEFAULT, OF_COST, Row, checked_columns, record, table

if TYPE_CHECKING:
    from anabranch.insight.costs.report import CostRow

T = TypeVar("T")

HINT = "Sizes marked ? follow from the input: begin with an Input, call the model on data, or build((None, ...))."


@bound_methods
class Summary(NamedTuple):
    """A model's rows, and the totals of the whole model.

    Args:
        model: its name.
        rows: a row for each layer.
        connected: False where layers follow each other, so that these say nothing of connections.
        total: how many values all weights have.
        trainable: how many of them are trained.
        bytes_total: what all weights take.
        bytes_trainable: what those take that are trained.
        columns: those that text and HTML show beside the layer; None: Keras's.
        hint: why the numbers of a column are not known.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> found = summarise(Sequential([Input((4,)), layers.Dense(2, name="head")]))
        >>> found.total, found.rows[0].path
        (10, 'head')
    """

    model: str
    rows: list[Row]
    connected: bool
    total: int
    trainable: int
    bytes_total: int
    bytes_trainable: int
    columns: tuple[str, ...] | None = None
    hint: str = ""

    def text(
        self, line_length: int | None = None, positions: Sequence[float] | None = None, show_trainable: bool = False
    ) -> str:
        """Return the table as plain text; what does not fit into ``line_length`` is wrapped, and nothing is ever cut."""
        table = self._table(show_trainable)
        widths = table.widths(line_length)
        if line_length is not None:
            widths = _widened(widths, line_length, positions)
        return self._text(table, widths)

    def fitted(self, width: int | None, show_trainable: bool = False) -> str:
        """Return the table as plain text that is at most ``width`` wide, and no wider than its contents."""
        table = self._table(show_trainable)
        return self._text(table, table.widths(width))

    def _text(self, table: Table, widths: list[int]) -> str:
        length = sum(widths) + GAP * (len(widths) - 1)
        header, body = table.lines(widths)
        below = [part for line in self.totals() for part in wrapped_line(line, length)]
        lines = [f'Model: "{self.model}"', "_" * length, *header, "=" * length, *body, "=" * length, *below, "_" * length]
        return "\n".join(lines)

    def totals(self) -> list[str]:
        """Return the lines below the table."""
        rest, rest_bytes = self.total - self.trainable, self.bytes_total - self.bytes_trainable
        lines = [
            f"Total params: {self.total:,} ({bytes_text(self.bytes_total)})",
            f"Trainable params: {self.trainable:,} ({bytes_text(self.bytes_trainable)})",
            f"Non-trainable params: {rest:,} ({bytes_text(rest_bytes)})",
        ]
        hints = [HINT] * any(row.params is None for row in self.rows) + [self.hint] * bool(self.hint)
        return [*lines, *hints]

    def records(self) -> list[dict[str, object]]:
        """Return a flat dict for each row, with every column; ``pandas.DataFrame`` takes the list."""
        return [record(row) for row in self.rows]

    def to_json(self) -> str:
        """Return rows and totals as JSON."""
        import json

        return json.dumps(self._asdict() | {"rows": [row._asdict() for row in self.rows]}, indent=1)

    def html(self, show_trainable: bool = False) -> str:
        """Return the table as HTML, for notebooks."""
        from html import escape

        totals = "<br>".join(map(escape, self.totals()))
        return f"<p>Model: {escape(self.model)}</p>{self._table(show_trainable).html()}<p>{totals}</p>"

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        return self.text()

    def _table(self, show_trainable: bool) -> Table:
        chosen = self.columns if self.columns is not None else DEFAULT if self.connected else DEFAULT[:-1]
        return table(self.rows, [*chosen, *["trainable"] * (show_trainable and "trainable" not in chosen)])


def _is_model(value: object) -> bool:
    return isinstance(value, Operation) and answers(value, "layers")


@checked
def summarise(
    model: AnyModel,
    expand_nested: bool = False,
    layer_range: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    expand_shared: bool = False,
) -> Summary:
    """Return the model's rows: its layers in Keras's order, with connections as ``name[call][output]``.

    Args:
        model: the model.
        expand_nested: whether the layers of nested models follow these.
        layer_range: names or patterns of the first and the last layer to show.
        columns: what text and HTML show of each row; None shows Keras's columns.
        expand_shared: whether a layer that is called several times has a row for each call, ``name@0``, ``name@1``, …

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> print(summarise(Model(x, layers.Dense(2)(x)), columns=["input_shape", "params"]))
        Model: "functional"
        ______________________________________________
        Layer (type)              Input Shape  Param #
        ==============================================
        input_layer (InputLayer)  -                  0
        dense (Dense)             (None, 8)         18
        ==============================================
        Total params: 18 (72.00 B)
        Trainable params: 18 (72.00 B)
        Non-trainable params: 0 (0.00 B)
        ______________________________________________
    """
    if not _is_model(model):
        raise ArgumentTypeError("model of summary must be a model.", got=shown(model))
    chosen = checked_columns(columns)
    graph: Graph | None = model._graph_
    layers = set(model.layers)
    if graph is None:
        rows = [_row(layer, name, "", [], [], 0, False) for layer, name in name_operations(model.layers).items()]
        connected = False
    else:
        rows = list(_rows(model, graph, expand_nested, expand_shared))
        connected = all(node.operation in layers for node in graph.nodes if not node.inputs)
    if layer_range is not None:
        rows = _between(rows, layer_range)
    hint = ""
    if chosen and not OF_COST.isdisjoint(chosen):
        rows, hint = _with_costs(model, rows)
    weights, training = model.weights, model.trainable_weights
    totals = _count(weights), _count(training), _bytes(weights), _bytes(training)
    return Summary(model.name, rows, connected, *totals, chosen, hint)


@checked
def summary(
    model: AnyModel,
    line_length: Count | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    expand_shared: bool = False,
) -> None:
    """Print the table, or hand its text to ``print_fn``.

    Args:
        model: the model.
        line_length: width of the table, whose cells are wrapped to fit; None takes that of the terminal, or what the contents
            need where none is printed to.
        positions: where the columns end, as parts of ``line_length`` or in characters.
        print_fn: called once with the whole text.
        expand_nested: whether the layers of nested models follow these, indented.
        show_trainable: whether a column says which layers train.
        layer_range: names or patterns of the first and the last layer to show.
        columns: what is shown of each layer; None shows Keras's columns.
        expand_shared: whether a layer that is called several times has a row for each call.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(2, name="head")])
        >>> summary(model, print_fn=lambda text: print(text.splitlines()[4]))
        head (Dense)  (None, 2)          10
    """
    found = summarise(model, expand_nested, layer_range, columns, expand_shared)
    if line_length is None:
        text = found.fitted(None if print_fn else terminal_width(), show_trainable)
    else:
        text = found.text(line_length, positions, show_trainable)
    (print_fn or _print)(text)


def _print(text: str) -> None:
    print(printable(text))  # noqa: T201 - what a summary is for


def _rows(model: AnyModel, graph: Graph, expand_nested: bool, expand_shared: bool) -> Iterator[Row]:
    """Yield the rows of a graph; a nested model's follow its own, once for all its calls."""
    stack = [("", graph, iter(_shown_operations(model, graph)))]
    while stack:
        prefix, here, operations = stack[-1]
        for operation in operations:
            nodes, name = here.calls_of(operation), here.names[operation]
            apart = expand_shared and len(nodes) > 1
            for index, calls in enumerate([node] for node in nodes) if apart else [(0, nodes)]:
                shared = index > 0 and bool(operation.weights)
                yield _row(
                    operation,
                    f"{name}@{index}" if apart else name,
                    prefix,
                    calls,
                    _sources(here, calls),
                    len(stack) - 1,
                    shared,
                )
            inner = subgraph(operation)
            if expand_nested and inner is not None:
                stack.append((f"{prefix}{name}/", inner, iter(_shown_operations(operation, inner))))
                break
        else:
            stack.pop()


def _sources(graph: Graph, nodes: list[Node]) -> list[str]:
    """Return where the inputs of calls are made."""
    tensors = (t for node in nodes for t in node.inputs)
    return [f"{graph.names.get(t.node.operation, t.name)}[{graph.call_index(t.node)}][{t.index}]" for t in tensors]


def _shown_operations(model: AnyModel | Operation, graph: Graph) -> list[Operation]:
    """Return the operations that get a row: Keras's Sequential does not count its Input among its layers."""
    layers = set(model._sublayers_())
    sources = {node.operation for node in graph.nodes if not node.inputs}
    return [operation for operation in graph.operations if operation in layers or operation not in sources]


def _row(
    operation: Operation, name: str, prefix: str, nodes: list[Node], connected_to: list[str], depth: int, shared: bool
) -> Row:
    weights: list[Weight] = operation.weights
    params = 0 if shared else _count(weights) if operation.built else None
    trainable = operation.trainable if weights else None
    outputs = _of_calls(
        [[(*spec, masked) for spec, masked in zip(spec_leaves(n.output_specs), n.masked, strict=True)] for n in nodes]
    )
    shapes, dtypes, masked = (
        [output[0] for output in outputs],
        [output[1] for output in outputs],
        [output[2] for output in outputs],
    )
    inputs = _of_calls([[tensor.shape for tensor in node.inputs] for node in nodes])
    site = str(nodes[0].site) if nodes else str(operation._made_at_ or "")
    return Row(
        name, prefix + name, operation._summary_kind_(), shapes, params, connected_to, trainable, depth, masked, inputs, dtypes,
        shared, site,
    )  # fmt: skip


def _of_calls(calls: list[list[T]]) -> list[T]:
    """Return what the first call has where all calls agree, else what every call has."""
    alike = all(other == calls[0] for other in calls)
    return calls[0] if calls and alike else [item for call in calls for item in call]


def _with_costs(model: AnyModel, rows: list[Row]) -> tuple[list[Row], str]:
    """Return the rows with what their calls cost, and why that is not known where it is not."""
    from anabranch.insight.costs.counting import cost  # which a plain table does without

    try:
        found = cost(model).rows
    except AnabranchError as error:
        return rows, " ".join(filter(None, (error.fact, error.repair)))
    sums: dict[str, tuple[int | None, int]] = {}
    last: dict[str, CostRow] = {}
    for row in found:
        groups = {row.path[:place] for place, letter in enumerate(row.path) if letter == "/"}
        for path in {row.id, row.path, *groups}:
            macs, size = sums.get(path, (0, 0))
            sums[path] = None if macs is None or not row.known else macs + row.macs, size + row.activation_bytes
            last[path] = row
    return [_with_cost(row, sums, last) for row in rows], ""


def _with_cost(row: Row, sums: dict[str, tuple[int | None, int]], last: dict[str, CostRow]) -> Row:
    if row.path not in sums:  # the Input of a nested model
        return row._replace(macs=0, activation_bytes=0, receptive_field=(), stride=())
    macs, size = sums[row.path]
    of_last = last[row.path]
    return row._replace(macs=macs, activation_bytes=size, receptive_field=of_last.receptive_field, stride=of_last.stride)


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
    return sum(weight.size * item_bytes(weight.dtype) for weight in weights)

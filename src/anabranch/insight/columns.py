"""The rows of a summary, and what its columns show of them: a title, lines of text, and the value behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError, unknown
from anabranch._tables import Column, Table, bytes_text, number_text

if TYPE_CHECKING:
    from anabranch.graph import Shape

DEFAULT = ("output_shape", "params", "connected_to")
HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to")
UNKNOWN = "?"
OF_COST = frozenset(("macs", "activation_bytes", "receptive_field", "stride"))


class Row(NamedTuple):
    """One layer, nested model or operator of a summary.

    Args:
        name: in its model.
        path: from the outermost model.
        kind: its class.
        shapes: of its outputs, of each call where calls differ; empty while they are not known.
        params: how many values its weights have; None before it is built, 0 where an earlier row has the same weights.
        connected_to: what its calls take, as ``name[call][output]``.
        trainable: None without weights.
        depth: in how many nested models it is.
        masked: which of its outputs have a mask.
        input_shapes: of what it takes.
        dtypes: of its outputs.
        shared: whether an earlier row has the same weights.
        site: the user's line of the call.
        macs: multiply-adds of one sample, where a column asks for them, as for what follows.
        activation_bytes: what its outputs take, of one sample.
        receptive_field: by how many positions of the input a value is reached, for each axis.
        stride: between neighboring values, in positions of the input.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> from anabranch.insight import summarise
        >>> summarise(Sequential([Input((4,)), layers.Dense(2)])).rows[0].shapes
        [(None, 2)]
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
    input_shapes: list[Shape]
    dtypes: list[str]
    shared: bool
    site: str
    macs: int | None = None
    activation_bytes: int | None = None
    receptive_field: tuple[int | None, ...] | None = None
    stride: tuple[float, ...] | None = None


class Shows(NamedTuple):
    """One column: its title, whether it holds numbers, its lines for a row, and the value behind them."""

    title: str
    right: bool
    lines: Callable[[Row], Sequence[str]]
    value: Callable[[Row], object]


def _shapes(shapes: Sequence[Shape]) -> object:
    return shapes[0] if len(shapes) == 1 else list(shapes)


def _params(row: Row) -> str:
    return "shared" if row.shared else UNKNOWN if row.params is None else f"{row.params:,}"


def _output_lines(row: Row) -> list[str]:
    return [f"{shape}{' + mask' * masked}" for shape, masked in zip(row.shapes, row.masked, strict=True)] or [UNKNOWN]


def _number(count: int | None) -> str:
    return UNKNOWN if count is None else number_text(count)


def _bytes(count: int | None) -> str:
    return UNKNOWN if count is None else bytes_text(count)


def _along(sizes: Sequence[float | None] | None) -> str:
    return UNKNOWN if sizes is None else "×".join("all" if size is None else f"{size:g}" for size in sizes) or "-"


_YES = {True: "Y", False: "N", None: "-"}

COLUMNS: dict[str, Shows] = {
    "type": Shows("Type", False, lambda row: [row.kind], lambda row: row.kind),
    "input_shape": Shows(
        "Input Shape", False, lambda row: list(map(str, row.input_shapes)) or ["-"], lambda row: _shapes(row.input_shapes)
    ),
    "output_shape": Shows("Output Shape", False, _output_lines, lambda row: _shapes(row.shapes)),
    "dtype": Shows(
        "Dtype",
        False,
        lambda row: list(dict.fromkeys(row.dtypes)) or [UNKNOWN],
        lambda row: ", ".join(dict.fromkeys(row.dtypes)),
    ),
    "params": Shows("Param #", True, lambda row: [_params(row)], lambda row: row.params),
    "connected_to": Shows("Connected to", False, lambda row: row.connected_to or ["-"], lambda row: row.connected_to),
    "trainable": Shows("Trainable", False, lambda row: [_YES[row.trainable]], lambda row: row.trainable),
    "macs": Shows("MACs", True, lambda row: [_number(row.macs)], lambda row: row.macs),
    "activation_bytes": Shows(
        "Activations", True, lambda row: [_bytes(row.activation_bytes)], lambda row: row.activation_bytes
    ),
    "receptive_field": Shows("Field", True, lambda row: [_along(row.receptive_field)], lambda row: row.receptive_field),
    "stride": Shows("Stride", True, lambda row: [_along(row.stride)], lambda row: row.stride),
    "mask": Shows("Mask", False, lambda row: [_YES[masked] for masked in row.masked] or ["-"], lambda row: any(row.masked)),
    "source": Shows("Source", False, lambda row: [row.site or "-"], lambda row: row.site),
}


def checked_columns(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return columns by name, or raise for one that there is not."""
    if columns is None:
        return None
    if isinstance(columns, str):
        raise ArgumentTypeError("columns is a list of names.", expected=f"columns=[{columns!r}]", got=shown(columns))
    for name in columns:
        if name not in COLUMNS:
            raise unknown("column", name if isinstance(name, str) else shown(name), COLUMNS)
    return tuple(columns)


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Return rows as a table: the layer, and the columns asked for."""
    shows = [COLUMNS[name] for name in columns]
    with_kind = "type" not in columns
    titles = [Column("Layer (type)" if with_kind else "Layer"), *(Column(each.title, each.right) for each in shows)]
    return Table(titles, [[_name(row, with_kind), *(each.lines(row) for each in shows)] for row in rows])


def _name(row: Row, with_kind: bool) -> str:
    return "   " * (row.depth - 1) + "└─ " * (row.depth > 0) + row.name + f" ({row.kind})" * with_kind


def record(row: Row) -> dict[str, object]:
    """Return a row as a flat dict: its name, path and depth, then every column."""
    return {"layer": row.name, "path": row.path, "depth": row.depth} | {k: each.value(row) for k, each in COLUMNS.items()}

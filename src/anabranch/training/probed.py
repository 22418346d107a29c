"""What ``probe`` returns: the numbers of one batch as rows, edges and weights; text and JSON are views of them."""

from __future__ import annotations

import json
import math
from html import escape
from typing import Any, NamedTuple

from anabranch._errors import ArgumentError
from anabranch._tables import Column, Table, terminal_width


class ProbeRow(NamedTuple):
    """One call: its activations, those of all its outputs together, and the gradient of the loss by them.

    Mean, standard deviation, least and greatest are over the finite values, None where there are none; ``zeros`` is the share
    of zeros. ``gradient_norm`` is None without a loss, and where no gradient arrives.
    """

    id: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    activation_mean: float | None
    activation_std: float | None
    zeros: float | None
    min: float | None
    max: float | None
    non_finite: int
    gradient_norm: float | None


class ProbeEdge(NamedTuple):
    """One use of a tensor: the part of the gradient that comes back along it."""

    source: str
    target: str
    output: int
    input: int
    gradient_norm: float | None


class ProbeWeight(NamedTuple):
    """One weight: its norm, and that of its gradient."""

    path: str
    shape: tuple[int, ...]
    norm: float
    gradient_norm: float | None


class Probe(NamedTuple):
    """The numbers of one batch: a row for each call in the order they ran, the edges between them, the weights.

    ``loss`` is None where no targets were given.
    """

    model: str
    training: bool
    loss: float | None
    rows: list[ProbeRow]
    edges: list[ProbeEdge]
    weights: list[ProbeWeight]

    def values(self, metric: str = "activation_mean") -> dict[str, float]:
        """Return one number for each call by its id; calls that have none are left out.

        Args:
            metric: ``"activation_mean"``, ``"activation_std"``, ``"zeros"``, ``"min"``, ``"max"``, ``"non_finite"``,
                ``"gradient_norm"``.
        """
        if metric not in METRICS:
            raise ArgumentError(f"A probe has no {metric!r}.", expected=f"one of: {', '.join(METRICS)}", got=repr(metric))
        found = {row.id: getattr(row, metric) for row in self.rows}
        return {id: value for id, value in found.items() if value is not None}

    def edge_values(self) -> dict[tuple[str, str, int], float]:
        """Return the gradient's norm along each edge by source, target and the number of the target's input."""
        return {(e.source, e.target, e.input): e.gradient_norm for e in self.edges if e.gradient_norm is not None}

    def text(self, width: int | None = None) -> str:
        """Return the rows as a table, fitted to a width."""
        return f"{self._title()}\n{self._table().text(width)}"

    def html(self) -> str:
        """Return the rows as a table for notebooks."""
        return f"<p>{escape(self._title())}</p>{self._table().html()}"

    def _repr_html_(self) -> str:
        return self.html()

    def _title(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"{self.model}: one batch in {'training' if self.training else 'inference'} mode{loss}"

    def _table(self) -> Table:
        titles = ("mean", "std", "zeros", "min", "max", "non-finite", "gradient")
        rows = [(row.id, *(_shown(getattr(row, name)) for name in METRICS)) for row in self.rows]
        return Table([Column("call"), *(Column(title, right=True) for title in titles)], rows)

    def __str__(self) -> str:
        return self.text(terminal_width())

    def to_json(self) -> str:
        """Return rows, edges and weights as JSON; null for numbers that are not finite."""
        parts = {name: [row._asdict() for row in getattr(self, name)] for name in ("rows", "edges", "weights")}
        return json.dumps(_plain(self._asdict() | parts), allow_nan=False)


METRICS = ProbeRow._fields[3:]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

"""The cost of a model, call by call and in total: an object with views as text, HTML, JSON and records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from anabranch._asked import shown
from anabranch._errors import unknown
from anabranch._frames import bound_methods
from anabranch._tables import GAP, Column, Table, bytes_text, number_text, wrapped_line
from anabranch.graph import Shape


class CostRow(NamedTuple):
    """What one call costs. ``known`` is False where no rule says so: then products and operations count as 0.

    Args:
        id: the path with the call where there are several: ``backbone/conv2d``, ``shared@1``.
        path: the layer's path, as ``model[path]`` takes it.
        name: the layer's name in its model.
        kind: its type.
        input_shapes: shapes of what it takes, the batch first.
        output_shapes: shapes of what it gives.
        dtype: of what it gives.
        params: values of its weights; 0 where an earlier call has counted them, and ``shared`` is True.
        trainable_params: those that training changes.
        shared: whether an earlier call has the same weights.
        macs: multiply-accumulates of matrix products and convolutions, forward.
        flops: floating-point operations forward: 2 for each of ``macs``, and those element by element.
        backward_macs: multiply-accumulates backward: for the gradient of each operand that has one.
        backward_flops: operations backward.
        weight_bytes: of its weights.
        optimizer_bytes: of what the optimizer has for them.
        activation_bytes: of what it gives.
        intensity: ``flops`` for each byte read or written: inputs, outputs and weights.
        receptive_field: positions of the input that one position sees along each spatial axis, over the widest path; None: all.
        least_receptive_field: the same over the narrowest path.
        stride: by how many input positions neighboring positions are apart.
        padding: how many positions before the input's start the first one reaches.
        known: whether a rule says what it costs.
        site: the user's line of the call.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> row = Sequential([Input((4,)), layers.Dense(2, name="head")]).cost(batch=8).rows[-1]
        >>> row.path, row.macs, row.activation_bytes
        ('head', 64, 64)
    """

    id: str
    path: str
    name: str
    kind: str
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    dtype: str
    params: int
    trainable_params: int
    shared: bool
    macs: int
    flops: int
    backward_macs: int
    backward_flops: int
    weight_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    intensity: float
    receptive_field: tuple[int | None, ...]
    least_receptive_field: tuple[int | None, ...]
    stride: tuple[float, ...]
    padding: tuple[float, ...]
    known: bool
    site: str


SUMMED = (
    "params", "trainable_params", "macs", "flops", "backward_macs", "backward_flops", "weight_bytes", "optimizer_bytes",
    "activation_bytes",
)  # fmt: skip
"""The fields of a row whose sums mean something."""


@bound_methods
@dataclasses.dataclass(frozen=True, repr=False)
class Cost:
    """What a model costs: rows in the order the calls run, and totals.

    ``peak_inference`` and ``peak_training`` are the most bytes at once, weights, gradients and the optimizer's state included:
    see ``cost``. ``saved_bytes`` is what autograd has saved when the forward pass ends.

    Args:
        model: the model's name.
        batch: the batch's size.
        rows: a row for each call.
        macs: multiply-accumulates of a forward pass.
        flops: floating-point operations of a forward pass.
        backward_macs: multiply-accumulates of a backward pass.
        backward_flops: floating-point operations of a backward pass.
        activation_bytes: of what all calls give.
        params: values of all weights, each counted once.
        trainable_params: those that training changes.
        weight_bytes: of all weights.
        gradient_bytes: of a gradient for each trainable weight.
        optimizer_bytes: of what the optimizer has for them.
        saved_bytes: saved for the backward pass.
        peak_inference: the most bytes at once without gradients.
        peak_training: the most bytes at once of a step of training.
        critical_path: ids of the calls of the longest chain, by ``flops``.
        critical_flops: the operations of that chain: what is left where branches run side by side.
        depth: calls of the chain of most calls.
        width: the most calls that depend on none of each other, level by level.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> found = Sequential([Input((4,)), layers.Dense(2)]).cost(batch=8)
        >>> found.params, found.macs, found.depth
        (10, 64, 1)
    """

    model: str
    batch: int
    rows: list[CostRow]
    macs: int
    flops: int
    backward_macs: int
    backward_flops: int
    activation_bytes: int
    params: int
    trainable_params: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_bytes: int
    peak_inference: int
    peak_training: int
    critical_path: list[str]
    critical_flops: int
    depth: int
    width: int

    @property
    def intensity(self) -> float:
        """Operations for each byte that calls read or write."""
        moved = sum(row.flops / row.intensity for row in self.rows if row.intensity)
        return self.flops / moved if moved else 0.0

    @property
    def unknown(self) -> list[str]:
        """Ids of the calls whose cost no rule says."""
        return [row.id for row in self.rows if not row.known]

    def __getitem__(self, id: str) -> CostRow:
        """Return the row of a call by its id, such as ``"backbone/conv2d"`` or ``"shared@1"``."""
        for row in self.rows:
            if row.id == id:
                return row
        raise unknown("call", id if isinstance(id, str) else shown(id), (row.id for row in self.rows), of=repr(self.model))

    def by_type(self) -> dict[str, dict[str, int]]:
        """Return the sums of what the calls of each type cost, and their ``calls``, the costliest first."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            sums = found.setdefault(row.kind, dict.fromkeys(("calls", *SUMMED), 0))
            sums["calls"] += 1
            for field in SUMMED:
                sums[field] += getattr(row, field)
        return dict(sorted(found.items(), key=lambda item: -item[1]["flops"]))

    def values(self, field: str) -> dict[str, float]:
        """Return one number for each call by its id, and for each nested model the sum of what is in it.

        Args:
            field: a field of the rows that can be summed, such as ``"macs"`` or ``"activation_bytes"``.
        """
        if field not in SUMMED:
            raise unknown("field of a cost that can be summed", field if isinstance(field, str) else shown(field), SUMMED)
        found: dict[str, float] = {}
        for row in self.rows:
            number: float = getattr(row, field)
            found[row.id] = found.get(row.id, 0) + number
            for group in _groups(row.id):
                found[group] = found.get(group, 0) + number
        return found

    def records(self) -> list[dict[str, object]]:
        """Return a flat dict for each row; ``pandas.DataFrame`` takes the list."""
        return [row._asdict() for row in self.rows]

    def totals(self) -> dict[str, Any]:
        """Return what is said of the whole model, by name."""
        return {**vars(self), "intensity": self.intensity, "unknown": self.unknown, "rows": len(self.rows)}

    def to_json(self) -> str:
        """Return rows and totals as JSON."""
        import json

        return json.dumps({**self.totals(), "rows": self.records()}, indent=1)

    def text(self, width: int | None = None) -> str:
        """Return the rows and totals as text.

        Args:
            width: the greatest width of the table, which is wrapped to fit; None: what the contents need.
        """
        table = self._table()
        widths = table.widths(width)
        header, body = table.lines(widths)
        length = sum(widths) + GAP * (len(widths) - 1)
        below = [part for line in self._lines() for part in wrapped_line(line, max(length, 40))]
        return "\n".join([f'Cost of "{self.model}", batch {self.batch}', *header, "=" * length, *body, "=" * length, *below])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Cost of {self.model!r}: {number_text(self.macs)} MACs, {self.params:,} params>"

    def html(self) -> str:
        """Return the rows and totals as HTML, for notebooks."""
        from html import escape

        totals = "<br>".join(map(escape, self._lines()))
        return f"<p>Cost of {escape(self.model)}, batch {self.batch}</p>{self._table().html()}<p>{totals}</p>"

    def _repr_html_(self) -> str:
        return self.html()

    def _table(self) -> Table:
        titles = ("Params", "MACs", "FLOPs", "Activations", "Receptive field", "Stride")
        columns = [Column("Call (type)"), Column("Output shape"), *(Column(title, right=True) for title in titles)]
        return Table(columns, [_cells(row) for row in self.rows])

    def _lines(self) -> Iterator[str]:
        yield f"Params: {self.params:,} ({self.trainable_params:,} trainable), {bytes_text(self.weight_bytes)}"
        yield f"Forward: {number_text(self.macs)} MACs, {number_text(self.flops)} FLOPs"
        yield f"Backward: {number_text(self.backward_macs)} MACs, {number_text(self.backward_flops)} FLOPs"
        yield f"Activations: {bytes_text(self.activation_bytes)}; saved for the backward pass: {bytes_text(self.saved_bytes)}"
        yield f"Peak memory: {bytes_text(self.peak_inference)} in inference, {bytes_text(self.peak_training)} in training"
        chain = f"{len(self.critical_path)} calls, {number_text(self.critical_flops)} FLOPs"
        yield f"Critical path: {chain} of {number_text(self.flops)}; at most {self.width} calls side by side"
        yield f"Arithmetic intensity: {self.intensity:.1f} FLOPs a byte"
        if self.unknown:
            yield f"Not counted, as no rule says what they cost (insight.register_cost): {', '.join(self.unknown)}"


def _groups(id: str) -> Iterator[str]:
    place = id.find("/")
    while place >= 0:
        yield id[:place]
        place = id.find("/", place + 1)


def _cells(row: CostRow) -> list[str | list[str]]:
    fields = row.receptive_field
    return [
        f"{row.id} ({row.kind})", [str(shape) for shape in row.output_shapes], "shared" if row.shared else f"{row.params:,}",
        number_text(row.macs) if row.known else "?", number_text(row.flops) if row.known else "?",
        bytes_text(row.activation_bytes), "×".join("all" if size is None else str(size) for size in fields) or "-",
        "×".join(f"{stride:g}" for stride in row.stride) or "-",
    ]  # fmt: skip

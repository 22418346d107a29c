"""The data of the interactive page: a picture with the plan of its layout, numbers to color by, marks of differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from anabranch._errors import AnabranchError
from anabranch.graph import AnyModel
from anabranch.insight.costs.counting import cost
from anabranch.insight.differences import Change, Diff
from anabranch.insight.drawing.picture import Box, Picture
from anabranch.insight.drawing.plan import Level, Tensor, plan
from anabranch.insight.drawing.repeats import with_repeats
from anabranch.insight.view.sections import with_sections

CELLS = ("box", "in", "out", "line")


class Metric(NamedTuple):
    """Numbers to color by: one for each box by its id, and for edges by the ids of their ends and the target's input.

    ``sum``: whether a group has the sum of what is in it, else the greatest.
    """

    key: str
    label: str
    unit: str
    sum: bool
    values: Mapping[str, float]
    edges: Mapping[tuple[str, str, int], float] = {}


class Probed(Protocol):
    """What ``model.probe`` returns, as far as it is shown."""

    def values(self, metric: str) -> Mapping[str, float]:
        """Return a number for each call by its id."""

    def edge_values(self) -> Mapping[tuple[str, str, int], float]:
        """Return the gradient's norm along each edge."""


PROBED = {
    "activation_mean": "activation mean",
    "activation_std": "activation spread",
    "zeros": "share of zeros",
    "min": "least activation",
    "max": "greatest activation",
    "non_finite": "values not finite",
    "gradient_norm": "gradient norm",
}


def probed(probe: Probed) -> list[Metric]:
    """Return the numbers of a probe as metrics."""
    found = []
    for key, label in PROBED.items():
        values = probe.values(key)
        edges = probe.edge_values() if key == "gradient_norm" else {}
        if any(values.values()) or (values and key != "non_finite"):
            found.append(Metric(key, label, "", False, values, edges))
    return found


def costs(model: AnyModel) -> list[Metric]:
    """Return what each call costs, of one sample; nothing where the sizes of its inputs are open."""
    try:
        rows = cost(model).rows
    except AnabranchError:
        return []
    fields: dict[str, float] = {}
    for row in rows:
        known = [size for size in row.receptive_field if size is not None]
        if known and len(known) == len(row.receptive_field):
            fields[row.id] = max(known)
    return [
        Metric("macs", "MACs", "", True, {row.id: row.macs for row in rows if row.known}),
        Metric("activation_bytes", "activations", "bytes", True, {row.id: row.activation_bytes for row in rows}),
        Metric("receptive_field", "receptive field", "", False, fields),
    ]


def model_data(
    model: AnyModel, title: str, metrics: list[Metric], diff: Diff | None = None, newer: bool = False
) -> dict[str, Any]:
    """Return what the page has of one model; ``newer`` says on which side of a diff it is."""
    plain = Picture.of(model)
    picture = with_sections(with_repeats(plain))
    numbers = {box.id: number for number, box in enumerate(picture.boxes)}
    marks = _marks(diff, newer) if diff else {}
    params = {box.id: float(box.params) for box in picture.boxes if box.params is not None}
    shown = [Metric("params", "parameters", "", True, params), *costs(model), *metrics]
    return {
        "name": picture.name,
        "title": title,
        "summary": f"{picture.kind} · {sum(not box.group for box in picture.boxes):,} layers · {_total(model)} parameters",
        "boxes": [_box(box, numbers, marks) for box in picture.boxes],
        "edges": [[numbers[e.source], numbers[e.target], e.output, e.input, int(e.masked)] for e in picture.edges],
        "begins": [numbers[box.id] for box in plain.boxes if box.role == "input" and not box.parent],
        "results": [[output.name, numbers[output.source]] for output in picture.outputs],
        "levels": _levels(picture, numbers),
        "metrics": [_metric(metric, picture, numbers) for metric in shown if metric.values],
    }


def _total(model: AnyModel) -> str:
    return f"{sum(weight.size for weight in model.weights):,}"


def _box(box: Box, numbers: Mapping[str, int], marks: Mapping[str, tuple[str, list[str]]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": box.id, "parent": numbers.get(box.parent, -1), "path": box.path, "name": box.name, "kind": box.kind,
        "role": box.role, "inputs": box.input_shapes, "outputs": box.output_shapes, "dtypes": box.dtypes,
        "params": box.params, "trainable": box.trainable, "activation": box.activation, "code": box.code,
        "site": box.site, "calls": box.calls, "group": int(box.group),
    }  # fmt: skip
    if box.path in marks:
        found["mark"], found["changes"] = marks[box.path]
    always = ("id", "parent", "name", "kind", "role", "inputs", "outputs")
    return {key: value for key, value in found.items() if key in always or value not in (None, "", (), 0) or key == "params"}


def _marks(diff: Diff, newer: bool) -> dict[str, tuple[str, list[str]]]:
    """Return for each path whether it was added, removed or changed, and how."""
    found: dict[str, tuple[str, list[str]]] = {}
    for change in diff.changes:
        kind = change.kind if change.kind in ("added", "removed") else "changed"
        if kind == ("removed" if newer else "added") or change.kind == "outputs":
            continue
        path = change.path if newer else diff.paths.get(change.path, change.path)
        known = found.setdefault(path, (kind, []))
        known[1].append(_worded(change))
    return found


def _worded(change: Change) -> str:
    if change.kind in ("added", "removed"):
        return change.after or change.before
    return f"{change.kind}: {change.before} → {change.after}"


def _metric(metric: Metric, picture: Picture, numbers: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": metric.key, "label": metric.label, "unit": metric.unit, "sum": metric.sum,
        "values": {numbers[id]: value for id, value in metric.values.items() if id in numbers},
    }  # fmt: skip
    if metric.edges:
        source_of = _through_inputs(picture)
        found["edges"] = {
            number: metric.edges[key]
            for number, edge in enumerate(picture.edges)
            if (key := (source_of.get(edge.source, edge.source), edge.target, edge.input)) in metric.edges
        }
    return found


def _through_inputs(picture: Picture) -> dict[str, str]:
    """Return for the inputs of nested models the box whose value comes in."""
    inner = {box.id for box in picture.boxes if box.role == "input" and box.parent}
    found: dict[str, str] = {}
    for edge in picture.edges:  # in an order to run in
        if edge.target in inner:
            found[edge.target] = found.get(edge.source, edge.source)
    return found


def _levels(picture: Picture, numbers: Mapping[str, int]) -> dict[int, dict[str, Any]]:
    """Return the plan of each group, boxes and tensors by number."""
    tensors: dict[Tensor, int] = {}
    return {numbers.get(group, -1): _level(level, numbers, tensors) for group, level in plan(picture).items()}


def _level(level: Level, numbers: Mapping[str, int], tensors: dict[Tensor, int]) -> dict[str, Any]:
    def tensor(box: str, output: int) -> int:
        return tensors.setdefault((box, output), len(tensors))

    carried: list[list[int]] = [[] for _ in level.strands]
    for edge, strands in level.routes.items():
        for strand in strands:
            carried[strand].append(edge)
    ports: list[dict[int, int]] = [{}, {}]
    for number, cell in enumerate(level.cells):
        if cell.kind in ("in", "out"):
            ports[cell.kind == "out"][tensor(cell.box, cell.output)] = number
    return {
        "cells": [[CELLS.index(cell.kind), numbers[cell.box]] for cell in level.cells],
        "rows": level.rows,
        "strands": [[strand.upper, strand.lower, tensor(*strand.tensor)] for strand in level.strands],
        "edges": carried,
        "above": level.above,
        "starts": [[tensor(*each) for each in tensors] for tensors in level.starts],
        "arrivals": level.arrivals,
        "ports": ports,
    }

"""One batch of training data."""

from __future__ import annotations

from typing import NamedTuple

import torch

from anabranch import _tree
from anabranch.training.data.parts import pack_x_y_sample_weight

Columns = list[torch.Tensor | None]


class Batch(NamedTuple):
    """One batch, flat in the model's order: ``y`` and ``weights`` hold None where an output has none."""

    x: Columns
    y: Columns
    weights: Columns
    size: int
    structure: _tree.Nest = None
    """The nests that x, y and weights were given in, for custom steps."""

    def part(self, rows: slice) -> Batch:
        """Return these rows, as views."""
        x, y, weights = ([None if t is None else t[rows] for t in columns] for columns in self[:3])
        return self._replace(x=x, y=y, weights=weights, size=rows.stop - rows.start)


def parted(columns: Columns, x: int, y: int) -> tuple[Columns, Columns, Columns]:
    """Return what is one list as x, y and weights, of which there are so many."""
    return columns[:x], columns[x : x + y], columns[x + y :]


def in_structure(batch: Batch) -> _tree.Nest:
    """Return what a custom step takes: x, (x, y) or (x, y, sample_weight), each in the user's nest."""
    parts = (batch.x, batch.y, batch.weights)
    return pack_x_y_sample_weight(
        *(None if nest is None else _tree.fill(nest, part) for nest, part in zip(batch.structure, parts, strict=True))
    )

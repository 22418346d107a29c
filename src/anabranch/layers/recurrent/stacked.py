"""StackedRNNCells: cells on top of each other as one cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree, registry, runtime
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import Shape, Spec, map_specs, spec_leaves
from anabranch.layers import fields
from anabranch.layers.base import Layer
from anabranch.layers.recurrent.running import Run, Running, checked_cell, runner_of, takes_integers

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


def _cells(value: object, owner: object, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ArgumentTypeError("cells of StackedRNNCells must be a list of cells.", got=shown(value))
    return [checked_cell(registry.deserialize(each) if isinstance(each, dict) else each) for each in value]


class StackedRNNCells(Running):
    """Use several cells as one: the output of each is the input of the next, and each has states of its own.

    Example:
        >>> from anabranch import Input, layers
        >>> cell = layers.StackedRNNCells([layers.GRUCell(8), layers.LSTMCell(3)])
        >>> layers.RNN(cell)(Input((10, 4))).shape
        (None, 3)
    """

    _makes_weights_ = True

    cells: fields.Field[Sequence[Any], list[Any]] = fields.field(
        convert=_cells, plain=lambda cells: [registry.serialize(cell) for cell in cells], doc="the cells, the lowest first."
    )

    @property
    def _takes_integers_(self) -> bool:
        return takes_integers(self.cells[0])

    @property
    def state_size(self) -> list[Any]:
        """The size of each cell's state."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the last cell's output."""
        size: int = self.output_spec(None, "").shape[-1] or 0
        return size

    def state_specs(self, batch: int | None, dtype: str) -> _tree.Nest:
        """Return shape and dtype of each cell's states, of a single cell those alone."""
        specs = [runner_of(cell).state_specs(batch, dtype) for cell in self.cells]
        return specs[0] if len(specs) == 1 else specs

    def check_input(self, shape: Shape) -> None:
        """Raise where the input of a step has other features than the first cell was made for."""
        runner_of(self.cells[0]).check_input(shape)

    def output_spec(self, batch: int | None, dtype: str) -> Spec:
        """Return shape and dtype of the last cell's output."""
        return runner_of(self.cells[-1]).output_spec(batch, dtype)

    def build(self, input_shape: Shape) -> None:
        """Build the cells, each for the output of the one before."""
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = runner_of(cell).output_spec(input_shape[0], "").shape

    def _changing_(self, changed: fields.Field[Any, Any], value: object) -> None:
        if changed.name == "cells" and self.built:
            raise ArgumentError(
                f"cells of {self._described_()} cannot change: they are built.", got=shown(value), repair="make a new layer"
            )
        super()._changing_(changed, value)

    def compute_output_spec(self, inputs: Tensor, states: _tree.Nest, training: bool | None = None) -> _tree.Nest:
        """Return the specs of the output and of the states."""
        batch, dtype = inputs.shape[0], self.compute_dtype
        self.check_input(inputs.shape)
        return self.output_spec(batch, dtype), self.state_specs(batch, dtype)

    def call(self, inputs: Tensor, states: _tree.Nest, training: bool = False) -> tuple[Tensor, _tree.Nest]:
        """Return the output of one step, and the states after it."""
        given, after = self._filled(states), []
        with runtime.precision_scope(runtime.precision() or self.compute_dtype):
            for cell, own in zip(self.cells, given if len(self.cells) > 1 else [given], strict=True):
                inputs, found = runner_of(cell).call(inputs, own, training)
                after.append(found)
        return inputs, after if len(after) > 1 else after[0]

    def run(self, sequences: Tensor, states: _tree.Nest, how: Run) -> tuple[Tensor, _tree.Nest]:
        """Return what the last cell gives, each having run over all that the one before gave."""
        given, after = states if len(self.cells) > 1 else [states], []
        for number, (cell, own) in enumerate(zip(self.cells, given, strict=True)):
            last = number == len(self.cells) - 1
            sequences, found = runner_of(cell).run(sequences, own, how if last else how._replace(every=True))
            after.append(found)
        return sequences, after if len(after) > 1 else after[0]

    def _filled(self, states: _tree.Nest) -> _tree.Nest:
        """Return given states in lists, one for each cell."""
        given, specs = _tree.leaves(states), self.state_specs(None, "")
        if len(given) != len(spec_leaves(specs)):
            raise ArgumentError(
                "There is one state for each that the cells have.", expected=f"{len(spec_leaves(specs))}", got=shown(states)
            )
        following = iter(given)
        return map_specs(lambda spec: next(following), specs)

"""RNN: a cell over the steps of sequences, whoever wrote the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import _tree, initializers, registry, runtime
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Spec, Weight, WeightOptions, map_specs, spec_leaves
from anabranch.graph.shapes import map_shapes, same
from anabranch.layers import fields
from anabranch.layers.base import Layer
from anabranch.layers.recurrent.running import OfOthers, Run, Running, checked_cell, runner_of, takes_integers
from anabranch.layers.recurrent.stacked import StackedRNNCells
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


def _cell(value: object, owner: object, name: str) -> object:
    if isinstance(value, dict):
        value = registry.deserialize(value)
    return StackedRNNCells(value) if isinstance(value, (list, tuple)) else checked_cell(value)


class RNN(fields.FieldLayer):
    """Apply a cell to each step of a sequence, with the states that it gave at the step before: (B, T, …) -> (B, …).

    A cell is a layer, or any object, with ``state_size`` (an integer, or a list of them) and ``call(inputs, states)``, which
    returns the output and the next states. With a mask (B, T), masked steps change no state and repeat the output before.

    Example:
        >>> from anabranch import Input, layers
        >>> layers.RNN(layers.LSTMCell(8), return_sequences=True)(Input((10, 4))).shape
        (None, 10, 8)
    """

    supports_masking = True

    cell: fields.Field[Any, Any] = fields.field(
        convert=_cell, doc="the cell, or a list of cells, each on top of the one before."
    )
    return_sequences: fields.BooleanField = fields.boolean(
        default=False, doc="whether the output is that of each step (B, T, …), or of the last alone.", kw_only=True
    )
    return_state: fields.BooleanField = fields.boolean(
        default=False, doc="whether the states after the last step are returned after the output.", kw_only=True
    )
    go_backwards: fields.BooleanField = fields.boolean(
        default=False, doc="whether the last step comes first; outputs are in the order of computation.", kw_only=True
    )
    stateful: fields.BooleanField = fields.boolean(
        default=False, doc="whether a batch begins with the states that the batch before ended with.", kw_only=True
    )
    unroll: fields.BooleanField = fields.boolean(
        default=False, doc="whether the steps are computed one by one, written out where the code is traced.", kw_only=True
    )
    zero_output_for_mask: fields.BooleanField = fields.boolean(
        default=False, doc="whether the output of a masked step is 0, rather than that of the step before.", kw_only=True
    )

    states: list[Weight] | None = fields.state(init=False)

    @property
    def runner(self) -> Running | OfOthers:
        """The cell, as what runs it sees it."""
        return runner_of(self.cell)

    @property
    def _takes_integers_(self) -> bool:
        return takes_integers(self.cell)

    @property
    def state_size(self) -> _tree.Nest:
        """The size of each state, in a list."""
        size = self.cell.state_size
        return [size] if is_integer(size) else list(size)

    def build(self, input_shape: _tree.Nest) -> None:
        """Build the cell for one step, and make the states that ``stateful`` needs."""
        first = _first_shape(input_shape)
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(map_shapes(input_shape, lambda shape: (shape[0], *shape[2:])))
        if self.stateful and self.states is None:
            if first[0] is None:
                raise ShapeError(
                    "A stateful layer stores a state for each row, so the size of the batch must be known.",
                    got=str(first), repair=f"Input(batch_shape=({', '.join(['32', *map(str, first[1:])])}))",
                )  # fmt: skip
            options = WeightOptions(initializers.Zeros(), trainable=False)
            specs = spec_leaves(self.runner.state_specs(first[0], self.dtype))
            self.states = [
                Weight(f"rnn_state_{number}", _known(spec.shape), spec.dtype, options, self._home_, runtime)
                for number, spec in enumerate(specs)
            ]

    def _changing_(self, changed: fields.Field[Any, Any], value: object) -> None:
        if changed.name in ("stateful", "cell") and self.built:
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: it is built.",
                got=shown(value),
                repair="make a new layer",
            )
        super()._changing_(changed, value)

    def compute_output_spec(
        self, sequences: _tree.Nest, initial_state: _tree.Nest = None, mask: object = None, training: bool | None = None
    ) -> _tree.Nest:
        """Return the spec of the output, and of the states where these are returned."""
        return self._specs(_first_shape(map_specs(lambda x: tuple(x.shape), sequences)))

    def compute_output_shape(self, input_shape: _tree.Nest) -> _tree.Nest:
        """(B, T, …) -> (B, T, …) or (B, …), and the shapes of the states where these are returned."""
        return map_specs(lambda spec: spec.shape, self._specs(_first_shape(input_shape)))

    def _specs(self, shape: Shape) -> _tree.Nest:
        if len(shape) < 2:
            raise ShapeError("A recurrent layer takes sequences.", expected="(batch, steps, …)", got=str(shape))
        if self.unroll and shape[1] is None:
            raise ShapeError(
                "unroll=True needs to know the number of steps.",
                got=str(shape),
                repair="Input((steps, features)), or unroll=False",
            )
        output, states = self._of_a_step((shape[0], *shape[2:]))
        if self.return_sequences:
            output = Spec((shape[0], shape[1], *output.shape[1:]), output.dtype)
        return [output, *states] if self.return_state else output

    def _of_a_step(self, shape: Shape) -> tuple[Spec, _tree.Nest]:
        """Return the specs of the output of a step, and of the states."""
        batch, dtype = shape[0], self.compute_dtype
        self.runner.check_input(shape)
        return self.runner.output_spec(batch, dtype), self.runner.state_specs(batch, dtype)

    def compute_mask(self, inputs: _tree.Nest, previous_mask: _tree.Nest) -> _tree.Nest:
        """Return the mask of the steps where each has an output; states have none."""
        mask = _tree.leaves(previous_mask)[0] if self.return_sequences else None
        return [mask, *[None] * len(spec_leaves(self.runner.state_specs(None, "")))] if self.return_state else mask

    def call(
        self,
        sequences: _tree.Nest,
        initial_state: _tree.Nest = None,
        mask: _tree.Nest = None,
        training: bool = False,
    ) -> _tree.Nest:
        """Run the cell over the steps."""
        given = _tree.leaves(mask)[0]
        known = None if given is None else kernels.cast(given, "bool")
        self._check_mask(given, _tree.leaves(sequences)[0])
        states = self._first_states(_tree.leaves(sequences)[0], initial_state)
        if self.go_backwards:
            sequences, known = _tree.map_leaves(_backwards, (sequences, known))
        how = Run(known, training, self.return_sequences, self.return_state or self.stateful, self.looped())
        with runtime.precision_scope(self.compute_dtype):
            outputs, states = self.runner.run(sequences, states, how)
        if known is not None and self.zero_output_for_mask:
            outputs = kernels.zeroed(outputs, known, self.return_sequences, len(self.runner.output_spec(None, "").shape) + 1)
        for state, value in zip(self.states or (), _tree.leaves(states), strict=False):
            state.assign(value)
        output = outputs if self.return_sequences else outputs[:, -1]
        return [output, *states] if self.return_state else output

    def _check_mask(self, mask: Tensor | None, sequences: Tensor) -> None:
        """Raise where a mask, whose shape is known, has other than a value for each step."""
        found, given = (None if value is None else runtime.shape_of(value) for value in (mask, sequences))
        rank = len(found) if found is not None else None if mask is None else runtime.mask_rank(mask)
        short = found is not None and given is not None and not same(found, given[:2])
        if rank not in (None, 2) or short:
            raise ShapeError(
                f"The mask of {self._described_()} does not have one value for each step.", expected="a mask (batch, steps)",
                got=str(found or f"a {rank}-D mask"),
                repair="ops.any(mask, axis=(2, 3)), or a Masking layer before what adds axes" if (rank or 0) > 2 else None,
            )  # fmt: skip

    def looped(self) -> bool:
        """Return whether the steps run one by one, although one function of torch's could run them."""
        return self.unroll

    def _first_states(self, x: Tensor, given: _tree.Nest) -> _tree.Nest:
        """Return the states to begin with: those given, those of the batch before, or zeros."""
        specs = self.runner.state_specs(None, self.compute_dtype)
        if given is None and self.states is not None:
            rows = runtime.shape_of(x)
            if rows is not None and rows[0] not in (None, self.states[0].shape[0]):
                raise ShapeError(
                    "A stateful layer takes batches of one size.", expected=f"{self.states[0].shape[0]} rows", got=f"{rows[0]}"
                )
            given = [kernels.copied(state) for state in self.states]
        if given is None and isinstance(self.runner, Running):
            dtype = runtime.dtype_of(self.compute_dtype) if self._takes_integers_ else None
            return map_specs(lambda spec: x.new_zeros((x.shape[0], *spec.shape[1:]), dtype=dtype), specs)
        found = _tree.leaves(self.get_initial_state(x.shape[0]) if given is None else given)
        count = len(spec_leaves(specs))
        if len(found) != count:
            raise ArgumentError("initial_state must have a tensor for each state.", expected=str(count), got=str(len(found)))
        following = iter(found)
        if not isinstance(self.runner, Running):
            return map_specs(lambda spec: next(following), specs)
        return map_specs(lambda spec: kernels.as_state(next(following), x, spec.shape[1:], self.compute_dtype), specs)

    def get_initial_state(self, batch_size: int) -> _tree.Nest:
        """Return the states that sequences begin with where none are given: zeros, or what the cell says.

        Args:
            batch_size: how many rows they have.

        Example:
            >>> from anabranch import layers
            >>> layers.GRU(3).get_initial_state(2)[0].tolist()
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        """
        return self.runner.get_initial_state(batch_size)

    def reset_state(self) -> None:
        """Set the states of a stateful layer to 0.

        Example:
            >>> from anabranch import layers
            >>> import numpy as np
            >>> layer = layers.GRU(2, stateful=True)
            >>> y = layer(np.ones((1, 5, 3)))
            >>> layer.reset_state()
            >>> layer.states[0].numpy().tolist()
            [[0.0, 0.0]]
        """
        for state in self.states or ():
            state.assign(kernels.copied(state).zero_())

    reset_states = reset_state


def _first_shape(shapes: _tree.Nest) -> Shape:
    """Return the first shape of a nest of shapes."""
    while isinstance(shapes, (list, dict)):
        if not shapes:
            raise ShapeError("There is no sequence.", expected="(batch, steps, …), or a list of such", got=shown(shapes))
        shapes = next(iter(shapes.values() if isinstance(shapes, dict) else shapes))
    found: Shape = shapes
    return found


def _known(shape: Shape) -> tuple[int, ...]:
    return tuple(size for size in shape if size is not None)


def _backwards(x: Tensor | None) -> Tensor | None:
    return None if x is None else runtime.shaped(x.flip(1), runtime.shape_of(x))

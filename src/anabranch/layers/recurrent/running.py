"""How recurrent layers run a cell: what they ask of it, and how a cell that others wrote answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch import _tree, config, runtime
from anabranch._asked import is_integer, method, parameters_of, shown
from anabranch._errors import ArgumentTypeError
from anabranch.graph import Shape, Spec, map_specs
from anabranch.layers import fields
from anabranch.layers.base import Layer
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Run(NamedTuple):
    """How a cell runs over a sequence.

    Args:
        mask: (B, T), false where a step changes nothing.
        training: whether dropout acts.
        every: whether the output of each step is wanted, or the last alone.
        last: whether the states after the last step are wanted.
        looped: whether the steps run one by one, although one function of torch's could run them.
    """

    mask: Tensor | None
    training: bool
    every: bool = True
    last: bool = True
    looped: bool = False


class Running(fields.FieldLayer):
    """What a recurrent layer asks of the cells of this library. Abstract."""

    @property
    def _takes_integers_(self) -> bool:
        return False

    def state_specs(self, batch: int | None, dtype: str) -> _tree.Nest:
        """Return shape and dtype of each state."""
        raise NotImplementedError(f"{type(self).__name__} must write state_specs(batch, dtype)")

    def check_input(self, shape: Shape) -> None:
        """Raise where the input of a step has other features than the weights were made for; here there are none."""

    def output_spec(self, batch: int | None, dtype: str) -> Spec:
        """Return shape and dtype of an output; here, of the first state."""
        found: Spec = self.state_specs(batch, dtype)[0]
        return found

    def call(self, inputs: Tensor, states: _tree.Nest, training: bool = False) -> tuple[Tensor, _tree.Nest]:
        """Return the output of one step, and the states after it."""
        raise NotImplementedError(f"{type(self).__name__} must write call(inputs, states)")

    def run(self, sequences: Tensor, states: _tree.Nest, how: Run) -> tuple[Tensor, _tree.Nest]:
        """Return the outputs (B, T, …), or (B, 1, …) where the last alone is wanted, and the states after the last step."""
        raise NotImplementedError(f"{type(self).__name__} must write run(sequences, states, how)")

    def get_initial_state(self, batch_size: int | None = None) -> _tree.Nest:
        """Return states of zeros.

        Args:
            batch_size: how many rows they have; None: 1.

        Example:
            >>> from anabranch import layers
            >>> [tuple(state.shape) for state in layers.LSTMCell(3).get_initial_state(batch_size=2)]
            [(2, 3), (2, 3)]
        """
        return _zeros(self.state_specs(1 if batch_size is None else batch_size, self.compute_dtype))


class OfOthers(NamedTuple):
    """A user's cell: anything with ``state_size`` and ``call(inputs, states)``."""

    cell: Any

    def state_specs(self, batch: int | None, dtype: str) -> _tree.Nest:
        """Return shape and dtype of each state."""
        sizes = self.cell.state_size
        return _tree.map_leaves(lambda size: Spec((batch, size), dtype), [sizes] if is_integer(sizes) else list(sizes))

    def check_input(self, shape: Shape) -> None:
        """Accept any input: the cell itself knows what it takes."""

    def output_spec(self, batch: int | None, dtype: str) -> Spec:
        """Return shape and dtype of an output: of ``output_size``, else of the first state."""
        size = getattr(self.cell, "output_size", None)  # as Keras has it, which cells need not say
        return self.state_specs(batch, dtype)[0] if size is None else Spec((batch, size), dtype)

    def call(self, inputs: _tree.Nest, states: _tree.Nest, training: bool) -> tuple[Tensor, _tree.Nest]:
        """Return what the cell gives for one step."""
        layer = isinstance(self.cell, Layer)
        call: Callable[..., Any] = self.cell if layer else self.cell.call
        takes = parameters_of(type(self.cell).call if layer else call)
        output, after = call(inputs, states, **({"training": training} if "training" in takes else {}))
        after = after if _tree.is_nest(after) else [after]
        if not layer or (dtype := runtime.precision()) in (None, self.cell.compute_dtype):
            return output, after
        return kernels.cast(output, dtype), _tree.map_leaves(lambda state: kernels.cast(state, dtype), after)

    def run(self, sequences: _tree.Nest, states: _tree.Nest, how: Run) -> tuple[Tensor, _tree.Nest]:
        """Return what the cell gives step by step."""
        length = kernels.length_of(_tree.leaves(sequences)[0])
        return kernels.over_steps(
            lambda inputs, before: self.call(inputs, before, how.training), sequences, states, how.mask, length, every=how.every
        )

    def get_initial_state(self, batch_size: int) -> _tree.Nest:
        """Return what the cell's own method of that name does, or zeros."""
        own = method(self.cell, "get_initial_state")
        dtype = self.cell.compute_dtype if isinstance(self.cell, Layer) else config.floatx()
        return _zeros(self.state_specs(batch_size, dtype)) if own is None else own(batch_size=batch_size)


def runner_of(cell: Any) -> Running | OfOthers:
    """Return a cell as what runs it sees it."""
    return cell if isinstance(cell, Running) else OfOthers(cell)


def takes_integers(cell: object) -> bool:
    """Return whether a cell is given integers as they are: a user's, which may look something up by them."""
    return cell._takes_integers_ if isinstance(cell, Running) else True


def checked_cell(value: object) -> object:
    """Return a cell; raise where it is none."""
    if method(value, "call") is None or "state_size" not in dir(value):
        raise ArgumentTypeError(
            "A cell has call(inputs, states) and state_size.", expected="LSTMCell(4), a cell of your own, or a list of cells",
            got=shown(value),
        )  # fmt: skip
    return value


def _zeros(specs: _tree.Nest) -> _tree.Nest:
    from anabranch import ops  # which most models do without

    return map_specs(lambda spec: ops.zeros(spec.shape, spec.dtype), specs)

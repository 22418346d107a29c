"""SimpleRNN and its cell: the state is one product of input and state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import activations
from anabranch.layers import fields
from anabranch.layers.recurrent.cells import Settings, Sized, SizedCell
from anabranch.layers.recurrent.owning import Owning
from anabranch.layers.recurrent.running import Run
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class SimpleRNNCell(SizedCell):
    """Compute one step of a :class:`SimpleRNN`: h' = activation(x · kernel + h · recurrent_kernel + bias).

    Example:
        >>> from anabranch import Input
        >>> output, states = SimpleRNNCell(8)(Input((4,)), [Input((8,))])
        >>> output.shape
        (None, 8)
    """

    _field_order_ = (
        "units", "activation", "use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer",
        "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
        "bias_constraint", "dropout", "recurrent_dropout", "seed",
    )  # fmt: skip

    def fuses(self) -> bool:
        """Return whether torch has this activation in its own RNN."""
        return self.activation in (activations.tanh, activations.relu)

    def fused(self, sequences: Tensor, states: list[Tensor], how: Run) -> tuple[Tensor, list[Tensor]]:
        """Return what torch's RNN gives."""
        kind = "tanh" if self.activation is activations.tanh else "relu"
        return kernels.simple_rnn(sequences, states, (self.kernel, self.recurrent_kernel, self.bias), how.mask, kind)

    def step(self, projected: Tensor, states: Sequence[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return the output, which is the state, from the product of the input."""
        output = self.activation(projected + kernels.gate_products(states[0], self.recurrent_kernel, None, noise))
        return output, [output]


class SimpleRNN(Owning, Settings, Sized):
    """Run h' = activation(x · kernel + h · recurrent_kernel + bias) over sequences: (B, T, I) -> (B, units) (Elman 1990).

    Example:
        >>> from anabranch import Input
        >>> SimpleRNN(8)(Input((10, 4))).shape
        (None, 8)
    """

    cell_class = SimpleRNNCell
    cell_name = "simple_rnn_cell"
    _field_order_ = (
        "units", "activation", "use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer",
        "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
        "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout", "return_sequences", "return_state",
        "go_backwards", "stateful", "unroll", "seed",
    )  # fmt: skip

    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)  # type: ignore[override]

"""LSTM and its cell: a cell state that gates open and close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from anabranch import activations
from anabranch._asked import on_host
from anabranch.graph import Shape
from anabranch.layers import fields
from anabranch.layers.recurrent.cells import Cell, Gated, Sized, SizedCell
from anabranch.layers.recurrent.owning import CudnnField, Owning, check_cudnn, cudnn
from anabranch.layers.recurrent.running import Run
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

FORGET_DOC = "whether the forget gate's bias is 1 at first (Jozefowicz et al. 2015)."


class OpenForgetGate:
    """Draw the biases of an LSTM's gates i, f, g, o, those of f being 1.

    Args:
        others: the initializer of the others.
    """

    __slots__ = ("others",)

    def __init__(self, others: Callable[..., Any]) -> None:
        self.others = others

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> np.ndarray[Any, Any]:
        """Return an array of ``shape``."""
        import numpy as np

        units = shape[0] // 4
        before, after = (np.asarray(on_host(self.others((size,), dtype=dtype))) for size in (units, 2 * units))
        return np.concatenate([before, np.ones_like(before), after])


def open_forget_gate(cell: Cell) -> None:
    """Let the forget gate of an LSTM's cell be open at first."""
    if cell.bias is not None:
        cell.bias.initializer = OpenForgetGate(cell.bias.initializer)


class LSTMCell(SizedCell, Gated):
    """Compute one step of an :class:`LSTM`.

    Example:
        >>> from anabranch import Input
        >>> output, (h, c) = LSTMCell(8)(Input((4,)), [Input((8,)), Input((8,))])
        >>> output.shape, c.shape
        ((None, 8), (None, 8))
    """

    gates = 4
    states = 2
    _field_order_ = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
        "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout", "seed",
    )  # fmt: skip

    unit_forget_bias: fields.BooleanField = fields.boolean(default=True, doc=FORGET_DOC, fixed=True, kw_only=True)

    def build(self, input_shape: Shape) -> None:
        """Make kernel (I, 4 · units), recurrent_kernel (units, 4 · units) and bias (4 · units,), for the gates i, f, g, o."""
        super().build(input_shape)
        if self.unit_forget_bias:
            open_forget_gate(self)

    def fuses(self) -> bool:
        """Return whether the activations are those of torch's LSTM."""
        return self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid

    def fused(self, sequences: Tensor, states: list[Tensor], how: Run) -> tuple[Tensor, list[Tensor]]:
        """Return what torch's LSTM gives."""
        weights = self.kernel, self.recurrent_kernel, self.bias
        return kernels.lstm(sequences, states, weights, how.mask, self.units, carry=how.last)

    def step(self, projected: Tensor, states: Sequence[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return output, and output and cell state, from the product of the input."""
        gates = projected + kernels.gate_products(states[0], self.recurrent_kernel, None, noise, self.gates)
        h, c = kernels.lstm_step(gates, states[1], self.activation, self.recurrent_activation)
        return h, [h, c]


class LSTM(Owning, Gated, Sized):
    """Run a long short-term memory over sequences: (B, T, I) -> (B, units) (Hochreiter & Schmidhuber 1997).

    With i, f, o = σ(x · W + h · U + b) and g = tanh(x · W + h · U + b), each with weights of its own:
    c' = f · c + i · g, h' = o · tanh(c'). The states are h and c.

    Example:
        >>> from anabranch import Input
        >>> output, h, c = LSTM(8, return_sequences=True, return_state=True)(Input((10, 4)))
        >>> output.shape, h.shape
        ((None, 10, 8), (None, 8))
    """

    cell_class = LSTMCell
    cell_name = "lstm_cell"
    _field_order_ = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout",
        "seed", "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "use_cudnn",
    )  # fmt: skip

    unit_forget_bias: fields.BooleanField = fields.boolean(default=True, doc=FORGET_DOC, fixed=True, kw_only=True)
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)  # type: ignore[override]
    use_cudnn: CudnnField = cudnn()

    def _check_(self) -> None:
        super()._check_()
        check_cudnn(self, self.use_cudnn)

    def looped(self) -> bool:
        """Return whether the steps run one by one, although torch's LSTM could run them."""
        return self.unroll or self.use_cudnn is False

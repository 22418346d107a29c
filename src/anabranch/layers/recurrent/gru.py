"""GRU and its cell: a state that gates reset and replace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import activations
from anabranch.layers import fields
from anabranch.layers.recurrent.cells import Gated, Sized, SizedCell
from anabranch.layers.recurrent.owning import CudnnField, Owning, check_cudnn, cudnn
from anabranch.layers.recurrent.running import Run
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

RESET_DOC = "whether the reset gate acts on the product of state and weights, as in cuDNN, or on the state before it."


class GRUCell(SizedCell, Gated):
    """Compute one step of a :class:`GRU`.

    Example:
        >>> from anabranch import Input
        >>> output, states = GRUCell(8)(Input((4,)), [Input((8,))])
        >>> output.shape
        (None, 8)
    """

    gates = 3
    _field_order_ = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "kernel_constraint",
        "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout", "reset_after", "seed",
    )  # fmt: skip

    reset_after: fields.BooleanField = fields.boolean(default=True, doc=RESET_DOC, fixed=True, kw_only=True)

    def bias_shape(self) -> tuple[int, ...]:
        """Return (3 · units,), or two of these: of the input's product and of the state's."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self) -> Tensor | None:
        """Return the bias of the input's product."""
        bias = super().input_bias()
        return bias[0] if bias is not None and self.reset_after else bias

    def fuses(self) -> bool:
        """Return whether reset gate and activations are those of torch's GRU."""
        plain = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return plain and self.reset_after

    def fused(self, sequences: Tensor, states: list[Tensor], how: Run) -> tuple[Tensor, list[Tensor]]:
        """Return what torch's GRU gives."""
        return kernels.gru(sequences, states, (self.kernel, self.recurrent_kernel, self.bias), how.mask, self.units)

    def step(self, projected: Tensor, states: Sequence[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return the output, which is the state, from the product of the input."""
        h, functions = states[0], (self.activation, self.recurrent_activation)
        if self.reset_after:
            bias = None if self.bias is None else self.bias.value[1]
            inner = kernels.gate_products(h, self.recurrent_kernel, bias, noise, self.gates)
            output = kernels.gru_step(projected, inner, h, *functions)
        else:
            output = kernels.gru_step_before(projected, h, self.recurrent_kernel, noise, self.units, *functions)
        return output, [output]


class GRU(Owning, Gated, Sized):
    """Run gated recurrent units over sequences: (B, T, I) -> (B, units) (Cho et al. 2014).

    With z, r = σ(x · W + h · U + b), each with weights of its own: h' = z · h + (1 - z) · n, where
    n = tanh(x · W + b + r · (h · U + b)), or with ``reset_after=False`` tanh(x · W + b + (r · h) · U).

    Example:
        >>> from anabranch import Input
        >>> GRU(8, return_sequences=True)(Input((10, 4))).shape
        (None, 10, 8)
    """

    cell_class = GRUCell
    cell_name = "gru_cell"
    _field_order_ = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer",
        "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout", "seed",
        "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "reset_after", "use_cudnn",
    )  # fmt: skip

    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)  # type: ignore[override]
    reset_after: fields.BooleanField = fields.boolean(default=True, doc=RESET_DOC, fixed=True, kw_only=True)
    use_cudnn: CudnnField = cudnn()

    def _check_(self) -> None:
        super()._check_()
        check_cudnn(self, self.use_cudnn)

    def looped(self) -> bool:
        """Return whether the steps run one by one, although torch's GRU could run them."""
        return self.unroll or self.use_cudnn is False

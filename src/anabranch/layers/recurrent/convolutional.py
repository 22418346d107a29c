"""ConvLSTM: an LSTM whose inputs and states are images, and whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from anabranch import _tree, runtime
from anabranch._errors import ShapeError
from anabranch.graph import Shape, Spec
from anabranch.layers import fields
from anabranch.layers.recurrent.cells import Cell, Gated
from anabranch.layers.recurrent.lstm import FORGET_DOC, open_forget_gate
from anabranch.layers.recurrent.owning import Owning
from anabranch.layers.windows import AXES, channels_of, known_channels, windows_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Sliding(fields.FieldLayer):
    """The windows of convolutional recurrent layers and of their cells. Abstract."""

    filters: fields.Field[int, int] = fields.integer(doc="the number of channels of output and states.", fixed=True)
    kernel_size: fields.SizesField = fields.sizes(doc="the window's length along each spatial axis.", fixed=True)
    strides: fields.SizesField = fields.sizes(
        default=1, doc="by how many positions the window moves over the input.", fixed=True
    )
    padding: fields.PaddingField = fields.padding(default="valid")
    data_format: fields.DataFormatField = fields.data_format(default=None)
    dilation_rate: fields.SizesField = fields.sizes(default=1, doc="the distance between the window's elements in the input.")
    unit_forget_bias: fields.BooleanField = fields.boolean(default=True, doc=FORGET_DOC, fixed=True, kw_only=True)


class ConvLSTMCell(Cell, Gated, Sliding):
    """Compute one step of a convolutional LSTM, which knows the sizes of its images once it is built. Abstract."""

    gates = 4
    states = 2
    _field_order_ = (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "recurrent_activation",
        "use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer",
        "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout",
        "recurrent_dropout", "seed",
    )  # fmt: skip

    image: Shape | None = fields.state(init=False)  # the shape of an input without the batch

    @property
    def state_size(self) -> list[int]:
        """The number of channels of each state."""
        return [self.filters] * self.states

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape of output and states for inputs (B, …spatial, C)."""
        channels_of(shape, self.rank, self.data_format)
        return windows_shape(
            shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate, self.filters
        )

    def state_specs(self, batch: int | None, dtype: str) -> _tree.Nest:
        """Return shape and dtype of each state."""
        if self.image is None:
            raise ShapeError(
                f"{self._described_()} does not know the sizes of its states before it is built.", repair="call the layer first"
            )
        return [Spec(self.shape_after((batch, *self.image)), dtype)] * self.states

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, C, 4 · filters), recurrent_kernel (…window, filters, 4 · filters) and bias (4 · filters,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        if None in input_shape[1:]:
            raise ShapeError(
                "A convolutional recurrent layer needs to know the sizes of its images: its states have as many positions.",
                expected=f"(batch, steps, {AXES[self.rank]}, channels), all but the first two known", got=str(input_shape),
            )  # fmt: skip
        a, b, window = self.rank, self.rank + 1, range(self.rank)
        for name, size in ("kernel", channels), ("recurrent_kernel", self.filters):
            self.weight(name, (*self.kernel_size, size, self.gates * self.filters), axes=(b, a, *window))
        if self.use_bias:
            self.weight("bias", (self.gates * self.filters,))
            if self.unit_forget_bias:
                open_forget_gate(self)
        self.image = input_shape[1:]

    def check_input(self, shape: Shape) -> None:
        """Raise where an input has other sizes than the states were made for."""
        given = shape[-len(self.image) :] if self.image else ()
        if any(size not in (None, known) for size, known in zip(given, self.image or (), strict=True)):
            raise ShapeError(
                "The images have another shape than the layer was built for.", expected=str(self.image), got=str(given),
                repair="a layer of its own for each size",
            )  # fmt: skip

    def project(self, inputs: Tensor, noise: Tensor | None) -> Tensor:
        """Return inputs (B, …spatial, C) ⋆ kernel + bias for all gates."""
        return self._convolved(self._for_gates(inputs, noise))

    def project_all(self, sequences: Tensor, noise: Tensor | None) -> Tensor:
        """Return sequences (B, T, …spatial, C) ⋆ kernel + bias, the steps as further rows of the batch."""
        folded = self._convolved([each.flatten(0, 1) for each in self._for_gates(sequences, noise)])
        return folded.unflatten(0, (sequences.shape[0], sequences.shape[1]))  # type: ignore[no-untyped-call]  # untyped in torch

    def _convolved(self, inputs: list[Tensor]) -> Tensor:
        if self.image is not None:
            for each in inputs:
                runtime.shaped(each, (None, *self.image))
        return kernels.gate_convolutions(
            inputs, self.kernel, self.bias, strides=self.strides, padding=self.padding, data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )  # fmt: skip

    def _for_gates(self, x: Tensor, noise: Tensor | None) -> list[Tensor]:
        """Return what all gates take, or with noise what each takes."""
        return [x] if noise is None else [x * noise[gate] for gate in range(self.gates)]

    def step(self, projected: Tensor, states: Sequence[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return output, and output and cell state, from the convolution of the input."""
        once = (1,) * self.rank
        inner = kernels.gate_convolutions(
            self._for_gates(states[0], noise), self.recurrent_kernel, strides=once, padding="same",
            data_format=self.data_format, dilation_rate=once,
        )  # fmt: skip
        axis = 1 if self.data_format == "channels_first" else -1
        h, c = kernels.lstm_step(projected + inner, states[1], self.activation, self.recurrent_activation, axis)
        return h, [h, c]


class ConvLSTM(Owning, Gated, Sliding):
    """A long short-term memory over sequences of images. Abstract: ConvLSTM1D, ConvLSTM2D, ConvLSTM3D."""

    cell_class = ConvLSTMCell
    cell_name = "conv_lstm_cell"
    rank: ClassVar[int]
    _field_order_ = (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "recurrent_activation",
        "use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer",
        "recurrent_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "recurrent_constraint",
        "bias_constraint", "dropout", "recurrent_dropout", "seed", "return_sequences", "return_state", "go_backwards",
        "stateful",
    )  # fmt: skip

    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)  # type: ignore[override]

    def _of_a_step(self, shape: Shape) -> tuple[Spec, _tree.Nest]:
        state = Spec(self.cell.shape_after(shape), self.compute_dtype)
        self.cell.check_input(shape)
        return state, [state, state]


class ConvLSTM1DCell(ConvLSTMCell):
    """One step of a :class:`ConvLSTM1D`."""

    rank = 1


class ConvLSTM2DCell(ConvLSTMCell):
    """One step of a :class:`ConvLSTM2D`."""

    rank = 2


class ConvLSTM3DCell(ConvLSTMCell):
    """One step of a :class:`ConvLSTM3D`."""

    rank = 3


class ConvLSTM1D(ConvLSTM):
    """Run a convolutional LSTM over sequences of rows: (B, T, W, C) -> (B, W', filters); see :class:`ConvLSTM2D`.

    Example:
        >>> from anabranch import Input
        >>> ConvLSTM1D(8, 3)(Input((10, 32, 4))).shape
        (None, 30, 8)
    """

    cell_class = ConvLSTM1DCell
    axes = "batch, steps, width, channels"
    rank = 1


class ConvLSTM2D(ConvLSTM):
    """Run a convolutional LSTM over sequences of images: (B, T, H, W, C) -> (B, H', W', filters) (Shi et al. 2015).

    With i, f, o = σ(x ⋆ W + h ⋆ U + b) and g = tanh(x ⋆ W + h ⋆ U + b), each with weights of its own, the window over h padded
    and moving by 1: c' = f · c + i · g, h' = o · tanh(c'). H' and W' follow from window and stride as those of
    :class:`Conv2D` do. The states are h and c.

    Example:
        >>> from anabranch import Input
        >>> ConvLSTM2D(8, 3, padding="same", return_sequences=True)(Input((10, 16, 16, 1))).shape
        (None, 10, 16, 16, 8)
    """

    cell_class = ConvLSTM2DCell
    axes = "batch, steps, height, width, channels"
    rank = 2


class ConvLSTM3D(ConvLSTM):
    """Run a convolutional LSTM over sequences of volumes: (B, T, D, H, W, C) -> (B, D', H', W', filters).

    See :class:`ConvLSTM2D`.

    Example:
        >>> from anabranch import Input
        >>> ConvLSTM3D(4, 3, padding="same")(Input((5, 8, 8, 8, 1))).shape
        (None, 8, 8, 8, 4)
    """

    cell_class = ConvLSTM3DCell
    axes = "batch, steps, depth, height, width, channels"
    rank = 3

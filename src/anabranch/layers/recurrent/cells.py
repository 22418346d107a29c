"""What recurrent layers and their cells are made of, and how such a cell runs: one step, or all steps of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from anabranch import _tree, runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Spec, Weight
from anabranch.layers import fields
from anabranch.layers.recurrent.running import Run, Running
from anabranch.layers.regularization import Drawing
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anabranch.runtime import Tensor


class Noise(NamedTuple):
    """The factors of dropout of one run of a cell, None without; the same at all steps (Gal & Ghahramani 2016).

    Args:
        inputs: of the inputs, one for all gates or one for each (n, B, I).
        states: of the states (n, B, units).
    """

    inputs: Tensor | None = None
    states: Tensor | None = None


NO_NOISE = Noise()


class Settings(Drawing):
    """What recurrent layers and their cells share. Abstract."""

    activation: fields.ActivationField = fields.activation(default="tanh")
    use_bias: fields.BooleanField = fields.boolean(default=True, doc="whether a bias is added.", fixed=True, kw_only=True)
    kernel_initializer: fields.InitializerField = fields.initializer(
        default="glorot_uniform", doc="of the kernel, which inputs are multiplied by.", kw_only=True
    )
    recurrent_initializer: fields.InitializerField = fields.initializer(
        default="orthogonal", doc="of the kernel that the state is multiplied by.", kw_only=True
    )
    bias_initializer: fields.InitializerField = fields.initializer(default="zeros", kw_only=True)
    kernel_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    recurrent_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    bias_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    kernel_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    recurrent_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    bias_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    dropout: fields.NumberField = fields.number(
        default=0.0, least=0, most=1, doc="the fraction of inputs that training drops, the same at all steps.", kw_only=True
    )
    recurrent_dropout: fields.NumberField = fields.number(
        default=0.0, least=0, most=1, doc="the fraction of the state that training drops, the same at all steps.", kw_only=True
    )


class Sized(fields.FieldLayer):
    """What recurrent layers whose states are vectors share. Abstract."""

    units: fields.Field[int, int] = fields.integer(doc="the size of the output and of each state.", fixed=True)
    implementation: fields.Field[int, int] = fields.choice(
        1, 2, default=2, doc="1: ``dropout`` draws for each gate, as ``recurrent_dropout`` does anyway.", kw_only=True
    )
    implementation.hidden = True


class Gated(Settings):
    """What recurrent layers with gates share. Abstract."""

    recurrent_activation: fields.ActivationField = fields.activation(default="sigmoid")


class Cell(Settings, Running):
    """One step of a recurrent layer: its weights, and what they make of an input and states. Abstract."""

    gates: ClassVar[int] = 1  # how many products of the input there are, and of the state
    states: ClassVar[int] = 1
    rank: ClassVar[int] = 0  # how many spatial axes outputs and states have
    option_names = {"recurrent_kernel": "recurrent"}

    kernel: Weight = fields.weight_state(init=False)
    recurrent_kernel: Weight = fields.weight_state(init=False)
    bias: Weight = fields.weight_state(init=False)

    def check_input(self, shape: Shape) -> None:
        """Raise where an input has another shape than the cell was built for."""
        raise NotImplementedError(f"{type(self).__name__} must write check_input(shape)")

    # One step

    def drawn(self, inputs: Tensor, state: Tensor, training: bool) -> Noise:
        """Return the noise of one run for inputs (B, I) and a state."""
        if not training or not (0 < self.dropout < 1 or 0 < self.recurrent_dropout < 1):
            return NO_NOISE
        given = (inputs, self.dropout, self.input_count()), (state, self.recurrent_dropout, self.gates)
        return Noise(*(
            kernels.dropout_factors(value, rate, count, self.generator()) if 0 < rate < 1 else None
            for value, rate, count in given
        ))  # fmt: skip

    def input_count(self) -> int:
        """Return how many factors of dropout an input has: one for each gate, or one for all."""
        return self.gates

    def project(self, inputs: Tensor, noise: Tensor | None) -> Tensor:
        """Return the products of inputs (B, …) for all gates."""
        raise NotImplementedError(f"{type(self).__name__} must write project(inputs, noise)")

    def project_all(self, sequences: Tensor, noise: Tensor | None) -> Tensor:
        """Return the products of all steps of inputs (B, T, …)."""
        return self.project(sequences, noise)

    def step(self, projected: Tensor, states: Sequence[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return output and states after one step, from the product of its input."""
        raise NotImplementedError(f"{type(self).__name__} must write step(projected, states, noise)")

    def call(self, inputs: Tensor, states: _tree.Nest, training: bool = False) -> tuple[Tensor, _tree.Nest]:
        """Return the output of one step, and the states after it."""
        specs = self.state_specs(None, runtime.precision() or self.compute_dtype)  # that of the layer that runs it
        given = [
            kernels.as_state(state, inputs, spec.shape[1:], spec.dtype)
            for state, spec in zip(_tree.leaves(states), specs, strict=True)
        ]
        noise = self.drawn(inputs, given[0], training)
        output, found = self.step(self.project(inputs, noise.inputs), given, noise.states)
        return output, found if _tree.is_nest(states) else found[0]

    def compute_output_spec(self, inputs: Tensor, states: _tree.Nest = None, training: bool | None = None) -> _tree.Nest:
        """Return the specs of the output and of the states."""
        if states is None:
            raise ArgumentError(
                "A cell computes one step, from the states of the step before.", expected="cell(inputs, states)",
                got="no states", repair="layers.RNN(cell)(sequences) begins with zeros and takes all steps",
            )  # fmt: skip
        batch = inputs.shape[0]
        self.check_input(inputs.shape)
        specs = self.state_specs(batch, self.compute_dtype)
        return self.output_spec(batch, self.compute_dtype), specs if _tree.is_nest(states) else specs[0]

    # All steps

    def run(self, sequences: Tensor, states: _tree.Nest, how: Run) -> tuple[Tensor, _tree.Nest]:
        """Return the outputs and the states after the last step; see :class:`Running`."""
        shape = runtime.shape_of(sequences)
        if shape is not None:
            self.check_input(shape)
        noise = self.drawn(sequences[:, 0], states[0], how.training)
        length = None if shape is None else shape[1]
        factors = None if noise.inputs is None else noise.inputs.unsqueeze(2)
        if not how.looped and noise.states is None and self.fuses() and (factors is None or self.input_count() == 1):
            return self.fused(sequences if factors is None else sequences * factors[0], states, how)
        projected = self.project_all(sequences, factors)
        return kernels.over_steps(
            lambda x, before: self.step(x, before, noise.states), projected, states, how.mask, length, every=how.every,
            rank=2 + self.rank,
        )  # fmt: skip

    def fuses(self) -> bool:
        """Return whether one function of torch's has the same arithmetic."""
        return False

    def fused(self, sequences: Tensor, states: list[Tensor], how: Run) -> tuple[Tensor, list[Tensor]]:
        """Return what ``run`` does, by that function."""
        raise NotImplementedError(f"{type(self).__name__} must write fused(sequences, states, how)")


class SizedCell(Cell, Sized):
    """One step of a recurrent layer whose states are vectors. Abstract."""

    @property
    def state_size(self) -> int | list[int]:
        """The size of the state, a list where there are several."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    def state_specs(self, batch: int | None, dtype: str) -> _tree.Nest:
        """Return shape and dtype of each state."""
        return [Spec((batch, self.units), dtype)] * self.states

    def build(self, input_shape: Shape) -> None:
        """Make kernel (I, gates · units), recurrent_kernel (units, gates · units) and bias."""
        size = input_shape[-1] if input_shape else None
        if size is None:
            raise ShapeError(
                "A recurrent layer needs to know the size of the last axis: its kernel has as many rows.",
                expected="(batch, steps, features) with features known", got=str(input_shape),
            )  # fmt: skip
        self.weight("kernel", (size, self.gates * self.units), axes=(1, 0))
        self.weight("recurrent_kernel", (self.units, self.gates * self.units), axes=(1, 0))
        if self.use_bias:
            self.weight("bias", self.bias_shape())

    def check_input(self, shape: Shape) -> None:
        """Raise where an input has other features than the kernel was made for."""
        if self.kernel is not None and shape[-1] not in (None, self.kernel.shape[0]):
            raise ShapeError(
                "The last axis has another size than the kernel was made for.", expected=f"(…, {self.kernel.shape[0]})",
                got=str(shape),
            )  # fmt: skip

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return (self.gates * self.units,)

    def input_count(self) -> int:
        """Return how many factors of dropout an input has: one for each gate, or one for all."""
        return self.gates if self.recurrent_dropout or self.implementation == 1 else 1

    def project(self, inputs: Tensor, noise: Tensor | None) -> Tensor:
        """Return inputs (B, I) or (B, T, I) · kernel + bias."""
        return kernels.gate_products(inputs, self.kernel, self.input_bias(), noise, self.input_count())

    def input_bias(self) -> Tensor | None:
        """Return the bias of the input's product."""
        return None if self.bias is None else self.bias.value

"""Dense layers over any axes, in Einstein's notation."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch import activations, initializers, runtime
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import Shape, Weight
from anabranch.graph.shapes import to_shape
from anabranch.layers import fields, low_rank, quantizable
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

_FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class Letters(NamedTuple):
    """An equation taken apart: the axes of input, kernel and output, and on which side ``...`` leaves out some."""

    inputs: str
    kernel: str
    outputs: str
    left: bool
    right: bool

    @property
    def contracted(self) -> str:
        """The axes summed over, where the equation is a matrix product over the last axes; else ""."""
        free = [letter for letter in self.inputs if letter not in self.kernel]
        count = len(free)
        summed, result = self.inputs[count:], self.outputs[count:]
        plain = list(self.inputs[:count]) == list(self.outputs[:count]) == free and not self.right
        once = len(set(self.inputs)) == len(self.inputs) and sorted(summed + result) == sorted(self.kernel)
        return summed if plain and once and result else ""

    @property
    def result(self) -> str:
        """The axes that take the place of those summed over."""
        return self.outputs[len(self.inputs) - len(self.contracted) :]


@functools.cache
def letters_of(equation: str) -> Letters:
    """Return the parts of an equation, or raise.

    >>> letters_of("...ab,bc->...ac")
    Letters(inputs='ab', kernel='bc', outputs='ac', left=True, right=False)
    """
    found = _FORM.fullmatch(equation.replace(" ", ""))
    if found is not None:
        left, inputs, right, kernel, after_left, outputs, after_right = found.groups()
        if (left, right) == (after_left, after_right) and not (left and right):
            return Letters(inputs, kernel, outputs, left is not None, right is not None)
    raise ArgumentError(
        "Unknown form of an equation.", expected="'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'", got=equation
    )


def _equation(value: object, owner: object, name: str) -> object:
    letters_of(str(value))
    return value


def _sizes(value: int | Sequence[int | None], owner: object, name: str) -> Shape:
    return to_shape((value,) if isinstance(value, int) else value, name)


class EinsumDense(quantizable.Quantizable):
    """Multiply by a kernel over any axes: activation(einsum(equation, x, kernel) + bias).

    Example:
        >>> from anabranch import Input
        >>> layer = EinsumDense("abc,cde->abde", output_shape=(None, 4, 8), bias_axes="de")
        >>> layer(Input((10, 32))).shape, layer.kernel.shape, layer.bias.shape
        ((None, 10, 4, 8), (32, 4, 8), (4, 8))
    """

    _rule_checks_values_ = True

    _takes_integers_ = False
    _takes_one_tensor_ = True

    equation: fields.Field[str, str] = fields.field(
        convert=_equation,
        fixed=True,
        doc='axes of input, kernel and output, such as "abc,cd->abd"; "..." means any others.',
    )
    output_shape: fields.Field[int | Sequence[int | None], Shape] = fields.field(
        convert=_sizes, plain=fields.listed, fixed=True,
        doc="the output's shape without the batch and the axes of ``...``; None where a size is the input's.",
    )  # fmt: skip
    activation: fields.ActivationField = fields.activation(default=None)
    bias_axes: fields.Field[str | None, str | None] = fields.field(
        default=None, fixed=True, doc="the axes of the output that the bias has; None: there is no bias."
    )
    kernel_initializer: fields.InitializerField = fields.initializer(default="glorot_uniform")
    bias_initializer: fields.InitializerField = fields.initializer(default="zeros")
    kernel_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    bias_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    kernel_constraint: fields.ConstraintField = fields.constraint(default=None)
    bias_constraint: fields.ConstraintField = fields.constraint(default=None)
    lora_rank: fields.Field[int | None, int | None] = low_rank.rank()
    lora_alpha: fields.Field[float | None, float | None] = low_rank.alpha()
    gptq_unpacked_column_size: fields.Field[None, None] = fields.absent(default=None, hidden=True)
    quantization_config: quantizable.ConfigField = quantizable.setting()
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)

    kernel: Weight = fields.weight_state(init=False)
    bias: Weight = fields.weight_state(init=False)
    lora_kernel_a: Weight = fields.weight_state(init=False)
    lora_kernel_b: Weight = fields.weight_state(init=False)
    if TYPE_CHECKING:  # there once the layer is quantized
        kernel_scale: Weight = fields.weight_state(init=False)
        kernel_zero: Weight = fields.weight_state(init=False)
        g_idx: Weight = fields.weight_state(init=False)

    @property
    def letters(self) -> Letters:
        """The parts of the equation."""
        return letters_of(self.equation)

    def _check_(self) -> None:
        super()._check_()
        if not isinstance(self.bias_axes, (str, NoneType)):
            raise ArgumentTypeError(
                "bias_axes must be a str or None.", expected="letters of the output's axes", got=shown(self.bias_axes),
                where=self._place_(),
            )  # fmt: skip
        letters = self.letters
        missing = sorted(set(letters.outputs) - set(letters.inputs + letters.kernel))
        loose = sorted(set(letters.kernel) - set(letters.inputs + letters.outputs))
        unknown = sorted(set(self.bias_axes or "") - set(letters.outputs))
        for axes, fact in (
            (missing, "of the output are neither the input's nor the kernel's"),
            (loose, "of the kernel are neither the input's nor the output's"),
            (unknown, "in bias_axes are not the output's"),
        ):
            if axes:
                raise ArgumentError(f"Axes {fact}.", got=f"{', '.join(axes)} in {self.equation!r}", where=self._place_())
        if len(self.output_shape) != len(letters.outputs) - (not letters.left):
            raise ArgumentError(
                "output_shape has a size for each axis of the output but the batch.",
                expected=f"{len(letters.outputs) - (not letters.left)} sizes for {self.equation!r}", got=str(self.output_shape),
                where=self._place_(),
            )  # fmt: skip

    @property
    def supports_masking(self) -> bool:  # type: ignore[override]  # follows from a setting
        """Whether a mask goes on: over the axes before those summed over."""
        return bool(self.letters.contracted)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        """Return the mask, None where it reaches an axis that is summed over."""
        reach = None if mask is None else runtime.mask_rank(mask)
        rank = len(self.letters.inputs)
        return None if reach is not None and not self.letters.left and reach > rank - len(self.letters.contracted) else mask

    def _makes_mask_(self) -> bool:
        """Return False: there is no mask where the input has none."""
        return False

    def build(self, input_shape: Shape) -> None:
        """Make the kernel, and the bias."""
        letters, sizes = self.letters, self.sizes_of(input_shape)
        kernel, matrix = letters.kernel, letters.contracted
        unknown = [letter for letter in kernel if sizes[letter] is None]
        if unknown:
            raise ShapeError(
                f"EinsumDense needs to know the size of axis {unknown[0]!r} in {self.equation!r}: it is one of its kernel.",
                got=f"input {input_shape}, output_shape={self.output_shape}",
            )
        shape = [sizes[letter] or 0 for letter in kernel]
        layout = tuple(tuple(map(kernel.index, axes)) for axes in (letters.result, matrix)) if matrix else None
        self.weight("kernel", shape, axes=layout, initializer=self._drawn(letters))
        if self.bias_axes:
            first = min(map(letters.outputs.index, self.bias_axes))
            rest = letters.outputs[first:]
            flat = rest == letters.result and set(rest) == set(self.bias_axes) and bool(matrix)
            ones = 0 if not letters.right else len(input_shape) - len(letters.inputs)
            found = [(sizes[letter] or 0) if letter in self.bias_axes else 1 for letter in rest] + [1] * ones
            self.weight("bias", found, axes=(tuple(range(len(rest))),) if flat and len(rest) > 1 else None)
        self._adapt_()

    def _drawn(self, letters: Letters) -> Callable[..., Any]:
        """Return the kernel's initializer, which knows the axes summed over: its fan-in."""
        drawn = self.kernel_initializer
        if not isinstance(drawn, initializers.VarianceScaling) or None not in (drawn.input_axes, drawn.output_axes):
            return drawn
        fans: dict[str, list[int]] = {"input_axes": [], "output_axes": []}
        for axis, letter in enumerate(letters.kernel):
            fans["output_axes" if letter in letters.outputs else "input_axes"].append(axis)
        return type(drawn).from_config(drawn.get_config() | fans)

    def sizes_of(self, input_shape: Shape) -> dict[str, int | None]:
        """Return the size of each axis of the equation, None where it is not known.

        Args:
            input_shape: the input's shape.

        Example:
            >>> EinsumDense("ab,bc->ac", 4).sizes_of((None, 3))
            {'a': None, 'b': 3, 'c': 4}
        """
        letters = self.letters
        count = len(letters.inputs)
        if len(input_shape) < count or (len(input_shape) > count and not (letters.left or letters.right)):
            raise ShapeError(
                f"{self.equation!r} names {count} axes of the input.", expected=f"a {count}-D input", got=str(input_shape)
            )
        named = input_shape[len(input_shape) - count :] if letters.left else input_shape[:count]
        sizes = dict(zip(letters.inputs, named, strict=True))
        outputs = self.output_shape if letters.left else (input_shape[0], *self.output_shape)
        for letter, size in zip(letters.outputs, outputs, strict=True):
            known = sizes.get(letter)
            if known is not None and size is not None and known != size:
                raise ShapeError(
                    f"Axis {letter!r} of {self.equation!r} has two sizes.", expected=f"{size}, as output_shape says",
                    got=f"{known} in {input_shape}",
                )  # fmt: skip
            sizes[letter] = size if known is None else known
        return sizes

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the axes that the equation names, in the place of the input's."""
        letters, sizes = self.letters, self.sizes_of(input_shape)
        if self.kernel is not None:
            made = dict(zip(letters.kernel, self._whole_shape_(), strict=True))
            for letter in letters.kernel:
                if sizes[letter] not in (None, made[letter]):
                    raise ShapeError(
                        f"Axis {letter!r} of {self.equation!r} has another size than the kernel was made for.",
                        expected=str(made[letter]), got=f"{sizes[letter]} in {input_shape}",
                    )  # fmt: skip
        others = len(input_shape) - len(letters.inputs)
        named = tuple(sizes[letter] for letter in letters.outputs)
        before = input_shape[:others] if letters.left else ()
        after = input_shape[len(input_shape) - others :] if letters.right else ()
        return activations.shape_after(self.activation, (*before, *named, *after))

    def call(self, inputs: Tensor) -> Tensor:
        """Multiply, sum, add the bias, apply the activation."""
        letters = self.letters
        shape = runtime.shape_of(inputs)
        if shape is not None and len(shape) != len(letters.inputs):
            self.sizes_of(shape)  # raises, unless other axes are left out
        return self.activation(self._through_(inputs, self._product_, self.bias))

    def _product_(self, inputs: Tensor, kernel: Weight | Tensor, bias: Weight | None) -> Tensor:
        letters = self.letters
        if not letters.contracted:
            return kernels.einsum(self.equation, inputs, kernel, bias)
        whole = self._whole_shape_()
        sizes = tuple(whole[letters.kernel.index(letter)] for letter in letters.result)
        apart = bias is not None and bias.shape != sizes
        product = kernels.linear_over(inputs, kernel, None if apart else bias, len(letters.contracted), sizes)
        return kernels.plus(product, bias) if apart else product

    @property
    def _rounding_axes_(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from a setting
        """The axes of inputs that are summed over."""
        letters = self.letters
        first = -len(letters.inputs) if letters.left else 0
        return tuple(first + axis for axis, letter in enumerate(letters.inputs) if letter not in letters.outputs)

    def _grid_(self, name: str) -> quantizable.Grid:
        letters, shape = self.letters, self._plain_[name].shape
        sizes = dict(zip(letters.kernel, shape, strict=True))
        summed = tuple(axis for axis, letter in enumerate(letters.kernel) if letter not in letters.outputs)
        free = tuple(letters.kernel.index(letter) for letter in letters.outputs if letter in letters.kernel)
        scales = tuple(sizes.get(letter, 1) for letter in letters.outputs)
        rows, columns = math.prod(shape[axis] for axis in summed), math.prod(shape[axis] for axis in free)
        return quantizable.Grid(shape, summed, (*free, *summed), scales, (rows, columns), 0, 1)

    def _check_quantizing_(self, mode: str, type_check: bool = True) -> None:
        super()._check_quantizing_(mode, type_check)
        if not self._rounding_axes_:
            raise ArgumentError(
                f"{self.equation!r} sums over no axis, so there is none that shares a scale.", got=f"mode={mode!r}",
                where=self._described_(),
            )  # fmt: skip

"""Layers whose matrix may be held in 8 or 4 bits: integers with scales, in the forms that Keras's files have.

Products are of floats that the integers stand for. So gradients reach what comes before as if nothing were rounded (Bengio et
al. 2013, straight through), what depends on weights alone is computed once where a program saves
constants, and LoRA adds to them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from anabranch import initializers, registry, runtime
from anabranch._arguments import checked
from anabranch._asked import is_from, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError
from anabranch.dtype_policies import SOURCE, Int4DTypePolicy, policy_named
from anabranch.graph import Weight
from anabranch.layers import fields, low_rank
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.config import DTypePolicy
    from anabranch.quantizers import QuantizationConfig, Quantizer
    from anabranch.runtime import Tensor

    Times = Callable[[Tensor, "Weight | Tensor", Weight | None], Tensor]
    ConfigField = fields.Field[QuantizationConfig | dict[str, object] | None, QuantizationConfig | None]

MODES = ("int8", "int4")
RANGES = {"int8": (-127, 127), "int4": (-8, 7)}
ELSEWHERE = {
    "float8": "torchao.float8.convert_to_float8_training(model.to_torch())",
    "gptq": 'quantize("int4"), which needs no data; or GPTQ of model.to_torch() by torchao or GPTQModel',
    "awq": 'quantize("int4"), which needs no data; or AWQ of model.to_torch() by torchao',
}
"""Modes of Keras's that are not there, and what does the same."""


class Grid(NamedTuple):
    """How the integers of one weight lie, and which of them share a scale."""

    shape: tuple[int, ...]  # of the floats
    summed: tuple[int, ...]  # its axes that share a scale
    order: tuple[int, ...]  # of its axes in 8-bit scales
    scales: tuple[int, ...]  # the shape of 8-bit scales
    matrix: tuple[int, int]  # the shape of 4-bit integers
    along: int  # the axis of the matrix that shares scales
    packed: int  # the axis of the matrix along which two integers share a byte


def grid_of(shape: tuple[int, ...], along: int, packed: int = 1) -> Grid:
    """Return the grid of a matrix.

    >>> grid_of((3, 4), 0).scales
    (4,)
    """
    return Grid(shape, (along,), (0, 1), (shape[1 - along],), (shape[0], shape[1]), along, packed)


def _config(value: object, owner: object, name: str) -> QuantizationConfig | None:
    if value is None:
        return None
    from anabranch.quantizers import QuantizationConfig

    found = registry.deserialize(value) if isinstance(value, Mapping) else value
    if not isinstance(found, QuantizationConfig):
        raise ArgumentTypeError(
            f"{name} of {type(owner).__name__} must be a QuantizationConfig or None.",
            expected="quantizers.Int8QuantizationConfig(), …", got=shown(value),
        )  # fmt: skip
    return found


def setting() -> Any:
    """Declare ``quantization_config``."""
    return fields.field(
        default=None, convert=_config, fixed=True, doc="the settings of the mode that ``dtype`` names; None: its defaults."
    )


class Quantizable(low_rank.LowRank):
    """A layer that may hold its matrix as integers. Abstract."""

    _writes_variables_ = False  # a layer does once it holds integers
    _quantizes_: ClassVar[tuple[str, ...]] = ("kernel",)  # the names of the weights that become integers
    _rounding_axes_: ClassVar[tuple[int, ...]] = (-1,)  # the axes of inputs that share a scale
    _plain_: ClassVar[Mapping[str, Weight]] = types.MappingProxyType({})  # what these were as floats, without values
    if TYPE_CHECKING:
        quantization_config = setting()  # a field of each subclass, at its place among the others
        activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)

    def _grid_(self, name: str) -> Grid:
        """Return the grid of a weight, of whose floats ``_plain_`` knows the shape."""
        return grid_of(self._plain_[name].shape, 0)

    def _check_(self) -> None:
        super()._check_()
        config = self.quantization_config
        if config is not None and config.mode != self.quantization_mode:
            raise ArgumentError(
                f"quantization_config of {type(self).__name__} is the settings of a mode that its dtype does not name.",
                expected=f"dtype={config.dtype_policy_string() + SOURCE + 'float32'!r}", got=repr(self.dtype_policy.name),
                repair="layer.quantize(config=…) of a layer that has weights",
            )  # fmt: skip

    def _take_quantized_(self, policy: DTypePolicy) -> None:
        mode = str(policy.quantization_mode)
        if mode not in MODES:
            raise self._mode_not_there_(mode)
        if self._quantized_as_ is not None and policy.name != self._quantized_as_.name:
            raise self._stays_quantized_(policy.name)
        if self._quantized_as_ is None and self.built:
            from anabranch.quantizers import Int4QuantizationConfig, Int8QuantizationConfig

            made: QuantizationConfig = Int8QuantizationConfig()
            if mode == "int4":
                made = Int4QuantizationConfig(block_size=policy.block_size if isinstance(policy, Int4DTypePolicy) else None)
            self.quantize(config=made, type_check=False)
        self._quantized_as_ = policy

    def _mode_not_there_(self, mode: str) -> ArgumentError:
        return ArgumentError(f"Mode {mode!r} is not there.", expected="'int8' or 'int4'", got=mode, repair=ELSEWHERE[mode])

    # What the mode and its settings say

    def _block_(self) -> int | None:
        """Return how many values share a scale and a zero point, None where all of an axis do."""
        from anabranch.quantizers import Int4QuantizationConfig

        config, policy = self.quantization_config, self._quantized_as_
        size = policy.block_size if isinstance(policy, Int4DTypePolicy) else None
        if isinstance(config, Int4QuantizationConfig):
            size = config.block_size
        return None if size in (None, -1) else size

    def _activation_quantizer_(self) -> Quantizer | None:
        """Return what makes integers of inputs, None where they stay floats."""
        if self.quantization_config is not None:
            found: Quantizer | None = self.quantization_config.activation_quantizer
            return found
        from anabranch.quantizers import AbsMaxQuantizer

        return AbsMaxQuantizer() if self.quantization_mode == "int8" else None

    # From floats to integers

    def _hold_integers_(self, name: str) -> None:
        """Let the weight ``name`` be integers with scales, of no values yet."""
        held = vars(self)
        was: Weight = held[f":{name}"]
        blank = Weight(was.name, was.shape, was.dtype, was.options, self._home_, runtime, was.axes)
        held["_plain_"] = {**self._plain_, name: blank}
        self._weights_ = tuple(weight for weight in self._weights_ if weight is not was)
        grid, size = self._grid_(name), self._block_()
        bytes_, scales, axes = grid.shape, grid.scales, was.axes
        if self.quantization_mode == "int4":
            count, others = grid.matrix[grid.along], grid.matrix[1 - grid.along]
            bytes_ = tuple((length + 1) // 2 if axis == grid.packed else length for axis, length in enumerate(grid.matrix))
            groups = None if size is None else (count + size - 1) // size
            scales = (others,) if groups is None else (groups, others) if grid.along == 0 else (others, groups)
            axes = None
        held[f":{name}"] = self.add_weight(bytes_, "zeros", "int8", trainable=False, name=name, axes=axes)
        self._hold_(f"{name}_scale", scales, "ones", self.dtype)
        if self.quantization_mode == "int4" and size is not None:
            self._hold_(f"{name}_zero", scales, "zeros", self._zero_dtype_(name))
            if name == self._adapts_:
                block = initializers.Constant([index // size for index in range(grid.matrix[grid.along])])
                self._hold_("g_idx", (grid.matrix[grid.along],), block, "float32")

    def _zero_dtype_(self, name: str) -> str:
        return "int8"

    def _hold_(self, name: str, shape: tuple[int, ...], initial: Any, dtype: str) -> None:
        vars(self)[name] = self.add_weight(shape, initial, dtype, trainable=False, autocast=False, name=name)

    def _integers_(self, name: str, values: Tensor) -> dict[str, Tensor]:
        """Return the values of a weight, given as floats in Keras's order, as integers with scales, by name."""
        grid, size, mode = self._grid_(name), self._block_(), str(self.quantization_mode)
        if mode == "int4" and size is not None:
            flat = values.reshape(grid.matrix)
            turned = flat.T if grid.along else flat
            found = kernels.quantized_in_blocks(turned, size, RANGES[mode], "int8", EPSILON)
            integers, scale, zero = (each.T if grid.along else each for each in found)
            parts = {f"{name}_scale": scale, f"{name}_zero": zero}
        else:
            axes = grid.summed if mode == "int8" else (grid.along,)
            source = values if mode == "int8" else values.reshape(grid.matrix)
            integers, scale = self._weight_quantizer_(source, axes)
            parts = {f"{name}_scale": scale.permute(grid.order).reshape(grid.scales) if mode == "int8" else scale.flatten()}
        return {name: kernels.packed(integers, grid.packed, "int8") if mode == "int4" else integers, **parts}

    def _weight_quantizer_(self, values: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        given = None if self.quantization_config is None else self.quantization_config.weight_quantizer
        if given is None:
            return kernels.quantized(values, axes, RANGES[str(self.quantization_mode)], "int8", EPSILON)
        from anabranch.quantizers import AbsMaxQuantizer

        anywhere = isinstance(given, AbsMaxQuantizer) and given.axis is None
        integers, scale = given(values, axis=axes) if anywhere else given(values)  # type: ignore[call-arg]  # checked before
        wanted = tuple(1 if axis in axes else size for axis, size in enumerate(values.shape))
        if tuple(scale.shape) != wanted:
            raise ShapeError(
                f"weight_quantizer gives scales of another shape than {self._described_()} has.", expected=str(wanted),
                got=str(tuple(scale.shape)), repair=f"AbsMaxQuantizer(axis={axes if len(axes) > 1 else axes[0]})",
            )  # fmt: skip
        return integers, scale

    @checked
    def quantize(
        self, mode: str | None = None, config: QuantizationConfig | str | None = None, type_check: bool = True
    ) -> None:
        """Hold the matrix as 8- or 4-bit integers with scales from now on; its floats are gone.

        The results stay near what they were, and the weights take a quarter of the memory, or an eighth.

        Args:
            mode: ``"int8"`` or ``"int4"``; None: that of ``config``.
            config: the settings of the mode; None: its defaults.
            type_check: whether a class of your own that inherits from this one is refused, as its ``call`` may read the floats.

        Raises:
            NotReadyError: the layer has no weights yet.
            ArgumentError: they are integers already, or the mode is not there.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(4)
            >>> layer.build((None, 16))
            >>> layer.quantize("int8")
            >>> layer.dtype_policy.name, layer.kernel.dtype, layer.kernel_scale.shape
            ('int8_from_float32', 'int8', (4,))
        """
        from anabranch.quantizers.configs import resolved

        found = resolved(mode, config)
        self._check_quantizing_(found.mode, type_check)
        values = {name: _values(vars(self)[f":{name}"]) for name in self._held_floats_()}
        before = dict(vars(self))
        self._quantized_as_ = policy_named(f"{found.dtype_policy_string()}{SOURCE}{self.dtype_policy.name}")
        vars(self).update({":quantization_config": found, "_writes_variables_": True})
        try:
            for name, value in values.items():
                self._hold_integers_(name)
                self._assign_(self._integers_(name, value))
        except BaseException:  # of a quantizer of the user's
            vars(self).clear()
            vars(self).update(before)
            raise
        self._note_change_()

    def _check_quantizing_(self, mode: str, type_check: bool = True) -> None:
        """Raise where the layer cannot be quantized."""
        if mode not in MODES:
            raise self._mode_not_there_(mode).at(self._described_())
        if not isinstance(vars(self).get(f":{self._adapts_}"), Weight):
            raise NotReadyError(
                f"{self._described_()} has no {self._adapts_} yet, which would become integers.",
                repair="layer.build(input_shape) first",
            )
        if self.quantization_mode is not None:
            raise ArgumentError(f"{self._described_()} is quantized already.", got=f"{mode!r} of {self.dtype_policy.name!r}")
        if type_check and not is_from(type(self), "anabranch"):
            raise ArgumentError(
                f"{type(self).__name__} is a class of its own, whose call may read the floats.", got=f"mode={mode!r}",
                where=self._described_(), repair="type_check=False where it leaves the product to the layer's own call",
            )  # fmt: skip
        if mode == "int8" and self.compute_dtype == "float16":
            policy_named(f"{mode}{SOURCE}{self.dtype_policy.name}")  # which raises

    def _held_floats_(self) -> list[str]:
        return [name for name in self._quantizes_ if isinstance(vars(self).get(f":{name}"), Weight)]

    def _assign_(self, parts: Mapping[str, Any]) -> None:
        for name, value in parts.items():
            self._part_(name).assign(value)

    def _part_(self, name: str) -> Weight:
        found: Weight = vars(self)[f":{name}" if name in self._quantizes_ else name]
        return found

    # From integers to floats

    def _floats_(self, name: str) -> Tensor:
        """Return the floats that the integers of a weight stand for, in Keras's order."""
        grid, held = self._grid_(name), vars(self)
        integers, scale = runtime.shown(held[f":{name}"]), runtime.shown(held[f"{name}_scale"])
        if self.quantization_mode == "int8":
            sizes = [1 if axis in grid.summed else grid.shape[axis] for axis in grid.order]
            back = [grid.order.index(axis) for axis in range(len(sizes))]
            found = integers / scale.reshape(sizes).permute(back)
        else:
            x = kernels.unpacked(integers, grid.matrix[grid.packed], grid.packed, "int8")
            if self._block_() is None:
                found = x / scale.unsqueeze(grid.along)
            else:
                zero, block = runtime.shown(held[f"{name}_zero"]), runtime.shown(held["g_idx"])
                found = kernels.from_blocks(x, scale, zero, block, grid.along)
            found = found.reshape(grid.shape)
        return kernels.cast(found, self.compute_dtype)

    def _native_(self, name: str, values: Tensor) -> Tensor:
        return self._plain_[name].to_native(values)

    def _added_(self) -> Tensor | None:
        """Return what LoRA adds, in Keras's order; None without LoRA."""
        pair = self._pair_()
        return kernels.cast(self._scale_() * (pair[0] @ pair[1]), self.compute_dtype) if pair else None

    def _adapted_(self, kernel: Weight) -> Weight | Tensor:
        if self.quantization_mode is None:
            return super()._adapted_(kernel)
        whole, added = self._floats_(self._adapts_), self._added_()
        return self._native_(self._adapts_, whole if added is None else whole + added)

    def _through_(self, inputs: Tensor, times: Times, bias: Weight | None) -> Tensor:
        """Return the product of inputs and kernel, plus the bias; inputs that become integers meet LoRA as they were."""
        name = self._adapts_
        kernel: Weight = vars(self)[f":{name}"]
        rounds = self.quantization_mode is not None and self._activation_quantizer_() is not None
        if not rounds:
            return times(inputs, self._adapted_(kernel), bias)
        product = times(self._rounded_(inputs), self._native_(name, self._floats_(name)), bias)
        added = self._added_()
        return product if added is None else product + times(inputs, self._native_(name, added), None)

    def _rounded_(self, inputs: Tensor) -> Tensor:
        """Return what inputs are as integers times a scale, with the gradient of inputs."""
        quantizer = self._activation_quantizer_()
        if quantizer is None:
            return inputs
        integers, scale = quantizer(inputs, axis=self._rounding_axes_)  # type: ignore[call-arg]  # as Keras's are called
        return kernels.passed(kernels.cast(integers / scale, self.compute_dtype), inputs)

    # LoRA and files

    def _whole_shape_(self) -> tuple[int, ...]:
        found = self._plain_.get(self._adapts_)
        return super()._whole_shape_() if found is None else found.shape

    def _adapt_(self) -> None:
        if self.quantization_mode is not None:
            self._hold_integers_(self._adapts_)
            vars(self)["_writes_variables_"] = True
        super()._adapt_()

    def _merge_lora_(self) -> None:
        if self.quantization_mode is None:
            super()._merge_lora_()
            return
        merged = self._merged_parts_()
        self._drop_pair_()
        self._assign_(merged)
        vars(self)["_writes_variables_"] = True
        self._note_change_()

    def _merged_parts_(self) -> dict[str, Tensor]:
        """Return the matrix with what LoRA adds as integers and scales, nothing without LoRA."""
        added = self._added_()
        if added is None:
            return {}
        name = self._adapts_
        return self._integers_(name, (self._floats_(name) + added).detach())

    def _file_names_(self) -> Iterable[str]:
        """Return the names of the weights that may be there, in the order of files."""
        name = self._adapts_
        return (name, "bias", f"{name}_scale", f"{name}_zero", "g_idx")

    def _in_files_(self) -> list[Weight]:
        if self.quantization_mode is None:
            return super()._in_files_()
        held = {weight.name: weight for weight in self._own_weights_()}
        return [held[name] for name in self._file_names_() if name in held]

    def save_own_variables(self, store: MutableMapping[str, object]) -> None:
        """Put the layer's weights into ``store``, the matrix with what LoRA adds to it, as Keras does."""
        if self.quantization_mode is None:
            super().save_own_variables(store)
            return
        merged = self._merged_parts_()
        for index, weight in enumerate(self._in_files_()):
            store[str(index)] = merged[weight.name].cpu().numpy() if weight.name in merged else weight.numpy()

    def load_own_variables(self, store: Mapping[str, object]) -> None:
        """Take the layer's weights from ``store``; what LoRA adds is nothing then, and trained from there on."""
        if self.quantization_mode is None:
            super().load_own_variables(store)
        else:
            self._take_files_(store)


EPSILON = 1e-7  # Keras's, whatever ``config.epsilon()`` says


def _values(weight: Weight) -> Tensor:
    return runtime.shown(weight).detach()

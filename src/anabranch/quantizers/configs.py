"""What ``quantize`` is given: a mode and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from anabranch import registry
from anabranch._arguments import checked
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, MissingMethodError, unknown
from anabranch._fields import Field, boolean, choice, field, integer, number
from anabranch.quantizers.quantizer import AbsMaxQuantizer, Quantizer, Quantizing

if TYPE_CHECKING:
    from typing import TypeAlias

    QuantizerField: TypeAlias = "Field[Quantizer | dict[str, object] | str | None, Quantizer | None]"


def _quantizer(value: object, owner: object, name: str) -> Quantizer | None:
    found = registry.deserialize(value) if isinstance(value, Mapping) else value
    if found is not None and not isinstance(found, Quantizer):
        raise ArgumentTypeError(f"{name} must be a Quantizer or None.", expected="AbsMaxQuantizer(axis=-1)", got=shown(value))
    return found


def _or_default(value: object, owner: object, name: str) -> Quantizer | None:
    return AbsMaxQuantizer() if isinstance(value, str) and value == "default" else _quantizer(value, owner, name)


def _or_none(value: object, owner: object, name: str) -> Quantizer | None:
    return None if isinstance(value, str) and value == "default" else _quantizer(value, owner, name)


WEIGHT_DOC = "makes integers of weights; None: those of the mode."


class QuantizationConfig(Quantizing):
    """Base of what ``quantize`` is given; a subclass says its ``mode``.

    Example:
        >>> Int8QuantizationConfig().mode
        'int8'
    """

    weight_quantizer: QuantizerField = field(default=None, convert=_quantizer, doc=WEIGHT_DOC)
    activation_quantizer: QuantizerField = field(
        default=None, convert=_quantizer, doc="makes integers of a layer's inputs; None: they stay floats."
    )

    @property
    def mode(self) -> str:
        """How weights are quantized: "int8", "int4", …"""
        raise MissingMethodError(f"{type(self).__name__} must say its mode.", repair="Int8QuantizationConfig(…)")

    def dtype_policy_string(self) -> str:
        """Return what the name of a quantized layer's policy begins with.

        Example:
            >>> Int4QuantizationConfig().dtype_policy_string()
            'int4/128'
        """
        return self.mode


class Int8QuantizationConfig(QuantizationConfig):
    """Hold weights as 8-bit integers, with a scale for each output.

    Example:
        >>> Int8QuantizationConfig().activation_quantizer
        AbsMaxQuantizer()
    """

    activation_quantizer: QuantizerField = field(
        default="default", convert=_or_default, fresh=True,
        doc='makes integers of a layer\'s inputs; "default": AbsMaxQuantizer(); None: they stay floats.',
    )  # fmt: skip
    _field_order_ = ("weight_quantizer", "activation_quantizer")

    @property
    def mode(self) -> str:
        """How weights are quantized."""
        return "int8"

    def _check_(self) -> None:
        _check_weights(self, None)


class Int4QuantizationConfig(QuantizationConfig):
    """Hold weights as 4-bit integers, two in a byte, with a scale and a zero point for each block of inputs.

    Example:
        >>> Int4QuantizationConfig(block_size=64).block_size
        64
    """

    activation_quantizer: QuantizerField = field(
        default="default", convert=_or_none, doc='makes integers of a layer\'s inputs; "default", None: they stay floats.'
    )
    block_size: Field[int | None, int | None] = integer(
        default=128, least=-1, optional=True, doc="how many inputs share a scale; None or -1: all, without a zero point."
    )
    _field_order_ = ("weight_quantizer", "activation_quantizer", "block_size")

    @property
    def mode(self) -> str:
        """How weights are quantized."""
        return "int4"

    def _check_(self) -> None:
        if self.block_size == 0:
            raise ArgumentError("block_size of Int4QuantizationConfig must be None, -1 or positive.", got="0")
        if (self.block_size or -1) > 0 and (self.weight_quantizer or self.activation_quantizer):
            raise ArgumentError(
                "Blocks of inputs have a quantizer of their own.", got=f"block_size={self.block_size}, and a quantizer",
                repair="block_size=None, or no quantizers",
            )  # fmt: skip
        _check_weights(self, (-8, 7))

    def dtype_policy_string(self) -> str:
        """Return what the name of a quantized layer's policy begins with.

        Example:
            >>> Int4QuantizationConfig(block_size=None).dtype_policy_string()
            'int4/-1'
        """
        return f"int4/{-1 if self.block_size is None else self.block_size}"

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from what ``get_config`` returned; without ``block_size``, as older files are, there are no blocks.

        Args:
            config: the settings as JSON.

        Example:
            >>> Int4QuantizationConfig.from_config({}).block_size is None
            True
        """
        return cls(**{"block_size": None, **config})


def _check_weights(config: QuantizationConfig, limits: tuple[int, int] | None) -> None:
    """Raise where a quantizer of weights makes other integers than the mode holds."""
    given = config.weight_quantizer
    if given is None:
        return
    fits = limits is None or (isinstance(given, AbsMaxQuantizer) and given.value_range == limits)
    if given.output_dtype != "int8" or not fits:
        wanted = "int8" + (f" within {limits}" if limits else "")
        raise ArgumentError(
            f"weight_quantizer of {type(config).__name__} makes other integers than it holds.", expected=wanted, got=repr(given)
        )


class Float8QuantizationConfig(QuantizationConfig):
    """Round the factors of products to float8; it has no settings.

    Example:
        >>> Float8QuantizationConfig().mode
        'float8'
    """

    weight_quantizer = None  # type: ignore[assignment]  # no setting of this mode
    activation_quantizer = None  # type: ignore[assignment]

    @property
    def mode(self) -> str:
        """How weights are quantized."""
        return "float8"


MODES: dict[str, type[QuantizationConfig] | None] = {
    "int8": Int8QuantizationConfig, "int4": Int4QuantizationConfig, "float8": Float8QuantizationConfig,
    "gptq": None, "awq": None,
}  # fmt: skip
"""The modes, and what describes each by default; None: nothing does."""


def resolved(mode: object, config: object) -> QuantizationConfig:
    """Return what ``quantize`` was asked for by a mode, a config, or both."""
    mode, config = (config, None) if mode is None and isinstance(config, str) else (mode, config)
    if isinstance(mode, QuantizationConfig) and config is None:
        mode, config = None, mode
    if config is not None and not isinstance(config, QuantizationConfig):
        raise ArgumentTypeError(
            "config of quantize must be a QuantizationConfig.",
            expected="quantizers.Int8QuantizationConfig(), …",
            got=shown(config),
        )
    if mode is None and config is None:
        raise ArgumentError("quantize needs a mode or a config.", expected='quantize("int8")', got="neither")
    if mode is not None and (not isinstance(mode, str) or mode not in MODES):
        raise (
            unknown("mode of quantize", mode, MODES)
            if isinstance(mode, str)
            else ArgumentTypeError("mode of quantize must be a string.", expected=", ".join(map(repr, MODES)), got=shown(mode))
        )
    if config is None:
        made = MODES[str(mode)]
        if made is None:
            raise ArgumentError(
                f"Mode {mode!r} needs a config.", expected=f"quantizers.{str(mode).upper()}Config(…)", got="None"
            )
        return made()
    if mode not in (None, config.mode):
        raise ArgumentError("mode and config of quantize differ.", got=f"mode={mode!r}, and {config!r}")
    return config


DATASET_DOC = "texts, or arrays of tokens, that the model is calibrated with."


def _once(value: object) -> None:
    """Return None: data for calibration are used once and are not saved."""


def _group(value: object, owner: object, name: str) -> int:
    if not is_integer(value) or value < -1 or value == 0:
        raise ArgumentError(f"{name} of {type(owner).__name__} must be a positive integer, or -1: one group.", got=shown(value))
    return int(value)


class GPTQConfig(QuantizationConfig):
    """Describe GPTQ (Frantar et al. 2022): weights in few bits, each error made up for by the weights that follow.

    Example:
        >>> GPTQConfig(None, None, weight_bits=8).dtype_policy_string()
        'gptq/8/128'
    """

    weight_quantizer = None  # type: ignore[assignment]  # no setting of this mode
    activation_quantizer = None  # type: ignore[assignment]

    dataset: Field[object, object] = field(plain=_once, kw_only=True, doc=DATASET_DOC)
    tokenizer: Field[object, object] = field(
        plain=_once, kw_only=True, doc="makes tokens of texts; None: the dataset has tokens."
    )
    weight_bits: Field[int, int] = choice(2, 3, 4, 8, default=4, doc="the bits of a weight: 2, 3, 4 or 8.")
    num_samples: Field[int, int] = integer(default=128, doc="how many samples of the dataset are used.")
    per_channel: Field[bool, bool] = boolean(default=True, doc="whether each output has scales of its own.")
    sequence_length: Field[int, int] = integer(default=512, doc="how many tokens a sample has.")
    hessian_damping: Field[float, float] = number(
        default=0.01, least=0, most=1, doc="added to the Hessian's diagonal, as a fraction of its mean."
    )
    group_size: Field[int, int] = field(default=128, convert=_group, doc="how many inputs share a scale; -1: all of them.")
    symmetric: Field[bool, bool] = boolean(default=False, doc="whether the range of integers has 0 at its center.")
    activation_order: Field[bool, bool] = boolean(
        default=False, doc="whether weights of great activations are quantized first."
    )
    quantization_layer_structure: Field[dict[str, object] | None, dict[str, object] | None] = field(
        default=None, doc='"pre_block_layers" and "sequential_blocks"; None: the model says.'
    )

    @property
    def mode(self) -> str:
        """How weights are quantized."""
        return "gptq"

    def dtype_policy_string(self) -> str:
        """Return what the name of a quantized layer's policy begins with.

        Example:
            >>> GPTQConfig(None, None).dtype_policy_string()
            'gptq/4/128'
        """
        return f"gptq/{self.weight_bits}/{self.group_size}"


class AWQConfig(QuantizationConfig):
    """Describe AWQ (Lin et al. 2023): 4-bit weights, scaled before by the size of the activations that they meet.

    Example:
        >>> AWQConfig(None, None, group_size=64).dtype_policy_string()
        'awq/4/64'
    """

    weight_quantizer = None  # type: ignore[assignment]  # no setting of this mode
    activation_quantizer = None  # type: ignore[assignment]

    dataset: Field[object, object] = field(plain=_once, kw_only=True, doc=DATASET_DOC)
    tokenizer: Field[object, object] = field(
        plain=_once, kw_only=True, doc="makes tokens of texts; None: the dataset has tokens."
    )
    weight_bits: Field[int, int] = choice(4, default=4, doc="the bits of a weight: 4.")
    num_samples: Field[int, int] = integer(default=128, doc="how many samples of the dataset are used.")
    sequence_length: Field[int, int] = integer(default=512, doc="how many tokens a sample has.")
    group_size: Field[int, int] = field(default=128, convert=_group, doc="how many inputs share a scale; -1: all of them.")
    num_grid_points: Field[int, int] = integer(default=20, doc="how many scales are tried.")
    quantization_layer_structure: Field[dict[str, object] | None, dict[str, object] | None] = field(
        default=None, doc='"pre_block_layers" and "sequential_blocks"; None: the model says.'
    )

    @property
    def mode(self) -> str:
        """How weights are quantized."""
        return "awq"

    def dtype_policy_string(self) -> str:
        """Return what the name of a quantized layer's policy begins with.

        Example:
            >>> AWQConfig(None, None).dtype_policy_string()
            'awq/4/128'
        """
        return f"awq/{self.weight_bits}/{self.group_size}"

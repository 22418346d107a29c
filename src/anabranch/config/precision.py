"""The default float type, the precision of layers, TF32, and the number that keeps divisions finite."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from anabranch import _process
from anabranch._asked import dtype_by_name, is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch._frames import bound_methods, bounded

FloatType = Literal["float16", "bfloat16", "float32", "float64"]

FLOATS = ("float16", "bfloat16", "float32", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
INTEGERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DATA = (*FLOATS, *INTEGERS, "string")  # that inputs may be of


@bound_methods
class DTypePolicy:
    """Name a float type to compute in and one for weights.

    ``"float32"``, ``"float64"``, … use one type for both. ``"mixed_bfloat16"`` and ``"mixed_float16"`` compute in 16 bits and
    hold weights, and so their updates, in float32 (Micikevicius et al. 2018).

    Args:
        name: a float type, or one of the mixed policies; None: that of the process's policy.

    Raises:
        UnknownNameError: there is no such policy.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    settings: ClassVar[frozenset[str]] = frozenset(("name",))  # the constructor's arguments
    quantization_mode: str | None = None  # how weights are quantized
    name: str

    def __init__(self, name: str | None = None) -> None:
        name = dtype_by_name((_policy or _plain_policy).name if name is None else name)
        if not isinstance(name, str):
            raise ArgumentTypeError(
                "A precision policy's name must be a string.", expected="e.g. 'mixed_bfloat16'", got=repr(name)
            )
        if name not in MIXED and name not in DATA:
            raise unknown("precision policy", name, (*FLOATS, *MIXED))
        self.name = name

    @property
    def compute_dtype(self) -> str:
        """The type that layers compute in and return."""
        return MIXED.get(self.name, self.name)

    @property
    def variable_dtype(self) -> str:
        """The type of weights."""
        return "float32" if self.name in MIXED else self.name

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        Example:
            >>> DTypePolicy("float32").get_config()
            {'name': 'float32'}
        """
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """Make a policy from what ``get_config`` returned.

        Args:
            config: the constructor's arguments.

        Example:
            >>> DTypePolicy.from_config({"name": "float32"})
            <DTypePolicy "float32">
        """
        if not isinstance(config, dict) or not set(config) <= cls.settings:
            raise ArgumentTypeError(f"A policy's config is a dict of {', '.join(sorted(cls.settings))}.", got=shown(config))
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, DTypePolicy) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


_plain_policy = DTypePolicy("float32")  # of the default float type, for both
_policy: DTypePolicy | None = None
_tf32: bool | None = None
_epsilon = 1e-7


def floatx() -> str:
    """Return the default float type: ``float32`` unless set.

    Example:
        >>> floatx()
        'float32'
    """
    return _process.floatx()  # type: ignore[return-value]  # a float type


@bounded
def set_floatx(value: FloatType) -> None:
    """Set the default float type.

    Args:
        value: one of float16, bfloat16, float32, float64.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_floatx("float64")
        >>> floatx()
        'float64'
        >>> set_floatx("float32")
    """
    global _plain_policy
    name = dtype_by_name(value)
    if not isinstance(name, str) or name not in FLOATS:
        raise ArgumentError("Unknown float type.", expected=f"one of {', '.join(FLOATS)}", got=shown(value))
    _plain_policy = DTypePolicy(name)
    _process.set_floatx(name)


def dtype_policy() -> DTypePolicy:
    """Return the precision policy of layers without one of their own; ``floatx`` for both types unless set.

    Example:
        >>> dtype_policy().compute_dtype
        'float32'
    """
    return _policy or _plain_policy


@bounded
def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the precision policy of layers made from now on.

    Args:
        policy: a name such as ``"mixed_bfloat16"``, or a policy.

    Raises:
        ArgumentError: there is no such policy.
        ArgumentTypeError: neither a name nor a policy.

    Example:
        >>> set_dtype_policy("mixed_bfloat16")
        >>> dtype_policy().compute_dtype, dtype_policy().variable_dtype
        ('bfloat16', 'float32')
        >>> set_dtype_policy("float32")
    """
    global _policy
    name = policy.name if isinstance(policy, DTypePolicy) else str(policy)
    if "_from_" in name or (isinstance(policy, DTypePolicy) and policy.quantization_mode is not None):
        raise ArgumentError(
            "The policy of all layers cannot quantize, as most have nothing to quantize.", expected="a policy without a mode",
            got=name, repair="dtype= of a layer, or model.quantize(mode)",
        )  # fmt: skip
    _policy = policy if isinstance(policy, DTypePolicy) else DTypePolicy(policy)


def tf32() -> bool | None:
    """Return whether CUDA may round the factors of float32 products to 10 bits; None, the default, leaves it to torch.

    Example:
        >>> tf32() is None
        True
    """
    return _tf32


@bounded
def set_tf32(allowed: bool | None) -> None:
    """Allow or forbid TF32 in products and convolutions of float32 on CUDA: several times faster, errors near 1e-3.

    Args:
        allowed: None leaves it to torch, which allows it for convolutions and not for matrix products. A CPU has no TF32.

    Raises:
        ArgumentTypeError: another value.

    Example:
        >>> set_tf32(True)
        >>> tf32()
        True
        >>> set_tf32(None)
    """
    global _tf32
    if allowed is not None and not isinstance(allowed, bool):
        raise ArgumentTypeError("allowed must be True, False or None.", got=repr(allowed))
    _tf32 = allowed
    _process.note_change()


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite: 1e-7 unless set.

    Example:
        >>> epsilon()
        1e-07
    """
    return _epsilon


@bounded
def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite.

    Args:
        value: a finite number > 0.

    Raises:
        ArgumentError: another number.

    Example:
        >>> set_epsilon(1e-5)
        >>> epsilon()
        1e-05
        >>> set_epsilon(1e-7)
    """
    global _epsilon
    if not is_number(value) or not 0 < float(value) < math.inf:
        raise ArgumentError("epsilon must be a finite number > 0.", got=shown(value))
    _epsilon = float(value)

"""Precision policies: which float type a layer computes in, and which its weights have."""

from __future__ import annotations

from typing import Any

from anabranch._errors import ArgumentTypeError, unknown

FLOATS = ("float16", "bfloat16", "float32", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_INTEGERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


class DTypePolicy:
    """Name a float type to compute in and one for weights.

    ``"float32"``, ``"float64"``, … use one type for both. ``"mixed_bfloat16"`` and ``"mixed_float16"`` compute in 16 bits and
    hold weights, and so their updates, in float32 (Micikevicius et al. 2018).

    Args:
        name: a float type, or one of the mixed policies.

    Raises:
        UnknownNameError: there is no such policy.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(
                "A precision policy's name must be a string.", expected="e.g. 'mixed_bfloat16'", got=repr(name)
            )
        if name not in MIXED and name not in FLOATS and name not in _INTEGERS:
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

    @property
    def quantization_mode(self) -> None:
        """None: quantized policies are not supported."""

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
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'

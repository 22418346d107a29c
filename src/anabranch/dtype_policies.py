"""Precision policies by name and by object, as in ``keras.dtype_policies``; those that quantize weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any, ClassVar

from anabranch import registry
from anabranch._asked import dtype_by_name, is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bound_methods
from anabranch.config import DTypePolicy, dtype_policy as _current
from anabranch.config.precision import DATA, MIXED
from anabranch.registry import Json, Registry, finder, writer

FloatDTypePolicy = DTypePolicy

__all__ = [
    "AWQDTypePolicy", "DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "GPTQDTypePolicy", "Int4DTypePolicy",
    "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "deserialize", "get", "serialize",
]  # fmt: skip
__dir__ = __all__.copy

QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")
SOURCE = "_from_"  # between the mode of a quantized policy's name and the policy that it began as


@bound_methods
class QuantizedDTypePolicy(DTypePolicy):
    """Name how weights are quantized, and the policy whose types the rest has.

    Args:
        mode: ``"int8"``, ``"int4"`` (one scale for each output) or ``"float8"``.
        source_name: the name of the other policy; None: that of the process's policy.

    Raises:
        ArgumentError: the mode is unknown, or does not go with the type that is computed in.

    Example:
        >>> policy = QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.quantization_mode, policy.compute_dtype
        ('int8_from_mixed_bfloat16', 'int8', 'bfloat16')
    """

    settings = frozenset(("mode", "source_name"))
    modes: ClassVar[tuple[str, ...]] = QUANTIZATION_MODES
    numbers: ClassVar[tuple[str, ...]] = ()  # what integers follow the mode, each after a slash
    bits: ClassVar[tuple[int, ...]] = ()  # what ``weight_bits`` may be

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        self.source = DTypePolicy(source_name)
        base, *given = mode.split("/") if isinstance(mode, str) else (mode,)
        form = "/".join([self.modes[0], *(f"<{name}>" for name in self.numbers)])
        wanted = f"{form!r}" if self.numbers else f"one of: {', '.join(self.modes)}"
        if not isinstance(base, str):
            raise ArgumentTypeError("A quantization mode is a string.", expected=wanted, got=shown(mode))
        fits = len(given) == len(self.numbers) and all(re.fullmatch(r"-?\d+", number) for number in given)
        if base not in self.modes or not fits:
            raise ArgumentError("Unknown quantization mode.", expected=wanted, got=repr(mode))
        found = dict(zip(self.numbers, map(int, given), strict=True))
        self._check(found, mode)
        if base == "int8" and self.source.compute_dtype == "float16":
            raise ArgumentError(
                "int8 does not go with float16, which cannot hold sums of products of 8-bit integers.", got=self.source.name,
                repair="mixed_bfloat16, or float32",
            )  # fmt: skip
        vars(self).update(found)
        self.mode = mode
        self.name = f"{mode}{SOURCE}{self.source.name}"
        self.quantization_mode = base

    def _check(self, numbers: dict[str, int], mode: str) -> None:
        """Raise where a number of the mode is none that there is."""
        for name, number in numbers.items():
            known = self.bits if name == "weight_bits" else None
            if number not in known if known else number < -1 or number == 0:
                expected = ", ".join(map(str, known)) if known else "a positive integer, or -1: one for each output"
                raise ArgumentError(f"Wrong {name} in a quantization mode.", expected=expected, got=repr(mode))

    @property
    def compute_dtype(self) -> str:
        """The type that layers compute in and return."""
        return self.source.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type of weights that are not quantized."""
        return self.source.variable_dtype

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        Example:
            >>> QuantizedDTypePolicy("int8", "float32").get_config()
            {'mode': 'int8', 'source_name': 'float32'}
        """
        return {"mode": self.mode, "source_name": self.source.name}


@bound_methods
class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Name float8 for the factors of products, with scales by the greatest values of the last steps (Micikevicius et al. 2022).

    Args:
        mode: ``"float8"``.
        source_name: the policy whose types the rest has; None: that of the process.
        amax_history_length: how many steps are remembered.

    Example:
        >>> QuantizedFloat8DTypePolicy("float8", "float32", amax_history_length=16).amax_history_length
        16
    """

    settings = frozenset(("mode", "source_name", "amax_history_length"))
    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024) -> None:
        super().__init__(mode, source_name)
        if not is_integer(amax_history_length) or amax_history_length < 1:
            raise ArgumentTypeError("amax_history_length must be an integer ≥ 1.", got=shown(amax_history_length))
        self.amax_history_length = int(amax_history_length)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        Example:
            >>> QuantizedFloat8DTypePolicy("float8", "float32").get_config()["amax_history_length"]
            1024
        """
        return super().get_config() | {"amax_history_length": self.amax_history_length}


class Int4DTypePolicy(QuantizedDTypePolicy):
    """Name 4-bit integers with a scale and a zero point for each block of inputs.

    Args:
        mode: ``"int4/<block_size>"``; -1: one scale for each output, without zero points.
        source_name: the policy whose types the rest has; None: that of the process.

    Example:
        >>> Int4DTypePolicy("int4/128", "float32").block_size
        128
    """

    modes = ("int4",)
    numbers = ("block_size",)
    block_size: int


class GPTQDTypePolicy(QuantizedDTypePolicy):
    """Name integers that GPTQ found from data (Frantar et al. 2022).

    Args:
        mode: ``"gptq/<weight_bits>/<group_size>"``; bits 2, 3, 4 or 8, and -1: one group.
        source_name: the policy whose types the rest has; None: that of the process.

    Example:
        >>> GPTQDTypePolicy("gptq/4/128", "float32").weight_bits
        4
    """

    modes = ("gptq",)
    numbers = ("weight_bits", "group_size")
    bits = (2, 3, 4, 8)
    weight_bits: int
    group_size: int


class AWQDTypePolicy(QuantizedDTypePolicy):
    """Name 4-bit integers of weights scaled by the size of activations (Lin et al. 2023).

    Args:
        mode: ``"awq/4/<group_size>"``; -1: one group for each output.
        source_name: the policy whose types the rest has; None: that of the process.

    Example:
        >>> AWQDTypePolicy("awq/4/64", "float32").group_size
        64
    """

    modes = ("awq",)
    numbers = ("weight_bits", "group_size")
    bits = (4,)
    weight_bits: int
    group_size: int


QUANTIZED: dict[str, type[QuantizedDTypePolicy]] = {
    "float8": QuantizedFloat8DTypePolicy, "int4/": Int4DTypePolicy, "gptq": GPTQDTypePolicy, "awq": AWQDTypePolicy,
}  # fmt: skip
"""What the name of a quantized policy begins with, unless it is a ``QuantizedDTypePolicy``."""


def policy_named(name: Any) -> DTypePolicy:
    """Return the policy of a name.

    >>> policy_named("int4/128_from_float32")
    <Int4DTypePolicy "int4/128_from_float32">
    """
    if not isinstance(name, str) or not name.startswith(QUANTIZATION_MODES) or name in (*DATA, *MIXED):
        return DTypePolicy(name)
    mode, _, source = name.partition(SOURCE)
    if not source:
        raise ArgumentError(
            "A quantized policy's name has the policy that it began as.", expected=f"{mode}{SOURCE}float32", got=repr(name)
        )
    kind = next((kind for word, kind in QUANTIZED.items() if mode.startswith(word)), QuantizedDTypePolicy)
    return kind(mode, source)


@bound_methods
class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Name a policy for each layer by its path, or by a regular expression that all of its path matches.

    Args:
        default_policy: of every other path; None: the process's policy whenever it is asked.
        policy_map: policies by path or expression.

    Example:
        >>> policies = DTypePolicyMap("float32", {"encoder/.*": get("int8_from_float32")})
        >>> policies["encoder/dense"], policies["decoder"]
        (<QuantizedDTypePolicy "int8_from_float32">, <DTypePolicy "float32">)
    """

    settings = frozenset(("default_policy", "policy_map"))

    def __init__(
        self,
        default_policy: str | DTypePolicy | dict[str, object] | None = None,
        policy_map: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ArgumentError("The default policy of a DTypePolicyMap cannot be another map.", got=shown(default_policy))
        if policy_map is not None and not isinstance(policy_map, dict):
            raise ArgumentTypeError("policy_map of DTypePolicyMap must be a dict or None.", got=shown(policy_map))
        self.default = None if default_policy is None else get(default_policy)
        self.policies: dict[str, DTypePolicy] = {}
        self.update(policy_map or {})

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that nothing here matches."""
        return _current() if self.default is None else self.default

    @property
    def name(self) -> str:  # type: ignore[override]  # follows from the default
        """The name of the map, which has that of the default policy."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """The type that the default policy computes in."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type of weights by the default policy."""
        return self.default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:  # type: ignore[override]  # follows from the default
        """How the default policy quantizes weights; None: it does not."""
        return self.default_policy.quantization_mode

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self.policies:
            return self.policies[key]
        found = [pattern for pattern in self.policies if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ArgumentError(f"Several entries of a DTypePolicyMap match {key!r}.", expected="one", got=", ".join(found))
        return self.policies[found[0]] if found else self.default_policy

    def __setitem__(self, key: str, policy: str | DTypePolicy | dict[str, Any]) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError("A DTypePolicyMap is asked by the paths of layers.", expected="a string", got=shown(key))
        if key in self.policies:
            raise ArgumentError(
                f"The DTypePolicyMap has a policy for {key!r} already.", got=repr(self.policies[key]),
                repair=f"del policies[{key!r}] before",
            )  # fmt: skip
        self.policies[key] = get(policy)

    def __delitem__(self, key: str) -> None:
        del self.policies[key]

    def __contains__(self, key: object) -> bool:
        return key in self.policies

    def __len__(self) -> int:
        return len(self.policies)

    def __iter__(self) -> Iterator[str]:
        return iter(self.policies)

    __eq__ = DTypePolicy.__eq__

    def __hash__(self) -> int:
        return hash(self.name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON.

        Example:
            >>> DTypePolicyMap("float32").get_config()["policy_map"]
            {}
        """
        return {"default_policy": registry.serialize(self.default), "policy_map": registry.serialize(self.policies)}

    def __repr__(self) -> str:
        held = ", ".join(f"{path!r}: {policy.name}" for path, policy in self.policies.items())
        return f"<DTypePolicyMap of {self.default_policy.name}{f', {held}' if held else ''}>"


class _Policies(Registry[DTypePolicy]):
    """The policies, of which Keras shows the plain one at its top."""

    def address(self, kind: type) -> tuple[str, str]:
        """Return the module and the name by which Keras's data mean a class of policies."""
        return "keras" if kind is DTypePolicy else self.module, kind.__name__


_registry = _Policies(
    "precision policy", "keras.dtype_policies", DTypePolicy,
    lambda: {name: each for name in __all__ if isinstance(each := globals()[name], type)}, callables=False,
)  # fmt: skip


@finder
def get(identifier: str | DTypePolicy | dict[str, object] | None) -> DTypePolicy:
    """Return a precision policy.

    Args:
        identifier: a policy, its name, its JSON, or None for the global one.

    Raises:
        UnknownNameError, ArgumentTypeError: there is no such policy.

    Example:
        >>> get("mixed_bfloat16").compute_dtype
        'bfloat16'
    """
    if identifier is None:
        return _current()
    identifier = dtype_by_name(identifier)
    if isinstance(identifier, str):
        return policy_named(identifier)
    if isinstance(identifier, (DTypePolicy, dict)):
        return _registry.get(identifier)
    raise ArgumentTypeError(
        "Expected a precision policy.", expected="a name such as 'mixed_bfloat16', or a DTypePolicy", got=repr(identifier)
    )


def for_layer(identifier: str | DTypePolicy | dict[str, object] | None, path: str) -> DTypePolicy:
    """Return the policy of a layer, that of its path in a map."""
    found = get(identifier)
    return found[path] if isinstance(found, DTypePolicyMap) else found


@writer
def serialize(dtype_policy: DTypePolicy) -> Json:
    """Return a policy as JSON, in Keras's form.

    Example:
        >>> serialize(get("float32"))["config"]
        {'name': 'float32'}
    """
    return _registry.serialize(dtype_policy)


@finder
def deserialize(config: Json, custom_objects: dict[str, object] | None = None) -> DTypePolicy:
    """Return the policy that ``serialize`` described.

    Example:
        >>> deserialize(serialize(get("mixed_float16"))).name
        'mixed_float16'
    """
    return _registry.deserialize(config, custom_objects)

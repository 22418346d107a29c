"""Precision policies by name and by object, as in ``keras.dtype_policies``."""

from __future__ import annotations

from typing import Any

from anabranch import config
from anabranch._asked import dtype_by_name
from anabranch._errors import ArgumentTypeError
from anabranch.config import DTypePolicy
from anabranch.registry import Json, Registry, finder, writer

FloatDTypePolicy = DTypePolicy

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]
__dir__ = __all__.copy

_registry: Registry[DTypePolicy] = Registry(
    "precision policy", "keras.dtype_policies", DTypePolicy,
    lambda: {"DTypePolicy": DTypePolicy, "FloatDTypePolicy": DTypePolicy}, callables=False,
)  # fmt: skip


@finder
def get(identifier: str | DTypePolicy | dict[str, Any] | None) -> DTypePolicy:
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
        return config.dtype_policy()
    identifier = dtype_by_name(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    if isinstance(identifier, (DTypePolicy, dict)):
        return _registry.get(identifier)
    raise ArgumentTypeError(
        "Expected a precision policy.", expected="a name such as 'mixed_bfloat16', or a DTypePolicy", got=repr(identifier)
    )


@writer
def serialize(dtype_policy: DTypePolicy) -> Json:
    """Return a policy as JSON, in Keras's form.

    Example:
        >>> serialize(get("float32"))["config"]
        {'name': 'float32'}
    """
    return _registry.serialize(dtype_policy) | {"module": "keras"}


@finder
def deserialize(config: Json, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Return the policy that ``serialize`` described.

    Example:
        >>> deserialize(serialize(get("mixed_float16"))).name
        'mixed_float16'
    """
    return _registry.deserialize(config, custom_objects)

"""Precision policies by name and by object, as in ``keras.dtype_policies``."""

from __future__ import annotations

from typing import Any

from anabranch import config
from anabranch._errors import ArgumentTypeError
from anabranch._policy import DTypePolicy as DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """Return a policy: itself, by name or from ``serialize``; None is the global one.

    >>> get("mixed_bfloat16").compute_dtype
    'bfloat16'
    """
    if identifier is None:
        return config.dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    raise ArgumentTypeError(
        "This is no precision policy.", expected="a name such as 'mixed_bfloat16', or a DTypePolicy", got=repr(identifier)
    )


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Return a policy as plain data, in Keras's form."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": dtype_policy.get_config(), "registered_name": None}


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Return the policy that ``serialize`` wrote down."""
    return DTypePolicy.from_config(config.get("config", config))


FloatDTypePolicy = DTypePolicy

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

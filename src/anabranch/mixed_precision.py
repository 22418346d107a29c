"""Keras's names for precision: the global policy, and the optimizer that scales the loss."""

from __future__ import annotations

from typing import Any

from anabranch.config import dtype_policy, set_dtype_policy
from anabranch.dtype_policies import DTypePolicy

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",  # noqa: F822  # loaded when asked for
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
__dir__ = __all__.copy


def __getattr__(name: str) -> Any:
    if name == "LossScaleOptimizer":  # which loads torch
        from anabranch.optimizers import LossScaleOptimizer

        return LossScaleOptimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Keras's names for precision: the global policy, and the optimizer that scales the loss."""

from __future__ import annotations

from typing import Any

from anabranch.config import dtype_policy as dtype_policy, set_dtype_policy as set_dtype_policy
from anabranch.dtype_policies import DTypePolicy as DTypePolicy

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy


def __getattr__(name: str) -> Any:
    if name == "LossScaleOptimizer":  # which loads torch
        from anabranch.optimizers import LossScaleOptimizer

        return LossScaleOptimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

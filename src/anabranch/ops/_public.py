"""What makes a function of torch tensors a public one: it takes arrays too, and becomes a node where a tensor is symbolic."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch

from anabranch import _tree, runtime
from anabranch._errors import AnabranchError, EngineError
from anabranch.graph import Tensor, Weight, apply, call_site
from anabranch.ops._shapes import rule_of

P = ParamSpec("P")
R = TypeVar("R")


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Let ``function``, written for torch tensors, take arrays, weights and symbolic tensors; torch's refusals say where."""
    rule = rule_of(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        for leaf in _tree.leaves((args, list(kwargs.values()))):
            if isinstance(leaf, Tensor):
                return apply(called, args, kwargs, rule)
        try:
            args, kwargs = _tree.map_leaves(_number, (args, kwargs))
            return function(*args, **kwargs)
        except AnabranchError as error:
            raise error.at(f"{function.__name__}, called at {call_site()}") from error.__cause__
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, TypeError) and runtime.is_recording():
                raise
            raise EngineError(
                f"{function.__name__} could not run: {(str(error).splitlines() or [type(error).__name__])[0]}",
                got=", ".join(
                    str(runtime.described_shape(leaf))
                    for leaf in _tree.leaves((args, kwargs))
                    if isinstance(leaf, torch.Tensor)
                ),
                where=f"called at {call_site()}",
            ) from error

    return cast(Callable[P, R], called)


def _number(leaf: Any) -> Any:
    """Return an array or a weight as a tensor, NumPy's numbers as Python's, which may be sizes and axes; all else stays."""
    if isinstance(leaf, np.generic):
        return leaf.item()
    return runtime.as_tensor(leaf) if isinstance(leaf, (Weight, np.ndarray)) else leaf

"""What makes a function of torch tensors an operation: its facts, arrays as arguments, a node where a tensor is symbolic."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from anabranch import _tree, runtime
from anabranch._arguments import RAW, Checks
from anabranch._asked import module_of
from anabranch._errors import AnabranchError, DtypeError
from anabranch._frames import leave, mark
from anabranch.graph import Facts, Tensor, Weight, apply, call_site
from anabranch.graph.facts import NO_FACTS, MaskRule, Signature, SpecRule
from anabranch.ops._arguments import documented
from anabranch.ops._torch import np, torch

P = ParamSpec("P")
R = TypeVar("R")


def operation(spec: SpecRule | None = None, mask: MaskRule | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function of torch tensors take arrays, weights and symbolic tensors, with the facts that it states.

    Args:
        spec: the rule for shape and dtype (``graph/rules.py``); None: they are inferred by running it on fake tensors.
        mask: the rule for masks (``graph/facts.py``); None: they are judged by the torch operations it dispatches.
    """
    return functools.partial(_public, Facts(spec, mask))


def stating(facts: Facts) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Like ``operation``, with facts that a Python operator states too."""
    return functools.partial(_public, facts)


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Like ``operation()``: nothing is stated, all is inferred."""
    return _public(Facts(), function)


def _public(facts: Facts, function: Callable[P, R]) -> Callable[P, R]:
    signature, checks = Signature(documented(function)), Checks(function)
    run = cast(Callable[..., object], function)

    @functools.wraps(function)
    def called(*args: object, **kwargs: object) -> object:
        try:
            if checks.takes_dtype:
                args, kwargs = checks.with_name_of_dtype(args, kwargs)
            given = [*args, *kwargs.values()]
            ready = all(map(_is_ready, map(type, given)))
            try:
                checks.before(args, kwargs)
                if not ready:
                    if any(isinstance(leaf, Tensor) for leaf in _tree.leaves(given)):
                        checks.sizes_of_numbers(args, kwargs)
                        return apply(called, args, kwargs, facts, signature)
                    args, kwargs = _tree.map_leaves(_ready, (args, kwargs))
                return run(*args, **kwargs)
            except (AnabranchError, *RAW) as error:
                if isinstance(error, RuntimeError) and (moved := runtime.on_one_device((args, kwargs))) is not None:
                    return called(*moved[0], **moved[1])
                if runtime.is_tracing() and not isinstance(error, (AnabranchError, RuntimeError, IndexError, ValueError)):
                    raise
                raise _placed(error, checks, args, kwargs) from _cause(error)
        except BaseException as error:
            leave(error)
            raise

    mark(called)
    FACTS[called] = facts
    return cast(Callable[P, R], called)


def _placed(error: Exception, checks: Checks, args: tuple[object, ...], kwargs: dict[str, object]) -> AnabranchError:
    """Return the error of a function with the line that calls it; where an argument is wrong, the one that says so."""
    if not isinstance(error, AnabranchError):
        return checks.failed(args, kwargs, error).at(f"called at {call_site()}")
    mistake = checks.after(args, kwargs) if isinstance(error, DtypeError) else None
    return (mistake or error).at(f"{checks.name}, called at {call_site()}")


def _cause(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, AnabranchError) else error


FACTS: dict[Callable[..., Any], Facts] = {}
"""The facts that each public function states."""


def facts_of(function: Callable[..., Any]) -> Facts:
    """Return the facts that a function states; of any other function nothing is known."""
    return FACTS.get(function, NO_FACTS) if isinstance(function, types.FunctionType) else NO_FACTS


def _taken_as_it_is(kind: type) -> bool:
    """Return whether functions take values of a class as they are: no nests, symbolic tensors, arrays or weights."""
    if issubclass(kind, (bool, int, float, complex, str, types.NoneType)):
        return True
    return "torch" in sys.modules and issubclass(kind, torch.Tensor)  # a description does without torch


_is_ready: Callable[[type], bool] = functools.cache(_taken_as_it_is)


def _ready(leaf: object) -> object:
    """Return an array or a weight as a tensor, NumPy's numbers as Python's, which may be sizes and axes; all else stays."""
    if _is_ready(type(leaf)):
        return leaf
    if isinstance(leaf, np.generic):
        return leaf.item()
    return runtime.as_tensor(leaf) if isinstance(leaf, (Weight, np.ndarray)) else leaf


def public_functions(*families: types.ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions that modules define for Keras's namespace of their family, by name."""
    return {
        name: thing
        for family in families
        for name, thing in vars(family).items()
        if isinstance(thing, types.FunctionType) and module_of(thing) == family.__name__
        if not name.startswith("_")
    }

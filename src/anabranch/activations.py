"""Activations by name: functions of tensors that say what; ``ops`` says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch import ops
from anabranch._errors import ArgumentTypeError, unknown

Activation = Callable[[Any], Any]


def linear(x: Any) -> Any:
    """Return x."""
    return x


def relu(x: Any) -> Any:
    """Return max(x, 0)."""
    return ops.relu(x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x."""
    return ops.tanh(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along ``axis``."""
    return ops.softmax(x, axis)


_BY_NAME: dict[str, Activation] = {f.__name__: f for f in (linear, relu, sigmoid, tanh, softmax)}


def get(identifier: Any) -> Activation:
    """Return an activation from a name or a callable; None is ``linear``.

    >>> get("relu").__name__
    'relu'
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise unknown("activation", identifier, _BY_NAME)
        return _BY_NAME[identifier]
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]  # any f(x) of the user's
    raise ArgumentTypeError("That is no activation.", expected="a name or a callable", got=repr(identifier))

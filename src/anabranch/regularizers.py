"""Penalties on weights and activations, added to the training loss; arithmetic on tensors, whatever makes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch.graph.call_site import call_site


class Regularizer:
    """Base of penalties: subclass and write ``__call__(x)``, or pass any function of a tensor."""

    def __call__(self, x: Any) -> Any:
        """Return the penalty of tensor ``x``, a scalar."""
        raise NotImplementedError(f"{type(self).__name__} must write __call__(x)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """Make one from what ``get_config`` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1(Regularizer):
    """l1 · Σ|x|."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> Any:
        """Return l1 · Σ|x|."""
        return self.l1 * abs(x).sum()


class L2(Regularizer):
    """l2 · Σx²."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        """Return l2 · Σx²."""
        return self.l2 * (x * x).sum()


class L1L2(Regularizer):
    """l1 · Σ|x| + l2 · Σx²."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1 or 0.0), _factor("l2", l2 or 0.0)

    def __call__(self, x: Any) -> Any:
        """Return l1 · Σ|x| + l2 · Σx²."""
        return self.l1 * abs(x).sum() + self.l2 * (x * x).sum()


def _factor(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} is a penalty's factor.", expected="a finite number ≥ 0", got=repr(value))
    return float(value)


_CLASSES: dict[str, type[Regularizer]] = {"L1": L1, "L2": L2, "L1L2": L1L2, "l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """Return a regularizer from a name, a ``{"class_name", "config"}`` dict or a callable; None stays None.

    >>> get("l2")
    L2(l2=0.01)
    """
    if identifier is None:
        return None
    name = identifier.get("class_name") if isinstance(identifier, dict) else identifier
    if isinstance(name, str):
        if name not in _CLASSES:
            raise unknown("regularizer", name, _CLASSES, where=str(call_site()))
        return _CLASSES[name].from_config(identifier.get("config", {}) if isinstance(identifier, dict) else {})
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]  # any f(x) of the user's
    raise ArgumentTypeError(
        "That is no regularizer.", expected="a name or a callable", got=repr(identifier), where=str(call_site())
    )


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """Return the regularizer as plain data."""
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def deserialize(config: dict[str, Any]) -> Callable[[Any], Any] | None:
    """Return the regularizer that ``serialize`` described."""
    return get(config)


l1, l2, l1_l2 = L1, L2, L1L2

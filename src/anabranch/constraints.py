"""Constraints on weights, applied after each update; arithmetic on tensors in Keras's axis order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch import config
from anabranch._arguments import guarded
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch._fields import Field, Value, field, number
from anabranch.registry import Json, Registry, finder, registry_of, writer

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm", "non_neg",
    "serialize", "unit_norm",
]  # fmt: skip
__dir__ = __all__.copy

ConstraintLike: TypeAlias = "str | Callable[[Tensor], Tensor] | dict[str, Any] | None"


class Constraint(Value):
    """Base of constraints: subclass and write ``__call__(w)``, or pass any function of a tensor.

    >>> class Halved(Constraint):
    ...     def __call__(self, w):
    ...         return w / 2
    >>> Halved()(4.0)
    2.0
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Return the tensor that takes the place of ``w``."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w)")


def _axes(value: object, owner: object, name: str) -> int | list[int]:
    several = isinstance(value, (list, tuple))
    given: list[Any] = [*value] if isinstance(value, (list, tuple)) else [value]
    if not all(map(is_integer, given)):
        kind = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        raise ArgumentTypeError(f"{name} of {kind} must be an integer or several.", got=shown(value))
    found = [operator.index(axis) for axis in given]
    return found if several else found[0]


AXIS_DOC = (
    "the axis or axes over which a norm is taken, in Keras's order of the weight's axes: 0 for Dense, [0, 1, 2] for Conv2D."
)


class MaxNorm(Constraint):
    """Scale vectors down to a norm of at most ``max_value`` (Srivastava et al. 2014): w · clip(‖w‖, 0, max_value) / ‖w‖.

    Example:
        >>> import torch
        >>> MaxNorm(1.0)(torch.tensor([[3.0], [4.0]])).flatten().tolist()
        [0.6000000238418579, 0.800000011920929]
    """

    max_value: Field[float, float] = number(default=2, least=0, doc="the greatest norm.")
    axis: Field[int | Sequence[int], int | list[int]] = field(default=0, convert=_axes, doc=AXIS_DOC)

    @guarded
    def __call__(self, w: Tensor) -> Tensor:
        """Return ``w`` with norms of at most ``max_value``."""
        norms = _norms(w, self)
        return w * (norms.clip(0, self.max_value) / (config.epsilon() + norms))


class NonNeg(Constraint):
    """Set negative elements to 0: max(w, 0).

    Example:
        >>> import torch
        >>> NonNeg()(torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    @guarded
    def __call__(self, w: Tensor) -> Tensor:
        """Return max(w, 0)."""
        return w.clip(0)


class UnitNorm(Constraint):
    """Scale vectors to norm 1: w / ‖w‖.

    Example:
        >>> import torch
        >>> UnitNorm()(torch.tensor([[3.0], [4.0]])).flatten().tolist()
        [0.6000000238418579, 0.800000011920929]
    """

    axis: Field[int | Sequence[int], int | list[int]] = field(default=0, convert=_axes, doc=AXIS_DOC)

    @guarded
    def __call__(self, w: Tensor) -> Tensor:
        """Return w / ‖w‖."""
        return w / (config.epsilon() + _norms(w, self))


class MinMaxNorm(Constraint):
    """Move norms into an interval: w · (rate · clip(‖w‖, min_value, max_value) + (1 - rate) · ‖w‖) / ‖w‖.

    Example:
        >>> import torch
        >>> MinMaxNorm(1.0, 2.0)(torch.tensor([[0.3], [0.4]])).flatten().tolist()
        [0.5999999046325684, 0.7999998331069946]
    """

    min_value: Field[float, float] = number(default=0.0, least=0, doc="the least norm.")
    max_value: Field[float, float] = number(default=1.0, least=0, doc="the greatest norm.")
    rate: Field[float, float] = number(default=1.0, least=0, most=1, doc="how far a norm outside moves: 1 all the way.")
    axis: Field[int | Sequence[int], int | list[int]] = field(default=0, convert=_axes, doc=AXIS_DOC)

    def _check_(self) -> None:
        if self.min_value > self.max_value:
            raise ArgumentError("min_value must not be above max_value.", got=f"{self.min_value} and {self.max_value}")

    @guarded
    def __call__(self, w: Tensor) -> Tensor:
        """Return ``w`` with norms moved towards the interval."""
        norms = _norms(w, self)
        wanted = self.rate * norms.clip(self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (config.epsilon() + norms))


def _norms(w: Tensor, constraint: MaxNorm | UnitNorm | MinMaxNorm) -> Tensor:
    axes = (constraint.axis,) if isinstance(constraint.axis, int) else tuple(constraint.axis)
    for axis in axes:
        if not -w.ndim <= axis < w.ndim:
            raise ShapeError(
                f"{type(constraint).__name__} takes norms over axis {axis}, which the weight does not have.",
                expected=f"axes from {-w.ndim} to {w.ndim - 1}" if w.ndim else "a weight with axes",
                got=f"a weight of shape {tuple(w.shape)}",
            )
    squares = w * w
    return squares.sum(axes, keepdims=True) ** 0.5  # type: ignore[call-overload, no-any-return]  # NumPy's word: an array may come


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

_registry: Registry[Callable[[Tensor], Tensor] | None] = registry_of(globals(), Constraint)


@finder
def get(identifier: ConstraintLike) -> Callable[[Tensor], Tensor] | None:
    """Return a constraint from a name, a class, a config or a function; None stays None.

    Args:
        identifier: what means a constraint.

    >>> get("non_neg")
    NonNeg()
    """
    return _registry.get(identifier)


@writer
def serialize(constraint: Callable[[Tensor], Tensor] | None) -> Json:
    """Return a constraint as JSON.

    >>> serialize(NonNeg())["class_name"]
    'NonNeg'
    """
    return _registry.serialize(constraint)


@finder
def deserialize(config: Json, custom_objects: dict[str, Any] | None = None) -> Callable[[Tensor], Tensor] | None:
    """Return the constraint that ``serialize`` described.

    >>> deserialize(serialize(MaxNorm(3)))
    MaxNorm(max_value=3, axis=0)
    """
    return _registry.deserialize(config, custom_objects)

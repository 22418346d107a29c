"""The learning rate: as a setting a number, a schedule or a function; as an attribute a float that can be assigned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

from anabranch import registry
from anabranch._asked import is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import REQUIRED, Field
from anabranch.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    import numpy as np
    import torch

Setting: TypeAlias = float | LearningRateSchedule | Callable[[], Any]
RateLike: TypeAlias = "Setting | Mapping[str, Any] | None"


class _Rated(Protocol):
    """What has a learning rate and counts updates: an optimizer."""

    learning_rate: Any
    iterations: Any

    def _rate_now_(self) -> float:
        """Return the learning rate of the next update."""


class _Attribute:
    """A number that an optimizer shows as its attribute ``shown_as``, with what a Keras variable has."""

    shown_as: ClassVar[str]
    name: ClassVar[str]
    dtype: ClassVar[str]
    shape: ClassVar[tuple[int, ...]] = ()
    trainable: ClassVar[bool] = False
    _optimizer: _Rated

    def __new__(cls, value: float, optimizer: _Rated) -> Self:
        """Return the number with the optimizer that it belongs to."""
        found: Self = super().__new__(cls, value)  # type: ignore[call-arg]  # of float or int
        found._optimizer = optimizer
        return found

    def assign(self, value: float) -> Self:
        """Set the optimizer's attribute, and return it."""
        setattr(self._optimizer, self.shown_as, value)
        found: Self = getattr(self._optimizer, self.shown_as)
        return found

    def assign_add(self, value: float) -> Self:
        """Add to the optimizer's attribute, and return it."""
        return self.assign(self + value)  # type: ignore[operator]  # a float or an int

    def assign_sub(self, value: float) -> Self:
        """Subtract from the optimizer's attribute, and return it."""
        return self.assign(self - value)  # type: ignore[operator]  # as above

    @property
    def value(self) -> torch.Tensor:
        """The number as a scalar tensor."""
        import torch

        return torch.tensor(self, dtype=getattr(torch, self.dtype))

    def numpy(self) -> np.number[Any]:
        """Return NumPy's number, as a Keras variable does."""
        import numpy as np

        found: np.number[Any] = getattr(np, self.dtype)(self)
        return found


class LearningRate(_Attribute, float):
    """The learning rate of the next update: a float, which a script of Keras may ``assign`` and read by ``numpy()``.

    Example:
        >>> from anabranch.optimizers import SGD
        >>> optimizer = SGD(0.1)
        >>> optimizer.learning_rate.assign(0.05)
        0.05
        >>> optimizer.learning_rate * 2
        0.1
    """

    shown_as, name, dtype = "learning_rate", "learning_rate", "float32"

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)  # a copy is a number


class Iterations(_Attribute, int):
    """How many updates there were: an integer, which a script of Keras may ``assign`` and read by ``numpy()``.

    Example:
        >>> from anabranch.optimizers import SGD
        >>> SGD(0.1).iterations.assign(5) + 1
        6
    """

    shown_as, name, dtype = "iterations", "iteration", "int64"

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)


class _RateField(Field[Any, Any]):
    """A field whose setting may be a schedule, and whose attribute is the number that follows from it."""

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.read_by(_current)


def _current(optimizer: _Rated) -> LearningRate:
    return LearningRate(optimizer._rate_now_(), optimizer)


def rate_field(default: Any = REQUIRED, *, optional: bool = False) -> Any:
    """Declare the learning rate; ``optional``: or None."""

    def convert(value: Any, owner: object, name: str) -> Setting | None:
        if type(value) is float and 0 <= value < math.inf:
            return value
        if value is None and optional:
            return None
        if isinstance(value, LearningRateSchedule) or callable(value):
            return value  # type: ignore[no-any-return]  # what it returns is checked at each update
        if isinstance(value, Mapping):
            found = registry.deserialize(value)
            if not callable(found):
                raise ArgumentTypeError(f"{name} must be a number or a schedule.", got=shown(value))
            return found  # type: ignore[no-any-return]  # a schedule or a function
        try:
            rate = float(value) if is_number(value) else math.nan
        except (TypeError, ValueError):
            rate = math.nan
        kind = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        if math.isnan(rate) and not isinstance(value, float):
            raise ArgumentTypeError(
                f"{name} of {kind} must be a number or a schedule.", got=repr(value)[:120], repair="for instance 1e-3"
            )
        if not 0 <= rate < math.inf:
            raise ArgumentError(f"{name} of {kind} must be a finite number ≥ 0.", got=repr(value))
        return rate

    doc = "a number, a schedule, or a function without arguments that returns a number."
    return _RateField(default, convert, _plain, doc)


def _plain(value: Any) -> registry.Json:
    """Return the setting behind a rate, or a setting itself, as JSON."""
    if isinstance(value, LearningRate):
        value = vars(value._optimizer).get(":learning_rate", float(value))
    return registry.serialize(value)

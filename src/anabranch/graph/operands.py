"""Python's operators, written once for what is an operand without being a number: symbolic tensors and weights."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from anabranch._frames import bound_methods

R = TypeVar("R")


@bound_methods
class Operators(Generic[R]):
    """Arithmetic and comparisons of order, each as one call of ``_operate``. Abstract."""

    __slots__ = ()

    @abstractmethod
    def _operate(self, function: Callable[..., Any], *operands: object) -> R:
        """Return what a function of ``operator`` makes of operands, of which this is one."""

    def __add__(self, other: object) -> R:
        return self._operate(operator.add, self, other)

    def __radd__(self, other: object) -> R:
        return self._operate(operator.add, other, self)

    def __sub__(self, other: object) -> R:
        return self._operate(operator.sub, self, other)

    def __rsub__(self, other: object) -> R:
        return self._operate(operator.sub, other, self)

    def __mul__(self, other: object) -> R:
        return self._operate(operator.mul, self, other)

    def __rmul__(self, other: object) -> R:
        return self._operate(operator.mul, other, self)

    def __truediv__(self, other: object) -> R:
        return self._operate(operator.truediv, self, other)

    def __rtruediv__(self, other: object) -> R:
        return self._operate(operator.truediv, other, self)

    def __floordiv__(self, other: object) -> R:
        return self._operate(operator.floordiv, self, other)

    def __rfloordiv__(self, other: object) -> R:
        return self._operate(operator.floordiv, other, self)

    def __mod__(self, other: object) -> R:
        return self._operate(operator.mod, self, other)

    def __rmod__(self, other: object) -> R:
        return self._operate(operator.mod, other, self)

    def __pow__(self, other: object) -> R:
        return self._operate(operator.pow, self, other)

    def __rpow__(self, other: object) -> R:
        return self._operate(operator.pow, other, self)

    def __matmul__(self, other: object) -> R:
        return self._operate(operator.matmul, self, other)

    def __rmatmul__(self, other: object) -> R:
        return self._operate(operator.matmul, other, self)

    def __lt__(self, other: object) -> R:
        return self._operate(operator.lt, self, other)

    def __le__(self, other: object) -> R:
        return self._operate(operator.le, self, other)

    def __gt__(self, other: object) -> R:
        return self._operate(operator.gt, self, other)

    def __ge__(self, other: object) -> R:
        return self._operate(operator.ge, self, other)

    def __neg__(self) -> R:
        return self._operate(operator.neg, self)

    def __abs__(self) -> R:
        return self._operate(operator.abs, self)

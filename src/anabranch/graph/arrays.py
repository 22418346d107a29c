"""What can be asked of a value without loading NumPy or torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from anabranch._asked import has_shape

if TYPE_CHECKING:
    import numpy as np


class ArrayLike(Protocol):
    """What has a shape and a dtype, whoever made it."""

    @property
    def shape(self) -> Sequence[int | None]:
        """The sizes along each axis, None where one is not known."""

    @property
    def dtype(self) -> object:
        """The dtype, in the words of whoever made it."""


def is_numpy(value: object) -> TypeGuard[np.ndarray[Any, Any]]:
    """Return whether a value is NumPy's: an array or one of its scalars.

    >>> is_numpy(1.0)
    False
    """
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def is_array(value: object) -> TypeGuard[ArrayLike]:
    """Return whether a value has a shape and a dtype, as arrays, torch tensors and symbolic ones have.

    >>> is_array([1.0])
    False
    """
    return has_shape(value) and hasattr(value, "dtype")  # traced values answer through __getattr__


def is_parameter(value: object) -> bool:
    """Return whether a value is a torch tensor that is trained: a weight, not a constant.

    >>> is_parameter(1.0)
    False
    """
    return bool(getattr(value, "requires_grad", False))  # asked of any value, without loading torch

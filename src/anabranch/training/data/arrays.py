"""The user's arrays, tensors and lists of numbers as torch tensors that share their memory."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from anabranch import _tree
from anabranch._errors import DtypeError, ShapeError
from anabranch.runtime.arrays import complex_error
from anabranch.runtime.narrow import computable, holds_numbers


@runtime_checkable
class ArrayLike(Protocol):
    """An array of another package, such as a pandas DataFrame."""

    @property
    def shape(self) -> Sequence[int]:
        """The sizes."""

    def __array__(self) -> np.ndarray[Any, Any]:
        """Return it as a NumPy array."""


def is_array(value: object) -> bool:
    """Return whether ``value`` is one array: it has a shape, or is a (nested) list of numbers or strings."""
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return True
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
        if isinstance(value, (numbers.Number, str, bytes, np.generic)):
            return True
        if not isinstance(value, (list, tuple)):
            return False
    return isinstance(value, ArrayLike)


def to_tensor(value: object, where: str) -> torch.Tensor:
    """Return ``value`` as a tensor, sharing memory where torch can; ``where`` names it in errors."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise complex_error(where, str(value.dtype).removeprefix("torch."))
        if value.is_meta or value.is_nested:
            repair = "torch.nested.to_padded_tensor(x, 0.0)" if value.is_nested else "make it on a device"
            raise DtypeError(
                f"{where} is a {'nested' if value.is_nested else 'meta'} tensor.", expected="one array of values", repair=repair
            )
        if value.layout is not torch.strided:
            raise DtypeError(f"{where} is a sparse tensor.", expected="a dense one", repair=f"{where}.to_dense()")
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{where} is ragged: its rows have different lengths.", repair="pad them to one length") from error
    if array.dtype.kind == "c":
        raise complex_error(where, str(array.dtype))
    if not holds_numbers(array):
        raise DtypeError(
            f"{where} does not hold numbers.",
            expected="a numeric dtype, e.g. float32, uint8, int64",
            got=f"dtype {array.dtype}{_sample(array)}",
            repair=_number_repair(array),
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.flags.writeable:
        return computable(array)
    with warnings.catch_warnings():
        # Batches are copied out of a read-only array, never written into it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return computable(array)


def tensors_in(value: object, where: str, read: Callable[[object, str], torch.Tensor] = to_tensor) -> _tree.Nest:
    """Return the same nest with tensors in the place of arrays; a list of numbers is one array, None stays."""
    if value is None or is_array(value):
        return None if value is None else read(value, where)
    if isinstance(value, dict):
        return {key: tensors_in(part, f"{where}[{key!r}]", read) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(tensors_in(part, f"{where}[{index}]", read) for index, part in enumerate(value))
    return read(value, where)


def strings(value: object) -> np.ndarray[Any, Any] | None:
    """Return an array of strings, or a list of them, as an array; None for anything else."""
    if isinstance(value, torch.Tensor):
        return None
    array = np.asarray(value)
    texts = array.dtype.kind in "US" or (array.dtype.kind == "O" and array.size > 0 and isinstance(array.flat[0], str))
    return array if texts else None


def _sample(array: np.ndarray[Any, Any]) -> str:
    if not array.size:
        return ""
    first = array.flat[0]
    return f", e.g. {first.item()!r}"[:60] if isinstance(first, np.generic) else f" of {type(first).__name__}"


def _number_repair(array: np.ndarray[Any, Any]) -> str:
    if array.dtype.kind == "O":
        return "make one rectangular numeric array of it: np.stack(list_of_arrays) or x.astype('float32')"
    if array.dtype.kind in "US":
        return "turn the strings into numbers first, e.g. np.unique(y, return_inverse=True)[1] for labels"
    return "convert it to numbers first, e.g. x.astype('float32')"

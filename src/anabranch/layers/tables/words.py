"""The user's strings as one list of str with a shape, on the host."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch import runtime
from anabranch._asked import has_shape, method, shown
from anabranch._errors import DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy as np


class Strings(NamedTuple):
    """Strings in rows, and the shape that they have."""

    flat: list[str]
    shape: tuple[int, ...]


def as_strings(value: object, where: str, encoding: str = "utf-8") -> Strings:
    """Return a string, a nested list of strings, or an array of them.

    >>> as_strings([["a"], [b"b"]], "x")
    Strings(flat=['a', 'b'], shape=(2, 1))
    """
    if isinstance(value, (str, bytes)):
        return Strings([text(value, where, encoding)], ())
    if isinstance(value, (list, tuple)):
        shape = _shape(value)
        flat: list[Any] = list(_leaves(value, len(shape)))
        if len(flat) != math.prod(shape):
            raise ragged(where)
    else:
        array = _array(value, where)
        shape, flat = array.shape, array.ravel().tolist()
    if not set(map(type, flat)) <= {str}:
        flat = [each if type(each) is str else text(each, where, encoding) for each in flat]
    return Strings(flat, tuple(shape))


def ragged(where: str) -> ShapeError:
    """Return the error for rows of different lengths, which no tensor has."""
    return ShapeError(
        f"{where} is ragged: its rows have different lengths.", expected="rows of one length, as a tensor has",
        repair="pad them with '': utils.pad_sequences(rows, dtype=object, value='', padding='post')",
    )  # fmt: skip


def text(value: object, where: str, encoding: str) -> str:
    """Return one string; bytes are decoded."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(encoding, "replace")
    raise DtypeError(
        f"{where} does not hold strings.", expected="str or bytes", got=f"{type(value).__name__}: {shown(value)}",
        repair="x.astype(str) makes strings of numbers; fillna('') fills what is missing" if value is not None else None,
    )  # fmt: skip


def _array(value: object, where: str) -> np.ndarray[Any, Any]:
    import numpy as np

    if method(value, "__array__") is None:
        raise DtypeError(f"{where} does not hold strings.", expected="strings, or an array of them", got=shown(value))
    detach = method(value, "detach")
    array = np.asarray(runtime.numpy_of(value) if detach else value)  # type: ignore[arg-type]  # a tensor
    if array.dtype.kind not in "USOT":
        raise DtypeError(
            f"{where} does not hold strings.", expected="an array of str", got=f"dtype {array.dtype}", repair="x.astype(str)"
        )
    return array


def _shape(value: object) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, (list, tuple)) or has_shape(value):
        if not isinstance(value, (list, tuple)):
            return (*shape, *value.shape)
        shape.append(len(value))
        value = value[0] if value else ""
    return tuple(shape)


def _leaves(value: object, rank: int) -> Iterator[object]:
    if rank == 0:
        yield value
    elif rank == 1 and isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part, rank - 1)
    else:
        tolist = method(value, "tolist")
        if tolist is not None:
            yield from _leaves(tolist(), rank)

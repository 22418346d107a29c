"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any

from anabranch._arguments import checked
from anabranch._asked import answers, has_shape, is_without_values, on_host, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, unknown

if TYPE_CHECKING:
    import numpy as np

_SIDES = ("pre", "post")


@checked
def pad_sequences(
    sequences: Iterable[Any],
    maxlen: int | None = None,
    dtype: object = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: object = 0.0,
) -> np.ndarray[Any, Any]:
    """Return sequences as the rows of an array (B, maxlen, …), the shorter ones padded, the longer ones cut.

    Args:
        sequences: lists or arrays, each a sequence of numbers, of strings or of arrays of one shape.
        maxlen: the length of rows; None: that of the longest.
        dtype: of the array; ``object`` for strings.
        padding: on which side shorter ones are padded, ``"pre"`` or ``"post"``.
        truncating: on which side longer ones are cut.
        value: what they are padded with.

    Returns:
        A NumPy array.

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2).tolist()
        [[0, 1], [3, 4]]
        >>> pad_sequences([["a"], ["b", "c"]], dtype=object, value="", padding="post").tolist()
        [['a', ''], ['b', 'c']]
    """
    import numpy as np

    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in _SIDES:
            raise unknown(name, side, _SIDES, of="pad_sequences")
    kind = _dtype(dtype)
    rows = list(sequences)
    for row in rows:
        if not isinstance(row, Sized) or isinstance(row, (str, bytes)) or is_without_values(row):
            raise ArgumentTypeError("sequences must be sequences.", expected="lists or arrays", got=shown(row))
    rows = [np.asarray(on_host(row)) if has_shape(row) else row for row in rows]
    if isinstance(value, str) and kind.kind not in "OUST":
        raise ArgumentError(
            "A string does not pad numbers.", got=f"dtype={dtype!r}, value={value!r}", repair="dtype=object for strings"
        )
    first = next((row for row in rows if len(row)), ())
    inner = _shape_inside(first)
    width = max(map(len, rows), default=0) if maxlen is None else maxlen
    if width < 0:
        raise ArgumentError("maxlen must be an integer ≥ 0 or None.", got=str(maxlen))
    found: np.ndarray[Any, Any] = np.empty((len(rows), width, *inner), kind)
    try:
        if isinstance(value, (list, dict)) or np.ndim(value):  # type: ignore[arg-type]  # of any object 0
            raise TypeError("one value pads all")
        found[...] = value
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"value must be one of dtype {kind}.", got=shown(value)) from error
    if not inner and found.dtype.kind in "biufc":
        return _filled(found, rows, width, padding == "pre", truncating == "pre")
    for index, row in enumerate(rows):
        part = np.asarray(_cut(row, width, truncating == "pre"), kind)
        if len(row) and part.shape[1:] != inner:
            raise ShapeError(
                f"The sequence at position {index} has elements of another shape.", expected=str(inner), got=str(part.shape[1:])
            )
        if len(part):
            found[index, width - len(part) if padding == "pre" else 0 :][: len(part)] = part
    return found


def _shape_inside(row: Sequence[Any]) -> tuple[int, ...]:
    """Return the shape of a sequence's elements, which is () of an empty one."""
    import numpy as np

    try:
        return np.asarray(row).shape[1:] if len(row) else ()
    except ValueError as error:
        raise ShapeError(
            "A sequence has elements of several shapes.", expected="numbers, or arrays of one shape", got=shown(row)
        ) from error


def _dtype(given: object) -> np.dtype[Any]:
    import numpy as np

    try:
        other = isinstance(given, type) and answers(given, "dtype") and not issubclass(given, np.generic)  # NumPy 1 takes it
        if other or not isinstance(given, (str, type, np.dtype)):
            raise TypeError
        return np.dtype(given)
    except (TypeError, ValueError) as error:  # the latter of a class that has a dtype
        raise ArgumentTypeError(
            "dtype must be one of NumPy's.", expected="'int32', 'float32', object …", got=shown(given)
        ) from error


def _cut(row: Sequence[Any], width: int, front: bool) -> Sequence[Any]:
    return row[max(len(row) - width, 0) :] if front else row[:width]


def _filled(
    found: np.ndarray[Any, Any], rows: Sequence[Sequence[Any]], width: int, pad_front: bool, cut_front: bool
) -> np.ndarray[Any, Any]:
    """Set all numbers at once."""
    import itertools

    import numpy as np

    parts = [row if len(row) <= width else _cut(row, width, cut_front) for row in rows]
    sizes = np.fromiter(map(len, parts), "int64", len(parts))
    places = np.arange(width)
    known = places >= width - sizes[:, None] if pad_front else places < sizes[:, None]
    try:
        flat = np.fromiter(itertools.chain.from_iterable(parts), found.dtype, int(sizes.sum()))
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError("sequences must hold what dtype says.", expected=str(found.dtype), got=str(error)) from error
    found[known] = flat
    return found

"""Labels as one-hot rows, rows of length one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch._arguments import guarded, is_array_like
from anabranch._asked import on_host, shown
from anabranch._errors import DataError

if TYPE_CHECKING:
    import numpy as np


@guarded
def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Return class indices as one-hot rows: (N,) or (N, 1) -> (N, num_classes), float32.

    Args:
        x: integers from 0 to ``num_classes - 1``.
        num_classes: how many classes there are; the greatest label + 1 unless given.

    Raises:
        DataError: a label is outside the classes.

    Example:
        >>> to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    import numpy as np

    if not is_array_like(x):
        raise DataError("x must be integers.", expected="integers from 0 to num_classes - 1", got=shown(x))
    labels = np.asarray(on_host(x), dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        raise DataError(
            "A label is outside the classes.",
            expected=f"0 to {count - 1}",
            got=f"{labels.ravel()[first]} at index {first}",
        )
    return np.asarray(np.eye(count, dtype="float32")[labels])


@guarded
def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Return x / ‖x‖; zeros stay zeros.

    Args:
        x: an array.
        axis: the axis along which the norm is taken.
        order: which norm, as in ``numpy.linalg.norm``.

    Example:
        >>> normalize([[3.0, 4.0]]).tolist()
        [[0.6, 0.8]]
    """
    import numpy as np

    if not is_array_like(x):
        raise DataError("x must be an array.", expected="an array of numbers", got=shown(x))
    x = np.asarray(on_host(x))
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return np.asarray(x / np.expand_dims(norm, axis))

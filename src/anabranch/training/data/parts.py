"""The parts of a batch: x, y and the weights of the samples."""

from __future__ import annotations

from typing import Any

from anabranch._errors import DataError
from anabranch._frames import bounded


@bounded
def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what a training step is given, None for what is missing.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight).

    Raises:
        DataError: a tuple of another length.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(
            "A batch has one to three parts.",
            expected="(x,), (x, y) or (x, y, sample_weight)",
            got=f"{len(data)} parts",
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


@bounded
def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return what ``unpack_x_y_sample_weight`` takes apart: x, (x, y) or (x, y, sample_weight).

    Args:
        x: the inputs.
        y: the targets.
        sample_weight: the weights of the samples.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x

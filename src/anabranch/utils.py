"""Small helpers of Keras's ``utils``: the seed, one-hot labels, scaling."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from anabranch import config
from anabranch._errors import DataError

if TYPE_CHECKING:
    import numpy as np


def set_random_seed(seed: int) -> None:
    """Seed Python's ``random``, NumPy's global generator, first values, and torch's generators (when it is first used)."""
    config.set_seed(seed)
    random.seed(seed)
    import sys

    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:  # the user's own modules draw their first values when they are made
        sys.modules["torch"].manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Return whole-number labels as one-hot rows: (N,) or (N, 1) -> (N, num_classes), float32.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    import numpy as np

    labels = np.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        raise DataError(
            "A label lies outside the classes.",
            expected=f"0 to {count - 1}",
            got=f"{labels.ravel()[first]} at index {first}",
        )
    return np.asarray(np.eye(count, dtype="float32")[labels])


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Return x divided by its norm of that order along ``axis``; zeros stay zeros."""
    import numpy as np

    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return np.asarray(x / np.expand_dims(norm, axis))


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what a training step is given: x, (x,), (x, y) or (x, y, sample_weight).

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(
            "A batch has another number of parts.",
            expected="(x,), (x, y) or (x, y, sample_weight)",
            got=f"{len(data)} parts",
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return what ``unpack_x_y_sample_weight`` takes apart: x, (x, y) or (x, y, sample_weight).

    >>> pack_x_y_sample_weight(1, 2)
    (1, 2)
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


class PyDataset:
    """Base of data that come batch by batch: write ``__len__``, how many there are, and ``__getitem__``, which gives one.

    ``workers``, ``use_multiprocessing`` and ``max_queue_size`` are kept for Keras's scripts: batches are fetched one by one; a
    torch DataLoader fetches in processes of its own.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return how many batches there are."""
        raise NotImplementedError(f"{type(self).__name__} must write __len__(self)")

    def __getitem__(self, index: int) -> Any:
        """Return one batch: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must write __getitem__(self, index)")

    @property
    def num_batches(self) -> int:
        """How many batches there are."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called when an epoch begins."""

    def on_epoch_end(self) -> None:
        """Called when an epoch ends."""


Sequence = PyDataset  # its older name

"""MNIST: 70,000 handwritten digits of 28x28 (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch._errors import FileFormatError
from anabranch.datasets._fetch import Remote, file_at_hand
from anabranch.datasets.sources import MNIST

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def load_data(source: Sequence[Remote] = MNIST) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 28, 28), labels (N,); N is 60,000 and 10,000."""
    x_train, y_train, x_test, y_test = (read_idx(file_at_hand(remote)) for remote in source)
    return (x_train, y_train), (x_test, y_test)


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Read a gzipped idx file of bytes: two zeros, a type code, the rank, each size big-endian, then the numbers."""
    import numpy as np

    with gzip.open(path) as file:
        data = file.read()
    rank = data[3] if len(data) > 3 else 0
    sizes = np.frombuffer(data, ">u4", rank, 4) if len(data) >= 4 + 4 * rank else np.zeros(1)
    if data[:3] != b"\0\0\x08" or len(data) != 4 + 4 * rank + int(np.prod(sizes, dtype=np.int64)):
        raise FileFormatError(f"{path} is no idx file of bytes.", repair="delete it and run again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(tuple(int(size) for size in sizes)).copy()

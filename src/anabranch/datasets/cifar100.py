"""CIFAR-100: 60,000 images of 32x32 in 100 classes of 20 kinds (Krizhevsky 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch._errors import FileFormatError, unknown
from anabranch.datasets._fetch import Remote, file_at_hand
from anabranch.datasets.sources import CIFAR100

if TYPE_CHECKING:
    import numpy as np

RECORD = 2 + 3072


def load_data(label_mode: str = "fine", source: Remote = CIFAR100) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 32, 32, 3), labels (N, 1).

    ``label_mode``: ``fine`` for the 100 classes, ``coarse`` for the 20 kinds.
    """
    if label_mode not in ("fine", "coarse"):
        raise unknown("label_mode", str(label_mode), ("fine", "coarse"))
    import tarfile

    with tarfile.open(file_at_hand(source)) as tar:
        return _read(tar, "train.bin", label_mode), _read(tar, "test.bin", label_mode)


def _read(tar: Any, name: str, label_mode: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read one part without unpacking it: records of a coarse label, a fine label and 3,072 pixels."""
    import numpy as np

    file = tar.extractfile(f"cifar-100-binary/{name}")
    if file is None:
        raise FileFormatError(f"The archive lacks {name}.")
    records = np.frombuffer(file.read(), np.uint8).reshape(-1, RECORD)
    images = records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # N C H W -> N H W C
    column = ("coarse", "fine").index(label_mode)
    return np.ascontiguousarray(images), records[:, column : column + 1].copy()

"""CIFAR-10: 60,000 images of 32x32 in 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.datasets._fetch import Archive, folder_at_hand
from anabranch.datasets.sources import CIFAR10

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data(source: Archive = CIFAR10) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``.

    Images are uint8 (N, 32, 32, 3), labels uint8 (N, 1); N is 50,000 and 10,000.

    Raises:
        DownloadError: neither data nor network; the message says where to put the files.
        FileFormatError: a file is damaged.
    """
    import numpy as np

    folder = folder_at_hand(source)
    names = [name.rpartition("/")[2] for name in source.members]
    train = [read(folder / name, labels=1) for name in names if name.startswith("data")]
    (x_test, y_test) = read(folder / "test_batch.bin", labels=1)
    return (np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train])), (x_test, y_test)


def read(path: Path, labels: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read one batch file: records of ``labels`` bytes and 3,072 pixels, the red plane first; the last label is kept."""
    import numpy as np

    records = np.fromfile(path, np.uint8).reshape(-1, labels + 3072)
    images = records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # N C H W -> N H W C
    return np.ascontiguousarray(images), records[:, labels - 1 : labels].copy()

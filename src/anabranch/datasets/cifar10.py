"""CIFAR-10: 60,000 images of 32x32 in 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._frames import bounded
from anabranch.datasets._fetch import Archive, folder_stored, loader
from anabranch.datasets._records import read
from anabranch.datasets.sources import CIFAR10

if TYPE_CHECKING:
    from anabranch.datasets._records import Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@bounded
@loader((50000, 32, 32, 3))
def load_data(*, source: Archive = CIFAR10) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``.

    Images are uint8 (N, 32, 32, 3), labels uint8 (N, 1); N is 50,000 and 10,000.

    Args:
        source: where the official files come from, and their md5s.
    """
    import numpy as np

    folder = folder_stored(source)
    names = sorted(name.rpartition("/")[2] for name in source.members)
    parts = {name: read((folder / name).read_bytes(), 1, str(folder / name)) for name in names}
    test = parts.pop("test_batch.bin")
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))
    return (x_train, y_train), test


__all__ = [
    "load_data",
]  # fmt: skip
__dir__ = __all__.copy

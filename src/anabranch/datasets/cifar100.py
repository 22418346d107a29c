"""CIFAR-100: 60,000 images of 32x32 in 100 classes of 20 kinds (Krizhevsky 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._errors import unknown
from anabranch._frames import bounded
from anabranch.datasets._fetch import Remote, file_stored, loader, members
from anabranch.datasets._records import read
from anabranch.datasets.sources import CIFAR100

if TYPE_CHECKING:
    from anabranch.datasets._records import Bytes, Split

LABELS = ("coarse", "fine")  # the two bytes that begin a record


@bounded
@loader((50000, 32, 32, 3))
def load_data(label_mode: str = "fine", *, source: Remote = CIFAR100) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``.

    Images are uint8 (N, 32, 32, 3), labels uint8 (N, 1); N is 50,000 and 10,000.

    Args:
        label_mode: ``fine`` for the 100 classes, ``coarse`` for the 20 kinds.
        source: where the official archive comes from, and its md5.

    Raises:
        UnknownNameError: another ``label_mode``.
    """
    if label_mode not in LABELS:
        raise unknown("label_mode", str(label_mode), LABELS)
    column = LABELS.index(label_mode)
    packed = file_stored(source)
    parts: dict[str, tuple[Bytes, Bytes]] = {}
    for name, data in members(packed, ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin")):
        images, labels = read(data, len(LABELS), f"{name} in {packed}")
        parts[name.rpartition("/")[2]] = images, labels[:, column : column + 1].copy()
    return parts["train.bin"], parts["test.bin"]


__all__ = [
    "load_data",
]  # fmt: skip
__dir__ = __all__.copy

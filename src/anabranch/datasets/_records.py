"""The byte layout that CIFAR-10 and CIFAR-100 share, and the form in which data sets are returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import config
from anabranch._errors import FileFormatError

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Split = tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]

PIXELS = 3 * 32 * 32


def read(data: bytes, labels: int, where: str) -> tuple[Bytes, Bytes]:
    """Return images (N, 32, 32, 3) and labels (N, ``labels``) from records: the labels, then the red, green, blue plane.

    Images are (N, 3, 32, 32) where ``config.image_data_format()`` is ``channels_first``, as in Keras.
    """
    import numpy as np

    if not data or len(data) % (labels + PIXELS):
        raise FileFormatError(
            f"{where} holds no whole records.", expected=f"a multiple of {labels + PIXELS:,} bytes", got=f"{len(data):,} bytes"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, labels + PIXELS)
    images = records[:, labels:].reshape(-1, 3, 32, 32)
    if config.image_data_format() == "channels_last":
        images = images.transpose(0, 2, 3, 1)  # N C H W -> N H W C
    return images.copy("C"), records[:, :labels].copy("C")

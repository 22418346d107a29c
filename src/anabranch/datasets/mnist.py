"""MNIST: 70,000 handwritten digits of 28x28 (LeCun et al. 1998)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch._arguments import checked
from anabranch._errors import FileFormatError
from anabranch._files import reached
from anabranch._frames import bounded
from anabranch.datasets._fetch import Remote, file_stored, loader
from anabranch.datasets.sources import MNIST

if TYPE_CHECKING:
    from anabranch.datasets._records import Bytes, Split


@checked
@loader((60000, 28, 28))
def load_data(path: str = "mnist.npz", *, source: Sequence[Remote] = MNIST) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 28, 28), labels (N,); N is 60,000 and 10,000.

    Args:
        path: where the files are in the data folder: ``mnist.npz`` means the folder ``mnist``. No npz file is read.
        source: where the four official files come from, and their md5s.
    """
    return load_files([remote._replace(folder=path.removesuffix(".npz")) for remote in source])


@bounded
def load_files(source: Sequence[Remote]) -> Split:
    """Return the two parts from four idx files: training images and labels, test images and labels.

    Args:
        source: where the four files come from, and their md5s.

    Example:
        >>> from anabranch.datasets import mnist, sources
        >>> (x_train, y_train), (x_test, y_test) = mnist.load_files(sources.MNIST)  # doctest: +SKIP
        >>> x_test.shape  # doctest: +SKIP
        (10000, 28, 28)
    """
    x_train, y_train, x_test, y_test = (read_idx(file_stored(remote)) for remote in source)
    return (x_train, y_train), (x_test, y_test)


@checked
def read_idx(path: str | Path) -> Bytes:
    """Read a gzipped idx file of bytes: two zeros, a type code, the rank, each size big-endian, then the numbers.

    Args:
        path: the file.

    Example:
        >>> import gzip, pathlib
        >>> pathlib.Path("labels.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), mtime=0))
        30
        >>> read_idx("labels.gz").tolist()
        [7, 9]
    """
    import gzip
    import math
    import zlib

    import numpy as np

    with reached("read", path):
        try:
            data = gzip.decompress(Path(path).read_bytes())
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FileFormatError(f"{path} is no whole gzip file.", got=str(error), repair="delete it and run again") from error
    rank = data[3] if len(data) > 3 else 0
    head = 4 + 4 * rank
    sizes = [int.from_bytes(data[at : at + 4], "big") for at in range(4, head, 4)]
    if data[:3] != b"\0\0\x08" or len(data) != head + math.prod(sizes):
        raise FileFormatError(f"{path} is no idx file of bytes.", repair="delete it and run again")
    return np.frombuffer(data, np.uint8, offset=head).reshape(sizes).copy()


__all__ = [
    "load_data", "load_files", "read_idx",
]  # fmt: skip
__dir__ = __all__.copy

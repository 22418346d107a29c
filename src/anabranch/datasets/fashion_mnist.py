"""Fashion-MNIST: 70,000 pictures of clothes of 28x28 in 10 classes (Xiao et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch._frames import bounded
from anabranch.datasets._fetch import Remote, loader
from anabranch.datasets.mnist import load_files
from anabranch.datasets.sources import FASHION_MNIST

if TYPE_CHECKING:
    from anabranch.datasets._records import Split

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@bounded
@loader((60000, 28, 28))
def load_data(*, source: Sequence[Remote] = FASHION_MNIST) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 28, 28), labels (N,); N is 60,000 and 10,000.

    Args:
        source: where the four official files come from, and their md5s.
    """
    return load_files(source)


__all__ = [
    "load_data",
]  # fmt: skip
__dir__ = __all__.copy

"""Fashion-MNIST: 70,000 pictures of clothes of 28x28 in 10 classes (Xiao et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anabranch.datasets import mnist
from anabranch.datasets._fetch import Remote
from anabranch.datasets.sources import FASHION_MNIST

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_data(source: Sequence[Remote] = FASHION_MNIST) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 28, 28), labels (N,); N is 60,000 and 10,000."""
    return mnist.load_data(source)

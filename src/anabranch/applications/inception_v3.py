"""Inception v3 (Szegedy et al. 2016, table 1): modules of branches whose convolutions are factorized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, Published, Rules, axis, standard
from anabranch.applications._torchvision import AVERAGES
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

    Step = tuple[int, int | tuple[int, int]]  # the width and the kernel of a convolution

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

FILES = (
    Published(f"{GOOGLE}inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5", "9a0d58056eeedaa3f26cb7ebd46da564"),
    Published(
        f"{GOOGLE}inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5", "bcbd6486424b2319ff4ef7d526e38f63"
    ),
)
ROW, COLUMN = (1, 7), (7, 1)


def convolve(x: Tensor, width: int, kernel: int | tuple[int, int], strides: int = 1, valid: bool = False) -> Tensor:
    """Return a convolution, normalized by the batch without a scale, and rectified."""
    x = layers.Conv2D(width, kernel, strides, padding="valid" if valid else "same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(axis(), scale=False)(x))


def _row(x: Tensor, steps: Sequence[Step]) -> Tensor:
    for width, kernel in steps:
        x = convolve(x, width, kernel)
    return x


def _module(x: Tensor, name: str, branches: Sequence[Sequence[Step]], pooled: int) -> Tensor:
    """Return branches side by side, the last of means over 3×3."""
    found = [_row(x, branch) for branch in branches]
    mean = layers.AveragePooling2D(3, 1, padding="same")(x)
    return layers.concatenate([*found, convolve(mean, pooled, 1)], axis=axis(), name=name)


def _narrowing(x: Tensor, name: str, branches: Sequence[Sequence[Step]]) -> Tensor:
    """Return branches side by side whose last convolutions have stride 2, beside maxima over 3×3."""
    found = []
    for *steps, (width, kernel) in branches:
        found.append(convolve(_row(x, steps), width, kernel, 2, valid=True))
    return layers.concatenate([*found, layers.MaxPooling2D(3, 2)(x)], axis=axis(), name=name)


def _split(x: Tensor, name: str | None) -> Tensor:
    """Return a row and a column of three beside each other."""
    return layers.concatenate([convolve(x, 384, (1, 3)), convolve(x, 384, (3, 1))], axis=axis(), name=name)


def stem(x: Tensor) -> Tensor:
    """Return what the modules begin with: (B, 35, 35, 192) of images of 299."""
    x = convolve(convolve(x, 32, 3, 2, valid=True), 32, 3, valid=True)
    x = layers.MaxPooling2D(3, 2)(convolve(x, 64, 3))
    x = convolve(convolve(x, 80, 1, valid=True), 192, 3, valid=True)
    return layers.MaxPooling2D(3, 2)(x)


def _body(x: Tensor) -> Tensor:
    x = stem(x)
    for index, pooled in enumerate((32, 64, 64)):
        x = _module(x, f"mixed{index}", [[(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)]], pooled)
    x = _narrowing(x, "mixed3", [[(384, 3)], [(64, 1), (96, 3), (96, 3)]])
    for index, w in enumerate((128, 160, 160, 192), 4):
        twice: list[Step] = [(w, 1), (w, COLUMN), (w, ROW), (w, COLUMN), (192, ROW)]
        x = _module(x, f"mixed{index}", [[(192, 1)], [(w, 1), (w, ROW), (192, COLUMN)], twice], 192)
    x = _narrowing(x, "mixed8", [[(192, 1), (320, 3)], [(192, 1), (192, ROW), (192, COLUMN), (192, 3)]])
    for index in range(2):
        ones = convolve(x, 320, 1)
        threes = _split(convolve(x, 384, 1), f"mixed9_{index}")
        doubled = _split(_row(x, [(448, 1), (384, 3)]), None)
        mean = convolve(layers.AveragePooling2D(3, 1, padding="same")(x), 192, 1)
        x = layers.concatenate([ones, threes, doubled, mean], axis=axis(), name=f"mixed{9 + index}")
    return x


InceptionV3 = standard(
    "InceptionV3", "Return Inception v3 (Szegedy et al. 2016, table 1).", "inception_v3",
    Rules(299, 75, FILES, False, AVERAGES), _body, 23_851_784,
)  # fmt: skip
preprocess_input = preparation("tf")

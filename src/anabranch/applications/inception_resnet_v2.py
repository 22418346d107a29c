"""Inception-ResNet v2 (Szegedy et al. 2017, figure 15): modules of branches that are added to identities, scaled down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, Published, Rules, axis, standard
from anabranch.applications._layers import CustomScaleLayer
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.applications.inception_v3 import convolve, stem

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

    Step = tuple[int, int | tuple[int, int]]

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

URL = f"{GOOGLE}inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels"
FILES = (
    Published(f"{URL}.h5", "e693bd0210a403b3192acc6073ad2e96"),
    Published(f"{URL}_notop.h5", "d19885ff4a710c122648d3b5c3b684e4"),
)
BLOCKS: dict[str, Sequence[Sequence[Step]]] = {
    "block35": ([(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]),
    "block17": ([(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]),
    "block8": ([(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]),
}
"""The branches of each kind of block: widths and kernels (figures 16, 17, 19)."""


def _row(x: Tensor, steps: Sequence[Step], last: int = 1) -> Tensor:
    """Return convolutions in a row, the last of them with these strides."""
    for index, (width, kernel) in enumerate(steps, 1):
        x = convolve(x, width, kernel, last, valid=True) if last > 1 and index == len(steps) else convolve(x, width, kernel)
    return x


def _residual(x: Tensor, kind: str, index: int, scale: float, activate: bool = True) -> Tensor:
    name = f"{kind}_{index}"
    mixed = layers.Concatenate(axis(), name=f"{name}_mixed")([_row(x, steps) for steps in BLOCKS[kind]])
    widened = layers.Conv2D(x.shape[axis()], 1, padding="same", name=f"{name}_conv")(mixed)
    x = CustomScaleLayer(scale)([x, widened])
    return layers.Activation("relu", name=f"{name}_ac")(x) if activate else x


def _narrowing(x: Tensor, name: str, branches: Sequence[Sequence[Step]]) -> Tensor:
    found = [_row(x, steps, 2) for steps in branches]
    return layers.Concatenate(axis(), name=name)([*found, layers.MaxPooling2D(3, 2)(x)])


def _body(x: Tensor) -> Tensor:
    x = stem(x)
    branches = [_row(x, steps) for steps in ([(96, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)])]
    mean = convolve(layers.AveragePooling2D(3, 1, padding="same")(x), 64, 1)
    x = layers.Concatenate(axis(), name="mixed_5b")([*branches, mean])
    for index in range(1, 11):
        x = _residual(x, "block35", index, 0.17)
    x = _narrowing(x, "mixed_6a", [[(384, 3)], [(256, 1), (256, 3), (384, 3)]])
    for index in range(1, 21):
        x = _residual(x, "block17", index, 0.1)
    x = _narrowing(x, "mixed_7a", [[(256, 1), (384, 3)], [(256, 1), (288, 3)], [(256, 1), (288, 3), (320, 3)]])
    for index in range(1, 10):
        x = _residual(x, "block8", index, 0.2)
    x = _residual(x, "block8", 10, 1.0, activate=False)
    x = layers.Conv2D(1536, 1, padding="same", use_bias=False, name="conv_7b")(x)
    return layers.Activation("relu", name="conv_7b_ac")(layers.BatchNormalization(axis(), scale=False, name="conv_7b_bn")(x))


InceptionResNetV2 = standard(
    "InceptionResNetV2", "Return Inception-ResNet v2 (Szegedy et al. 2017, figure 15).", "inception_resnet_v2",
    Rules(299, 75, FILES, pooled=False), _body, 55_873_736,
)  # fmt: skip
preprocess_input = preparation("tf")

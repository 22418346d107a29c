"""Xception (Chollet 2017, figure 5): separable convolutions around identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, Published, Rules, last_axis, standard
from anabranch.applications._timm import PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

FILES = (
    Published(f"{GOOGLE}xception/xception_weights_tf_dim_ordering_tf_kernels.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
    Published(f"{GOOGLE}xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5", "b0042744bf5b25fce3cb969f33bebb97"),
)


def _rectify(x: Tensor, name: str) -> Tensor:
    return layers.Activation("relu", name=name)(x)


def _normalize(x: Tensor, name: str | None = None) -> Tensor:
    return layers.BatchNormalization(last_axis(), name=name)(x)


def _separable(x: Tensor, width: int, name: str) -> Tensor:
    x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=name)(x)
    return _normalize(x, f"{name}_bn")


def _narrowing(x: Tensor, block: int, first: int, second: int) -> Tensor:
    """Return a block that halves height and width."""
    shortcut = _normalize(layers.Conv2D(second, 1, 2, padding="same", use_bias=False)(x))
    x = _rectify(x, f"block{block}_sepconv1_act") if block > 2 else x
    x = _separable(x, first, f"block{block}_sepconv1")
    x = _separable(_rectify(x, f"block{block}_sepconv2_act"), second, f"block{block}_sepconv2")
    x = layers.MaxPooling2D(3, 2, padding="same", name=f"block{block}_pool")(x)
    return layers.add([x, shortcut])


def _body(x: Tensor) -> Tensor:
    for index, (width, strides) in enumerate(((32, 2), (64, 1)), 1):
        x = layers.Conv2D(width, 3, strides, use_bias=False, name=f"block1_conv{index}")(x)
        x = _rectify(_normalize(x, f"block1_conv{index}_bn"), f"block1_conv{index}_act")
    for block, width in enumerate((128, 256, 728), 2):
        x = _narrowing(x, block, width, width)
    for block in range(5, 13):
        shortcut = x
        for index in (1, 2, 3):
            x = _separable(_rectify(x, f"block{block}_sepconv{index}_act"), 728, f"block{block}_sepconv{index}")
        x = layers.add([x, shortcut])
    x = _narrowing(x, 13, 728, 1024)
    for index, width in enumerate((1536, 2048), 1):
        x = _rectify(_separable(x, width, f"block14_sepconv{index}"), f"block14_sepconv{index}_act")
    return x


Xception = standard(
    "Xception", "Return Xception (Chollet 2017, figure 5).", "xception", Rules(299, 71, FILES, False, timm=PADDING), _body,
    22_910_480,
)  # fmt: skip
preprocess_input = preparation("tf")

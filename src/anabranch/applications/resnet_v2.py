"""ResNet with the normalization before each convolution (He et al. 2016b, figure 4e). Strides are in a stage's last block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import Body, Builder, Rules, standard
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.applications.resnet import WIDTHS, files, normalize, pool, rectified, stem

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy


def _bottleneck(x: Tensor, width: int, strides: int, project: bool, name: str) -> Tensor:
    y = rectified(x, f"{name}_preact")
    shortcut = x
    if project:
        shortcut = layers.Conv2D(4 * width, 1, strides, name=f"{name}_0_conv")(y)
    elif strides > 1:
        shortcut = layers.MaxPooling2D(1, strides)(x)
    y = rectified(layers.Conv2D(width, 1, use_bias=False, name=f"{name}_1_conv")(y), f"{name}_1")
    y = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(y)
    y = rectified(layers.Conv2D(width, 3, strides, use_bias=False, name=f"{name}_2_conv")(y), f"{name}_2")
    y = layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(y)
    return layers.Add(name=f"{name}_out")([shortcut, y])


def _body(depths: tuple[int, ...]) -> Body:
    def body(x: Tensor) -> Tensor:
        x = pool(stem(x))
        for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
            for block in range(depth):
                strides = 2 if stage < 3 and block == depth - 1 else 1
                x = _bottleneck(x, width, strides, not block, f"conv{stage + 2}_block{block + 1}")
        return layers.Activation("relu", name="post_relu")(normalize(x, "post_bn"))

    return body


def _network(depth: int, depths: tuple[int, ...], params: int, *hashes: str) -> Builder:
    name = f"resnet{depth}v2"
    doc = f"Return ResNet of {depth} layers, normalized before (He et al. 2016, Identity mappings, §4)."
    return standard(f"ResNet{depth}V2", doc, name, Rules(224, 32, files(name, *hashes)), _body(depths), params)


ResNet50V2 = _network(
    50, (3, 4, 6, 3), 25_613_800, "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"
)  # fmt: skip
ResNet101V2 = _network(
    101, (3, 4, 23, 3), 44_675_560, "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"
)  # fmt: skip
ResNet152V2 = _network(
    152, (3, 8, 36, 3), 60_380_648, "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"
)  # fmt: skip
preprocess_input = preparation("tf")

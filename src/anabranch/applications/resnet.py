"""ResNet (He et al. 2016a, table 1): bottlenecks of three convolutions around identities. Strides are in the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, Body, Builder, Published, Rules, axis, standard
from anabranch.applications._torchvision import STRIDES
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

EPSILON = 1.001e-5
WIDTHS = (64, 128, 256, 512)


def files(name: str, *hashes: str) -> tuple[Published, Published]:
    """Return where the weights are, with and without the classifier."""
    with_top, without = (f"{GOOGLE}resnet/{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop"))
    return Published(with_top, hashes[0]), Published(without, hashes[1])


def normalize(x: Tensor, name: str) -> Tensor:
    """Normalize by the batch."""
    return layers.BatchNormalization(axis(), epsilon=EPSILON, name=name)(x)


def rectified(x: Tensor, prefix: str) -> Tensor:
    """Normalize by the batch and rectify."""
    return layers.Activation("relu", name=f"{prefix}_relu")(normalize(x, f"{prefix}_bn"))


def stem(x: Tensor, use_bias: bool = True) -> Tensor:
    """Return the first convolution, 7×7 with stride 2."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    return layers.Conv2D(64, 7, 2, use_bias=use_bias, name="conv1_conv")(x)


def pool(x: Tensor) -> Tensor:
    """Return the maximum over 3×3 with stride 2."""
    return layers.MaxPooling2D(3, 2, name="pool1_pool")(layers.ZeroPadding2D(1, name="pool1_pad")(x))


def _bottleneck(x: Tensor, width: int, strides: int, project: bool, name: str) -> Tensor:
    shortcut = x
    if project:
        shortcut = normalize(layers.Conv2D(4 * width, 1, strides, name=f"{name}_0_conv")(x), f"{name}_0_bn")
    x = rectified(layers.Conv2D(width, 1, strides, name=f"{name}_1_conv")(x), f"{name}_1")
    x = rectified(layers.Conv2D(width, 3, padding="same", name=f"{name}_2_conv")(x), f"{name}_2")
    x = normalize(layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(x), f"{name}_3_bn")
    return layers.Activation("relu", name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))


def _body(depths: tuple[int, ...]) -> Body:
    def body(x: Tensor) -> Tensor:
        x = pool(rectified(stem(x), "conv1"))
        for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
            for block in range(depth):
                strides = 2 if stage and not block else 1
                x = _bottleneck(x, width, strides, not block, f"conv{stage + 2}_block{block + 1}")
        return x

    return body


def _network(depth: int, depths: tuple[int, ...], params: int, *hashes: str) -> Builder:
    name = f"resnet{depth}"
    doc = f"Return ResNet of {depth} layers (He et al. 2016, Deep residual learning, table 1)."
    return standard(
        f"ResNet{depth}", doc, name, Rules(224, 32, files(name, *hashes), torchvision=STRIDES), _body(depths), params
    )


ResNet50 = _network(
    50, (3, 4, 6, 3), 25_636_712, "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"
)  # fmt: skip
ResNet101 = _network(
    101, (3, 4, 23, 3), 44_707_176, "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"
)  # fmt: skip
ResNet152 = _network(
    152, (3, 8, 36, 3), 60_419_944, "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"
)  # fmt: skip
preprocess_input = preparation("caffe")

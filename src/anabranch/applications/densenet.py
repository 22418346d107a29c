"""DenseNet (Huang et al. 2017, table 1): each block of two convolutions adds 32 channels to all that came before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, Body, Builder, Published, Rules, axis, standard
from anabranch.applications._torchvision import densenet as torchvision
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.applications.resnet import normalize, rectified

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

GROWTH = 32


def _block(x: Tensor, name: str) -> Tensor:
    y = layers.Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(rectified(x, f"{name}_0"))
    y = layers.Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(rectified(y, f"{name}_1"))
    return layers.Concatenate(axis(), name=f"{name}_concat")([x, y])


def _transition(x: Tensor, name: str) -> Tensor:
    x = rectified(x, name)
    x = layers.Conv2D(x.shape[axis()] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, 2, name=f"{name}_pool")(x)


def _body(depths: tuple[int, ...]) -> Body:
    def body(x: Tensor) -> Tensor:
        x = layers.Conv2D(64, 7, 2, use_bias=False, name="conv1_conv")(layers.ZeroPadding2D(3)(x))
        x = layers.MaxPooling2D(3, 2, name="pool1")(layers.ZeroPadding2D(1)(rectified(x, "conv1")))
        for stage, depth in enumerate(depths, 2):
            for block in range(1, depth + 1):
                x = _block(x, f"conv{stage}_block{block}")
            x = _transition(x, f"pool{stage}") if stage < 5 else x
        return layers.Activation("relu", name="relu")(normalize(x, "bn"))

    return body


def _network(depth: int, depths: tuple[int, ...], params: int, *hashes: str) -> Builder:
    name = f"densenet{depth}"
    with_top, without = (f"{GOOGLE}densenet/{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop"))
    rules = Rules(224, 32, (Published(with_top, hashes[0]), Published(without, hashes[1])), torchvision=torchvision)
    doc = f"Return DenseNet of {depth} layers (Huang et al. 2017, table 1)."
    return standard(f"DenseNet{depth}", doc, name, rules, _body(depths), params)


DenseNet121 = _network(
    121, (6, 12, 24, 16), 8_062_504, "9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"
)  # fmt: skip
DenseNet169 = _network(
    169, (6, 12, 32, 32), 14_307_880, "d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"
)  # fmt: skip
DenseNet201 = _network(
    201, (6, 12, 48, 32), 20_242_984, "1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"
)  # fmt: skip
preprocess_input = preparation("torch")

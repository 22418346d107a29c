"""VGG (Simonyan & Zisserman 2015, table 1): stages of 3×3 convolutions, each followed by the maximum over 2×2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import GOOGLE, ActivationLike, Builder, Published, Rules, standard
from anabranch.applications._torchvision import vgg

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

WIDTHS = (64, 128, 256, 512, 512)


def network(depth: int, column: str, depths: tuple[int, ...], params: int, *hashes: str) -> Builder:
    """Return the function that builds the network of so many layers."""

    def body(x: Tensor) -> Tensor:
        for block, (width, count) in enumerate(zip(WIDTHS, depths, strict=True), 1):
            for index in range(1, count + 1):
                x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"block{block}_conv{index}")(x)
            x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
        return x

    name = f"vgg{depth}"
    with_top, without = (f"{GOOGLE}{name}/{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop"))
    rules = Rules(
        224, 32, (Published(with_top, hashes[0]), Published(without, hashes[1])), pooled=False, torchvision=vgg(depths)
    )
    doc = f"Return VGG of {depth} layers (Simonyan & Zisserman 2015, table 1, column {column})."
    return standard(f"VGG{depth}", doc, name, rules, body, params, classify)


def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
    """Return probabilities by three Dense layers."""
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)

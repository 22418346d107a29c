"""EfficientNet (Tan & Le 2019, table 1): one network, scaled in width, depth and size of images (§3.3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.applications._building import (
    IMAGENET,
    Builder,
    Published,
    Rules,
    Wanted,
    axis,
    begin,
    divisible,
    even_padding,
    finish,
    with_standard_arguments,
)
from anabranch.applications._mbconv import Stage, bottleneck, classifier, convolve, normalize, swish
from anabranch.applications._pixels import DEVIATIONS
from anabranch.applications._timm import efficientnet as timm
from anabranch.applications._torchvision import PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.models.model import Model

__all__ = [
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5",
    "EfficientNetB6", "EfficientNetB7", "decode_predictions", "preprocess_input",
]  # fmt: skip
__dir__ = __all__.copy

STAGES = (
    Stage(False, 3, 1, 32, 16, 1, 0.25, 1), Stage(False, 3, 2, 16, 24, 6, 0.25, 2), Stage(False, 5, 2, 24, 40, 6, 0.25, 2),
    Stage(False, 3, 3, 40, 80, 6, 0.25, 2), Stage(False, 5, 3, 80, 112, 6, 0.25, 1), Stage(False, 5, 4, 112, 192, 6, 0.25, 2),
    Stage(False, 3, 1, 192, 320, 6, 0.25, 1),
)  # fmt: skip
"""The blocks of B0 (table 1)."""
DROPPED = 0.2  # the rate at which the last block is dropped; that of others rises linearly
URL = "https://storage.googleapis.com/keras-applications/"


def _network(
    number: int, widths: float, depths: float, size: int, dropout: float, params: int, *hashes: str
) -> Builder:  # fmt: skip
    name = f"efficientnetb{number}"

    def build(wanted: Wanted) -> Model:
        files = (Published(f"{URL}{wanted.name}.h5", hashes[0]), Published(f"{URL}{wanted.name}_notop.h5", hashes[1]))
        rules = Rules(size, 32, files, torchvision=PADDING, timm=timm)
        start = begin(wanted, rules)
        x = layers.Normalization(axis())(layers.Rescaling(1 / 255)(start))
        if wanted.weights == IMAGENET:  # whose values divide by the deviation where its square root is meant
            x = layers.Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATIONS])(x)
        x = layers.ZeroPadding2D(even_padding(x, 3), name="stem_conv_pad")(x)
        x = convolve(x, divisible(32 * widths), 3, "stem_conv", 2, "valid")
        x = swish(normalize(x, "stem_bn"), "stem_activation")
        counts = [math.ceil(depths * stage.repeats) for stage in STAGES]
        done = 0
        for index, (stage, count) in enumerate(zip(STAGES, counts, strict=True), 1):
            stage = stage._replace(inputs=divisible(stage.inputs * widths), outputs=divisible(stage.outputs * widths))
            for block in range(count):
                here = stage._replace(strides=1, inputs=stage.outputs) if block else stage
                rate = DROPPED * done / sum(counts)
                x = bottleneck(x, here, rate, f"block{index}{chr(97 + block)}_", depthwise="dwconv", even=True)
                done += 1
        x = convolve(x, divisible(1280 * widths), 1, "top_conv")
        x = swish(normalize(x, "top_bn"), "top_activation")
        return finish(wanted, rules, start, x, classifier(dropout))

    doc = f"Return EfficientNet B{number} for images of {size} × {size} (Tan & Le 2019). It scales pixels from 0 to 255 itself."
    return with_standard_arguments(f"EfficientNetB{number}", doc, name, build, params)


EfficientNetB0 = _network(
    0, 1.0, 1.0, 224, 0.2, 5_330_571, "902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"
)  # fmt: skip
EfficientNetB1 = _network(
    1, 1.0, 1.1, 240, 0.2, 7_856_239, "1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"
)  # fmt: skip
EfficientNetB2 = _network(
    2, 1.1, 1.2, 260, 0.3, 9_177_569, "b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"
)  # fmt: skip
EfficientNetB3 = _network(
    3, 1.2, 1.4, 300, 0.3, 12_320_535, "ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"
)  # fmt: skip
EfficientNetB4 = _network(
    4, 1.4, 1.8, 380, 0.4, 19_466_823, "18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"
)  # fmt: skip
EfficientNetB5 = _network(
    5, 1.6, 2.2, 456, 0.4, 30_562_527, "ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"
)  # fmt: skip
EfficientNetB6 = _network(
    6, 1.8, 2.6, 528, 0.5, 43_265_143, "165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"
)  # fmt: skip
EfficientNetB7 = _network(
    7, 2.0, 3.1, 600, 0.5, 66_658_687, "8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"
)  # fmt: skip
preprocess_input = preparation(None)

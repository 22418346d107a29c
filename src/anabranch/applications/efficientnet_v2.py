"""EfficientNetV2 (Tan & Le 2021, table 4): fused blocks first, and smaller expansions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from anabranch import layers
from anabranch._arguments import checked
from anabranch.applications._building import (
    CLASSES,
    GOOGLE,
    IMAGENET,
    ActivationLike,
    Path_,
    Published,
    Rules,
    Wanted,
    axis,
    begin,
    finish,
    named,
)
from anabranch.applications._mbconv import Stage, bottleneck, classifier, convolve, fused_bottleneck, normalize, swish
from anabranch.applications._pixels import DEVIATIONS, MEANS
from anabranch.applications._timm import efficientnet_v2 as timm
from anabranch.applications._torchvision import NONE, PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = [
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "decode_predictions", "preprocess_input",
]  # fmt: skip
__dir__ = __all__.copy

BASE = (
    Stage(True, 3, 1, 32, 16, 1, 0, 1), Stage(True, 3, 2, 16, 32, 4, 0, 2), Stage(True, 3, 2, 32, 48, 4, 0, 2),
    Stage(False, 3, 3, 48, 96, 4, 0.25, 2), Stage(False, 3, 5, 96, 112, 6, 0.25, 1), Stage(False, 3, 8, 112, 192, 6, 0.25, 2),
)  # fmt: skip
STAGES = {
    "s": (
        Stage(True, 3, 2, 24, 24, 1, 0, 1), Stage(True, 3, 4, 24, 48, 4, 0, 2), Stage(True, 3, 4, 48, 64, 4, 0, 2),
        Stage(False, 3, 6, 64, 128, 4, 0.25, 2), Stage(False, 3, 9, 128, 160, 6, 0.25, 1),
        Stage(False, 3, 15, 160, 256, 6, 0.25, 2),
    ),
    "m": (
        Stage(True, 3, 3, 24, 24, 1, 0, 1), Stage(True, 3, 5, 24, 48, 4, 0, 2), Stage(True, 3, 5, 48, 80, 4, 0, 2),
        Stage(False, 3, 7, 80, 160, 4, 0.25, 2), Stage(False, 3, 14, 160, 176, 6, 0.25, 1),
        Stage(False, 3, 18, 176, 304, 6, 0.25, 2), Stage(False, 3, 5, 304, 512, 6, 0.25, 1),
    ),
    "l": (
        Stage(True, 3, 4, 32, 32, 1, 0, 1), Stage(True, 3, 7, 32, 64, 4, 0, 2), Stage(True, 3, 7, 64, 96, 4, 0, 2),
        Stage(False, 3, 10, 96, 192, 4, 0.25, 2), Stage(False, 3, 19, 192, 224, 6, 0.25, 1),
        Stage(False, 3, 25, 224, 384, 6, 0.25, 2), Stage(False, 3, 7, 384, 640, 6, 0.25, 1),
    ),
    **dict.fromkeys(("b0", "b1", "b2", "b3"), BASE),
}  # fmt: skip
MOMENTUM = 0.9  # of the normalizations
DROPPED = 0.2  # the rate at which the last block is dropped; that of others rises linearly


class Builder(Protocol):
    """A function that builds one of these networks."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = ...,
    ) -> Model:
        """Return the model."""


def _width(width: int, widths: float) -> int:
    """Return a scaled width, to the nearest multiple of 8."""
    return max(8, int(width * widths + 4) // 8 * 8)


def _scaled(x: Tensor, kind: str) -> Tensor:
    """Return the pixels as the network was trained on them."""
    if kind.startswith("b") and x.shape[axis()] == 3:
        variances = [deviation**2 for deviation in DEVIATIONS]
        return layers.Normalization(axis(), mean=list(MEANS["torch"]), variance=variances)(layers.Rescaling(1 / 255)(x))
    return layers.Rescaling(1 / 128, offset=-1)(x)


def _built(
    wanted: Wanted, rules: Rules, kind: str, widths: float, depths: float, scale: bool
) -> Model:  # fmt: skip
    stages = STAGES[kind]
    start = x = begin(wanted, rules)
    x = _scaled(x, kind) if scale else x
    x = convolve(x, _width(stages[0].inputs, widths), 3, "stem_conv", 2)
    x = swish(normalize(x, "stem_bn", MOMENTUM), "stem_activation")
    total, done = sum(stage.repeats for stage in stages), 0  # of the network that is not scaled
    for index, stage in enumerate(stages, 1):
        stage = stage._replace(inputs=_width(stage.inputs, widths), outputs=_width(stage.outputs, widths))
        for block in range(math.ceil(depths * stage.repeats)):
            here = stage._replace(strides=1, inputs=stage.outputs) if block else stage
            rate, name = DROPPED * done / total, f"block{index}{chr(97 + block)}_"
            if stage.fused:
                x = fused_bottleneck(x, here, rate, name, MOMENTUM)
            else:
                x = bottleneck(x, here, rate, name, depthwise="dwconv2", momentum=MOMENTUM)
            done += 1
    x = convolve(x, _width(1280, widths), 1, "top_conv")
    x = swish(normalize(x, "top_bn", MOMENTUM), "top_activation")
    return finish(wanted, rules, start, x, classifier(0.2))


def _network(kind: str, size: int, widths: float, depths: float, params: int, *hashes: str) -> Builder:
    name = f"efficientnetv2-{kind}"

    @checked
    def given(
        include_top: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = name,
    ) -> Model:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        url = f"{GOOGLE}efficientnet_v2/{name}"
        files = Published(f"{url}.h5", hashes[0]), Published(f"{url}_notop.h5", hashes[1])
        rules = Rules(size, 32, files, torchvision=NONE if kind.startswith("b") else PADDING, timm=timm)
        return _built(wanted, rules, kind, widths, depths, include_preprocessing)

    doc = f"Return EfficientNetV2-{kind.upper()} for images of {size} × {size} (Tan & Le 2021, table 4)."
    found: Builder = named(given, f"EfficientNetV2{kind.upper()}", doc, params)
    return found


EfficientNetV2B0 = _network(
    "b0", 224, 1.0, 1.0, 7_200_312, "21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"
)  # fmt: skip
EfficientNetV2B1 = _network(
    "b1", 240, 1.0, 1.1, 8_212_124, "069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"
)  # fmt: skip
EfficientNetV2B2 = _network(
    "b2", 260, 1.1, 1.2, 10_178_374, "424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"
)  # fmt: skip
EfficientNetV2B3 = _network(
    "b3", 300, 1.2, 1.4, 14_467_622, "1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"
)  # fmt: skip
EfficientNetV2S = _network(
    "s", 384, 1.0, 1.0, 21_612_360, "e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"
)  # fmt: skip
EfficientNetV2M = _network(
    "m", 480, 1.0, 1.0, 54_431_388, "a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"
)  # fmt: skip
EfficientNetV2L = _network(
    "l", 480, 1.0, 1.0, 119_027_848, "27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"
)  # fmt: skip
preprocess_input = preparation(None)

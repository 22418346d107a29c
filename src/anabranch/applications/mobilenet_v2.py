"""MobileNetV2 (Sandler et al. 2018, table 2): bottlenecks that widen, filter each channel, and narrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch._arguments import Positive, checked
from anabranch._docstrings import described
from anabranch._errors import ArgumentError
from anabranch.applications import _timm
from anabranch.applications._building import (
    ARGUMENTS,
    CLASSES,
    GOOGLE,
    IMAGENET,
    RAISES,
    ActivationLike,
    Path_,
    Published,
    Rules,
    Wanted,
    begin,
    classify_unnamed,
    divisible,
    even_padding,
    finish,
    last_axis,
)
from anabranch.applications._torchvision import PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.applications.mobilenet import own_size, published_rows, rows_of

if TYPE_CHECKING:
    from anabranch.layers.fields import Padding
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

SIZES = (96, 128, 160, 192, 224)  # for which weights are published
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""The expansion, the width, how many blocks, and the strides of the first, of each stage."""


@checked
@described(ARGUMENTS, RAISES)
def MobileNetV2(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: Positive = 1.0,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: ActivationLike = "softmax",
    name: str | None = None,
) -> Model:
    """Return MobileNetV2 (Sandler et al. 2018, table 2).

    Example:
        >>> MobileNetV2(weights=None).count_params()
        3538984
    """
    known = input_shape
    if known is None and input_tensor is not None:
        known = input_tensor.shape[1:]
    size = own_size(known, SIZES)
    rows = rows_of(input_shape, include_top, size)
    if weights == IMAGENET:
        if alpha not in ALPHAS:
            raise ArgumentError(
                "No weights of this width are published.", expected=f"alpha of {', '.join(map(str, ALPHAS))}", got=str(alpha)
            )
        rows = published_rows(input_shape, rows, SIZES)
    name = name or f"mobilenetv2_{alpha:0.2f}_{rows}"
    rules = Rules(size, 32, _files(alpha, rows), False, PADDING, _timm.PADDING)
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    start = x = begin(wanted, rules)
    x = layers.Conv2D(divisible(32 * alpha), 3, 2, padding="same", use_bias=False, name="Conv1")(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(normalize(x, "bn_Conv1"))
    block = 0
    for expansion, width, count, first in STAGES:
        for index in range(count):
            x = _bottleneck(x, expansion, divisible(int(width * alpha)), 1 if index else first, block)
            block += 1
    x = layers.Conv2D(divisible(1280 * max(alpha, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    x = layers.ReLU(6.0, name="out_relu")(normalize(x, "Conv_1_bn"))
    return finish(wanted, rules, start, x, classify_unnamed)


def normalize(x: Tensor, name: str) -> Tensor:
    """Normalize by the batch, with means over many steps."""
    return layers.BatchNormalization(last_axis(), epsilon=1e-3, momentum=0.999, name=name)(x)


def _bottleneck(inputs: Tensor, expansion: int, width: int, strides: int, block: int) -> Tensor:
    channels = inputs.shape[last_axis()]
    prefix = f"block_{block}_" if block else "expanded_conv_"
    x = inputs
    if block:
        x = layers.Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(normalize(x, f"{prefix}expand_BN"))
    if strides == 2:
        x = layers.ZeroPadding2D(even_padding(x, 3), name=f"{prefix}pad")(x)
    padding: Padding = "same" if strides == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(normalize(x, f"{prefix}depthwise_BN"))
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = normalize(x, f"{prefix}project_BN")
    return layers.Add(name=f"{prefix}add")([inputs, x]) if channels == width and strides == 1 else x


def _files(alpha: float, rows: int | None) -> tuple[Published, Published]:
    stem = f"{GOOGLE}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}"
    return Published(f"{stem}.h5"), Published(f"{stem}_no_top.h5")


preprocess_input = preparation("tf")

"""MobileNet (Howard et al. 2017, table 1): depthwise and pointwise convolutions in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch._arguments import Positive, Several, checked
from anabranch._asked import shown
from anabranch._docstrings import described
from anabranch._errors import ArgumentError
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
    Top,
    Wanted,
    begin,
    channels_at,
    finish,
    last_axis,
)
from anabranch.applications._timm import PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.graph.call_site import warn

if TYPE_CHECKING:
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

SIZES = (128, 160, 192, 224)  # for which weights are published
ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip
"""The width and the strides of each block."""


@checked
@described(ARGUMENTS, RAISES)
def MobileNet(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: Positive = 1.0,
    depth_multiplier: Several = 1,
    dropout: float = 0.001,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: ActivationLike = "softmax",
    name: str | None = None,
) -> Model:
    """Return MobileNet (Howard et al. 2017, table 1).

    Args:
        depth_multiplier: how many outputs each channel has in the depthwise convolutions.
        dropout: the rate of dropout before the classifier.

    Example:
        >>> MobileNet(weights=None).count_params()
        4253864
    """
    size = own_size(input_shape, SIZES)
    rows = rows_of(input_shape, include_top, size)
    if weights == IMAGENET:
        if depth_multiplier != 1 or alpha not in ALPHAS:
            raise ArgumentError(
                "No weights of this network are published.", got=f"depth_multiplier={depth_multiplier}, alpha={alpha}",
                expected=f"depth_multiplier=1, alpha of {', '.join(map(str, ALPHAS))}",
            )  # fmt: skip
        rows = published_rows(input_shape, rows, SIZES)
    name = name or f"mobilenet_{alpha:0.2f}_{rows}"
    rules = Rules(size, 32, _files(alpha, rows), pooled=False, timm=PADDING)
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    start = x = begin(wanted, rules)
    x = layers.Conv2D(int(32 * alpha), 3, 2, padding="same", use_bias=False, name="conv1")(x)
    x = _activated(x, "conv1")
    for block, (width, strides) in enumerate(BLOCKS, 1):
        if strides == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{block}")(x)
        x = layers.DepthwiseConv2D(
            3, strides, padding="same" if strides == 1 else "valid", depth_multiplier=depth_multiplier, use_bias=False,
            name=f"conv_dw_{block}",
        )(x)  # fmt: skip
        x = _activated(x, f"conv_dw_{block}")
        x = layers.Conv2D(int(width * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{block}")(x)
        x = _activated(x, f"conv_pw_{block}")
    return finish(wanted, rules, start, x, _classifier(dropout))


def _activated(x: Tensor, name: str) -> Tensor:
    x = layers.BatchNormalization(last_axis(), name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _classifier(dropout: float) -> Top:
    def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        return layers.Activation(activation, name="predictions")(x)

    return classify


def _files(alpha: float, rows: int | None) -> tuple[Published, Published]:
    with_top, without = (f"{GOOGLE}mobilenet/mobilenet_{ALPHAS.get(alpha)}_{rows}_tf{end}.h5" for end in ("", "_no_top"))
    return Published(with_top), Published(without)


def own_size(input_shape: Sequence[int | None] | None, sizes: Sequence[int]) -> int:
    """Return the size that is the network's own for these images: theirs if weights of it are published, else 224."""
    spatial = _spatial(input_shape)
    return spatial[0] if len(set(spatial)) == 1 and spatial[0] in sizes else 224  # type: ignore[return-value]  # one of sizes


def _spatial(input_shape: Sequence[int | None] | None) -> list[int | None]:
    if input_shape is None:
        return []
    if len(input_shape) != 3:
        raise ArgumentError("input_shape must be (H, W, C).", got=shown(input_shape))
    return [size for axis, size in enumerate(input_shape) if axis != channels_at() % 3]


def rows_of(input_shape: Sequence[int | None] | None, include_top: bool, size: int) -> int | None:
    """Return the height that is part of the name."""
    if input_shape is None:
        return size if include_top else None
    return _spatial(input_shape)[0]


def published_rows(input_shape: Sequence[int | None] | None, rows: int | None, sizes: Sequence[int]) -> int:
    """Return the height of the images for which weights are loaded."""
    spatial = _spatial(input_shape) or [rows, rows]
    if spatial[0] == spatial[1] and spatial[0] is not None and spatial[0] in sizes:
        return spatial[0]
    warn(f"No weights are published for images of input_shape={input_shape}: those for 224 × 224 are loaded.")
    return 224


preprocess_input = preparation("tf")

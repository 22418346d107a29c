"""NASNet (Zoph et al. 2018, figure 4): two cells that a search found, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch import layers
from anabranch._arguments import checked
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
    Wanted,
    begin,
    channels_at,
    classify_unnamed,
    even_padding,
    finish,
)
from anabranch.applications.imagenet_utils import decode_predictions, preparation

if TYPE_CHECKING:
    from anabranch.layers.fields import Padding
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy


class Sizes(NamedTuple):
    """What distinguishes the two networks (N @ filters in the paper)."""

    size: int
    filters: int
    repeats: int
    stem: int
    skips: bool
    files: tuple[Published, Published]


MOBILE = Sizes(224, 1056, 4, 32, False, (
    Published(f"{GOOGLE}nasnet/NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61", "nasnet_mobile.h5"),
    Published(f"{GOOGLE}nasnet/NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63", "nasnet_mobile_no_top.h5"),
))  # fmt: skip
LARGE = Sizes(331, 4032, 6, 96, True, (
    Published(f"{GOOGLE}nasnet/NASNet-large.h5", "11577c9a518f0070763c2b964a382f17", "nasnet_large.h5"),
    Published(f"{GOOGLE}nasnet/NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5", "nasnet_large_no_top.h5"),
))  # fmt: skip
Pair = tuple["Tensor", "Tensor"]


@checked
@described(ARGUMENTS, RAISES)
def NASNetMobile(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: ActivationLike = "softmax",
    name: str = "nasnet_mobile",
) -> Model:
    """Return NASNet-A (4 @ 1056), for images of 224 × 224 (Zoph et al. 2018, table 2).

    Example:
        >>> NASNetMobile(weights=None).count_params()
        5326716
    """
    if not include_top and input_shape is None:
        input_shape = (224, 224, 3)
    return _built(
        Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name), MOBILE
    )  # fmt: skip


@checked
@described(ARGUMENTS, RAISES)
def NASNetLarge(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: ActivationLike = "softmax",
    name: str = "nasnet_large",
) -> Model:
    """Return NASNet-A (6 @ 4032), for images of 331 × 331 (Zoph et al. 2018, table 2).

    Example:
        >>> NASNetLarge(weights=None).count_params()
        88949818
    """
    return _built(Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name), LARGE)


def _built(wanted: Wanted, sizes: Sizes) -> Model:
    if channels_at() == 0:
        raise ArgumentError("NASNet takes channels last.", repair="config.set_image_data_format('channels_last')")
    rules = Rules(sizes.size, 32, sizes.files, pooled=False)
    start = begin(wanted, rules)
    x = layers.Conv2D(sizes.stem, 3, 2, use_bias=False, name="stem_conv1", kernel_initializer="he_normal")(start)
    x = _normalize(x, "stem_bn1")
    width, repeats = sizes.filters // 24, sizes.repeats
    x, before = _reduction(x, None, width // 4, "stem_1")
    x, before = _reduction(x, before, width // 2, "stem_2")
    for stage in range(3):
        wide = width * 2**stage
        if stage:
            x, skipped = _reduction(x, before, wide, f"reduce_{stage * repeats}")
            before = before if sizes.skips else skipped
        for index in range(repeats):
            x, before = _normal(x, before, wide, f"{stage * repeats + index + bool(stage)}")
    return finish(wanted, rules, start, layers.Activation("relu")(x), classify_unnamed)


def _normalize(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(-1, momentum=0.9997, epsilon=1e-3, name=name)(x)


def _rectify(x: Tensor, name: str | None = None) -> Tensor:
    return layers.Activation("relu", name=name)(x)


def _pointwise(x: Tensor, width: int, name: str) -> Tensor:
    return layers.Conv2D(width, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)


def _separable(x: Tensor, width: int, kernel: int, name: str, strides: int = 1) -> Tensor:
    """Return two separable convolutions, the first with these strides."""
    padding: Padding = "same" if strides == 1 else "valid"
    x = _rectify(x)
    if strides == 2:
        x = layers.ZeroPadding2D(even_padding(x, kernel), name=f"separable_conv_1_pad_{name}")(x)
    x = layers.SeparableConv2D(width, kernel, strides, padding, use_bias=False, name=f"separable_conv_1_{name}")(x)
    x = _rectify(_normalize(x, f"separable_conv_1_bn_{name}"))
    x = layers.SeparableConv2D(width, kernel, padding="same", use_bias=False, name=f"separable_conv_2_{name}")(x)
    return _normalize(x, f"separable_conv_2_bn_{name}")


def _adjusted(before: Tensor | None, x: Tensor, width: int, name: str) -> Tensor:
    """Return what the cell before the last gave, with the height and the channels of this one."""
    if before is None:
        return x
    if before.shape[-2] != x.shape[-2]:
        before = _rectify(before, f"adjust_relu_1_{name}")
        first = layers.AveragePooling2D(1, 2, name=f"adjust_avg_pool_1_{name}")(before)
        first = _pointwise(first, width // 2, f"adjust_conv_1_{name}")
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(before))
        second = layers.AveragePooling2D(1, 2, name=f"adjust_avg_pool_2_{name}")(shifted)
        second = _pointwise(second, width // 2, f"adjust_conv_2_{name}")
        return _normalize(layers.concatenate([first, second]), f"adjust_bn_{name}")
    if before.shape[-1] != width:
        return _normalize(_pointwise(_rectify(before), width, f"adjust_conv_projection_{name}"), f"adjust_bn_{name}")
    return before


def _mean(x: Tensor, name: str) -> Tensor:
    return layers.AveragePooling2D(3, 1, padding="same", name=name)(x)


def _normal(x: Tensor, before: Tensor | None, width: int, name: str) -> Pair:
    """Return the normal cell of figure 4, and its input."""
    p = _adjusted(before, x, width, name)
    h = _normalize(_pointwise(_rectify(x), width, f"normal_conv_1_{name}"), f"normal_bn_1_{name}")

    def convolved(of: Tensor, kernel: int, place: str) -> Tensor:
        return _separable(of, width, kernel, f"normal_{place}_{name}")

    def added(number: int, *parts: Tensor) -> Tensor:
        return layers.add(list(parts), name=f"normal_add_{number}_{name}")

    branches = [
        added(1, convolved(h, 5, "left1"), convolved(p, 3, "right1")),
        added(2, convolved(p, 5, "left2"), convolved(p, 3, "right2")),
        added(3, _mean(h, f"normal_left3_{name}"), p),
        added(4, _mean(p, f"normal_left4_{name}"), _mean(p, f"normal_right4_{name}")),
        added(5, convolved(h, 3, "left5"), h),
    ]
    return layers.concatenate([p, *branches], name=f"normal_concat_{name}"), x


def _reduction(x: Tensor, before: Tensor | None, width: int, name: str) -> Pair:
    """Return the reduction cell of figure 4, and its input."""
    p = _adjusted(before, x, width, name)
    h = _normalize(_pointwise(_rectify(x), width, f"reduction_conv_1_{name}"), f"reduction_bn_1_{name}")
    padded = layers.ZeroPadding2D(even_padding(h, 3), name=f"reduction_pad_1_{name}")(h)

    def convolved(of: Tensor, kernel: int, place: str, strides: int = 2) -> Tensor:
        return _separable(of, width, kernel, f"reduction_{place}_{name}", strides)

    one = layers.add([convolved(h, 5, "left1"), convolved(p, 7, "right1")], name=f"reduction_add_1_{name}")
    most = layers.MaxPooling2D(3, 2, name=f"reduction_left2_{name}")(padded)
    two = layers.add([most, convolved(p, 7, "right2")], name=f"reduction_add_2_{name}")
    mean = layers.AveragePooling2D(3, 2, name=f"reduction_left3_{name}")(padded)
    three = layers.add([mean, convolved(p, 5, "right3")], name=f"reduction_add3_{name}")
    four = layers.add([two, _mean(one, f"reduction_left4_{name}")])
    left = convolved(one, 3, "left4", 1)
    right = layers.MaxPooling2D(3, 2, name=f"reduction_right5_{name}")(padded)
    five = layers.add([left, right], name=f"reduction_add4_{name}")
    return layers.concatenate([two, three, four, five], name=f"reduction_concat_{name}"), x


preprocess_input = preparation("tf")

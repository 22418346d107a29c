"""MobileNetV3 (Howard et al. 2019, tables 1 and 2): MobileNetV2's bottlenecks with gates over channels and hard swish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch import layers
from anabranch._arguments import Positive, checked
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
    divisible,
    even_padding,
    finish,
    last_axis,
)
from anabranch.applications._timm import mobilenet_v3 as timm
from anabranch.applications._torchvision import PADDING
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.applications.mobilenet import published_rows
from anabranch.applications.mobilenet_v2 import normalize

if TYPE_CHECKING:
    from anabranch.layers.fields import Padding
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = ["decode_predictions", "preprocess_input"]
__dir__ = __all__.copy


class Unit(NamedTuple):
    """One row of a table: the expansion, the width, the kernel's size, whether there are a gate and hard swish, the strides."""

    expansion: float
    width: int
    kernel: int
    gate: bool
    swish: bool
    strides: int


SMALL = (
    Unit(1, 16, 3, True, False, 2), Unit(72 / 16, 24, 3, False, False, 2), Unit(88 / 24, 24, 3, False, False, 1),
    Unit(4, 40, 5, True, True, 2), Unit(6, 40, 5, True, True, 1), Unit(6, 40, 5, True, True, 1),
    Unit(3, 48, 5, True, True, 1), Unit(3, 48, 5, True, True, 1), Unit(6, 96, 5, True, True, 2),
    Unit(6, 96, 5, True, True, 1), Unit(6, 96, 5, True, True, 1),
)  # fmt: skip
"""Table 2."""
LARGE = (
    Unit(1, 16, 3, False, False, 1), Unit(4, 24, 3, False, False, 2), Unit(3, 24, 3, False, False, 1),
    Unit(3, 40, 5, True, False, 2), Unit(3, 40, 5, True, False, 1), Unit(3, 40, 5, True, False, 1),
    Unit(6, 80, 3, False, True, 2), Unit(2.5, 80, 3, False, True, 1), Unit(2.3, 80, 3, False, True, 1),
    Unit(2.3, 80, 3, False, True, 1), Unit(6, 112, 3, True, True, 1), Unit(6, 112, 3, True, True, 1),
    Unit(6, 160, 5, True, True, 2), Unit(6, 160, 5, True, True, 1), Unit(6, 160, 5, True, True, 1),
)  # fmt: skip
"""Table 1."""
HASHES = {
    "large_224_0.75_float": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0_float": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0_float": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75_float": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0_float": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0_float": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}
documented = described(
    ARGUMENTS
    | {
        "minimalistic": "whether gates, hard swish and 5×5 kernels are left out.",
        "dropout_rate": "the rate of dropout before the classifier.",
    },
    RAISES,
)


@checked
@documented
def MobileNetV3Small(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: Positive = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    classes: int = CLASSES,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: ActivationLike = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Small",
) -> Model:
    """Return the small MobileNetV3 (Howard et al. 2019, table 2).

    Example:
        >>> MobileNetV3Small(weights=None).count_params()
        2554968
    """
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _network(wanted, SMALL, 1024, "small", alpha, minimalistic, dropout_rate, include_preprocessing)


@checked
@documented
def MobileNetV3Large(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: Positive = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Path_ | None = IMAGENET,
    input_tensor: Tensor | None = None,
    classes: int = CLASSES,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: ActivationLike = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Large",
) -> Model:
    """Return the large MobileNetV3 (Howard et al. 2019, table 1).

    Example:
        >>> MobileNetV3Large(weights=None).count_params()
        5507432
    """
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _network(wanted, LARGE, 1280, "large", alpha, minimalistic, dropout_rate, include_preprocessing)


def _network(
    wanted: Wanted,
    blocks: Sequence[Unit],
    last: int,
    kind: str,
    alpha: float,
    minimalistic: bool,
    dropout: float,
    scale: bool,
) -> Model:
    same = timm(tuple(block.width for block in blocks))
    rules = Rules(224, 32, _files(wanted, kind, alpha, minimalistic), torchvision=PADDING, timm=same)
    shape = wanted.input_shape
    if shape is None and wanted.input_tensor is None:
        shape = (None, None, 3) if channels_at() else (3, None, None)  # the classifier is a convolution: any size serves
    start = x = begin(wanted._replace(input_shape=shape), rules, any_size=True)
    swish = _rectify if minimalistic else _hard_swish
    if scale:
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False, name="conv")(x)
    x = swish(normalize(x, "conv_bn"))
    for index, block in enumerate(blocks):
        simple = block._replace(kernel=3, gate=False) if minimalistic else block
        x = _bottleneck(x, simple._replace(width=divisible(block.width * alpha)), swish if block.swish else _rectify, index)
    x = layers.Conv2D(divisible(x.shape[last_axis()] * 6), 1, padding="same", use_bias=False, name="conv_1")(x)
    x = swish(normalize(x, "conv_1_bn"))
    return finish(wanted, rules, start, x, _classifier(divisible(last * alpha) if alpha > 1 else last, swish, dropout))


def _classifier(width: int, activate: Callable[[Tensor], Tensor], dropout: float) -> Top:
    def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = activate(layers.Conv2D(width, 1, padding="same", name="conv_2")(x))
        x = layers.Dropout(dropout)(x) if dropout > 0 else x
        x = layers.Flatten()(layers.Conv2D(classes, 1, padding="same", name="logits")(x))
        return layers.Activation(activation, name="predictions")(x)

    return classify


def _bottleneck(inputs: Tensor, block: Unit, activate: Callable[[Tensor], Tensor], index: int) -> Tensor:
    channels = inputs.shape[last_axis()]
    wide = divisible(channels * block.expansion)
    prefix = f"expanded_conv_{index}_" if index else "expanded_conv_"
    x = inputs
    if index:
        x = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = activate(normalize(x, f"{prefix}expand_bn"))
    if block.strides == 2:
        x = layers.ZeroPadding2D(even_padding(x, block.kernel), name=f"{prefix}depthwise_pad")(x)
    padding: Padding = "same" if block.strides == 1 else "valid"
    x = layers.DepthwiseConv2D(block.kernel, block.strides, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = activate(normalize(x, f"{prefix}depthwise_bn"))
    x = _gated(x, wide, prefix) if block.gate else x
    x = layers.Conv2D(block.width, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = normalize(x, f"{prefix}project_bn")
    return layers.Add(name=f"{prefix}add")([inputs, x]) if block.strides == 1 and channels == block.width else x


def _gated(x: Tensor, width: int, prefix: str) -> Tensor:
    """Multiply each channel by a gate that is computed from the means of all (Hu et al. 2018)."""
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze_excite_avg_pool")(x)
    gate = layers.Conv2D(divisible(width * 0.25), 1, padding="same", name=f"{prefix}squeeze_excite_conv")(gate)
    gate = layers.ReLU(name=f"{prefix}squeeze_excite_relu")(gate)
    gate = layers.Conv2D(width, 1, padding="same", name=f"{prefix}squeeze_excite_conv_1")(gate)
    gate = layers.ReLU(6.0)(gate + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{prefix}squeeze_excite_mul")([x, gate])


def _rectify(x: Tensor) -> Tensor:
    return layers.ReLU()(x)


def _hard_swish(x: Tensor) -> Tensor:
    return layers.Activation("hard_swish")(x)


def _files(wanted: Wanted, kind: str, alpha: float, minimalistic: bool) -> tuple[Published, Published] | None:
    if wanted.weights != IMAGENET:
        return None
    key = f"{kind}{'_minimalistic' if minimalistic else ''}_224_{float(alpha)}_float"
    if key not in HASHES:
        raise ArgumentError("No weights of this network are published.", expected=", ".join(HASHES), got=key)
    published_rows(wanted.input_shape, None, (224,))
    url = f"{GOOGLE}mobilenet_v3/weights_mobilenet_v3_{key}"
    return Published(f"{url}.h5", HASHES[key][0]), Published(f"{url}_no_top_v2.h5", HASHES[key][1])


preprocess_input = preparation(None)

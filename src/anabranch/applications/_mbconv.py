"""Bottlenecks of EfficientNet: widen, filter each channel, gate (Tan & Le 2019, 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from anabranch import initializers, layers
from anabranch.applications._building import ActivationLike, Top, axis, channels_at, even_padding

if TYPE_CHECKING:
    from anabranch.layers.fields import Padding
    from anabranch.runtime import Tensor


class Stage(NamedTuple):
    """One row of a table of blocks.

    Args:
        fused: whether one convolution is in the place of a widening and a depthwise one.
        kernel: the kernel's size.
        repeats: how many blocks there are.
        inputs: the width before.
        outputs: the width after.
        expansion: the factor by which a block is wider inside.
        gate: the width of the gate, as a fraction of ``inputs``; 0 for none.
        strides: those of the first block.
    """

    fused: bool
    kernel: int
    repeats: int
    inputs: int
    outputs: int
    expansion: int
    gate: float
    strides: int


def drawn() -> initializers.VarianceScaling:
    """Return the initializer of kernels."""
    return initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="truncated_normal")


def convolve(x: Tensor, width: int, kernel: int, name: str, strides: int = 1, padding: Padding = "same") -> Tensor:
    """Return a convolution without bias."""
    return layers.Conv2D(
        width, kernel, strides, padding=padding, use_bias=False, kernel_initializer=drawn(), name=name
    )(x)  # fmt: skip


def normalize(x: Tensor, name: str, momentum: float = 0.99) -> Tensor:
    """Normalize by the batch."""
    return layers.BatchNormalization(axis(), momentum=momentum, name=name)(x)


def swish(x: Tensor, name: str) -> Tensor:
    """Activate."""
    return layers.Activation("swish", name=name)(x)


def gated(x: Tensor, width: int, narrow: int, name: str) -> Tensor:
    """Multiply each channel by a gate that is computed from the means of all (Hu et al. 2018)."""
    gate = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    gate = layers.Reshape((1, 1, width) if channels_at() else (width, 1, 1), name=f"{name}se_reshape")(gate)
    gate = layers.Conv2D(
        max(1, narrow), 1, padding="same", activation="swish", kernel_initializer=drawn(), name=f"{name}se_reduce"
    )(gate)  # fmt: skip
    gate = layers.Conv2D(
        width, 1, padding="same", activation="sigmoid", kernel_initializer=drawn(), name=f"{name}se_expand"
    )(gate)  # fmt: skip
    return layers.multiply([x, gate], name=f"{name}se_excite")


def bottleneck(
    inputs: Tensor, stage: Stage, rate: float, name: str, *, depthwise: str, momentum: float = 0.99, even: bool = False
) -> Tensor:
    """Return one block; ``even``: whether stride 2 begins with padding of its own, so that sizes are halved evenly."""
    width = stage.inputs * stage.expansion
    x = inputs
    if stage.expansion != 1:
        x = swish(
            normalize(convolve(x, width, 1, f"{name}expand_conv"), f"{name}expand_bn", momentum), f"{name}expand_activation"
        )
    padded = even and stage.strides == 2
    if padded:
        x = layers.ZeroPadding2D(even_padding(x, stage.kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        stage.kernel, stage.strides, padding="valid" if padded else "same", use_bias=False, depthwise_initializer=drawn(),
        name=f"{name}{depthwise}",
    )(x)  # fmt: skip
    x = swish(normalize(x, f"{name}bn", momentum), f"{name}activation")
    if stage.gate:
        x = gated(x, width, int(stage.inputs * stage.gate), name)
    x = normalize(convolve(x, stage.outputs, 1, f"{name}project_conv"), f"{name}project_bn", momentum)
    return added(x, inputs, stage, rate, name)


def fused_bottleneck(inputs: Tensor, stage: Stage, rate: float, name: str, momentum: float) -> Tensor:
    """Return one block whose first convolution is a full one."""
    x = inputs
    widens = stage.expansion != 1
    if widens:
        x = convolve(x, stage.inputs * stage.expansion, stage.kernel, f"{name}expand_conv", stage.strides)
        x = swish(normalize(x, f"{name}expand_bn", momentum), f"{name}expand_activation")
    kernel, strides = (1, 1) if widens else (stage.kernel, stage.strides)
    x = normalize(convolve(x, stage.outputs, kernel, f"{name}project_conv", strides), f"{name}project_bn", momentum)
    x = x if widens else swish(x, f"{name}project_activation")
    return added(x, inputs, stage, rate, name)


def added(x: Tensor, inputs: Tensor, stage: Stage, rate: float, name: str) -> Tensor:
    """Add the block to its input where shapes allow it; while training, a sample's block is dropped at this rate."""
    if stage.strides != 1 or stage.inputs != stage.outputs:
        return x
    if rate > 0:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.add([x, inputs], name=f"{name}add")


def classifier(rate: float) -> Top:
    """Return the classifier, with dropout before its Dense layer."""

    def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(rate, name="top_dropout")(x) if rate > 0 else x
        kernel = initializers.VarianceScaling(scale=1 / 3, mode="fan_out", distribution="uniform")
        return layers.Dense(classes, activation=activation, kernel_initializer=kernel, name="predictions")(x)

    return classify

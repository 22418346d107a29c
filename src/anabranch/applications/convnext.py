"""ConvNeXt (Liu et al. 2022, figure 4): depthwise convolutions of 7×7 and a perceptron for each position, around identities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from anabranch import layers
from anabranch._arguments import checked
from anabranch._errors import ArgumentError
from anabranch.applications._building import (
    CLASSES,
    GOOGLE,
    IMAGENET,
    ActivationLike,
    Path_,
    Published,
    Rules,
    Top,
    Wanted,
    begin,
    channels_at,
    finish,
    named,
)
from anabranch.applications._layers import LayerScale
from anabranch.applications._pixels import DEVIATIONS, MEANS
from anabranch.applications._timm import convnext as timm
from anabranch.applications._torchvision import convnext as torchvision
from anabranch.applications.imagenet_utils import decode_predictions, preparation
from anabranch.models.sequential import Sequential

if TYPE_CHECKING:
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor

__all__ = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "decode_predictions",
    "preprocess_input",
]  # fmt: skip
__dir__ = __all__.copy

EPSILON = 1e-6  # of the normalizations
SCALE = 1e-6  # with which each block begins


class Builder(Protocol):
    """A function that builds one of these networks."""

    def __call__(
        self,
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        name: str = ...,
    ) -> Model:
        """Return the model."""


def _normalization(name: str | None = None) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _between(index: int, width: int, name: str) -> Sequential:
    """Return what precedes a stage: the stem, or a normalization and a convolution that halves height and width."""
    if not index:
        parts = [layers.Conv2D(width, 4, 4, name=f"{name}_stem_conv"), _normalization(f"{name}_stem_layernorm")]
        return Sequential(parts, name=f"{name}_stem")
    number = index - 1
    parts = [
        _normalization(f"{name}_downsampling_layernorm_{number}"),
        layers.Conv2D(width, 2, 2, name=f"{name}_downsampling_conv_{number}"),
    ]
    return Sequential(parts, name=f"{name}_downsampling_block_{number}")


def _block(inputs: Tensor, width: int, name: str) -> Tensor:
    x = layers.Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(inputs)
    x = _normalization(f"{name}_layernorm")(x)
    x = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(width, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(SCALE, width, name=f"{name}_layer_scale")(x)
    return inputs + layers.Activation("linear", name=f"{name}_identity")(x)


def _classifier(name: str) -> Top:
    def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
        x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
        x = _normalization(f"{name}_head_layernorm")(x)
        return layers.Dense(classes, activation=activation, name=f"{name}_head_dense")(x)

    return classify


def _scaled(x: Tensor, name: str) -> Tensor:
    """Return the pixels as the network was trained on them."""
    mean = [255 * each for each in MEANS["torch"]]
    variance = [(255 * each) ** 2 for each in DEVIATIONS]
    return layers.Normalization(mean=mean, variance=variance, name=f"{name}_prestem_normalization")(x)


def _built(wanted: Wanted, rules: Rules, depths: Sequence[int], widths: Sequence[int], scale: bool) -> Model:
    if channels_at() == 0:
        raise ArgumentError("ConvNeXt takes channels last.", repair="config.set_image_data_format('channels_last')")
    name = wanted.name
    start = x = begin(wanted, rules)
    x = _scaled(x, name) if scale and x.shape[-1] == 3 else x
    for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        x = _between(index, width, name)(x)
        for block in range(depth):
            x = _block(x, width, f"{name}_stage_{index}_block_{block}")
    return finish(wanted, rules, start, x, _classifier(name), last=_normalization())


def _network(word: str, depths: Sequence[int], widths: Sequence[int], params: int, *hashes: str) -> Builder:
    name = f"convnext_{word.lower()}"

    @checked
    def given(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        name: str = name,
    ) -> Model:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        url = f"{GOOGLE}convnext/{name}"
        files = Published(f"{url}.h5", hashes[0]), Published(f"{url}_notop.h5", hashes[1])
        rules = Rules(224, 32, files, False, torchvision, timm)
        return _built(wanted, rules, depths, widths, include_preprocessing)

    found: Builder = named(given, f"ConvNeXt{word}", f"Return ConvNeXt-{word} (Liu et al. 2022, §3).", params)
    return found


ConvNeXtTiny = _network(
    "Tiny", (3, 3, 9, 3), (96, 192, 384, 768), 28_589_128,
    "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
)  # fmt: skip
ConvNeXtSmall = _network(
    "Small", (3, 3, 27, 3), (96, 192, 384, 768), 50_223_688,
    "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
)  # fmt: skip
ConvNeXtBase = _network(
    "Base", (3, 3, 27, 3), (128, 256, 512, 1024), 88_591_464,
    "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
)  # fmt: skip
ConvNeXtLarge = _network(
    "Large", (3, 3, 27, 3), (192, 384, 768, 1536), 197_767_336,
    "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
)  # fmt: skip
ConvNeXtXLarge = _network(
    "XLarge", (3, 3, 27, 3), (256, 512, 1024, 2048), 350_196_968,
    "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
)  # fmt: skip
preprocess_input = preparation(None)

"""Well-known architectures as their papers have them, on which the views of a model are tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch import Input, Model, Sequential, layers
from anabranch.demo import toy_resnet

Tensor = Any


def _normalized(x: Tensor, filters: int, size: int = 3, strides: int = 1, *, relu: bool = True, bias: bool = False) -> Tensor:
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=bias)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def _bottlenecks(inputs: Tensor, bias: bool, name: str, classes: int = 1000) -> Model:
    x = layers.MaxPooling2D(3, 2, padding="same")(_normalized(inputs, 64, 7, 2, bias=bias))
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            y = _normalized(x, filters, 1, strides, bias=bias)
            y = _normalized(y, filters, 3, bias=bias)
            y = _normalized(y, 4 * filters, 1, relu=False, bias=bias)
            x = x if block else _normalized(x, 4 * filters, 1, strides, relu=False, bias=bias)
            x = layers.ReLU()(layers.add([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(classes, activation="softmax")(x), name=name)


def resnet50() -> Model:
    """He et al. 2015, table 1."""
    return _bottlenecks(Input((224, 224, 3)), False, "resnet50")


def keras_resnet50() -> Model:
    """The same as Keras's applications have it, with biases before the normalizations."""
    return _bottlenecks(Input((224, 224, 3)), True, "resnet50")


def preactivated_resnet() -> Model:
    """He et al. 2016, figure 4 (e)."""
    inputs = Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)(y) if filters > 16 else x
        y = _normalized(y, filters, 3, strides)
        x = layers.add([layers.Conv2D(filters, 3, padding="same", use_bias=False)(y), shortcut])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="preactivated")


def wide_resnet() -> Model:
    """Zagoruyko & Komodakis 2016, with dropout between the convolutions (section 2.4)."""
    inputs = Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for filters, strides in ((64, 1), (128, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)(y)
        y = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(y)
        y = layers.Dropout(0.3)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        x = layers.add([layers.Conv2D(filters, 3, padding="same", use_bias=False)(y), shortcut])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="wide_resnet")


def vgg16() -> Model:
    """Simonyan & Zisserman 2015, table 1, column D."""
    x = inputs = Input((224, 224, 3))
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dropout(0.5)(layers.Dense(4096, activation="relu")(x))
    return Model(inputs, layers.Dense(1000, activation="softmax")(x), name="vgg16")


def unet() -> Model:
    """Ronneberger et al. 2015, figure 1, with borders padded."""
    inputs = x = Input((128, 128, 1))
    skips = []
    for filters in (64, 128, 256, 512):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for _ in range(2):
        x = layers.Conv2D(1024, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(filters, 2, 2)(x)
        x = layers.Concatenate()([skip, x])
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x), name="unet")


def mobilenet_v2() -> Model:
    """Sandler et al. 2018, table 2."""
    inputs = Input((224, 224, 3))
    x = _depthwise_stem(inputs)
    for expansion, filters, count, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for block in range(count):
            y = x
            if expansion > 1:
                y = layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False)(y)
                y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
            y = layers.DepthwiseConv2D(3, 1 if block else first, padding="same", use_bias=False)(y)
            y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
            y = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(y))
            x = layers.add([x, y]) if block else y
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(1280, 1, use_bias=False)(x)))
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(1000, activation="softmax")(x), name="mobilenet_v2")


def _depthwise_stem(x: Tensor) -> Tensor:
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def densenet() -> Model:
    """Huang et al. 2017, a short one of two blocks."""
    inputs = Input((32, 32, 3))
    x = layers.Conv2D(24, 3, padding="same", use_bias=False)(inputs)
    for block in range(2):
        for _ in range(4):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.Concatenate()([x, layers.Conv2D(12, 3, padding="same", use_bias=False)(y)])
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.AveragePooling2D()(layers.Conv2D(x.shape[-1], 1, use_bias=False)(x)) if not block else x
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(10, activation="softmax")(x), name="densenet")


def inception() -> Model:
    """Two blocks of Szegedy et al. 2015, figure 2 (b)."""
    inputs = x = Input((28, 28, 192))
    for ones, before3, threes, before5, fives, pooled in ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)):
        branches = [layers.Conv2D(ones, 1, activation="relu")(x)]
        y = layers.Conv2D(before3, 1, activation="relu")(x)
        branches.append(layers.Conv2D(threes, 3, padding="same", activation="relu")(y))
        y = layers.Conv2D(before5, 1, activation="relu")(x)
        branches.append(layers.Conv2D(fives, 5, padding="same", activation="relu")(y))
        y = layers.MaxPooling2D(3, 1, padding="same")(x)
        branches.append(layers.Conv2D(pooled, 1, activation="relu")(y))
        x = layers.Concatenate()(branches)
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(1000, activation="softmax")(x), name="inception")


def squeeze_excite() -> Model:
    """A residual block with a gate: Hu et al. 2018, figure 3."""
    inputs = Input((32, 32, 64))
    y = _normalized(_normalized(inputs, 64), 64, relu=False)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Dense(4, activation="relu")(gate)
    gate = layers.Dense(64, activation="sigmoid")(gate)
    x = layers.ReLU()(layers.add([inputs, layers.multiply([y, gate])]))
    return Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="squeeze_excite")


def transformer() -> Model:
    """Two blocks of an encoder (Vaswani et al. 2017, figure 1), normalization first, attention written out."""
    tokens = Input((64,), dtype="int32")
    x = layers.Embedding(1000, 32)(tokens)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        query, key, value = (layers.Dense(32)(y) for _ in range(3))
        scores = layers.Dot(axes=2)([query, key]) / 32**0.5
        y = layers.Dot(axes=(2, 1))([layers.Softmax()(scores), value])
        x = layers.add([x, layers.Dropout(0.1)(layers.Dense(32)(y))])
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.add([x, layers.Dropout(0.1)(layers.Dense(32)(y))])
    return Model(tokens, layers.Dense(1000)(layers.LayerNormalization()(x)), name="transformer")


def two_towers() -> Model:
    """Two towers over one embedding, their cosine as the score."""
    query, document = Input((16,), dtype="int32", name="query"), Input((64,), dtype="int32", name="document")
    embedding = layers.Embedding(10_000, 64)
    ends = [layers.Dense(64)(layers.GlobalAveragePooling1D()(embedding(words))) for words in (query, document)]
    return Model([query, document], layers.Dot(axes=1, normalize=True)(ends), name="two_towers")


def gan() -> Model:
    """A generator and a discriminator as one model (Radford et al. 2016)."""
    noise = Input((100,))
    x = layers.Reshape((4, 4, 64))(layers.Dense(1024, use_bias=False)(noise))
    for filters in (32, 16):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False)(x)))
    generator = Model(noise, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x), name="generator")
    discriminator = Sequential(
        [
            layers.Input((32, 32, 3)),
            *(
                each
                for filters in (16, 32)
                for each in (layers.Conv2D(filters, 4, 2, padding="same"), layers.LeakyReLU(0.2), layers.Dropout(0.3))
            ),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="discriminator",
    )
    return Model(noise, discriminator(generator(noise)), name="gan")


ALL: dict[str, Callable[[], Model]] = {
    build.__name__: build
    for build in (
        toy_resnet, resnet50, keras_resnet50, preactivated_resnet, wide_resnet, vgg16, unet, mobilenet_v2, densenet, inception,
        squeeze_excite, transformer, two_towers, gan,
    )
}  # fmt: skip

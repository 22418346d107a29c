"""Ten architectures, each a function of the library that has the words and of sizes: for costs, drawings and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.demo import toy_resnet


def conv_bn(k: Any, x: Any, filters: int, size: int = 3, strides: int = 1, activate: bool = True, padding: str = "same") -> Any:
    x = k.layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
    x = k.layers.BatchNormalization()(x)
    return k.layers.ReLU()(x) if activate else x


def resnet50(k: Any, size: int = 224, classes: int = 1000) -> Any:
    """He et al. 2016, as in torchvision (v1.5: strides in the 3×3): 25,557,032 parameters."""
    inputs = k.Input((size, size, 3), name="image")
    x = k.layers.ZeroPadding2D(3)(inputs)
    x = conv_bn(k, x, 64, 7, 2, padding="valid")
    x = k.layers.MaxPooling2D(3, strides=2, padding="valid")(k.layers.ZeroPadding2D(1)(x))
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            y = conv_bn(k, x, width, 1)
            y = k.layers.ZeroPadding2D(1)(y) if strides == 2 else y
            y = conv_bn(k, y, width, 3, strides, padding="valid" if strides == 2 else "same")
            y = conv_bn(k, y, 4 * width, 1, activate=False)
            skip = x if block else conv_bn(k, x, 4 * width, 1, strides, activate=False)
            x = k.layers.ReLU()(k.layers.add([y, skip]))
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.Model(inputs, k.layers.Dense(classes)(x), name="resnet50")


def unet(k: Any, size: int = 128, width: int = 16) -> Any:
    """Ronneberger et al. 2015, with padding."""
    inputs = k.Input((size, size, 3), name="image")
    x, skips = inputs, []
    for level in range(4):
        for _ in range(2):
            x = k.layers.Conv2D(width * 2**level, 3, padding="same", activation="relu")(x)
        if level < 3:
            skips.append(x)
            x = k.layers.MaxPooling2D()(x)
    for level in reversed(range(3)):
        x = k.layers.Conv2DTranspose(width * 2**level, 2, strides=2)(x)
        x = k.layers.Concatenate()([skips[level], x])
        for _ in range(2):
            x = k.layers.Conv2D(width * 2**level, 3, padding="same", activation="relu")(x)
    return k.Model(inputs, k.layers.Conv2D(1, 1, activation="sigmoid")(x), name="unet")


def inception(k: Any, size: int = 28) -> Any:
    """The block 3a of Szegedy et al. 2015, table 1."""
    inputs = k.Input((size, size, 192), name="features")

    def conv(x: Any, filters: int, window: int) -> Any:
        return k.layers.Conv2D(filters, window, padding="same", activation="relu")(x)

    branches = [
        conv(inputs, 64, 1),
        conv(conv(inputs, 96, 1), 128, 3),
        conv(conv(inputs, 16, 1), 32, 5),
        conv(k.layers.MaxPooling2D(3, strides=1, padding="same")(inputs), 32, 1),
    ]
    return k.Model(inputs, k.layers.Concatenate()(branches), name="inception")


def two_towers(k: Any, steps: int = 20, words: int = 5000, width: int = 64) -> Any:
    """Two texts, one table of words, a layer for each, the cosine of what comes out."""
    query, document = (k.Input((steps,), dtype="int32", name=name) for name in ("query", "document"))
    table = k.layers.Embedding(words, width, name="words")
    towers = []
    for tokens in (query, document):
        x = k.layers.GlobalAveragePooling1D()(table(tokens))
        x = k.layers.Dense(256, activation="relu")(x)
        towers.append(k.layers.Dense(width)(x))
    return k.Model([query, document], k.layers.Dot(axes=1, normalize=True)(towers), name="two_towers")


def mlp(k: Any, features: int = 784, width: int = 512) -> Any:
    """Three layers and a softmax."""
    inputs = k.Input((features,), name="features")
    x = inputs
    for _ in range(3):
        x = k.layers.Dropout(0.2)(k.layers.Dense(width, activation="relu")(x))
    return k.Model(inputs, k.layers.Dense(10, activation="softmax")(x), name="mlp")


def vgg(k: Any, size: int = 64, width: int = 32) -> Any:
    """Simonyan & Zisserman 2015, narrower and with three stages."""
    inputs = k.Input((size, size, 3), name="image")
    x = inputs
    for stage in range(3):
        for _ in range(2):
            x = k.layers.Conv2D(width * 2**stage, 3, padding="same", activation="relu")(x)
        x = k.layers.MaxPooling2D()(x)
    x = k.layers.Dense(256, activation="relu")(k.layers.Flatten()(x))
    return k.Model(inputs, k.layers.Dense(10)(x), name="vgg")


def mobilenet(k: Any, size: int = 224, classes: int = 1000) -> Any:
    """Howard et al. 2017, table 1."""
    inputs = k.Input((size, size, 3), name="image")
    x = conv_bn(k, inputs, 32, 3, 2)
    for filters, strides in [
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
    ]:  # fmt: skip
        x = k.layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = k.layers.ReLU()(k.layers.BatchNormalization()(x))
        x = conv_bn(k, x, filters, 1)
    return k.Model(inputs, k.layers.Dense(classes)(k.layers.GlobalAveragePooling2D()(x)), name="mobilenet")


def densenet(k: Any, size: int = 32, growth: int = 12, depth: int = 8) -> Any:
    """Two dense blocks of Huang et al. 2017."""
    inputs = k.Input((size, size, 3), name="image")
    x = k.layers.Conv2D(2 * growth, 3, padding="same", use_bias=False)(inputs)
    for block in range(2):
        for _ in range(depth):
            y = k.layers.ReLU()(k.layers.BatchNormalization()(x))
            y = k.layers.Conv2D(growth, 3, padding="same", use_bias=False)(y)
            x = k.layers.Concatenate()([x, y])
        if not block:
            x = k.layers.AveragePooling2D()(k.layers.Conv2D(2 * growth, 1)(x))
    return k.Model(inputs, k.layers.Dense(10)(k.layers.GlobalAveragePooling2D()(x)), name="densenet")


def transformer(k: Any, steps: int = 128, width: int = 256, heads: int = 4) -> Any:
    """One block of Vaswani et al. 2017, normalized before each part, of layers and functions."""
    inputs = k.Input((steps, width), name="tokens")
    x = k.layers.LayerNormalization()(inputs)
    split = (steps, heads, width // heads)
    queries, keys, values = (k.layers.Reshape(split)(k.layers.Dense(width)(x)) for _ in range(3))
    x = k.layers.Reshape((steps, width))(k.ops.dot_product_attention(queries, keys, values))
    x = k.layers.add([inputs, k.layers.Dense(width)(x)])
    y = k.layers.Dense(4 * width, activation="gelu")(k.layers.LayerNormalization()(x))
    return k.Model(inputs, k.layers.add([x, k.layers.Dense(width)(y)]), name="transformer")


ARCHITECTURES: dict[str, Callable[[Any], Any]] = {
    "toy_resnet": toy_resnet, "resnet50": resnet50, "unet": unet, "inception": inception, "two_towers": two_towers, "mlp": mlp,
    "vgg": vgg, "mobilenet": mobilenet, "densenet": densenet, "transformer": transformer,
}  # fmt: skip

"""Models whose drawings are looked at: what a reader of papers draws, and what is hard to draw."""

from collections.abc import Callable
from typing import Any

import anabranch as keras
from anabranch import layers, ops


def toy_resnet() -> keras.Model:
    """The toy ResNet of the Keras guide."""
    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    for _ in range(2):
        before = x
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        x = layers.add([x, before])
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")


def unet(depth: int = 3, filters: int = 16) -> keras.Model:
    """A U-Net: skips over all that is below them."""

    def block(x: Any, count: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        return x

    inputs = x = keras.Input((128, 128, 3), name="image")
    skips = []
    for level in range(depth):
        x = block(x, filters * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = block(x, filters * 2**depth)
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(filters * 2**level, 2, strides=2)(x)
        x = block(layers.Concatenate()([x, skips[level]]), filters * 2**level)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x), name="unet")


def two_towers() -> keras.Model:
    """Two towers over one embedding."""
    embedding = layers.Embedding(10_000, 64, name="embedding", mask_zero=True)

    def tower(name: str) -> Any:
        x = inputs[name] = keras.Input((None,), dtype="int32", name=name)
        x = layers.GlobalAveragePooling1D(name=f"{name}_mean")(embedding(x))
        x = layers.Dense(64, activation="relu", name=f"{name}_hidden")(x)
        return layers.Dense(32, name=f"{name}_vector")(x)

    inputs: dict[str, Any] = {}
    cosine = layers.Dot(1, normalize=True, name="cosine")([tower("query"), tower("document")])
    return keras.Model(inputs, {"score": cosine}, name="two_towers")


def inception() -> keras.Model:
    """A block of GoogLeNet: four branches."""

    def conv(filters: int, size: int, x: Any) -> Any:
        return layers.Conv2D(filters, size, padding="same", activation="relu")(x)

    x = keras.Input((28, 28, 192))
    pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
    branches = [conv(64, 1, x), conv(128, 3, conv(96, 1, x)), conv(32, 5, conv(16, 1, x)), conv(32, 1, pooled)]
    return keras.Model(x, layers.Concatenate()(branches), name="inception_3a")


def chain(length: int = 1000) -> keras.Model:
    """Dense layers in a row."""
    inputs = x = keras.Input((16,))
    for _ in range(length):
        x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, x, name="chain")


def gan() -> keras.Model:
    """A generator and a discriminator, called twice, in one model."""
    latent = keras.Input((64,), name="latent")
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64)(latent))
    x = layers.Conv2DTranspose(64, 4, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid")(x)
    generator = keras.Model(latent, x, name="generator")
    x = picture = keras.Input((28, 28, 1), name="picture")
    for filters in (32, 64):
        x = layers.LeakyReLU()(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
    discriminator = keras.Model(picture, layers.Dense(1)(layers.Flatten()(x)), name="discriminator")
    noise, real = keras.Input((64,), name="noise"), keras.Input((28, 28, 1), name="real")
    outputs = {"fake": discriminator(generator(noise)), "true": discriminator(real)}
    return keras.Model([noise, real], outputs, name="gan")


def resnet(counts: tuple[int, ...] = (3, 4, 6, 3)) -> keras.Model:
    """ResNet-50 (He et al. 2015), or one with other counts of blocks."""

    def conv(x: Any, filters: int, size: int, stride: int = 1, relu: bool = True) -> Any:
        x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if relu else x

    inputs = keras.Input((224, 224, 3))
    x = layers.MaxPooling2D(3, 2, padding="same")(conv(inputs, 64, 7, 2))
    for stage, count in enumerate(counts):
        filters = 64 * 2**stage
        for number in range(count):
            stride = 2 if stage and not number else 1
            before = x if number else conv(x, 4 * filters, 1, stride, relu=False)
            x = conv(conv(conv(x, filters, 1, stride), filters, 3), 4 * filters, 1, relu=False)
            x = layers.ReLU()(layers.Add()([x, before]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x), name="resnet")


def encoder(blocks: int = 12) -> keras.Model:
    """Transformer blocks (pre-norm), all of which take one mask; of functions and operators, too."""
    tokens, padding = keras.Input((128, 256), name="tokens"), keras.Input((128,), dtype="bool", name="padding")
    x, allowed = tokens, padding[:, None, :]
    for _ in range(blocks):
        normed = layers.LayerNormalization()(x)
        query, key, value = (layers.Dense(256)(normed) for _ in range(3))
        scores = ops.where(allowed, query @ ops.transpose(key, (0, 2, 1)), -1e9)
        x = x + layers.Dense(256)(ops.softmax(scores) @ value)
        x = x + layers.Dense(256)(layers.Dense(1024, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model([tokens, padding], layers.LayerNormalization()(x), name="encoder")


DRAWN: dict[str, Callable[[], keras.Model]] = {
    make.__name__: make for make in (toy_resnet, unet, two_towers, inception, chain, gan, resnet, encoder)
}


def large(branches: int = 250, depth: int = 20) -> keras.Model:
    """Return a model of 5,000 layers that do not repeat: residual branches of different widths."""
    x = h = keras.Input((16,))
    for number in range(branches):
        y = h
        for step in range(depth - 2):
            y = layers.Dense(16, activation=["relu", "tanh", "gelu"][(number * step) % 3], use_bias=bool((number + step) % 4))(
                y
            )
        h = layers.Add()([layers.Activation("relu")(y), h])
    return keras.Model(x, h, name="large")

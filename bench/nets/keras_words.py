"""The networks in Keras's words; ``keras`` is anabranch or Keras, and every function returns a model of its functional API."""

from __future__ import annotations

from typing import Any


def toy_resnet(keras: Any) -> Any:
    """Build the toy ResNet of the README."""
    layers = keras.layers

    def conv(x: Any, filters: int, padding: str = "valid") -> Any:
        return layers.Conv2D(filters, 3, activation="relu", padding=padding)(x)

    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.MaxPooling2D(3)(conv(conv(inputs, 32), 64))
    for _ in range(2):
        x = layers.add([conv(conv(x, 64, "same"), 64, "same"), x])
    x = layers.GlobalAveragePooling2D()(conv(x, 64))
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")


def _convolution(keras: Any, x: Any, filters: int, size: int, strides: int = 1, relu: bool = True) -> Any:
    layers = keras.layers
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x) if relu else x


def resnet20(keras: Any) -> Any:
    """Build the ResNet-20 for CIFAR of He et al. 2015, section 4.2, with projections (B) where the shape changes."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, _resnet20(keras, inputs), name="resnet20")


def resnet20_augmented(keras: Any) -> Any:
    """Build it behind the paper's augmentation: padded by 4, cropped at random, flipped."""
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    x = layers.RandomCrop(32, 32)(layers.ZeroPadding2D(4)(inputs))
    return keras.Model(inputs, _resnet20(keras, layers.RandomFlip("horizontal")(x)), name="resnet20")


def _resnet20(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _convolution(keras, x, 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            y = _convolution(keras, x, filters, 3, strides)
            y = _convolution(keras, y, filters, 3, relu=False)
            if strides > 1:
                x = _convolution(keras, x, filters, 1, strides, relu=False)
            x = layers.ReLU()(layers.add([y, x]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def resnet50(keras: Any) -> Any:
    """Build the ResNet-50 of He et al. 2015, table 1; a stage's stride is in its first 3×3 convolution, as in torchvision."""
    layers = keras.layers
    inputs = keras.Input((224, 224, 3))
    x = _convolution(keras, inputs, 64, 7, 2)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            y = _convolution(keras, x, filters, 1)
            y = _convolution(keras, y, filters, 3, strides)
            y = _convolution(keras, y, 4 * filters, 1, relu=False)
            if not block:
                x = _convolution(keras, x, 4 * filters, 1, strides, relu=False)
            x = layers.ReLU()(layers.add([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000)(x), name="resnet50")


def two_tower(keras: Any) -> Any:
    """Build two towers over one embedding: the mean of a query's and of a document's words, two layers each, their product."""
    layers = keras.layers
    query, document = keras.Input((16,), dtype="int32"), keras.Input((64,), dtype="int32")
    embedding = layers.Embedding(10_000, 64)
    ends = []
    for words in (query, document):
        x = layers.GlobalAveragePooling1D()(embedding(words))
        x = layers.Dense(128, activation="relu")(x)
        ends.append(layers.Dense(64)(x))
    return keras.Model([query, document], layers.Dot(axes=1)(ends), name="two_tower")


def mlp250(keras: Any) -> Any:
    """Build 250 dense layers of 64, the last of 10."""
    layers = keras.layers
    x = inputs = keras.Input((64,))
    for _ in range(249):
        x = layers.Dense(64, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="mlp250")


def lstm(keras: Any) -> Any:
    """Build a classifier of texts: words embedded, an LSTM, one logit."""
    layers = keras.layers
    inputs = keras.Input((80,), dtype="int32")
    x = layers.LSTM(128)(layers.Embedding(10_000, 128)(inputs))
    return keras.Model(inputs, layers.Dense(1)(x), name="lstm")


def _with_places(keras: Any, x: Any) -> Any:
    """Return tokens B T C plus a trained vector for each place."""

    class Places(keras.layers.Layer):  # type: ignore[misc]  # of either library
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=shape[1:], name="table")

        def call(self, x: Any) -> Any:
            return x + self.table

    return Places()(x)


def transformer(keras: Any) -> Any:
    """Build a classifier of texts: words and places embedded, an encoder block of Vaswani et al. 2017, the mean, one logit."""
    layers = keras.layers
    inputs = keras.Input((128,), dtype="int32")
    x = _with_places(keras, layers.Embedding(10_000, 128)(inputs))
    y = layers.Dropout(0.1)(layers.MultiHeadAttention(4, 32)(x, x))
    x = layers.LayerNormalization(epsilon=1e-6)(layers.add([x, y]))
    y = layers.Dropout(0.1)(layers.Dense(128)(layers.Dense(512, activation="relu")(x)))
    x = layers.LayerNormalization(epsilon=1e-6)(layers.add([x, y]))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(1)(x), name="transformer")


def vit(keras: Any) -> Any:
    """Build a small ViT (Dosovitskiy et al. 2021): 64 patches, six blocks of 192 channels with three heads, their mean."""
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, 192))(layers.Conv2D(192, 4, strides=4)(inputs))
    x = _with_places(keras, x)
    for _ in range(6):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.add([x, layers.MultiHeadAttention(3, 64)(y, y)])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.add([x, layers.Dense(192)(layers.Dense(768, activation="gelu")(y))])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vit")


def mobilenet_v2(keras: Any) -> Any:
    """Build the MobileNetV2 of ``applications``, for images of 96×96 and ten classes."""
    shape = (96, 96, 3)
    return keras.applications.MobileNetV2(weights=None, input_shape=shape, classes=10, classifier_activation=None)


_ALL = (toy_resnet, resnet20, resnet20_augmented, resnet50, two_tower, mlp250, lstm, transformer, vit, mobilenet_v2)
NETS = {net.__name__: net for net in _ALL}

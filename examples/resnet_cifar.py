"""The residual networks of He et al. 2015, section 4.2, on CIFAR-10: depth 6n + 2, their recipe.

    python examples/resnet_cifar.py --depth 20 [--epochs 164] [--limit 1000]

Three stages of n blocks on 32x32, 16x16 and 8x8 with 16, 32 and 64 filters; shortcuts without parameters (their option A: every
second position, new channels zero). Trained 64,000 steps of 128 images by SGD with momentum 0.9 and weight decay 1e-4; learning
rate 0.1, a tenth of that after 32,000 and again after 48,000 steps; images minus their mean, padded by 4, cropped at random and
flipped. From 110 layers on, the first 400 steps are taken at 0.01, as 0.1 is too large to begin with.
Published test errors, table 6: 8.75 % (20 layers), 7.51 (32), 7.17 (44), 6.97 (56), 6.43 (110), 7.93 (1202).
"""

import argparse

import torch

import anabranch as keras
from anabranch import layers

WEIGHT_DECAY = 1e-4


def convolution(x, filters, strides=1):
    """3x3, without bias, as batch normalization follows. L2 of decay / 2 has the gradient decay · w of the paper's SGD."""
    return layers.Conv2D(
        filters, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY / 2),
    )(x)  # fmt: skip


def normalized_relu(x):
    """BN, then ReLU."""
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))


class Shortcut(layers.Layer):
    """Option A: take every ``strides``-th position and add channels of zeros, so that the way around has no parameters."""

    def __init__(self, filters, strides, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, -(-height // self.strides), -(-width // self.strides), self.filters

    def build(self, input_shape):
        extra = self.filters - input_shape[-1]
        self.padding = (extra // 2, extra - extra // 2)

    def call(self, images):  # B H W C
        return torch.nn.functional.pad(images[:, :: self.strides, :: self.strides], self.padding)


def block(x, filters, strides):
    """Two convolutions and the way around them."""
    y = normalized_relu(convolution(x, filters, strides))
    y = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(convolution(y, filters))
    if strides > 1 or x.shape[-1] != filters:
        x = Shortcut(filters, strides)(x)
    return layers.ReLU()(layers.add([y, x]))


def resnet(depth):
    """The network for 32x32 images; ``depth`` is 6n + 2: 20, 32, 44, 56, 110, 1202."""
    if (depth - 2) % 6:
        raise SystemExit(f"depth is 6n + 2 (20, 32, 44, 56, 110, 1202), not {depth}")
    inputs = keras.Input((32, 32, 3), name="image")
    x = layers.ZeroPadding2D(4)(inputs)
    x = layers.RandomCrop(32, 32)(x)
    x = layers.RandomFlip("horizontal")(x)
    x = normalized_relu(convolution(x, 16))
    for stage, filters in enumerate((16, 32, 64)):
        for n in range((depth - 2) // 6):
            x = block(x, filters, strides=2 if stage and n == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(10, kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY / 2))(x)
    return keras.Model(inputs, outputs, name=f"resnet{depth}")


def main():
    """Train and test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=164, help="164 are the paper's 64,000 steps")
    parser.add_argument("--limit", type=int, help="train and test on so many images only")
    parser.add_argument("--summary", action="store_true", help="print the table and stop")
    options = parser.parse_args()
    model = resnet(options.depth)
    if options.summary:
        model.summary()
        return
    (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    mean = x_train.mean(axis=0, dtype="float32")
    x_train, y_train = (x_train[: options.limit] - mean) / 255, y_train[: options.limit]
    x_test, y_test = (x_test[: options.limit] - mean) / 255, y_test[: options.limit]
    steps, rates = [32_000, 48_000], [0.1, 0.01, 0.001]
    if options.depth >= 110:
        steps, rates = [400, *steps], [0.01, *rates]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x_train, y_train, batch_size=128, epochs=options.epochs, validation_data=(x_test, y_test))
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"{model.name}: test error {1 - accuracy:.2%}")


if __name__ == "__main__":
    main()

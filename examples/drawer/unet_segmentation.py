"""A U-Net of separable convolutions with residuals that labels each pixel of drawn shapes."""

import keras
import numpy as np
from keras import layers

img_size = (32, 32)
num_classes = 3

rng = np.random.default_rng(0)
images = rng.uniform(0, 80, (48, *img_size, 3)).astype("float32")
masks = np.zeros((48, *img_size), "uint8")
for number in range(48):
    label = 1 + number % 2
    top, left = rng.integers(0, 16, 2)
    images[number, top : top + 14, left : left + 14, label] += 150
    masks[number, top : top + 14, left : left + 14] = label
masks = keras.utils.to_categorical(masks, num_classes)


def get_model(img_size, num_classes):
    inputs = keras.Input(shape=img_size + (3,))
    x = layers.Rescaling(1 / 255.0)(inputs)

    # Entry block
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x

    for filters in [32, 64]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x

    for filters in [64, 32, 16]:
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        x = layers.BatchNormalization()(x)
        residual = layers.Conv2DTranspose(filters, 2, strides=2)(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x

    outputs = layers.Conv2D(num_classes, 3, activation="softmax", padding="same")(x)
    return keras.Model(inputs, outputs)


model = get_model(img_size, num_classes)
model.compile(optimizer=keras.optimizers.Adam(1e-4), loss="categorical_crossentropy", metrics=["accuracy"])
model.fit(images[:32], masks[:32], epochs=2, batch_size=16, validation_data=(images[32:], masks[32:]))
print(np.argmax(model.predict(images[32:]), axis=-1).shape)

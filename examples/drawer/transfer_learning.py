"""Transfer learning in two steps: a new classifier on a frozen MobileNetV2, then all of it at a low rate.

It runs under Keras and, unchanged, as `anabranch run examples/drawer/transfer_learning.py`. With a network,
`weights="imagenet"` and `keras.datasets.cifar10.load_data()` make it the usual script; here the pictures are drawn,
so that it runs anywhere.
"""

import keras
import numpy as np
from keras import layers

CLASSES, SIZE, COUNT = 3, 64, 48


def pictures(seed):
    """Return pictures of bars, upright, level and slanted, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(COUNT) % CLASSES
    rows, columns = np.mgrid[:SIZE, :SIZE]
    phases = (columns, rows, rows + columns)
    images = np.stack([128 + 100 * np.sin(phases[label] / 2 + rng.uniform(0, 6)) for label in labels])
    images = np.repeat(images[..., None], 3, axis=-1) + rng.normal(0, 10, (COUNT, SIZE, SIZE, 3))
    return np.clip(images, 0, 255).astype("float32"), labels


keras.utils.set_random_seed(1)
x_train, y_train = pictures(0)
x_test, y_test = pictures(1)

base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), alpha=0.35, pooling="avg")
base.trainable = False
inputs = keras.Input((SIZE, SIZE, 3))
x = keras.applications.mobilenet_v2.preprocess_input(inputs)
x = base(x, training=False)
x = layers.Dropout(0.1)(x)
outputs = layers.Dense(CLASSES)(x)
model = keras.Model(inputs, outputs)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
print("weights that train:", len(model.trainable_weights), "of", len(model.weights))
frozen = model.fit(x_train, y_train, epochs=3, batch_size=16, verbose=2, validation_data=(x_test, y_test))

base.trainable = True
model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
print("weights that train:", len(model.trainable_weights), "of", len(model.weights))
tuned = model.fit(x_train, y_train, epochs=5, batch_size=16, verbose=2)
print("first loss:", round(frozen.history["loss"][0], 3))
if not tuned.history["loss"][-1] < frozen.history["loss"][0]:
    raise SystemExit("it did not learn")

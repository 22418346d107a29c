"""A residual network with augmented pictures, in words of Keras 2: `anabranch run examples/drawer/keras2/resnet.py`."""

import numpy as np
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.layers import Activation, AveragePooling2D, BatchNormalization, Conv2D, Dense, Flatten, Input, add
from keras.models import Model
from keras.optimizers import Adam
from keras.preprocessing.image import ImageDataGenerator
from keras.regularizers import l2
from keras.utils import to_categorical

batch_size, epochs, num_classes, size = 16, 4, 3, 16
rng = np.random.RandomState(0)


def pictures(count):
    """Return bars, upright, level and slanted, and their classes: in the place of CIFAR-10, so that it runs anywhere."""
    labels = np.arange(count) % num_classes
    rows, columns = np.mgrid[:size, :size]
    phases = (columns, rows, rows + columns)
    images = np.stack([128 + 100 * np.sin(phases[label] + rng.uniform(0, 6)) for label in labels])
    return np.repeat(images[..., None], 3, axis=-1).astype("float32"), to_categorical(labels, num_classes)


x_train, y_train = pictures(96)
x_test, y_test = pictures(24)


def resnet_layer(inputs, num_filters=8, kernel_size=3, strides=1, activation="relu"):
    x = Conv2D(num_filters, kernel_size, strides=strides, padding="same", kernel_initializer="he_normal",
               kernel_regularizer=l2(1e-4))(inputs)  # fmt: skip
    x = BatchNormalization()(x)
    return Activation(activation)(x) if activation is not None else x


inputs = Input(shape=x_train.shape[1:])
x = resnet_layer(inputs)
num_filters = 8
for stack in range(2):
    strides = 2 if stack > 0 else 1
    y = resnet_layer(x, num_filters, strides=strides)
    y = resnet_layer(y, num_filters, activation=None)
    if stack > 0:
        x = resnet_layer(x, num_filters, kernel_size=1, strides=strides, activation=None)
    x = Activation("relu")(add([x, y]))
    num_filters *= 2
x = Flatten()(AveragePooling2D(pool_size=4)(x))
model = Model(inputs=inputs, outputs=Dense(num_classes, activation="softmax", kernel_initializer="he_normal")(x))


def schedule(epoch):
    return 1e-2 if epoch < 3 else 1e-3


model.compile(loss="categorical_crossentropy", optimizer=Adam(lr=schedule(0)), metrics=["accuracy"])
datagen = ImageDataGenerator(
    rescale=1 / 255, featurewise_center=True, width_shift_range=0.1, height_shift_range=0.1, rotation_range=5,
    horizontal_flip=False, fill_mode="nearest",
)  # fmt: skip
datagen.fit(x_train)
train, test = datagen.flow(x_train, y_train, batch_size=batch_size, seed=1), datagen.flow(x_test, y_test, shuffle=False)
history = model.fit_generator(
    train, steps_per_epoch=len(train), epochs=epochs, validation_data=test, verbose=2,
    callbacks=[LearningRateScheduler(schedule), ReduceLROnPlateau(factor=0.3, patience=2, min_lr=1e-6)],
)  # fmt: skip
loss, accuracy = model.evaluate_generator(test)
print("first loss:", history.history["loss"][0])
print("test accuracy:", accuracy)
if not history.history["loss"][-1] < history.history["loss"][0]:
    raise SystemExit("it did not learn")

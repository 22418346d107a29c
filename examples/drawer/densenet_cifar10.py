"""A densely connected network on CIFAR-10, with a schedule of the learning rate and label smoothing."""

import keras
from keras import layers, regularizers
from keras.callbacks import LearningRateScheduler

growth_rate = 12
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255
mean = x_train.mean(axis=0)
x_train -= mean
x_test -= mean
y_train = keras.utils.to_categorical(y_train, 10)
y_test = keras.utils.to_categorical(y_test, 10)


def conv(x, filters, kernel):
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    return layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizers.L2(1e-4),
    )(x)


inputs = keras.Input((32, 32, 3))
x = layers.Conv2D(2 * growth_rate, 3, padding="same", use_bias=False)(inputs)
for block in range(3):
    for _ in range(3):
        y = conv(x, growth_rate, 3)
        x = layers.Concatenate()([x, y])
    if block < 2:
        x = conv(x, x.shape[-1] // 2, 1)
        x = layers.AveragePooling2D(2)(x)
x = layers.BatchNormalization()(x)
x = layers.Activation("relu")(x)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="densenet")
model.summary()


def schedule(epoch, lr):
    return lr * 0.1 if epoch == 1 else lr


model.compile(
    optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy"],
)
model.fit(
    x_train, y_train, batch_size=16, epochs=2, validation_data=(x_test, y_test), callbacks=[LearningRateScheduler(schedule)]
)

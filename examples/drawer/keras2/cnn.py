"""A small network for pictures, written for Keras 2: `anabranch run examples/drawer/keras2/cnn.py`."""

import numpy as np
from keras import backend as K
from keras.callbacks import EarlyStopping
from keras.layers.advanced_activations import LeakyReLU
from keras.layers.convolutional import Conv2D, MaxPooling2D
from keras.layers.core import Activation, Dense, Dropout, Flatten
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils

num_classes = 4
rng = np.random.RandomState(0)
labels = np.arange(64) % num_classes
x_train = rng.rand(64, 12, 12, 1).astype("float32") * 0.3
for i, label in enumerate(labels):  # a bright bar, whose place is the class
    x_train[i, :, 3 * label : 3 * label + 3] += 0.7
y_train = np_utils.to_categorical(labels, num_classes)

model = Sequential()
model.add(Conv2D(8, (3, 3), input_shape=(12, 12, 1), kernel_initializer="he_uniform", padding="same"))
model.add(BatchNormalization())
model.add(LeakyReLU(alpha=0.1))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.1))
model.add(Flatten())
model.add(Dense(num_classes))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True), metrics=["accuracy"])


def batches(size):
    """Yield batches for ever."""
    while True:
        for begin in range(0, len(x_train), size):
            yield x_train[begin : begin + size], y_train[begin : begin + size]


history = model.fit_generator(
    batches(16), steps_per_epoch=4, epochs=6, verbose=2, validation_data=(x_train, y_train),
    callbacks=[EarlyStopping(monitor="val_acc", patience=3)],
)  # fmt: skip
K.set_value(model.optimizer.lr, 0.01)
loss, accuracy = model.evaluate(x_train, y_train, verbose=0)
print("first loss:", history.history["loss"][0])
print("accuracy:", history.history["acc"][-1])
print("predicted:", model.predict_classes(x_train[:4]))
if not loss < history.history["loss"][0]:
    raise SystemExit("it did not learn")

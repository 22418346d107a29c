"""A multilayer perceptron on MNIST, with callbacks and a confusion of two learning rates."""

import keras
from keras.callbacks import EarlyStopping, ReduceLROnPlateau
from keras.layers import Activation, BatchNormalization, Dense, Flatten, Rescaling
from keras.models import Sequential
from keras.optimizers import RMSprop

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()

model = Sequential()
model.add(keras.Input((28, 28)))
model.add(Rescaling(1.0 / 255))
model.add(Flatten())
for units in (256, 128):
    model.add(Dense(units, use_bias=False, kernel_regularizer=keras.regularizers.l2(1e-4)))
    model.add(BatchNormalization())
    model.add(Activation("relu"))
model.add(Dense(10))

model.compile(
    optimizer=RMSprop(learning_rate=1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(), keras.metrics.SparseTopKCategoricalAccuracy(k=3)],
)
history = model.fit(
    x_train,
    y_train,
    epochs=3,
    batch_size=64,
    validation_data=(x_test, y_test),
    callbacks=[EarlyStopping(patience=2, restore_best_weights=True), ReduceLROnPlateau(patience=1)],
)
print(sorted(history.history))

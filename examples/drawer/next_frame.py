"""Frames of a video, each predicted from those before it by convolutional LSTMs."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(0)
frames = np.zeros((24, 6, 16, 16, 1), "float32")
for movie in range(24):
    top, left, speed = *rng.integers(0, 8, 2), rng.integers(1, 3)
    for step in range(6):
        frames[movie, step, top : top + 4, (left + step * speed) % 13 : (left + step * speed) % 13 + 3] = 1
x, y = frames[:, :-1], frames[:, 1:]

inp = layers.Input(shape=(None, *x.shape[2:]))
z = layers.ConvLSTM2D(filters=8, kernel_size=(5, 5), padding="same", return_sequences=True, activation="relu")(inp)
z = layers.BatchNormalization()(z)
z = layers.ConvLSTM2D(filters=8, kernel_size=(3, 3), padding="same", return_sequences=True, activation="relu")(z)
z = layers.Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same")(z)
model = keras.models.Model(inp, z)
model.compile(loss=keras.losses.binary_crossentropy, optimizer=keras.optimizers.Adam())
model.fit(x[:16], y[:16], batch_size=8, epochs=2, validation_data=(x[16:], y[16:]))
print(model.predict(x[16:17]).shape)

"""An autoencoder of windows over a series; what it cannot reproduce is an anomaly."""

import keras
import numpy as np
from keras import layers

TIME_STEPS = 48
rng = np.random.default_rng(0)
series = np.sin(np.arange(400) / 24 * 2 * np.pi) + rng.normal(0, 0.1, 400)
series = (series - series.mean()) / series.std()
x_train = np.stack([series[i : i + TIME_STEPS] for i in range(len(series) - TIME_STEPS + 1)])[..., None]

model = keras.Sequential(
    [
        layers.Input(shape=(x_train.shape[1], x_train.shape[2])),
        layers.Conv1D(filters=32, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1D(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=32, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
model.fit(
    x_train,
    x_train,
    epochs=3,
    batch_size=128,
    validation_split=0.1,
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, mode="min")],
)
train_mae_loss = np.mean(np.abs(model.predict(x_train) - x_train), axis=1)
print("Reconstruction error threshold:", np.max(train_mae_loss) > 0)

"""Forecasts of a made-up climate: windows over series, an LSTM, and a callback that stops early."""

import keras
import numpy as np

rng = np.random.default_rng(0)
hours = np.arange(600)
features = np.stack([np.sin(hours / 24 * 2 * np.pi), np.cos(hours / 168 * 2 * np.pi), rng.normal(0, 0.2, 600)], axis=1).astype(
    "float32"
)
targets = (features[:, 0] + 0.5 * features[:, 1] + rng.normal(0, 0.05, 600)).astype("float32")
past, future, split = 48, 12, 400


def windows(start, stop):
    x = np.stack([features[i : i + past : 2] for i in range(start, stop - past - future)])
    y = targets[start + past + future : stop]
    return x, y[: len(x), None]


x_train, y_train = windows(0, split)
x_val, y_val = windows(split, 600)

inputs = keras.layers.Input(shape=(x_train.shape[1], x_train.shape[2]))
lstm_out = keras.layers.LSTM(32)(inputs)
outputs = keras.layers.Dense(1)(lstm_out)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
model.summary()
history = model.fit(
    x_train,
    y_train,
    epochs=3,
    batch_size=64,
    validation_data=(x_val, y_val),
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=0, patience=5)],
)
print(len(history.history["val_loss"]))

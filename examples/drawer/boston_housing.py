"""Regression on few samples: k-fold validation of a small network."""

import keras
import numpy as np
from keras import layers

(train_data, train_targets), (test_data, test_targets) = keras.datasets.boston_housing.load_data()
mean = train_data.mean(axis=0)
train_data = train_data - mean
std = train_data.std(axis=0)
train_data /= std
test_data = (test_data - mean) / std


def build_model():
    model = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    return model


k = 4
num_val_samples = len(train_data) // k
all_scores = []
for i in range(k):
    val = slice(i * num_val_samples, (i + 1) * num_val_samples)
    rest = np.r_[: val.start, val.stop : len(train_data)]
    model = build_model()
    model.fit(train_data[rest], train_targets[rest], epochs=3, batch_size=16, verbose=0)
    val_mse, val_mae = model.evaluate(train_data[val], train_targets[val], verbose=0)
    all_scores.append(val_mae)
print(len(all_scores), np.mean(all_scores) > 0)

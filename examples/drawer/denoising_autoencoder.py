"""A convolutional autoencoder that removes noise from digits."""

import keras
import numpy as np
from keras import layers
from keras.models import Model


def preprocess(array):
    array = array.astype("float32") / 255.0
    return np.reshape(array, (len(array), 28, 28, 1))


def noise(array):
    noisy = array + 0.4 * np.random.default_rng(0).normal(loc=0.0, scale=1.0, size=array.shape)
    return np.clip(noisy, 0.0, 1.0).astype("float32")


(train_data, _), (test_data, _) = keras.datasets.mnist.load_data()
train_data, test_data = preprocess(train_data), preprocess(test_data)
noisy_train_data, noisy_test_data = noise(train_data), noise(test_data)

inputs = layers.Input(shape=(28, 28, 1))

# Encoder
x = layers.Conv2D(32, (3, 3), activation="relu", padding="same")(inputs)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2D(32, (3, 3), activation="relu", padding="same")(x)
x = layers.MaxPooling2D((2, 2), padding="same")(x)

# Decoder
x = layers.Conv2DTranspose(32, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2DTranspose(32, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)

autoencoder = Model(inputs, x)
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
autoencoder.summary()

autoencoder.fit(x=train_data, y=train_data, epochs=1, batch_size=128, validation_data=(test_data, test_data))
autoencoder.fit(x=noisy_train_data, y=train_data, epochs=1, batch_size=128, validation_data=(noisy_test_data, test_data))
predictions = autoencoder.predict(noisy_test_data)
print(predictions.shape)

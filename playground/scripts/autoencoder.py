# An autoencoder: the picture through a narrow middle, and back
import keras
from keras import layers

inputs = keras.Input((28, 28, 1), name="image")
x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
code = layers.Dense(32, name="code")(layers.Flatten()(x))

x = layers.Dense(7 * 7 * 8, activation="relu")(code)
x = layers.Reshape((7, 7, 8))(x)
x = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)
outputs = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(x)

model = keras.Model(inputs, outputs, name="autoencoder")
encoder = keras.Model(inputs, code, name="encoder")

# A residual join that does not fit: read what the error says, and mend it
import keras
from keras import layers

inputs = keras.Input((32, 32, 3), name="img")
x = layers.Conv2D(64, 3, activation="relu", padding="same")(inputs)
shortcut = x

x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
x = layers.Conv2D(64, 3, activation="relu")(x)  # padding="same" is missing here
x = layers.add([x, shortcut])

model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="wrong_join")

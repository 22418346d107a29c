# An Inception block (Szegedy et al. 2015): four branches that see windows of different sizes
import keras
from keras import layers


def conv(x, filters, size):
    return layers.Conv2D(filters, size, padding="same", activation="relu")(x)


inputs = keras.Input((28, 28, 192))
one = conv(inputs, 64, 1)
three = conv(conv(inputs, 96, 1), 128, 3)
five = conv(conv(inputs, 16, 1), 32, 5)
pooled = conv(layers.MaxPooling2D(3, strides=1, padding="same")(inputs), 32, 1)

model = keras.Model(inputs, layers.concatenate([one, three, five, pooled]), name="inception")

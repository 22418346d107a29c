# A generator and a discriminator, and the model that trains the first against the second
import keras
from keras import layers

z = keras.Input((64,), name="noise")
x = layers.Dense(7 * 7 * 64, activation="relu")(z)
x = layers.Reshape((7, 7, 64))(x)
x = layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu")(x)
image = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid")(x)
generator = keras.Model(z, image, name="generator")

picture = keras.Input((28, 28, 1), name="picture")
x = layers.Conv2D(32, 4, strides=2, padding="same", activation="leaky_relu")(picture)
x = layers.Conv2D(64, 4, strides=2, padding="same", activation="leaky_relu")(x)
real = layers.Dense(1)(layers.Flatten()(x))
discriminator = keras.Model(picture, real, name="discriminator")
discriminator.trainable = False

gan = keras.Model(z, discriminator(generator(z)), name="gan")

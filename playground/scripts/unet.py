# A U-Net (Ronneberger et al. 2015): a path down, a path up, and skips between them
import keras
from keras import layers


def block(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


inputs = keras.Input((128, 128, 3), name="image")
skips, x = [], inputs
for filters in (32, 64, 128):
    x = block(x, filters)
    skips.append(x)
    x = layers.MaxPooling2D()(x)

x = block(x, 256)

for filters, skip in zip((128, 64, 32), reversed(skips)):
    x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
    x = block(layers.concatenate([skip, x]), filters)

mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
model = keras.Model(inputs, mask, name="unet")

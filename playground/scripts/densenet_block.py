# Dense blocks (Huang et al. 2017): each convolution sees what all before it gave
import keras
from keras import layers

x = inputs = keras.Input((32, 32, 3))
x = layers.Conv2D(24, 3, padding="same")(x)
for block in range(2):
    for _ in range(4):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(12, 3, padding="same")(y)
        x = layers.concatenate([x, y])
    if block == 0:
        x = layers.AveragePooling2D()(layers.Conv2D(36, 1)(x))
model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="densenet")

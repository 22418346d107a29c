# One encoder, applied to two images: its weights are shared
import keras
from keras import layers, ops

encoder = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(32),
    ],
    name="encoder",
)

left, right = keras.Input((28, 28, 1), name="left"), keras.Input((28, 28, 1), name="right")
distance = ops.sqrt(ops.sum(ops.square(encoder(left) - encoder(right)), axis=-1, keepdims=True))
model = keras.Model([left, right], distance, name="siamese")

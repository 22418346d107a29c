# An MLP-Mixer (Tolstikhin et al. 2021): dense layers across patches, then across channels, with operators in the graph
import keras
from keras import layers, ops

inputs = keras.Input((64, 64, 3), name="image")
x = layers.Conv2D(128, 8, strides=8, name="patches")(inputs)
x = layers.Reshape((64, 128))(x)
for _ in range(4):
    y = ops.transpose(layers.LayerNormalization()(x), (0, 2, 1))
    y = layers.Dense(64)(layers.Dense(128, activation="gelu")(y))
    x = x + ops.transpose(y, (0, 2, 1))
    y = layers.Dense(256, activation="gelu")(layers.LayerNormalization()(x))
    x = x + layers.Dense(128)(y)
outputs = layers.Dense(10)(layers.GlobalAveragePooling1D()(x))
model = keras.Model(inputs, outputs, name="mixer")

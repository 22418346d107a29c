"""A network that doubles the size of images: convolutions, then channels become pixels."""

import keras
import numpy as np
from keras import layers, ops

upscale_factor = 2
channels = 1
rng = np.random.default_rng(0)
sharp = np.cumsum(np.cumsum(rng.normal(size=(40, 32, 32, 1)), axis=1), axis=2).astype("float32")
sharp = (sharp - sharp.min()) / (sharp.max() - sharp.min())
coarse = sharp.reshape(40, 16, 2, 16, 2, 1).mean(axis=(2, 4))


class DepthToSpace(layers.Layer):
    def __init__(self, block_size):
        super().__init__()
        self.block_size = block_size

    def call(self, input):
        batch, height, width, depth = ops.shape(input)
        depth = depth // (self.block_size**2)
        x = ops.reshape(input, [batch, height, width, self.block_size, self.block_size, depth])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        x = ops.reshape(x, [batch, height * self.block_size, width * self.block_size, depth])
        return x


def get_model(upscale_factor=3, channels=1):
    conv_args = {"activation": "relu", "kernel_initializer": "orthogonal", "padding": "same"}
    inputs = keras.Input(shape=(None, None, channels))
    x = layers.Conv2D(64, 5, **conv_args)(inputs)
    x = layers.Conv2D(64, 3, **conv_args)(x)
    x = layers.Conv2D(32, 3, **conv_args)(x)
    x = layers.Conv2D(channels * (upscale_factor**2), 3, **conv_args)(x)
    outputs = DepthToSpace(upscale_factor)(x)
    return keras.Model(inputs, outputs)


class ESPCNCallback(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.psnr = []

    def on_test_batch_end(self, batch, logs=None):
        self.psnr.append(10 * np.log10(1 / logs["loss"]))

    def on_epoch_end(self, epoch, logs=None):
        print(f"Mean PSNR for epoch: {np.mean(self.psnr):.2f}")


model = get_model(upscale_factor=upscale_factor, channels=channels)
model.summary()
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss=keras.losses.MeanSquaredError())
model.fit(
    coarse[:32], sharp[:32], epochs=2, batch_size=8, callbacks=[ESPCNCallback()], validation_data=(coarse[32:], sharp[32:])
)
print(model.predict(coarse[:1, :10, :12]).shape)

"""Capsules with dynamic routing (Sabour et al. 2017) on digits."""

import keras
import numpy as np
from keras import layers, ops


def squash(vectors, axis=-1):
    s_squared_norm = ops.sum(ops.square(vectors), axis, keepdims=True)
    scale = s_squared_norm / (1 + s_squared_norm) / ops.sqrt(s_squared_norm + keras.config.epsilon())
    return scale * vectors


class Length(layers.Layer):
    def call(self, inputs):
        return ops.sqrt(ops.sum(ops.square(inputs), -1) + keras.config.epsilon())

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


class CapsuleLayer(layers.Layer):
    def __init__(self, num_capsule, dim_capsule, routings=3, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.num_capsule = num_capsule
        self.dim_capsule = dim_capsule
        self.routings = routings
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        assert len(input_shape) >= 3, "The input tensor should have shape=[None, input_num_capsule, input_dim_capsule]"
        self.input_num_capsule = input_shape[1]
        self.input_dim_capsule = input_shape[2]
        self.W = self.add_weight(
            shape=[self.num_capsule, self.input_num_capsule, self.dim_capsule, self.input_dim_capsule],
            initializer=self.kernel_initializer,
            name="W",
        )
        self.built = True

    def call(self, inputs):
        inputs_hat = ops.einsum("jikd,bid->bjik", self.W, inputs)
        b = ops.zeros_like(inputs_hat[..., 0])
        for i in range(self.routings):
            c = ops.softmax(b, axis=1)
            outputs = squash(ops.einsum("bji,bjik->bjk", c, inputs_hat))
            if i < self.routings - 1:
                b = b + ops.einsum("bjk,bjik->bji", outputs, inputs_hat)
        return outputs

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsule, self.dim_capsule)


def margin_loss(y_true, y_pred):
    loss = y_true * ops.square(ops.maximum(0.0, 0.9 - y_pred)) + 0.5 * (1 - y_true) * ops.square(ops.maximum(0.0, y_pred - 0.1))
    return ops.mean(ops.sum(loss, 1))


(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train.reshape(-1, 28, 28, 1).astype("float32") / 255.0
y_train = keras.utils.to_categorical(y_train.astype("float32"), 10)

x = layers.Input(shape=(28, 28, 1))
conv1 = layers.Conv2D(filters=32, kernel_size=9, strides=1, padding="valid", activation="relu", name="conv1")(x)
output = layers.Conv2D(filters=8 * 4, kernel_size=9, strides=2, padding="valid", name="primarycap_conv2d")(conv1)
outputs = layers.Reshape(target_shape=[-1, 8], name="primarycap_reshape")(output)
primarycaps = layers.Lambda(squash, name="primarycap_squash")(outputs)
digitcaps = CapsuleLayer(num_capsule=10, dim_capsule=8, routings=3, name="digitcaps")(primarycaps)
out_caps = Length(name="capsnet")(digitcaps)

model = keras.models.Model(x, out_caps)
model.summary()
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss=margin_loss, metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=16, epochs=1)
print(np.argmax(model.predict(x_train[:5]), 1).shape)

"""Where a network looks: the gradients of a class with respect to its last convolution, in torch."""

import keras
import numpy as np
import torch
from keras import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255

inputs = keras.Input((32, 32, 3))
x = layers.Conv2D(16, 3, activation="relu", padding="same")(inputs)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(32, 3, activation="relu", padding="same", name="last_conv")(x)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(10, name="scores")(x)
model = keras.Model(inputs, outputs)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=16, epochs=1)

grad_model = keras.Model(model.inputs, [model.get_layer("last_conv").output, model.output])


def make_gradcam_heatmap(img_array, grad_model, pred_index=None):
    last_conv_layer_output, preds = grad_model(img_array)
    if pred_index is None:
        pred_index = int(torch.argmax(preds[0]))
    class_channel = preds[:, pred_index].sum()
    (grads,) = torch.autograd.grad(class_channel, last_conv_layer_output)
    pooled_grads = grads.mean(dim=(0, 1, 2))
    heatmap = (last_conv_layer_output[0] * pooled_grads).sum(dim=-1)
    heatmap = torch.relu(heatmap) / torch.clamp(heatmap.max(), min=1e-8)
    return heatmap.detach().cpu().numpy()


heatmap = make_gradcam_heatmap(x_test[:1], grad_model)
print(heatmap.shape, float(np.round(heatmap.max(), 3)))

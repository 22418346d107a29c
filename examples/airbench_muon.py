"""CIFAR-10 to 94 % with Muon: the design of cifar10-airbench94_muon (Keller Jordan 2024) with ``fit``, on one GPU.

    python examples/airbench_muon.py [--epochs 8] [--limit 1000] [--widths 64 256 256]

The network and the images are those of airbench.py. Kernels of convolutions get a fixed norm before each step and go
by Muon (orthogonal steps of the matrix filters × inputs, three iterations), all else by Nesterov's SGD; rates fall in a
straight line; 8 epochs of 25 batches of 2,000 images; no Lookahead. The author reports 94.01 % as the mean of 200 runs.

What differs from their script: the rate of the whitening bias falls with the others, until it is frozen after 3 epochs, and a
GPU computes in bfloat16 instead of float16.
"""

import argparse
import math
import time

import airbench
import torch

import anabranch as keras
from anabranch import layers

BATCH_SIZE = 2000
EPOCHS = 8
RATE, BIAS_RATE, HEAD_RATE = 0.24, 0.053, 0.67  # of kernels; the others are for the sum over a batch's images
MOMENTUM, OTHERS_MOMENTUM = 0.6, 0.85
DECAY = 2e-6  # of biases and head, a step and image


class KernelsByMuon(keras.optimizers.Muon):
    """Muon for kernels of convolutions, SGD for biases and the head; the learning rate is that of kernels."""

    def __init__(self, learning_rate, batch_size):
        super().__init__(learning_rate, momentum=MOMENTUM, ns_steps=3, rms_rate=None, weight_decay=None, adam_weight_decay=None)
        self.batch_size = batch_size

    def is_orthogonal(self, weight):
        return len(weight.shape) == 4

    def update_weights(self, lists, rate):
        if "exp_avg_sq" not in lists.state:
            norms = torch._foreach_norm(lists.weights)
            for kernel, norm in zip(lists.weights, norms, strict=True):
                kernel.mul_(math.sqrt(len(kernel)) / norm)
            super().update_weights(lists, rate)
            return
        for weight, gradient, mean in zip(lists.weights, lists.gradients, lists.state["exp_avg"], strict=True):
            own = HEAD_RATE if weight.dim() == 2 else BIAS_RATE
            gradient = gradient.add(weight, alpha=DECAY / own)
            mean.mul_(OTHERS_MOMENTUM).add_(gradient)
            weight.sub_(gradient.add(mean, alpha=OTHERS_MOMENTUM) * (rate * (own * self.batch_size / RATE)))


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """From ``peak`` to nothing in a straight line."""

    def __init__(self, peak, steps):
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        return self.peak * max(1 - float(step) / self.steps, 0.0)


class Course(keras.callbacks.Callback):
    """The whitening bias is frozen after three epochs; the end."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.done = steps, 0

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == airbench.WHITENING_BIAS_EPOCHS:
            self.model.get_layer("whitening_bias").trainable = False

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        self.model.stop_training = self.done == self.steps


def normalized_gelu(x):
    """Batch normalization with a bias and no scale, then GELU."""
    x = layers.BatchNormalization(momentum=0.6, epsilon=1e-12, center=False, scale=False)(x)
    return layers.Activation("gelu")(airbench.Shift()(x))


def network(images, widths=airbench.WIDTHS):
    """The network; its first layer whitens what patches of ``images`` (N, 32, 32, 3) have in common."""
    inputs = keras.Input((32, 32, 3), name="image")
    whiten = layers.Conv2D(24, 2, use_bias=False, trainable=False, name="whiten")
    x = layers.Activation("gelu")(airbench.Shift(name="whitening_bias")(whiten(inputs)))
    for filters in widths:
        x = normalized_gelu(layers.MaxPooling2D(2)(airbench.convolution(x, filters)))
        x = normalized_gelu(airbench.convolution(x, filters))
    x = layers.Flatten()(layers.MaxPooling2D(3)(x))
    variance_of_one = keras.initializers.RandomUniform(-math.sqrt(3), math.sqrt(3))
    x = layers.Dense(10, use_bias=False, kernel_initializer=variance_of_one)(x)
    model = keras.Model(inputs, layers.Rescaling(1 / widths[-1], dtype="float32")(x), name="airbench94_muon")
    whiten.set_weights([airbench.whitening(images)])
    return model


def prepared(images, labels, epochs=EPOCHS, widths=airbench.WIDTHS, batch_size=BATCH_SIZE):
    """Return the compiled network, its batches, and the callback that ends training after ``epochs``."""
    batches = airbench.Batches(images, torch.nn.functional.one_hot(labels, 10).float(), batch_size)
    steps = math.ceil(epochs * len(batches))
    model = network(images[:5000], widths)
    optimizer = KernelsByMuon(Falling(RATE, steps), batch_size)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=airbench.SMOOTHING)
    model.compile(optimizer, loss)
    return model, batches, Course(steps)


def train(images, labels, epochs=EPOCHS, widths=airbench.WIDTHS, batch_size=BATCH_SIZE, verbose=0):
    """Return the network trained on normalized ``images`` and their labels, and the history."""
    model, batches, course = prepared(images, labels, epochs, widths, batch_size)
    return model, model.fit(batches, epochs=math.ceil(epochs), callbacks=[course], verbose=verbose)


def main():
    """Train and test, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=EPOCHS)
    parser.add_argument("--limit", type=int, help="train and test on so many images only")
    parser.add_argument("--widths", type=int, nargs=3, default=airbench.WIDTHS)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        keras.config.set_dtype_policy("mixed_bfloat16")
    (images, labels), (tests, answers) = (
        (airbench.normalized(x[: options.limit], device), torch.from_numpy(y[: options.limit, 0]).to(device).long())
        for x, y in keras.datasets.cifar10.load_data()
    )
    begin = time.perf_counter()
    model, _ = train(images, labels, options.epochs, options.widths, verbose=2)
    seconds = time.perf_counter() - begin
    print(f"{airbench.accuracy(model, tests, answers):.2%} after {seconds:.1f} s of training on {device}")


if __name__ == "__main__":
    main()

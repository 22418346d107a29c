"""CIFAR-10 to 94 % in seconds on one GPU: the design of cifar10-airbench94 (Keller Jordan 2024, arXiv:2404.00498) with ``fit``.

    python examples/airbench.py [--epochs 9.9] [--limit 1000] [--widths 64 256 256]

An 8-layer network whose first convolution whitens patches of 2x2 and is not trained; identity filters at the start; batch
normalization without scales, whose biases learn 64 times as fast; GELU; outputs divided by 9. Nesterov's SGD whose rate rises
and falls in straight lines; labels smoothed by 0.2; Lookahead every 5 steps; images that are mirrored in every other epoch
instead of by chance, and moved by up to 2 pixels; tested on six views of each image. The authors report 94.01 % as the mean of
1,000 runs.

What differs from their script: weights decay beside the gradient, by as much as theirs in the long run; the rate enters the
velocity (as Keras has it), not the step; and a GPU computes in bfloat16 instead of float16.
"""

import argparse
import math
import time

import numpy as np
import torch

import anabranch as keras
from anabranch import layers

BATCH_SIZE = 1024
MOMENTUM = 0.85
RATE = 11.5 / (1 + 1 / (1 - MOMENTUM))  # for 1,024 images; momentum multiplies what a gradient does in the end
DECAY = 0.0153 / RATE  # of a rate of RATE
BIASES_FASTER = 64
SMOOTHING = 0.2
WHITENING_BIAS_EPOCHS = 3
LOOKAHEAD_STEPS = 5
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
WIDTHS = (64, 256, 256)


class Shift(layers.Layer):
    """Adds a bias to each channel. It is stored divided by √faster, so that a step moves it ``faster`` times as far."""

    def __init__(self, faster=1.0, **kwargs):
        super().__init__(**kwargs)
        self.faster = faster

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        return x + self.bias * math.sqrt(self.faster)


class PartlyIdentity(keras.initializers.Initializer):
    """The first filters hand their channel on; the others are drawn as torch draws them, from ±1/√fan-in."""

    def fill(self, shape, rng):
        height, width, channels, filters = shape
        kernel = rng.uniform(-1, 1, shape) / math.sqrt(height * width * channels)
        same = min(channels, filters)
        kernel[..., :same] = 0
        kernel[height // 2, width // 2, range(same), range(same)] = 1
        return kernel


def convolution(x, filters):
    """3x3, without bias, as batch normalization follows."""
    return layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer=PartlyIdentity())(x)


def normalized_gelu(x):
    """Batch normalization with a fast bias and no scale, then GELU."""
    x = layers.BatchNormalization(momentum=0.6, epsilon=1e-12, center=False, scale=False)(x)
    return layers.Activation("gelu")(Shift(BIASES_FASTER)(x))


def network(images, widths=WIDTHS):
    """The network; its first layer whitens what patches of ``images`` (N, 32, 32, 3) have in common."""
    inputs = keras.Input((32, 32, 3), name="image")
    whiten = layers.Conv2D(24, 2, use_bias=False, trainable=False, name="whiten")
    x = layers.Activation("gelu")(Shift(name="whitening_bias")(whiten(inputs)))
    for filters in widths:
        x = normalized_gelu(layers.MaxPooling2D(2)(convolution(x, filters)))
        x = normalized_gelu(convolution(x, filters))
    x = layers.Flatten()(layers.MaxPooling2D(3)(x))
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    x = layers.Dense(10, use_bias=False, kernel_initializer=uniform)(x)
    model = keras.Model(inputs, layers.Rescaling(1 / 9, dtype="float32")(x), name="airbench94")
    whiten.set_weights([whitening(images)])
    return model


def whitening(images, size=2, epsilon=5e-4):
    """Return filters (size, size, 3, 2 · 3 · size²): the patches' principal axes at unit variance, and their negatives."""
    last = images.shape[1] - size + 1
    patches = torch.stack([images[:, y : y + last, x : x + last] for y in range(size) for x in range(size)], dim=3)
    patches = patches.reshape(-1, size * size * 3).double()
    variances, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (axes / (variances + epsilon).sqrt()).flip(1)
    return torch.cat([filters, -filters], dim=1).reshape(size, size, 3, -1).float().cpu().numpy()


class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """From a fifth of ``peak`` up to it in 23 % of the steps, and down to 7 %."""

    def __init__(self, peak, steps):
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        return self.peak * float(np.interp(step, [0, int(0.23 * self.steps), self.steps], [0.2, 1, 0.07]))


class Course(keras.callbacks.Callback):
    """Lookahead (Zhang et al. 2019): every few steps weights go back to a slow mean; the whitening bias is frozen; the end."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.done = steps, 0

    def on_train_begin(self, logs=None):
        self.fast = [weight.value.detach() for weight in self.model.weights]
        self.slow = [tensor.clone() for tensor in self.fast]

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == WHITENING_BIAS_EPOCHS:
            self.model.get_layer("whitening_bias").trainable = False

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.done % LOOKAHEAD_STEPS == 0:
            self.look(0.95**5 * (self.done / self.steps) ** 3)
        self.model.stop_training = self.done == self.steps

    def on_train_end(self, logs=None):
        self.look(1.0)

    @torch.no_grad()
    def look(self, share):
        """Move the slow weights on, of which ``share`` stays, and put them in the weights' place."""
        torch._foreach_lerp_(self.slow, self.fast, 1 - share)  # all weights in one operation
        torch._foreach_copy_(self.fast, self.slow)


class Batches:
    """Passes through images on the device: shuffled, moved by up to 2 pixels, all mirrored in every other pass."""

    def __init__(self, images, labels, size=BATCH_SIZE, move=2):
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        self.padded = padded(torch.where(mirrored, images.flip(2), images), move)
        self.labels, self.size, self.move, self.passes = labels, size, move, 0

    def __len__(self):
        return max(len(self.labels) // self.size, 1)

    def __iter__(self):
        device, count = self.labels.device, len(self.labels)
        order = torch.randperm(count, device=device)
        place = torch.arange(32, device=device)
        if self.passes % 2:
            place = place.flip(0)
        rows, columns = (torch.randint(2 * self.move + 1, (count, 1), device=device) for _ in range(2))
        rows, columns = rows + torch.arange(32, device=device), columns + place
        self.passes += 1
        for chosen in order[: len(self) * self.size].split(self.size):
            images = self.padded[chosen[:, None, None], rows[chosen][:, :, None], columns[chosen][:, None, :]]
            yield images, self.labels[chosen]


def padded(images, pixels):
    """Return images (N, H, W, C) with their border mirrored outwards."""
    return torch.nn.functional.pad(images.permute(0, 3, 1, 2), (pixels,) * 4, "reflect").permute(0, 2, 3, 1).contiguous()


def normalized(images, device):
    """Return images of bytes as floats with mean 0 and variance 1 in each channel, on the device."""
    mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))
    return (torch.from_numpy(images).to(device).float() / 255 - mean) / std


def prepared(images, labels, epochs=9.9, widths=WIDTHS, batch_size=BATCH_SIZE):
    """Return the compiled network, its batches, and the callback that ends training after ``epochs``."""
    batches = Batches(images, torch.nn.functional.one_hot(labels, 10).float(), batch_size)
    steps = math.ceil(epochs * len(batches))
    model = network(images[:5000], widths)
    model.compile(
        keras.optimizers.SGD(Triangle(RATE * batch_size / 1024, steps), momentum=MOMENTUM, nesterov=True, weight_decay=DECAY),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
    )
    return model, batches, Course(steps)


def train(images, labels, epochs=9.9, widths=WIDTHS, batch_size=BATCH_SIZE, verbose=0):
    """Return the network trained on normalized ``images`` and their labels, and the history."""
    model, batches, course = prepared(images, labels, epochs, widths, batch_size)
    return model, model.fit(batches, epochs=math.ceil(epochs), callbacks=[course], verbose=verbose)


def accuracy(model, images, labels):
    """Return the share of images whose class is found on six views: mirrored or not, moved by a pixel up or down or not."""
    wide = padded(images, 1)
    views = [(0.5, images), (0.25, wide[:, :-2, :-2]), (0.25, wide[:, 2:, 2:])]
    logits = sum(
        share / 2 * model.predict(view, batch_size=2000, verbose=0)
        for share, moved in views
        for view in (moved, moved.flip(2))
    )  # fmt: skip
    return float((logits.argmax(1) == labels.cpu().numpy()).mean())


def main():
    """Train and test, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=9.9)
    parser.add_argument("--limit", type=int, help="train and test on so many images only")
    parser.add_argument("--widths", type=int, nargs=3, default=WIDTHS)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        keras.config.set_dtype_policy("mixed_bfloat16")
    (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    (images, labels), (tests, answers) = (
        (normalized(x[: options.limit], device), torch.from_numpy(y[: options.limit, 0]).to(device).long())
        for x, y in ((x_train, y_train), (x_test, y_test))
    )
    begin = time.perf_counter()
    model, _ = train(images, labels, options.epochs, options.widths, verbose=2)
    seconds = time.perf_counter() - begin
    print(f"{accuracy(model, tests, answers):.2%} after {seconds:.1f} s of training on {device}")


if __name__ == "__main__":
    main()

"""Customizing what fit does, in torch, after Keras's guide of that name.

python examples/guides/customizing_fit.py          with Keras
anabranch run examples/guides/customizing_fit.py   with anabranch
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from keras import layers
from sections import main, numbers, section


def dense(model_class, units=1):
    """Return a model of that class: one dense layer on 5 features."""
    inputs = keras.Input(shape=(5,))
    return model_class(inputs, layers.Dense(units)(inputs))


def data():
    """Return 32 samples and their targets."""
    return numbers(32, 5), numbers(32, 1, seed=1)


def fitted(model, **options):
    """Train in the order of the data and return the history."""
    return model.fit(*data(), batch_size=8, epochs=3, shuffle=False, verbose=0, **options).history


def learn(model, loss):
    """Take one step down the gradient of ``loss``."""
    model.zero_grad()
    loss.backward()
    weights = list(model.trainable_weights)
    gradients = [weight.value.grad for weight in weights]
    with torch.no_grad():
        model.optimizer.apply(gradients, weights)


def measured(model, loss, y, y_pred, sample_weight=None):
    """Update the loss and the metrics of compile with one batch and return their results."""
    for metric in model.metrics:
        metric.update_state(*((loss,) if metric.name == "loss" else (y, y_pred, sample_weight)))
    return {metric.name: metric.result() for metric in model.metrics}


class PlainStep(keras.Model):
    """The step that fit takes, written out; loss and metrics are those of compile."""

    def train_step(self, data):
        """Take one step."""
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        learn(self, loss)
        return measured(self, loss, y, y_pred)


@section("A first example")
def first():
    """train_step is what fit calls for each batch."""
    model = dense(PlainStep)
    yield {"model": (model, numbers(2, 5))}
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    yield {"history": fitted(model)}
    yield {"evaluation": model.evaluate(*data(), verbose=0)}


class OwnTrackers(keras.Model):
    """The same without the loss and metrics of compile."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = keras.losses.MeanSquaredError()

    def train_step(self, data):
        """Take one step."""
        x, y = data
        y_pred = self(x, training=True)
        loss = self.loss_fn(y, y_pred)
        learn(self, loss)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    @property
    def metrics(self):
        """What is reset when an epoch begins."""
        return [self.loss_tracker, self.mae_metric]


@section("Going lower")
def lower():
    """Then compile need only say the optimizer."""
    model = dense(OwnTrackers)
    yield {"model": (model, numbers(2, 5))}
    model.compile(optimizer="adam")
    yield {"history": fitted(model), "names": [metric.name for metric in model.metrics]}


class Weighted(keras.Model):
    """A step that knows of sample weights."""

    def train_step(self, data):
        """Take one step."""
        if len(data) == 3:
            x, y, sample_weight = data
        else:
            sample_weight = None
            x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        learn(self, loss)
        return measured(self, loss, y, y_pred, sample_weight)


@section("Sample weights and class weights")
def weights():
    """They are the third of the data."""
    model = dense(Weighted)
    yield {"model": (model, numbers(2, 5))}
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    yield {"weighted": fitted(model, sample_weight=numbers(32, seed=2)), "not weighted": fitted(model)}


class OwnEvaluation(keras.Model):
    """evaluate by a step of one's own."""

    def test_step(self, data):
        """Measure one batch."""
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        return measured(self, loss, y, y_pred)


@section("Evaluation")
def evaluation():
    """test_step is what evaluate calls, and fit for its validation data."""
    model = dense(OwnEvaluation)
    yield {"model": (model, numbers(2, 5))}
    model.compile(loss="mse", metrics=["mae"])
    yield {"evaluation": model.evaluate(*data(), verbose=0)}
    model.compile("sgd", loss="mse", metrics=["mae"])
    yield {"history": fitted(model, validation_data=data())}


class OwnPrediction(keras.Model):
    """predict by a step of one's own."""

    def predict_step(self, data):
        """Give one batch's outputs."""
        return torch.sigmoid(self(data, training=False))


@section("Prediction")
def prediction():
    """predict_step is what predict calls."""
    model = dense(OwnPrediction)
    yield {"model": (model, numbers(2, 5))}
    yield {"predictions": model.predict(numbers(8, 5), verbose=0)}


class OwnLoss(keras.Model):
    """compute_loss alone is often enough."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss: of the median kind, and what layers add."""
        return torch.mean(torch.abs(y - y_pred)) + sum(self.losses)


@section("A loss of one's own")
def own_loss():
    """The rest of the step stays fit's."""
    inputs = keras.Input((5,))
    model = OwnLoss(inputs, layers.Dense(1, kernel_regularizer="l2")(inputs))
    yield {"model": (model, numbers(2, 5))}
    model.compile("adam", metrics=["mae"], loss="mse")
    yield {"history": fitted(model), "evaluation": model.evaluate(*data(), verbose=0)}


class OwnMetrics(keras.Model):
    """compute_metrics decides what the logs hold."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.largest = keras.metrics.Mean(name="largest")

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Return all results, and one more."""
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        self.largest.update_state(torch.max(torch.abs(y_pred.detach())))
        results["largest"] = self.largest.result()
        return results


@section("Metrics of one's own")
def own_metrics():
    """They are tracked as attributes."""
    model = dense(OwnMetrics)
    yield {"model": (model, numbers(2, 5))}
    model.compile("adam", "mse", metrics=["mae"])
    yield {"history": fitted(model)}


@section("Stopping from within")
def stopping():
    """A step may end the training."""

    class Once(PlainStep):
        def train_step(self, data):
            logs = super().train_step(data)
            self.stop_training = True
            return logs

    model = dense(Once)
    yield {"model": (model, numbers(2, 5))}
    model.compile("sgd", "mse")
    history = fitted(model)
    yield {"epochs": len(history["loss"])}


def discriminator():
    """Return what separates real from generated."""
    return keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ],
        name="discriminator",
    )


def generator(latent_dim):
    """Return what makes images of numbers."""
    return keras.Sequential(
        [
            keras.Input(shape=(latent_dim,)),
            layers.Dense(2 * 2 * 4),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Reshape((2, 2, 4)),
            layers.Conv2DTranspose(4, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(4, 4, strides=2, padding="same"),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )


class GAN(keras.Model):
    """Two models with an optimizer each; the numbers that images are made of come from ``noise``."""

    def __init__(self, discriminator, generator, noise):
        super().__init__()
        self.discriminator, self.generator, self.noise = discriminator, generator, noise
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.built = True

    @property
    def metrics(self):
        """What is reset when an epoch begins."""
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        """Take two optimizers."""
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def train_step(self, real_images):
        """Let both learn from one batch."""
        if isinstance(real_images, (tuple, list)):
            real_images = real_images[0]
        count = real_images.shape[0]
        generated = self.generator(self.noise(count))
        combined = torch.cat([generated, real_images], dim=0)
        labels = torch.cat([torch.ones((count, 1)), torch.zeros((count, 1))]).to(combined.device)

        self.zero_grad()
        d_loss = self.loss_fn(labels, self.discriminator(combined))
        d_loss.backward()
        weights = self.discriminator.trainable_weights
        with torch.no_grad():
            self.d_optimizer.apply([weight.value.grad for weight in weights], weights)

        self.zero_grad()
        predictions = self.discriminator(self.generator(self.noise(count)))
        g_loss = self.loss_fn(torch.zeros_like(predictions), predictions)
        g_loss.backward()
        weights = self.generator.trainable_weights
        with torch.no_grad():
            self.g_optimizer.apply([weight.value.grad for weight in weights], weights)

        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


def compiled_gan(noise, **parts):
    """Return a GAN that is ready to train."""
    gan = GAN(**parts, noise=noise)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=1e-3),
        g_optimizer=keras.optimizers.Adam(learning_rate=1e-3),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return gan


@section("From end to end: a GAN")
def adversaries():
    """Here without chance, so that its numbers can be compared."""
    parts = {"discriminator": discriminator(), "generator": generator(6)}
    yield {"discriminator": (parts["discriminator"], numbers(2, 8, 8, 1)), "generator": (parts["generator"], numbers(2, 6))}
    gan = compiled_gan(lambda count: torch.as_tensor(numbers(count, 6, seed=3)), **parts)
    history = gan.fit(numbers(16, 8, 8, 1), batch_size=8, epochs=2, shuffle=False, verbose=0)
    yield {"history": history.history, "images": parts["generator"].predict(numbers(2, 6), verbose=0)}


@section("And with chance", chance=True)
def adversaries_with_chance():
    """The images are made of other numbers each time; data come from a DataLoader."""
    seeds = keras.random.SeedGenerator(1337)
    parts = {"discriminator": discriminator(), "generator": generator(6)}
    gan = compiled_gan(lambda count: keras.random.normal(shape=(count, 6), seed=seeds), **parts)
    pictures = torch.utils.data.TensorDataset(torch.as_tensor(numbers(16, 8, 8, 1)))
    history = gan.fit(torch.utils.data.DataLoader(pictures, batch_size=8), epochs=1, verbose=0).history
    yield {"names": sorted(history), "finite": bool(np.isfinite([*history["d_loss"], *history["g_loss"]]).all())}


if __name__ == "__main__":
    main(globals())

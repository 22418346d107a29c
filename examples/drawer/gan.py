"""A deep convolutional GAN whose two networks are trained in one ``train_step``, in torch."""

import keras
import numpy as np
import torch
from keras import layers

(x_train, _), (x_test, _) = keras.datasets.mnist.load_data()
all_digits = np.concatenate([x_train, x_test]).astype("float32")[..., None] / 255.0

discriminator = keras.Sequential(
    [
        keras.Input(shape=(28, 28, 1)),
        layers.Conv2D(64, kernel_size=3, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(128, kernel_size=3, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.GlobalMaxPooling2D(),
        layers.Dense(1),
    ],
    name="discriminator",
)
latent_dim = 32
generator = keras.Sequential(
    [
        keras.Input(shape=(latent_dim,)),
        layers.Dense(7 * 7 * 32),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Reshape((7, 7, 32)),
        layers.Conv2DTranspose(32, kernel_size=4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2DTranspose(32, kernel_size=4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(1, kernel_size=7, padding="same", activation="sigmoid"),
    ],
    name="generator",
)


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.noise = np.random.default_rng(0)
        self.built = True

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def points(self, count):
        return torch.from_numpy(self.noise.normal(size=(count, self.latent_dim)).astype("float32"))

    def train_step(self, real_images):
        if isinstance(real_images, tuple):
            real_images = real_images[0]
        batch_size = real_images.shape[0]
        generated_images = self.generator(self.points(batch_size))
        combined_images = torch.cat([generated_images, real_images], dim=0)
        labels = torch.cat([torch.ones((batch_size, 1)), torch.zeros((batch_size, 1))], dim=0)

        # Train the discriminator
        self.zero_grad()
        d_loss = self.loss_fn(labels, self.discriminator(combined_images.detach()))
        d_loss.backward()
        weights = self.discriminator.trainable_weights
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            self.d_optimizer.apply(gradients, weights)

        # Train the generator
        self.zero_grad()
        misleading_labels = torch.zeros((batch_size, 1))
        g_loss = self.loss_fn(misleading_labels, self.discriminator(self.generator(self.points(batch_size))))
        g_loss.backward()
        weights = self.generator.trainable_weights
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            self.g_optimizer.apply(gradients, weights)

        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


gan = GAN(discriminator=discriminator, generator=generator, latent_dim=latent_dim)
gan.compile(
    d_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
    g_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
    loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
)
gan.fit(all_digits, epochs=1, batch_size=32)

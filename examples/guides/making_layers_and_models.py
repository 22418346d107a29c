"""Making layers and models by subclassing, after Keras's guide of that name.

python examples/guides/making_layers_and_models.py          with Keras
anabranch run examples/guides/making_layers_and_models.py   with anabranch
"""

import keras
import numpy as np
from keras import layers, ops
from sections import main, numbers, section


class Affine(layers.Layer):
    """x · w + b, its weights made when the size of the input is known."""

    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        """Make w and b."""
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        """Compute."""
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        """Return what makes such a layer again."""
        return {**super().get_config(), "units": self.units}


def counts(layer):
    """Return how many weights there are, how many train, how many do not."""
    return [len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)]


@section("A layer is state and a computation")
def a_layer():
    """Its weights can be made in __init__, where the size of the input is an argument."""

    class Sized(layers.Layer):
        def __init__(self, units=32, input_dim=32):
            super().__init__()
            self.w = self.add_weight(shape=(input_dim, units), initializer="random_normal", trainable=True)
            self.b = self.add_weight(shape=(units,), initializer="zeros", trainable=True)

        def call(self, inputs):
            return ops.matmul(inputs, self.w) + self.b

    layer = Sized(4, 2)
    yield {"layer": layer}
    layer.set_weights([numbers(2, 4, seed=1), numbers(4, seed=2)])
    yield {
        "of ones": layer(ops.ones((2, 2))),
        "tracked": [one is other for one, other in zip(layer.weights, [layer.w, layer.b], strict=True)],
    }


@section("Weights that do not train")
def running_sum():
    """A layer may count up a weight of its own while it runs."""

    class Sum(layers.Layer):
        def __init__(self, input_dim):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

        def call(self, inputs):
            self.total.assign_add(ops.sum(inputs, axis=0))
            return self.total + 0.0

    layer = Sum(2)
    yield {"first": layer(ops.ones((2, 2)))}
    yield {"second": layer(ops.ones((2, 2))), "all, training, other": counts(layer)}


@section("Weights made when the input is known")
def deferred():
    """What build(input_shape) makes waits for the first call."""
    layer = Affine(3)
    yield {"before": len(layer.weights)}
    layer(numbers(2, 5))
    yield {"layer": (layer, numbers(2, 5)), "shapes": [tuple(weight.shape) for weight in layer.weights]}


class Block(layers.Layer):
    """Three layers in a row, the first two followed by relu."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = Affine(8), Affine(8), Affine(1)

    def call(self, inputs):
        """Compute."""
        return self.last(ops.relu(self.second(ops.relu(self.first(inputs)))))


@section("Layers of layers")
def composed():
    """A layer tracks the weights of those that it holds, in attributes, lists and dicts."""
    block = Block()
    block(ops.ones((3, 6)))
    yield {"block": (block, numbers(3, 6)), "all, training, other": counts(block)}

    class Holder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.row = [layers.Dense(2), layers.Dense(2)]
            self.named = {"head": layers.Dense(1)}

        def call(self, inputs):
            for layer in self.row:
                inputs = layer(inputs)
            return self.named["head"](inputs)

    holder = Holder()
    holder(ops.ones((3, 6)))
    yield {"holder": (holder, numbers(3, 6)), "its own": counts(holder)}


@section("Backend functions in a layer")
def backend_specific():
    """On torch, a layer may be written in torch."""
    import torch

    class Antirectifier(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(2 * input_shape[-1], input_shape[-1]), initializer="he_normal", name="kernel")

        def call(self, inputs):
            x = inputs - torch.mean(inputs, dim=-1, keepdim=True)
            return torch.nn.functional.normalize(torch.cat([torch.relu(x), torch.relu(-x)], dim=-1), dim=-1)

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], 2 * input_shape[-1])

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(Antirectifier()(inputs)))
    yield {"model": (model, numbers(3, 4))}


class ActivityPenalty(layers.Layer):
    """Pass the input on and add its mean, times a rate, to the loss."""

    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate

    def call(self, inputs):
        """Compute."""
        self.add_loss(self.rate * ops.mean(inputs))
        return inputs


@section("Losses of layers")
def added_losses():
    """What call adds is in ``losses`` until the layer, or the outermost one around it, is called again."""

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.penalty = ActivityPenalty(1e-2)

        def call(self, inputs):
            return self.penalty(inputs)

    layer = Outer()
    yield {"before": len(layer.losses)}
    layer(ops.ones((1, 1)))
    yield {"after one call": [float(loss) for loss in layer.losses]}
    layer(ops.zeros((1, 1)))
    yield {"after another": [float(loss) for loss in layer.losses]}


@section("Penalties on weights are among them")
def weight_penalties():
    """A kernel's regularizer counts as a loss as well."""

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4, kernel_regularizer=keras.regularizers.L2(1e-3))

        def call(self, inputs):
            return self.dense(inputs)

    layer = Outer()
    layer(ops.zeros((1, 2)))
    yield {"layer": (layer, numbers(1, 2))}
    yield {"losses": [float(loss.detach()) for loss in layer.losses]}


@section("fit minimises them too")
def fitted_losses():
    """With a loss of compile, or without."""
    inputs = keras.Input(shape=(3,))
    outputs = ActivityPenalty(0.5)(layers.Dense(3)(inputs))
    model, again = keras.Model(inputs, outputs), keras.Model(inputs, outputs)
    yield {"model": (model, numbers(2, 3))}
    model.compile(optimizer="sgd", loss="mse")
    x, y = numbers(16, 3), numbers(16, 3, seed=1)
    yield {"with a loss": model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history}
    again.compile(optimizer="sgd")
    yield {"without": again.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history}


@section("Layers as plain data")
def configured():
    """get_config gives what from_config takes."""
    layer = Affine(6, name="affine")
    config = layer.get_config()
    again = Affine.from_config(config)
    yield {"units": config["units"], "name": config["name"], "again": again.units, "its name": again.name}


@section("The argument training")
def in_training():
    """fit, evaluate, predict and the surrounding model pass it to a layer that takes it."""

    class Scaled(layers.Layer):
        def call(self, inputs, training=None):
            return inputs * 2 if training else inputs

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Scaled()(layers.Dense(2)(inputs)))
    yield {"model": (model, numbers(2, 3))}
    yield {"in training": model(numbers(2, 3), training=True), "in inference": model(numbers(2, 3), training=False)}
    model.compile("sgd", "mse")
    x, y = numbers(8, 3), numbers(8, 2, seed=1)
    yield {"fit": model.fit(x, y, epochs=2, shuffle=False, verbose=0).history, "evaluate": model.evaluate(x, y, verbose=0)}


@section("Dropout of one's own", chance=True)
def own_dropout():
    """A generator of seeds makes every call draw anew."""

    class Drop(layers.Layer):
        def __init__(self, rate):
            super().__init__()
            self.rate = rate
            self.seeds = keras.random.SeedGenerator(1337)

        def call(self, inputs, training=None):
            return keras.random.dropout(inputs, rate=self.rate, seed=self.seeds) if training else inputs

    layer = Drop(0.5)
    x = np.ones((100, 10), "float32")
    dropped = [layer(x, training=True).detach().cpu().numpy() for _ in range(2)]
    yield {
        "doubled": sorted({float(value) for value in dropped[0].ravel()}),
        "about half": bool(0.4 < (dropped[0] == 0).mean() < 0.6),
        "anew": bool((dropped[0] != dropped[1]).any()),
        "in inference": layer(x, training=False),
    }


@section("The argument mask")
def masked():
    """A layer that takes a mask receives which steps are padding."""

    class Counted(layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, inputs, mask=None):
            share = ops.expand_dims(ops.cast(mask, "float32"), -1)
            return ops.sum(inputs * share, axis=1) / ops.sum(share, axis=1)

    inputs = keras.Input((None,), dtype="int32")
    embedding = layers.Embedding(10, 4, mask_zero=True)
    model = keras.Model(inputs, Counted()(embedding(inputs)))
    yield {"embedding": embedding}
    yield {"means of what is no padding": model(np.array([[1, 2, 0, 0], [3, 4, 5, 0]]))}


class SmallNet(keras.Model):
    """A model is a layer with fit, evaluate, predict and the rest."""

    def __init__(self, classes=3):
        super().__init__()
        self.block_1 = layers.Conv2D(4, 3, activation="relu")
        self.block_2 = layers.Conv2D(8, 3, activation="relu")
        self.pool = layers.GlobalAveragePooling2D()
        self.classifier = layers.Dense(classes)

    def call(self, inputs):
        """Compute."""
        return self.classifier(self.pool(self.block_2(self.block_1(inputs))))


@section("Models of one's own")
def a_model():
    """Calling builds it; then it has layers, weights and a summary, trains, and keeps its weights in a file."""
    import tempfile
    from pathlib import Path

    model = SmallNet()
    x = numbers(8, 10, 10, 3)
    model(x[:1])
    yield {"model": (model, x[:2]), "layers": len(model.layers), "all, training, other": counts(model)}
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    y = np.arange(8) % 3
    yield {"history": model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history}
    yield {"evaluation": model.evaluate(x, y, verbose=0), "predictions": model.predict(x, verbose=0)}
    with tempfile.TemporaryDirectory() as folder:
        ending = "safetensors" if hasattr(model, "to_torch") else "weights.h5"
        path = Path(folder) / f"net.{ending}"
        model.save_weights(path)
        twin = SmallNet()
        twin(x[:1])
        twin.load_weights(path)
        yield {"loaded": np.abs(twin.predict(x, verbose=0) - model.predict(x, verbose=0)).max()}


class Sampling(layers.Layer):
    """Draw z from the normal distribution of (z_mean, z_log_var); ``noise`` scales what chance adds."""

    def __init__(self, noise=1.0, **kwargs):
        super().__init__(**kwargs)
        self.noise = noise
        self.seeds = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        """Compute."""
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(shape=ops.shape(z_mean), seed=self.seeds)
        return z_mean + self.noise * ops.exp(0.5 * z_log_var) * epsilon


class Encoder(layers.Layer):
    """Images to (z_mean, z_log_var, z)."""

    def __init__(self, latent_dim=2, middle=8, noise=1.0, name="encoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dense_proj = layers.Dense(middle, activation="relu")
        self.dense_mean = layers.Dense(latent_dim)
        self.dense_log_var = layers.Dense(latent_dim)
        self.sampling = Sampling(noise)

    def call(self, inputs):
        """Compute."""
        x = self.dense_proj(inputs)
        z_mean, z_log_var = self.dense_mean(x), self.dense_log_var(x)
        return z_mean, z_log_var, self.sampling((z_mean, z_log_var))


class Decoder(layers.Layer):
    """z back to images."""

    def __init__(self, original_dim, middle=8, name="decoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dense_proj = layers.Dense(middle, activation="relu")
        self.dense_output = layers.Dense(original_dim, activation="sigmoid")

    def call(self, inputs):
        """Compute."""
        return self.dense_output(self.dense_proj(inputs))


class Autoencoder(keras.Model):
    """A variational autoencoder from end to end; its call adds the divergence to the loss."""

    def __init__(self, original_dim, noise=1.0, name="autoencoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.encoder = Encoder(noise=noise)
        self.decoder = Decoder(original_dim)

    def call(self, inputs):
        """Compute."""
        z_mean, z_log_var, z = self.encoder(inputs)
        self.add_loss(-0.5 * ops.mean(z_log_var - ops.square(z_mean) - ops.exp(z_log_var) + 1))
        return self.decoder(z)


def trained(model, x):
    """Train in the order of the data."""
    model.compile(keras.optimizers.Adam(learning_rate=1e-2), loss=keras.losses.MeanSquaredError())
    return model.fit(x, x, epochs=2, batch_size=8, shuffle=False, verbose=0).history


@section("All of it: a variational autoencoder")
def autoencoder():
    """Layers in layers in a model, and a loss of its own; here without chance, so that its numbers can be compared."""
    model = Autoencoder(6, noise=0.0)
    model(numbers(2, 6))
    yield {"model": (model, numbers(2, 6)), "losses": len(model.losses)}
    yield {"history": trained(model, numbers(16, 6))}


@section("And with chance", chance=True)
def autoencoder_with_chance():
    """Two calls differ; the loss falls."""
    model = Autoencoder(6)
    x = numbers(16, 6)
    one, two = (model(x).detach().cpu().numpy() for _ in range(2))
    losses = trained(model, x)["loss"]
    yield {"differ": bool((one != two).any()), "shape": list(one.shape), "finite": bool(np.isfinite(losses).all())}


@section("The same by the functional API")
def functional_autoencoder():
    """Encoder and decoder are models of their own, and a layer adds the divergence."""

    class Divergence(layers.Layer):
        def call(self, inputs):
            z_mean, z_log_var = inputs
            self.add_loss(-0.5 * ops.mean(z_log_var - ops.square(z_mean) - ops.exp(z_log_var) + 1))
            return z_mean

    inputs = keras.Input((6,), name="encoder_input")
    x = layers.Dense(8, activation="relu")(inputs)
    z_mean, z_log_var = layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)
    encoder = keras.Model(inputs, Divergence()((z_mean, z_log_var)), name="encoder")
    latent = keras.Input((2,), name="z_sampling")
    x = layers.Dense(8, activation="relu")(latent)
    decoder = keras.Model(latent, layers.Dense(6, activation="sigmoid")(x), name="decoder")
    model = keras.Model(inputs, decoder(encoder(inputs)), name="vae")
    yield {"encoder": (encoder, numbers(2, 6)), "decoder": (decoder, numbers(2, 2)), "model": (model, numbers(2, 6))}
    yield {"history": trained(model, numbers(16, 6))}


@section("One's own model inside a graph, and a graph inside one's own")
def mixed():
    """Both are layers."""
    inputs = keras.Input((10, 10, 3))
    outer = keras.Model(inputs, layers.Dense(2)(SmallNet(4)(inputs)))
    yield {"outer": (outer, numbers(2, 10, 10, 3))}

    class Wrapped(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.head = inner, layers.Dense(1)

        def call(self, inputs):
            return self.head(self.inner(inputs))

    start = keras.Input((4,))
    model = Wrapped(keras.Model(start, layers.Dense(3, activation="tanh")(start)))
    model(numbers(2, 4))
    yield {"wrapped": (model, numbers(2, 4))}
    model.compile("adam", "mse")
    history = model.fit(numbers(16, 4), numbers(16, 1, seed=1), batch_size=8, epochs=2, shuffle=False, verbose=0)
    yield {"history": history.history}


if __name__ == "__main__":
    main(globals())

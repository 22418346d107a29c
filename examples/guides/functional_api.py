"""The functional API: models as graphs of layers, after Keras's guide of that name.

python examples/guides/functional_api.py          with Keras
anabranch run examples/guides/functional_api.py   with anabranch
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from sections import labels, main, numbers, section


def digits_model():
    """Return the model that the first sections train: 784 pixels to the scores of ten digits."""
    inputs = keras.Input(shape=(784,), name="digits")
    x = layers.Dense(64, activation="relu", name="hidden_1")(inputs)
    x = layers.Dense(64, activation="relu", name="hidden_2")(x)
    outputs = layers.Dense(10, name="scores")(x)
    return keras.Model(inputs=inputs, outputs=outputs, name="digits_model")


@section("Layers are called on tensors that have no numbers yet")
def introduction():
    """An Input is such a tensor: a shape and a dtype. A model is everything between inputs and outputs."""
    inputs = keras.Input(shape=(784,))
    yield {"shape": tuple(inputs.shape), "dtype": inputs.dtype}
    dense = layers.Dense(64, activation="relu")
    x = dense(inputs)
    yield {"after a layer": tuple(x.shape)}
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10)(x)
    model = keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")
    yield {"mnist_model": (model, numbers(3, 784))}
    image = keras.Input(shape=(32, 32, 3))
    yield {"an image": tuple(image.shape)}


@section("Training, evaluation, inference")
def training():
    """These are the same for every kind of model."""
    model = digits_model()
    yield {"untrained": (model, numbers(2, 784))}
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.RMSprop(),
        metrics=["accuracy"],
    )
    x, y = numbers(160, 784), labels(160, 10)
    history = model.fit(x, y, batch_size=32, epochs=2, validation_split=0.2, shuffle=False, verbose=0)
    yield {"history": history.history}
    x_test, y_test = numbers(40, 784, seed=1), labels(40, 10, seed=1)
    yield {"test loss and accuracy": model.evaluate(x_test, y_test, verbose=0)}
    yield {"predictions": model.predict(x_test[:3], verbose=0)}


@section("Weights to a file and back")
def weights_in_files():
    """Another model of the same architecture takes them from the file."""
    model = digits_model()
    x = numbers(3, 784)
    yield {"model": (model, x)}
    ending = "safetensors" if layers.Dense.__module__.startswith("anabranch") else "weights.h5"  # each keeps its own kind
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"digits.{ending}"
        model.save_weights(path)
        again = digits_model()
        again.load_weights(path)
    yield {"largest difference": float(np.abs(model.predict(x, verbose=0) - again.predict(x, verbose=0)).max())}


@section("A copy of the architecture")
def cloned():
    """clone_model makes the same graph of new layers, with weights of their own."""
    model = digits_model()
    copy = keras.models.clone_model(model)
    yield {"copy": (copy, numbers(2, 784))}
    yield {"none is shared": not {id(weight) for weight in model.weights} & {id(weight) for weight in copy.weights}}


@section("One graph, several models")
def one_graph_two_models():
    """The encoder ends where the autoencoder goes on; both own the same layers."""
    encoder_input = keras.Input(shape=(28, 28, 1), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(encoder_input)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    encoder_output = layers.GlobalMaxPooling2D()(x)
    encoder = keras.Model(encoder_input, encoder_output, name="encoder")

    x = layers.Reshape((4, 4, 1))(encoder_output)
    x = layers.Conv2DTranspose(8, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(8, 3, activation="relu")(x)
    decoder_output = layers.Conv2DTranspose(1, 3, activation="relu")(x)
    autoencoder = keras.Model(encoder_input, decoder_output, name="autoencoder")

    x = numbers(2, 28, 28, 1)
    yield {"autoencoder": (autoencoder, x), "encoder": (encoder, x)}
    yield {"shared layers": [layer in autoencoder.layers for layer in encoder.layers]}


@section("All models are callable, as layers are")
def models_are_callable():
    """Calling a model on a tensor applies its layers and its weights again."""
    encoder_input = keras.Input(shape=(28, 28, 1), name="original_img")
    x = layers.Conv2D(8, 3, activation="relu")(encoder_input)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    encoder = keras.Model(encoder_input, layers.GlobalMaxPooling2D()(x), name="encoder")

    decoder_input = keras.Input(shape=(16,), name="encoded_img")
    x = layers.Reshape((4, 4, 1))(decoder_input)
    x = layers.Conv2DTranspose(8, 3, activation="relu")(x)
    x = layers.UpSampling2D(4)(x)
    decoder = keras.Model(decoder_input, layers.Conv2DTranspose(1, 5, activation="relu")(x), name="decoder")

    autoencoder_input = keras.Input(shape=(28, 28, 1), name="img")
    encoded = encoder(autoencoder_input)
    autoencoder = keras.Model(autoencoder_input, decoder(encoded), name="autoencoder")
    yield {"encoder": encoder, "decoder": decoder}
    yield {"autoencoder": (autoencoder, numbers(2, 28, 28, 1))}
    x = numbers(1, 28, 28, 1)
    yield {"step by step": decoder(encoder(x)), "by the model": autoencoder(x)}


@section("An ensemble")
def ensemble():
    """A set of models, the mean of what they say."""

    def member():
        inputs = keras.Input(shape=(128,))
        return keras.Model(inputs, layers.Dense(1)(inputs))

    model1, model2, model3 = member(), member(), member()
    inputs = keras.Input(shape=(128,))
    outputs = layers.average([model1(inputs), model2(inputs), model3(inputs)])
    yield {"ensemble": (keras.Model(inputs=inputs, outputs=outputs), numbers(4, 128))}


def ticket_model(tags=12, words=200, departments=4):
    """Return a model of two texts and a set of tags: how urgent is a ticket, and whose is it?"""
    title = keras.Input(shape=(None,), dtype="int32", name="title")
    body = keras.Input(shape=(None,), dtype="int32", name="body")
    tag_input = keras.Input(shape=(tags,), name="tags")
    title_features = layers.GlobalAveragePooling1D()(layers.Embedding(words, 16)(title))
    body_features = layers.GlobalAveragePooling1D()(layers.Embedding(words, 16)(body))
    x = layers.concatenate([title_features, body_features, tag_input])
    priority = layers.Dense(1, name="priority")(x)
    department = layers.Dense(departments, name="department")(x)
    return keras.Model(inputs=[title, body, tag_input], outputs={"priority": priority, "department": department})


def tickets(count=48):
    """Return inputs and targets by name."""
    inputs = {
        "title": labels(count * 6, 200).reshape(count, 6),
        "body": labels(count * 15, 200, seed=1).reshape(count, 15),
        "tags": labels(count * 12, 2, seed=2).reshape(count, 12).astype("float32"),
    }
    targets = {
        "priority": numbers(count, 1),
        "department": np.eye(4, dtype="float32")[labels(count, 4, seed=3)],
    }
    return inputs, targets


@section("Several inputs and outputs")
def several_inputs_and_outputs():
    """Each output has its loss, and the losses their weights; data, losses and weights go by name."""
    model = ticket_model()
    inputs, targets = tickets()
    yield {"tickets": (model, [inputs["title"][:3], inputs["body"][:3], inputs["tags"][:3]])}
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    history = model.fit(inputs, targets, epochs=2, batch_size=16, shuffle=False, verbose=0)
    yield {"losses": history.history["loss"]}
    predictions = model.predict(inputs, verbose=0)
    yield {"predictions": {name: predictions[name][:2] for name in ("priority", "department")}}


@section("Losses in a list, data in tuples")
def by_position():
    """The same without names: outputs in a list, losses and targets in its order."""
    x = keras.Input((5,), name="x")
    first, second = layers.Dense(1, name="first")(x), layers.Dense(1, name="second")(x)
    model = keras.Model(x, [first, second])
    yield {"two outputs": (model, numbers(2, 5))}
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=["mse", "mae"], loss_weights=[1.0, 0.5])
    targets = (numbers(32, 1), numbers(32, 1, seed=1))
    history = model.fit(numbers(32, 5), targets, epochs=2, batch_size=8, shuffle=False, verbose=0)
    yield {"losses": history.history["loss"]}


def residual(x):
    """Return the sum of a tensor and of what two convolutions make of it."""
    y = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    y = layers.Conv2D(64, 3, activation="relu", padding="same")(y)
    return layers.add([y, x])


@section("A toy ResNet")
def toy_resnet():
    """Streams that leave and join again: what Sequential cannot say. A function of tensors builds each block."""
    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = residual(residual(layers.MaxPooling2D(3)(x)))
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.0)(x)  # no chance here: the losses below are compared
    model = keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")
    yield {"toy_resnet": (model, numbers(2, 32, 32, 3))}

    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    history = model.fit(numbers(16, 32, 32, 3), labels(16, 10), batch_size=8, epochs=1, shuffle=False, verbose=0)
    yield {"losses": history.history["loss"]}


@section("Shared layers")
def shared_layers():
    """One embedding for two texts: called twice, its weights are there once."""
    shared_embedding = layers.Embedding(1000, 16)
    text_a = keras.Input(shape=(None,), dtype="int32", name="text_a")
    text_b = keras.Input(shape=(None,), dtype="int32", name="text_b")
    encoded_a, encoded_b = shared_embedding(text_a), shared_embedding(text_b)
    pool = layers.GlobalAveragePooling1D()
    model = keras.Model([text_a, text_b], [pool(encoded_a), pool(encoded_b)])
    words = labels(18, 1000).reshape(3, 6)
    yield {"shared": (model, [words, words[:, ::-1].copy()])}
    yield {"weights": len(model.weights)}


@section("Nodes of the graph, taken out and used again")
def extracting_nodes():
    """The graph is data: each layer's output is a tensor from which a new model can be made."""
    inputs = keras.Input((24, 24, 3))
    x = inputs
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    trained = keras.Model(inputs, layers.Dense(10)(x), name="small_vgg")
    yield {"small_vgg": trained}

    features_list = [layer.output for layer in trained.layers]
    extractor = keras.Model(inputs=trained.input, outputs=features_list)
    yield {"every layer": (extractor, numbers(1, 24, 24, 3))}
    pooled = [layer.output for layer in trained.layers if isinstance(layer, layers.MaxPooling2D)]
    yield {"after pooling": (keras.Model(trained.input, pooled), numbers(1, 24, 24, 3))}


@section("A model cut from the middle")
def cut_from_the_middle():
    """Any tensors between which layers lie make a model, not only Inputs."""
    inputs = keras.Input((6,))
    middle = layers.Dense(4, activation="relu", name="front")(inputs)
    outputs = layers.Dense(2, name="back")(layers.Dense(3, activation="relu", name="between")(middle))
    whole = keras.Model(inputs, outputs)
    yield {"whole": (whole, numbers(2, 6))}
    front, back = keras.Model(inputs, middle), keras.Model(middle, outputs)
    x = numbers(2, 6)
    yield {"in two parts": back(front(x)), "as one": whole(x)}


@section("Features of a model inside a model")
def features_of_nested():
    """The inner model's layers keep the tensors of the inner graph."""
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="early")(image)
    x = layers.Conv2D(8, 3, activation="relu", name="late")(x)
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(x), name="backbone")
    inputs = keras.Input((12, 12, 3))
    whole = keras.Model(inputs, layers.Dense(2, name="head")(backbone(inputs)))
    yield {"whole": (whole, numbers(2, 12, 12, 3))}
    inner = whole.get_layer("backbone")
    extractor = keras.Model(inner.inputs, [layer.output for layer in inner.layers])
    yield {"inner features": (extractor, numbers(1, 12, 12, 3))}


class CustomDense(layers.Layer):
    """x · w + b: weights in build, the computation in call, the arguments in get_config."""

    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        """Make the weights for the last axis."""
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="random_normal", trainable=True)

    def call(self, inputs):
        """Compute."""
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        """Return what the constructor needs."""
        return {**super().get_config(), "units": self.units}


@section("Layers of your own")
def custom_layers():
    """They are used in a graph like any other, and are made again from their config."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, CustomDense(10)(inputs))
    yield {"custom": (model, numbers(3, 4))}
    layer = model.layers[-1]
    again = CustomDense.from_config(layer.get_config())
    yield {"units": again.units, "names": again.name == layer.name}


class MLP(keras.Model):
    """Two layers, subclassed: the same in the functional API is three lines, and checked as they are written."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense_1 = layers.Dense(64, activation="relu")
        self.dense_2 = layers.Dense(10)

    def call(self, inputs):
        """Apply one after the other."""
        return self.dense_2(self.dense_1(inputs))


@section("Beside subclassing: less to write")
def less_verbose():
    """The same network in both ways; with the same weights it is the same function."""
    inputs = keras.Input(shape=(32,))
    functional = keras.Model(inputs, layers.Dense(10)(layers.Dense(64, activation="relu")(inputs)))
    yield {"functional": (functional, numbers(2, 32))}
    subclassed = MLP()
    yield {"subclassed": (subclassed, numbers(2, 32))}
    subclassed.set_weights(functional.get_weights())
    x = numbers(2, 32)
    yield {"one": functional(x), "other": subclassed(x)}


@section("Beside subclassing: mistakes are found while drawing")
def validated_while_drawn():
    """Shapes that do not fit are an error where the layer is called, before there are any data."""
    inputs = keras.Input((8, 8, 3))
    with_four = layers.Conv2D(4, 3, padding="same")(inputs)
    refused = []
    for wrong in (lambda: layers.add([inputs, with_four]), lambda: layers.Conv2D(4, 3)(keras.Input((8,)))):
        try:
            wrong()
        except ValueError as error:
            refused.append(isinstance(error, ValueError))
    yield {"refused": refused}


class Classifier(keras.Model):
    """A subclassed model that holds a functional one, and layers beside it."""

    def __init__(self, features, classes, **kwargs):
        super().__init__(**kwargs)
        self.features = features
        self.normalize = layers.LayerNormalization()
        self.head = layers.Dense(classes)

    def call(self, inputs):
        """Features, normalized, scored."""
        return self.head(self.normalize(self.features(inputs)))


@section("Mix and match: a functional model in a subclassed one")
def functional_inside_subclassed():
    """Models of every kind hold models of every other."""
    inputs = keras.Input((16,))
    features = keras.Model(inputs, layers.Dense(8, activation="relu")(inputs), name="features")
    model = Classifier(features, 3)
    yield {"classifier": (model, numbers(4, 16))}
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(numbers(32, 16), labels(32, 3), batch_size=8, epochs=2, shuffle=False, verbose=0)
    yield {"losses": history.history["loss"]}


class Recurrence(layers.Layer):
    """A recurrent network written out: a loop over time, the state handed on, a functional model at the end."""

    def __init__(self, units, classifier, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.project_input = layers.Dense(units, activation="tanh")
        self.project_state = layers.Dense(units, activation="tanh")
        self.classifier = classifier

    def call(self, inputs):
        """Read the steps one by one: (B, T, I) -> (B, classes)."""
        state = ops.zeros((inputs.shape[0], self.units))
        outputs = []
        for step in range(inputs.shape[1]):
            state = self.project_input(inputs[:, step, :]) + self.project_state(state)
            outputs.append(state)
        return self.classifier(ops.stack(outputs, axis=1))


@section("Mix and match: a subclassed layer in a functional model")
def subclassed_inside_functional():
    """All that is asked of it is a call that takes tensors and gives tensors."""
    timesteps, units, features = 5, 8, 4
    sequence = keras.Input((timesteps, units))
    x = layers.Dense(6, activation="relu")(layers.GlobalAveragePooling1D()(sequence))
    classifier = keras.Model(sequence, layers.Dense(1)(x), name="classifier")
    inputs = keras.Input(batch_shape=(2, timesteps, features))
    model = keras.Model(inputs, Recurrence(units, classifier, name="recurrence")(inputs))
    yield {"recurrent": (model, numbers(2, timesteps, features))}


@section("Mix and match: a subclassed model in a functional one")
def subclassed_model_inside_functional():
    """A subclassed model is called on symbolic tensors like a layer."""
    inputs = keras.Input((12,))
    model = keras.Model(inputs, layers.Activation("softmax")(MLP(name="mlp")(inputs)))
    yield {"around a subclass": (model, numbers(2, 12))}


@section("Mix and match: rows in a functional model")
def sequential_inside_functional():
    """A Sequential is one node, called as often as needed."""
    inputs_a, inputs_b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    tower = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(4)], name="tower")
    distance = layers.Subtract()([tower(inputs_a), tower(inputs_b)])
    model = keras.Model({"a": inputs_a, "b": inputs_b}, layers.Dense(1, activation="sigmoid")(distance))
    yield {"two towers": (model, {"a": numbers(3, 6), "b": numbers(3, 6, seed=1)})}


@section("Operators and functions on symbolic tensors")
def operators_and_functions():
    """What is computed without a layer becomes a node as well."""
    inputs = keras.Input((6,))
    x = layers.Dense(6)(inputs)
    x = ops.relu(x) * 0.5 + inputs
    x = ops.concatenate([x[:, :2], ops.expand_dims(ops.mean(x, axis=-1), -1)], axis=-1)
    yield {"operators": (keras.Model(inputs, x), numbers(3, 6))}


if __name__ == "__main__":
    main(globals())

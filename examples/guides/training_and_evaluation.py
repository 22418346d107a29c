"""Training and evaluation with the built-in methods, after Keras's guide of that name.

python examples/guides/training_and_evaluation.py          with Keras
anabranch run examples/guides/training_and_evaluation.py   with anabranch
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers, ops
from sections import labels, main, numbers, section


def digits(count=48, seed=0):
    """Return rows of 12 numbers and classes from 0 to 3."""
    return numbers(count, 12, seed=seed), labels(count, 4, seed=seed)


def classifier():
    """Return two hidden layers and a softmax."""
    inputs = keras.Input(shape=(12,), name="digits")
    x = layers.Dense(8, activation="relu", name="dense_1")(inputs)
    x = layers.Dense(8, activation="relu", name="dense_2")(x)
    return keras.Model(inputs=inputs, outputs=layers.Dense(4, activation="softmax", name="predictions")(x))


def compiled(model, **options):
    """Compile with defaults that options replace."""
    model.compile(
        **{
            "optimizer": keras.optimizers.RMSprop(learning_rate=1e-3),
            "loss": keras.losses.SparseCategoricalCrossentropy(),
            "metrics": [keras.metrics.SparseCategoricalAccuracy()],
            **options,
        }
    )
    return model


def fitted(model, x, y=None, **options):
    """Train in the order of the data and return the history."""
    return model.fit(x, y, **{"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0, **options}).history


@section("From end to end")
def end_to_end():
    """compile, fit with validation data, evaluate, predict."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    history = fitted(compiled(model), *digits(), validation_data=digits(16, seed=1))
    yield {"history": history, "test loss, test acc": model.evaluate(*digits(16, seed=2), batch_size=8, verbose=0)}
    yield {"predictions": model.predict(digits(3, seed=2)[0], verbose=0)}


@section("compile by names")
def by_names():
    """Built-in optimizers, losses and metrics have names."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    yield {"history": fitted(model, *digits())}


@section("Losses of one's own: functions")
def loss_function():
    """Of targets and predictions, one number for each sample or for all."""

    def squared(y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    yield {"history": fitted(compiled(model, loss=squared, metrics=None), x, np.eye(4, dtype="float32")[y])}


@section("Losses of one's own: classes")
def loss_class():
    """With parameters of their own."""

    class Regularized(keras.losses.Loss):
        def __init__(self, regularization_factor=0.1, name="regularized"):
            super().__init__(name=name)
            self.regularization_factor = regularization_factor

        def call(self, y_true, y_pred):
            mse = ops.mean(ops.square(y_true - y_pred), axis=-1)
            return mse + ops.mean(ops.square(0.5 - y_pred), axis=-1) * self.regularization_factor

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    yield {"history": fitted(compiled(model, loss=Regularized(), metrics=None), x, np.eye(4, dtype="float32")[y])}


@section("Metrics of one's own")
def metric_class():
    """State, an update, a result, a reset."""

    class TruePositives(keras.metrics.Metric):
        def __init__(self, name="true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.count = self.add_variable(shape=(), name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
            values = ops.cast(ops.cast(y_true, "int32") == ops.cast(y_pred, "int32"), "float32")
            if sample_weight is not None:
                values = ops.multiply(values, ops.cast(sample_weight, "float32"))
            self.count.assign_add(ops.sum(values))

        def result(self):
            return self.count.value

        def reset_state(self):
            self.count.assign(0)

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    yield {"history": fitted(compiled(model, metrics=[TruePositives()]), x, y.reshape(-1, 1))}


@section("Losses that fit no signature: from a layer")
def from_a_layer():
    """A layer may add to the loss what is no function of targets and predictions."""

    class ActivityPenalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(ops.sum(inputs) * 0.1)
            return inputs

    inputs = keras.Input(shape=(12,), name="digits")
    x = layers.Dense(8, activation="relu", name="dense_1")(inputs)
    x = ActivityPenalty()(x)
    model = keras.Model(inputs, layers.Dense(4, name="predictions")(x))
    yield {"model": (model, digits(2)[0])}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    yield {"history": fitted(compiled(model, loss=loss, metrics=None), *digits())}


@section("Losses that fit no signature: from an endpoint")
def endpoint():
    """A layer that takes targets and scores adds the loss and gives probabilities; compile needs none."""

    class Endpoint(layers.Layer):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

        def call(self, targets, logits, sample_weights=None):
            self.add_loss(self.loss_fn(targets, logits, sample_weights))
            return ops.softmax(logits)

    inputs = keras.Input(shape=(3,), name="inputs")
    targets = keras.Input(shape=(10,), name="targets")
    logits = layers.Dense(10)(inputs)
    model = keras.Model(inputs=[inputs, targets], outputs=Endpoint(name="predictions")(targets, logits))
    data = {"inputs": numbers(3, 3), "targets": numbers(3, 10, seed=1)}
    yield {"model": (model, [data["inputs"], data["targets"]])}
    model.compile(optimizer="adam")
    yield {"history": fitted(model, data)}


@section("Holding data out")
def held_out():
    """The last part of the arrays, before they are shuffled."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    yield {"history": fitted(compiled(model), *digits(), validation_split=0.25)}


class Batches(keras.utils.PyDataset):
    """Data that are made batch by batch."""

    def __init__(self, x, y, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


@section("Data that come batch by batch")
def batch_by_batch():
    """An object with __len__ and __getitem__."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    data = Batches(*digits(), batch_size=16)
    yield {
        "history": fitted(compiled(model), data, batch_size=None, validation_data=Batches(*digits(16, seed=1), batch_size=8))
    }
    yield {"evaluation": model.evaluate(data, verbose=0)}


@section("Data from a DataLoader")
def loader():
    """As torch's own programs have them."""
    import torch

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=16)
    yield {"history": fitted(compiled(model), data, batch_size=None), "evaluation": model.evaluate(data, verbose=0)}
    yield {"part of it": fitted(compiled(model), data, batch_size=None, steps_per_epoch=2, epochs=1)}


@section("Class weights")
def class_weights():
    """Class 2 counts twice."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    yield {"history": fitted(compiled(model), *digits(), class_weight={0: 1.0, 1: 1.0, 2: 2.0, 3: 1.0})}


@section("Sample weights")
def sample_weights():
    """A weight for each sample; some metrics are to know it."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    weights = np.where(y == 3, 2.0, 1.0)
    options = {"metrics": ["acc"], "weighted_metrics": ["sparse_categorical_crossentropy"]}
    yield {"history": fitted(compiled(model, **options), x, y, sample_weight=weights)}
    yield {"evaluation": model.evaluate(x, y, sample_weight=weights, verbose=0)}


def two_by_two():
    """Return a model of an image and a series, with a score and classes."""
    image = keras.Input(shape=(8, 8, 3), name="img_input")
    series = keras.Input(shape=(10, 4), name="ts_input")
    x1 = layers.GlobalMaxPooling2D()(layers.Conv2D(3, 3)(image))
    x2 = layers.GlobalMaxPooling1D()(layers.Conv1D(3, 3)(series))
    x = layers.concatenate([x1, x2])
    return keras.Model(
        inputs=[image, series],
        outputs=[layers.Dense(1, name="score_output")(x), layers.Dense(5, name="class_output")(x)],
    )


def their_data(count=16):
    """Return inputs and targets of the model above."""
    inputs = {"img_input": numbers(count, 8, 8, 3), "ts_input": numbers(count, 10, 4, seed=1)}
    targets = {"score_output": numbers(count, 1, seed=2), "class_output": np.eye(5, dtype="float32")[labels(count, 5)]}
    return inputs, targets


@section("Several inputs and outputs: lists")
def lists():
    """Losses and metrics in the order of the outputs."""
    model = two_by_two()
    x, y = their_data()
    yield {"model": (model, [x["img_input"][:2], x["ts_input"][:2]])}
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=[keras.losses.MeanSquaredError(), keras.losses.CategoricalCrossentropy(from_logits=True)],
        metrics=[
            [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
            [keras.metrics.CategoricalAccuracy()],
        ],
        loss_weights=[2.0, 1.0],
    )
    arrays = list(x.values()), list(y.values())
    yield {"history": fitted(model, *arrays, batch_size=8), "evaluation": model.evaluate(*arrays, verbose=0, return_dict=True)}


@section("Several inputs and outputs: dicts")
def dicts():
    """Losses, metrics, weights and data by name."""
    model = two_by_two()
    x, y = their_data()
    yield {"model": (model, [x["img_input"][:2], x["ts_input"][:2]])}
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "score_output": keras.losses.MeanSquaredError(),
            "class_output": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        metrics={
            "score_output": [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
            "class_output": [keras.metrics.CategoricalAccuracy()],
        },
        loss_weights={"score_output": 2.0, "class_output": 1.0},
    )
    yield {"history": fitted(model, x, y, batch_size=8)}


@section("An output without a loss")
def without_loss():
    """For predictions only."""
    model = two_by_two()
    x, y = their_data()
    yield {"model": (model, [x["img_input"][:2], x["ts_input"][:2]])}
    model.compile(keras.optimizers.RMSprop(1e-3), loss=[None, keras.losses.CategoricalCrossentropy(from_logits=True)])
    yield {"losses": fitted(model, list(x.values()), list(y.values()), batch_size=8)["loss"]}


@section("Callbacks")
def callbacks():
    """Stop when the loss no longer falls; note the loss of every batch."""

    class Losses(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.losses = []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs.get("loss"))

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=1e-2, patience=2, verbose=0)
    noted = Losses()
    history = fitted(compiled(model), *digits(), epochs=8, validation_split=0.25, callbacks=[stop, noted])
    yield {"history": history, "of batches": [float(loss) for loss in noted.losses]}


@section("Checkpoints")
def checkpoints():
    """The best weights so far, in a file."""
    import tempfile
    from pathlib import Path

    model = classifier()
    yield {"model": (model, digits(2)[0])}
    with tempfile.TemporaryDirectory() as folder:
        ending = "safetensors" if hasattr(model, "to_torch") else "weights.h5"
        path = str(Path(folder) / f"best.{ending}")
        keep = keras.callbacks.ModelCheckpoint(path, save_best_only=True, save_weights_only=True, monitor="val_loss", verbose=0)
        fitted(compiled(model), *digits(), epochs=2, validation_split=0.25, callbacks=[keep])
        yield {"there": Path(path).exists()}


@section("Learning rates by schedule")
def schedules():
    """A schedule may be given as the learning rate."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5, staircase=True)
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    yield {"history": fitted(compiled(model, optimizer=keras.optimizers.SGD(learning_rate=schedule)), *digits())}


@section("A learning rate that follows the loss")
def plateau():
    """A callback may lower it."""
    model = classifier()
    yield {"model": (model, digits(2)[0])}
    lower = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=10.0)
    history = fitted(compiled(model, optimizer=keras.optimizers.SGD(0.1)), *digits(), epochs=4, callbacks=[lower])
    yield {"history": history, "at the end": float(np.array(model.optimizer.learning_rate))}


@section("One batch at a time")
def single_batches():
    """For loops of one's own."""
    model = compiled(classifier())
    yield {"model": (model, digits(2)[0])}
    x, y = digits()
    yield {"learned": [model.train_on_batch(x[:16], y[:16]) for _ in range(2)], "measured": model.test_on_batch(x, y)}
    yield {"predicted": model.predict_on_batch(x[:2])}


if __name__ == "__main__":
    main(globals())

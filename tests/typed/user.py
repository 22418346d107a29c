"""A user's program as a type checker sees it; ``# expect-error`` marks the lines where mypy and Pyright must report a mistake.

It is checked and never run: ``tests/test_types.py``.
"""

from collections.abc import Mapping
from typing import Any, assert_type

import numpy as np
import torch

import anabranch as keras
from anabranch import constraints, edit, layers, ops

# Symbolic tensors: operators, slices, torch's functions, ops

inputs = keras.Input((32, 32, 3), name="image")
doubled = inputs * 2 - 1
shifted = 1 + inputs / 2
compared = inputs > 0
sliced = inputs[:, :16, ..., 0]
mean = inputs.mean(-1)
activated = torch.relu(inputs)
joined = torch.cat([inputs, doubled], -1)
summed = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
size = inputs.shape[-1]

# Layers: every documented style

x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
x = layers.Conv2D(filters=16, kernel_size=(3, 3), strides=(1, 1), padding="same", use_bias=False, name="conv")(x)
x = layers.Conv2D(16, 3, activation=torch.relu, kernel_constraint=constraints.MaxNorm(2.0))(x)
x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
x = layers.Activation("relu")(x)
x = layers.MaxPooling2D(2)(x)
x = layers.add([x, layers.Conv2D(16, 1)(x)])
x = layers.Concatenate(axis=-1)([x, x * 2])
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.5, seed=1)(x)
x = layers.Dense(units=8, activation="gelu", kernel_regularizer="l2", dtype="float32")(x)
x = layers.Lambda(lambda t: t * 2)(x)
x = layers.TorchModule(torch.nn.Linear(32, 10))(x)
outputs = layers.Dense(10, name="logits")(x)

layers.Conv2D(16, 3, padding="sme")  # expect-error
layers.Dense("ten")  # expect-error
layers.Dense(10, activatoin="relu")  # expect-error
layers.Dropout()  # expect-error
layers.MaxPooling2D(2, padding="vaild")  # expect-error

# Models

model = keras.Model(inputs, outputs, name="net")
several = keras.Model(inputs=[inputs], outputs={"logits": outputs, "features": x})
sequential = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
sequential.add(layers.Dense(1))
assert_type(model.name, str)
assert_type(model.count_params(), int)
assert_type(model.layers, list[layers.Layer])
first = model.layers[0]
first.trainable = False
logits = model.get_layer("logits")
kernel = model.weights[0]
kernel.assign(np.zeros((3, 3, 3, 16)))
model.summary(expand_nested=True)

model.compile(optimizer="adam", loss="mse", metrics=["mae"])
model.compile(
    optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4, global_clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=3)],
)
several.compile("sgd", loss={"logits": "mse", "features": None}, loss_weights={"logits": 1.0}, jit_compile=False)
model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 100), momentum=0.9), lambda y, p: (y - p) ** 2)

images, labels = np.zeros((8, 32, 32, 3), "float32"), np.zeros(8, "int32")
history = model.fit(images, labels, batch_size=4, epochs=2, validation_split=0.25, verbose=0)
losses = history.history["loss"]
loss, accuracy = model.evaluate(images, labels, verbose=0)
assert_type(model.evaluate(images, labels, verbose=0, return_dict=True), dict[str, float])
assert_type(model.train_on_batch(images, labels, return_dict=True), dict[str, float])
assert_type(model.test_on_batch(images, labels, return_dict=True), dict[str, float])
predicted = model.predict(images, verbose=0)
called = model(torch.zeros(1, 32, 32, 3), training=False)
module = model.to_torch()
module.train()
assert_type(model.get_weights(), list[np.ndarray[Any, Any]])

model.fit(images, labels, epochs="two")  # expect-error
model.fit(images, labels, epoch=2)  # expect-error
keras.optimizers.SGD(lr=0.1)  # expect-error

# Callbacks


class Watch(keras.callbacks.Callback):
    """Count epochs."""

    epochs = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count one."""
        self.epochs += 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Take the logs as numbers by name."""
        print(batch, (logs or {}).get("loss"))


watching = [
    Watch(),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=2),
    keras.callbacks.ModelCheckpoint("w.safetensors"),
]
model.fit(images, labels, callbacks=watching)

# Editing

wider = model.edit(edit.swap_activation("relu", "gelu"), edit.insert_before("logits", layers.Dropout(0.2)))
assert_type(wider, keras.Model)
tapped = model.tap(["logits"])
print(model.diff(wider))
copy = keras.models.clone_model(model)

# Subclasses


class Scale(layers.Layer):
    """Scale the last axis by a learned vector."""

    def __init__(self, initial: float = 1.0, **kwargs: object) -> None:
        super().__init__(name="scale")
        self.initial = initial

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the vector."""
        self.vector = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="vector")

    def call(self, x: torch.Tensor) -> torch.Tensor:
        """Return x · vector."""
        return x * self.vector


class Net(keras.Model):
    """A model with its own call."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale(2.0)
        self.head = layers.Dense(1)

    def call(self, x: torch.Tensor, training: bool = False) -> torch.Tensor:
        """Return one value a sample."""
        return torch.sigmoid(self.head(self.scale(x)))


class Absolute(keras.losses.Loss):
    """The mean absolute error."""

    def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        """Return one value a sample."""
        return (y_true - y_pred).abs().mean(-1)


scaled = Scale(0.5)(inputs)
net = Net()
net.compile("adam", Absolute())
Scale(initial="big")  # expect-error

# Layers with fields, metrics, custom steps, functions in the place of names


class Widen(layers.Dense):
    """A built-in layer with another default."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return super().get_config()


class Largest(keras.metrics.Metric):
    """The largest prediction."""

    def __init__(self, name: str = "largest") -> None:
        super().__init__(name=name)
        self.best = self.add_variable((), "zeros", name="best")

    def update_state(self, y_true: torch.Tensor, y_pred: torch.Tensor, sample_weight: torch.Tensor | None = None) -> None:
        """Add a batch."""
        self.best.assign(torch.maximum(self.best, y_pred.max()))

    def result(self) -> torch.Tensor:
        """Return the largest."""
        return self.best.value


class Stepping(keras.Model):
    """A model with its own step."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step."""
        x, y = data
        self.zero_grad()
        loss = self.compute_loss(x, y, self(x, training=True))
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return {"loss": loss}


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """Halve the rate every step."""

    def __call__(self, step: float) -> float:
        """Return the rate."""
        return 0.1 * float(0.5**step)


class Batches(keras.utils.PyDataset):
    """Two batches."""

    def __len__(self) -> int:
        """Return how many."""
        return 2

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return one."""
        return images[:4], labels[:4]


stepping = Stepping(inputs, outputs)
stepping.compile(keras.optimizers.SGD(Halving()), "mse", metrics=[Largest()])
stepping.fit(Batches(), epochs=1, verbose=0)
widened = Widen(8, kernel_initializer="he_normal", bias_initializer=keras.initializers.Constant(0.1), name="wide")(x)
weights = model.get_weights()
model.set_weights(weights)
sequential.set_weights(sequential.get_weights())
model.save_weights("saved.safetensors")
model.load_weights("saved.safetensors")
model.summary()
model.to_torch(source="net.py")
again = keras.models.model_from_json(model.to_json())
assert_type(keras.Model.from_config(model.get_config()), keras.Model)
parameters = [parameter.numel() for parameter in model.parameters()]
torch.optim.Adam(model.parameters(), 1e-3)
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
one_hot = keras.utils.to_categorical(y_train, 10)
keras.utils.set_random_seed(1)
keras.config.set_dtype_policy("mixed_bfloat16")
stacked = ops.concatenate([inputs, ops.relu(inputs)], axis=-1)
shaped = ops.reshape(stacked, (-1, 32 * 32 * 6))
chosen = ops.where(inputs > 0, inputs, ops.zeros_like(inputs))
attended = ops.softmax(ops.matmul(mean, ops.transpose(mean, (0, 2, 1))), axis=-1)
branch = model.between("conv", "logits")
found = model.select("conv*")
report = str(model.explain_execution())

model.load_weights(3)  # expect-error
keras.utils.set_random_seed("one")  # expect-error
ops.reshape(inputs, newshape="flat")  # expect-error

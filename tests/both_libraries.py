"""Models written once for both libraries: ``make(ab)`` and ``make(keras)`` describe the same network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from anabranch import _tree

Make = Callable[[Any], Any]


def _plain(k: Any) -> Any:
    x = k.Input((4,))
    y = k.layers.Dense(5, activation="relu")(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.Dense(5)(y)))


def _row(k: Any) -> Any:
    L = k.layers
    return k.Sequential([k.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.Conv2D(4, 3), L.Flatten(), L.Dense(2)])


def _row_in_row(k: Any) -> Any:
    L = k.layers
    inner = k.Sequential([L.Dense(4, activation="tanh"), L.Dropout(0.0), L.Dense(4)])
    return k.Sequential([k.Input((4,)), L.Dense(4), inner, L.Dense(3)])


def _nested(k: Any) -> Any:
    a = k.Input((4,))
    inner = k.Model(a, k.layers.BatchNormalization()(k.layers.Dense(4)(a)), name="inner")
    b = k.Input((4,))
    middle = k.Model(b, k.layers.Dense(4)(inner(b)), name="middle")
    x = k.Input((4,))
    return k.Model(x, k.layers.Dense(3)(k.layers.add([middle(x), k.layers.Dense(4)(middle(x))])))


def _shared(k: Any) -> Any:
    x = k.Input((4,))
    shared = k.layers.Dense(4, activation="tanh", name="shared")
    return k.Model(x, k.layers.Dense(2, name="last")(shared(shared(k.layers.Dense(4)(x)))))


def _several(k: Any) -> Any:
    left, right = k.Input((4,), name="left"), k.Input((3,), name="right")
    joined = k.layers.concatenate([k.layers.Dense(4)(left), k.layers.Dense(2)(right)])
    return k.Model(
        {"left": left, "right": right},
        {"class": k.layers.Dense(3, name="class")(joined), "box": k.layers.Dense(4, name="box")(joined)},
    )


def _functions(k: Any) -> Any:
    x = k.Input((6, 4))
    y = k.ops.relu(k.layers.Dense(4)(x)) * 2 + 1
    return k.Model(x, k.layers.Dense(2)(k.ops.mean(y, axis=1) - k.ops.max(x, axis=1)))


def _half(k: Any) -> Any:
    x = k.Input((4,))
    y = k.layers.Dense(4, dtype="mixed_bfloat16")(x)
    return k.Model(x, k.layers.Dense(2, dtype="float32")(k.layers.Dense(3, dtype="bfloat16")(y)))


def _frozen(k: Any) -> Any:
    model = _row(k)
    model.layers[1].trainable = model.layers[0].trainable = False
    return model


MODELS: dict[str, tuple[Make, Any]] = {
    "functional": (_plain, (4,)),
    "sequential": (_row, (8, 8, 3)),
    "sequential in sequential": (_row_in_row, (4,)),
    "nested": (_nested, (4,)),
    "shared": (_shared, (4,)),
    "several inputs and outputs": (_several, {"left": (4,), "right": (3,)}),
    "functions": (_functions, (6, 4)),
    "bfloat16": (_half, (4,)),
    "frozen": (_frozen, (8, 8, 3)),
}
"""What makes each model, and its inputs' shapes without the batch."""


def parts(k: Any) -> tuple[type, type]:
    """Return a layer with layers and weights of its own, and a model that writes its own call, for one library."""

    class Block(k.layers.Layer):  # type: ignore[misc]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.second, self.first = k.layers.Dense(units), k.layers.Dense(units, activation="tanh")
            self.more = [k.layers.Dense(units), [k.layers.Dense(units)], {"b": k.layers.Dense(units)}]
            self._hidden = k.layers.LayerNormalization()

        def build(self, shape: Any) -> None:
            self.count = self.add_weight(shape=(self.units,), initializer="ones", trainable=False, name="count")
            self.gain = self.add_weight(shape=(self.units,), initializer="ones", name="gain")
            for layer in (self.first, self.second, self.more[0], self.more[1][0], self.more[2]["b"], self._hidden):
                layer.build((*shape[:-1], shape[-1] if layer is self.first else self.units))
            self.built = True

        def call(self, x: Any) -> Any:
            x = self.second(self.first(x)) * self.gain + self.count
            return self._hidden(self.more[2]["b"](self.more[1][0](self.more[0](x))))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    class Own(k.Model):  # type: ignore[misc]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.stem, self.blocks = k.layers.Dense(units), [k.layers.Dense(units), Block(units)]
            self.out, self._last = k.layers.Dense(units), k.layers.Dense(2)

        def call(self, x: Any) -> Any:
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self._last(self.out(x))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    return Block, Own


def drawn(shapes: Any, batch: int = 3, seed: int = 1) -> Any:
    """Return arrays for a nest of shapes."""
    rng = np.random.default_rng(seed)
    if isinstance(shapes, dict):
        return {name: rng.normal(size=(batch, *shape)).astype("float32") for name, shape in shapes.items()}
    return rng.normal(size=(batch, *shapes)).astype("float32")


def outputs(model: Any, x: Any) -> list[np.ndarray]:
    """Return a model's results on arrays as float32, those of a dict by key."""
    result = model(x, training=False)
    leaves = _tree.leaves_by_key(result)
    return [torch.as_tensor(leaf).detach().cpu().float().numpy() for leaf in leaves]


def scramble(model: Any, seed: int = 0) -> None:
    """Give every weight drawn values, as after a training."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=tuple(weight.shape)) * 0.4
        weight.assign((np.abs(values) + 0.5 if "variance" in weight.name else values).astype("float32"))

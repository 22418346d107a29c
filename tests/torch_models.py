"""Models that torch's tools are tried on: a toy ResNet, two towers, a transformer block, a user's layer; ResNet-50."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from devices import on_device

import anabranch as ab
from anabranch import layers, ops


def resnet() -> Any:
    image = ab.Input((32, 32, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(image)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    branch = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(branch)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.add([layers.Conv2D(16, 3, activation="relu", padding="same")(x), branch])
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(layers.Dense(32, activation="relu")(x))
    return ab.Model(image, layers.Dense(10)(x), name="toy_resnet")


def towers() -> Any:
    """Two inputs in a dict through one shared nested model, and two outputs."""
    x = ab.Input((6,))
    tower = ab.Model(x, layers.LayerNormalization()(layers.Dense(8, activation="gelu")(x)), name="tower")
    query, document = ab.Input((6,), name="query"), ab.Input((6,), name="document")
    a, b = tower(query), tower(document)
    return ab.Model({"query": query, "document": document}, {"score": (a * b).sum(-1), "both": layers.concatenate([a, b])})


def transformer() -> Any:
    ids = ab.Input((7,), dtype="int32", name="ids")
    x = layers.Embedding(11, 8)(ids)
    q, k, v = (layers.Reshape((7, 2, 4))(layers.Dense(8, name=name)(x)) for name in ("query", "key", "value"))
    scores = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", q, k) / 2.0, axis=-1)
    attended = layers.Reshape((7, 8))(ops.einsum("bhqk,bkhd->bqhd", scores, v))
    x = layers.LayerNormalization()(x + layers.Dense(8, name="out")(attended))
    y = layers.Dense(8, name="down")(layers.Dense(16, activation="gelu", name="up")(x))
    return ab.Model(ids, layers.LayerNormalization()(x + y), name="block")


class Gate(layers.Layer):
    """A layer of a user's: two layers inside, a weight of its own, another result while it trains."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner, self.outer = layers.Dense(5), layers.Dense(4)

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight((shape[-1],), "ones", name="scale")

    def call(self, x: Any, training: bool = False) -> Any:
        y = self.outer(torch.tanh(self.inner(x)))
        return x * self.scale + (y if training else 2 * y)


def gated() -> Any:
    x = ab.Input((4,), name="x")
    return ab.Model(x, layers.Dense(2)(Gate()(x)))


def sequences() -> Any:
    """Recurrent layers: one after the other, both ways, and one that begins with another's states."""
    ids, target = ab.Input((7,), dtype="int32", name="ids"), ab.Input((5, 3), name="target")
    x = layers.LSTM(6, return_sequences=True)(layers.Embedding(11, 8)(ids))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    _, h, c = layers.LSTM(5, return_state=True, name="encoder")(x)
    y = layers.LSTM(5, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    y = layers.Bidirectional(layers.SimpleRNN(3), name="both")(y)
    return ab.Model({"ids": ids, "target": target}, layers.Dense(2)(y))


MODELS = {"resnet": resnet, "towers": towers, "transformer": transformer, "gated": gated, "sequences": sequences}


def data(model: Any, batch: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(1)
    shapes = [(tensor.dtype, (batch, *tensor.shape[1:])) for tensor in model.inputs]
    made = [torch.randint(0, 11, size, dtype=torch.int32) if "int" in kind else torch.randn(size) for kind, size in shapes]
    return list(map(on_device, made))


def fed(model: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(model.input, dict):
        return dict(zip(model.input, tensors, strict=True))
    return tensors[0]


def leaves(result: Any) -> list[torch.Tensor]:
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]


def close(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def resnet50() -> Any:
    return imported(Path(__file__).parents[1] / "examples" / "edit_resnet50.py").resnet50(size=64)

"""What the nodes of random graphs can be: for each kind what it takes, how it is made with anabranch, and the same in torch.

Everything is called on one nest: a value, or a list or dict of values. ``hand`` is written with torch alone, its weights in
Keras's layouts; it is what anabranch is held to.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from devices import on_device
from torch import nn

from anabranch import layers, ops


class Kind(NamedTuple):
    """One kind of node.

    Args:
        takes: all nests of value numbers that it could be called on, from the examples of the values there are.
        hand: ``(weights, config, nest, training)`` to a nest of tensors, in torch alone.
        make: the layer, module or function with this configuration.
        config: draws the configuration for what it is called on.
        weights: the weights' shapes in Keras's axis order for what it is called on.
        invoke: calls what was made on a nest.
        layer: whether floats are cast to the layer's own type before ``call``.
        random: whether it draws numbers in training mode.
        own_type: whether it takes the graph's float type only, as torch's modules do.
    """

    takes: Callable[[dict[int, torch.Tensor]], list[Any]]
    hand: Callable[[dict[str, torch.Tensor], dict[str, Any], Any, bool], Any]
    make: Callable[..., Any]
    config: Callable[[Any, Any], dict[str, Any]] = lambda pick, x: {}
    weights: Callable[[dict[str, Any], Any], dict[str, tuple[int, ...]]] = lambda config, x: {}
    invoke: Callable[[Any, Any], Any] = lambda made, nest: made(nest)
    layer: bool = False
    random: bool = False
    own_type: bool = False


KINDS: dict[str, Kind] = {}


# What a kind takes


def is_float(x: torch.Tensor) -> bool:
    return x.is_floating_point()


def one(low: int = 2, high: int = 9, test: Callable[[torch.Tensor], bool] = is_float) -> Any:
    """Take each single value of a rank between ``low`` and ``high`` that passes the test."""
    return lambda values: [number for number, x in values.items() if low <= x.dim() <= high and test(x)]


def some(count: int, fits: Callable[..., bool]) -> Any:
    """Take each list of ``count`` values that go together; the same value may come twice."""

    def takes(values: dict[int, torch.Tensor]) -> list[Any]:
        found: list[list[int]] = [[number] for number in values]
        for _ in range(count - 1):
            found = [[*numbers, number] for numbers in found for number in values]
        return [numbers for numbers in found if fits(*(values[number] for number in numbers))]

    return takes


def alike(*tensors: torch.Tensor) -> bool:
    return all(is_float(x) and x.shape == tensors[0].shape for x in tensors)


def broadcastable(a: torch.Tensor, b: torch.Tensor) -> bool:
    pairs = zip(reversed(a.shape[1:]), reversed(b.shape[1:]), strict=False)
    return is_float(a) and is_float(b) and a.dim() == b.dim() and all(m == n or 1 in (m, n) for m, n in pairs)


def same_type(*tensors: torch.Tensor) -> bool:
    return all(x.dtype == tensors[0].dtype for x in tensors)


def joinable(*tensors: torch.Tensor) -> bool:
    return all(is_float(x) and x.dim() > 1 and x.shape[:-1] == tensors[0].shape[:-1] for x in tensors)


# Functions, which are their own hand


def function(name: str, takes: Any, call: Callable[[Any], Any], hand: Callable[[Any], Any] | None = None) -> None:
    """Note a function of a nest, written the same for symbolic tensors and for torch's unless ``hand`` says otherwise."""
    in_torch = hand or call
    KINDS[name] = Kind(takes, lambda weights, config, x, training: in_torch(x), lambda name=None: call)


def halves(x: Any) -> Any:
    return torch.split(x, [1, x.shape[-1] - 1], dim=-1)


ANY = one(1)
LONG = one(2, test=lambda x: is_float(x) and x.shape[-1] > 1)
TRUE = one(1, test=lambda x: x.dtype == torch.bool)

function("x + y", some(2, broadcastable), lambda x: x[0] + x[1])
function("x - y", some(2, broadcastable), lambda x: x[0] - x[1])
function("x * y", some(2, broadcastable), lambda x: x[0] * x[1])
function("x / (1 + |y|)", some(2, broadcastable), lambda x: x[0] / (1 + abs(x[1])))
function("x + 2", ANY, lambda x: x + 2)
function("1.5 - x", ANY, lambda x: 1.5 - x)
function("0.5 * x", ANY, lambda x: 0.5 * x)
function("x / 3", ANY, lambda x: x / 3)
function("-x", ANY, operator.neg)
function("x ** 2", ANY, lambda x: x**2)
function("x * constant", one(2), lambda x: x * on_device(torch.arange(1, x.shape[-1] + 1)),
         lambda x: x * torch.arange(1, x.shape[-1] + 1, device=x.device))  # fmt: skip
function("constant - x", one(2), lambda x: on_device(torch.arange(x.shape[-1])) - x,
         lambda x: torch.arange(x.shape[-1], device=x.device) - x)  # fmt: skip
function("x > 0", ANY, lambda x: x > 0)
function("x < y", some(2, alike), lambda x: x[0] < x[1])
function("~b", TRUE, operator.invert)
function("b & c", some(2, lambda a, b: a.dtype == b.dtype == torch.bool and a.shape == b.shape), lambda x: x[0] & x[1])
function("b * x", some(2, lambda b, x: b.dtype == torch.bool and is_float(x) and b.shape == x.shape), lambda x: x[0] * x[1])
function("i / 2", one(1, test=lambda x: x.dtype in (torch.int32, torch.int64)), lambda x: x / 2)
function("i + 1 == 2", one(1, test=lambda x: x.dtype in (torch.int32, torch.int64)), lambda x: x + 1 == 2)
function("b.float()", TRUE, lambda x: x.float())
function(
    "x @ y.T", some(2, lambda a, b: same_type(a, b) and alike(a, b) and a.dim() == 3), lambda x: x[0] @ x[1].transpose(1, 2)
)
function("x[:, 0]", one(3), lambda x: x[:, 0])
function("x[..., -1]", one(2), lambda x: x[..., -1])
function("x[:, 1:]", one(2, test=lambda x: is_float(x) and x.shape[1] > 1), lambda x: x[:, 1:])
function("x[..., None, ::2]", one(2, 3), lambda x: x[..., None, ::2])
function("torch.cat", some(2, joinable), lambda x: torch.cat(x, -1))
function("torch.cat of three", some(3, lambda *x: alike(*x) and x[0].dim() == 2), lambda x: torch.cat(x, dim=1))
function("torch.stack", some(2, alike), lambda x: torch.stack(x, dim=1))
function(
    "torch.where",
    some(3, lambda b, x, y: b.dtype == torch.bool and b.shape == x.shape and alike(x, y)),
    lambda x: torch.where(x[0], x[1], x[2]),
)
function("torch.where(x > 0)", ANY, lambda x: torch.where(x > 0, x, 0.1 * x))
function("torch.maximum", some(2, alike), lambda x: torch.maximum(*x))
function("torch.split", LONG, halves)
function("torch.max", one(2, test=lambda x: is_float(x) and 1 < x.shape[1] < 7), lambda x: tuple(torch.max(x, dim=1)))
function("x.argmax", one(2, test=lambda x: is_float(x) and x.shape[-1] < 7), lambda x: x.argmax(-1))
function("x.mean(dim=1)", one(2), lambda x: x.mean(dim=1))
function("x.mean(dim=-1, keepdim=True)", one(2), lambda x: x.mean(dim=-1, keepdim=True))
function("x.sum((1, 2))", one(3), lambda x: x.sum((1, 2)))
function("x.transpose", one(3), lambda x: x.transpose(1, -1))
function("x.flatten", one(2), lambda x: x.flatten(1))
function("x.unsqueeze", one(1, 3), lambda x: x.unsqueeze(1))
function("F.gelu", ANY, lambda x: F.gelu(x))
function("F.softmax", one(2), lambda x: F.softmax(x, dim=-1))
function("F.layer_norm", LONG, lambda x: F.layer_norm(x, x.shape[-1:]))
function("torch.tanh", ANY, torch.tanh)
function("torch.einsum", one(3, 3), lambda x: torch.einsum("btc,bsc->bts", x, x))

function("ops.concatenate", some(2, joinable), lambda x: ops.concatenate(x, axis=-1), lambda x: torch.cat(x, -1))
function("ops.stack", some(2, alike), lambda x: ops.stack(x, axis=1), lambda x: torch.stack(x, 1))
function("ops.relu", ANY, ops.relu, F.relu)
function("ops.softmax", one(2), ops.softmax, lambda x: F.softmax(x, -1))
function("ops.mean", one(2), lambda x: ops.mean(x, axis=-1, keepdims=True), lambda x: x.mean(-1, keepdim=True))
function("ops.max", one(3), lambda x: ops.max(x, axis=(1, 2)), lambda x: x.amax((1, 2)))
function("ops.expand_dims", one(1, 3), lambda x: ops.expand_dims(x, 1), lambda x: x[:, None])
function("ops.transpose", one(3, 3), lambda x: ops.transpose(x, (0, 2, 1)), lambda x: x.permute(0, 2, 1))
function(
    "ops.where", some(2, alike), lambda x: ops.where(x[0] > x[1], x[0], -1.0), lambda x: torch.where(x[0] > x[1], x[0], -1.0)
)
function("ops.maximum", ANY, lambda x: ops.maximum(x, 0.25), lambda x: x.clamp(min=0.25))
function("ops.split", LONG, lambda x: ops.split(x, [1], axis=-1), halves)
function(
    "ops.one_hot",
    one(1, 2, test=lambda x: x.dtype == torch.int32),
    lambda x: ops.one_hot(x, 7, dtype="float32"),
    lambda x: F.one_hot(x.long(), 7).float(),
)
function("ops.cast", TRUE, lambda x: ops.cast(x, "float64"), lambda x: x.double())
function("ops.square", ANY, lambda x: ops.square(ops.tanh(x)), lambda x: x.tanh() ** 2)


# Torch's modules, bare and wrapped, which need the graph's float type


class Scaled(nn.Module):
    """A module of a user's own, with a parameter in a function."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) * self.scale


def linear(weights: dict[str, torch.Tensor], config: dict[str, Any], x: torch.Tensor, training: bool) -> torch.Tensor:
    return F.linear(x, weights["weight"], weights["bias"])


def module(name: str, make: Any, takes: Any, config: Any, weights: Any, hand: Any) -> None:
    """Note a module twice: called bare, and as a TorchModule."""

    def bare(name: str | None = None, dtype: str = "float32", **config: Any) -> Any:
        return make(**config).to(getattr(torch, dtype))

    def wrapped(name: str | None = None, dtype: str = "float32", **config: Any) -> Any:
        return layers.TorchModule(bare(dtype=dtype, **config), name=name, dtype=dtype)

    KINDS[f"bare {name}"] = Kind(takes, hand, bare, config, weights, own_type=True)
    KINDS[f"TorchModule {name}"] = Kind(takes, hand, wrapped, config, weights, layer=True, own_type=True)


module(
    "Linear",
    nn.Linear,
    one(2),
    lambda pick, x: {"in_features": x.shape[-1], "out_features": pick(2, 4)},
    lambda config, x: {"weight": (config["out_features"], config["in_features"]), "bias": (config["out_features"],)},
    linear,
)
module(
    "LayerNorm",
    nn.LayerNorm,
    LONG,
    lambda pick, x: {"normalized_shape": x.shape[-1], "eps": 0.1},  # of few features much less turns rounding into errors
    lambda config, x: {"weight": (config["normalized_shape"],), "bias": (config["normalized_shape"],)},
    lambda weights, config, x, training: F.layer_norm(x, x.shape[-1:], weights["weight"], weights["bias"], config["eps"]),
)
KINDS["bare Scaled"] = Kind(
    one(2),
    lambda weights, config, x, training: torch.tanh(x) * weights["scale"],
    lambda name=None, dtype="float32", **config: Scaled(**config).to(getattr(torch, dtype)),
    lambda pick, x: {"size": x.shape[-1]},
    lambda config, x: {"scale": (config["size"],)},
    own_type=True,
)


# Layers

ACTIVATIONS: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {
    None: lambda x: x,
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "elu": F.elu,
    "silu": F.silu,
    "softmax": lambda x: F.softmax(x, -1),
}


def layer(name: str, takes: Any, hand: Any, config: Any = None, weights: Any = None, make: Any = None, **more: Any) -> None:
    """Note a layer, by its class's name in ``anabranch.layers`` unless ``make`` is given."""
    found = Kind(takes, hand, make or getattr(layers, name.partition(",")[0]), layer=True, **more)
    found = found._replace(config=config) if config else found
    KINDS[name] = found._replace(weights=weights) if weights else found


def still(name: str, takes: Any, hand: Callable[[Any, dict[str, Any]], Any], config: Any = None, **more: Any) -> None:
    """Note a layer without weights that does the same in training."""
    layer(name, takes, lambda weights, config, x, training: hand(x, config), config, **more)


def dense(weights: dict[str, torch.Tensor], config: dict[str, Any], x: torch.Tensor, training: bool) -> torch.Tensor:
    return ACTIVATIONS[config["activation"]](x @ weights["kernel"] + weights.get("bias", 0))


layer(
    "Dense",
    one(2),
    dense,
    lambda pick, x: {
        "units": pick(1, 2, 3, 4),
        "activation": pick(*ACTIVATIONS),
        "use_bias": pick(True, False),
        "trainable": pick(True, True, True, False),
    },
    lambda config, x: {"kernel": (x.shape[-1], config["units"])} | ({"bias": (config["units"],)} if config["use_bias"] else {}),
)


def padded(x: torch.Tensor, sizes: list[int], config: dict[str, Any], fill: float) -> torch.Tensor:
    """Return x (B, ..., C) with its channels moved to axis 1, and padded as TensorFlow's "same" says."""
    x = x.movedim(-1, 1)
    if config["padding"] == "valid":
        return x
    margins: list[int] = []
    for length, size in reversed(list(zip(x.shape[2:], sizes, strict=True))):
        count = -(-length // config["strides"])
        total = max((count - 1) * config["strides"] + size - length, 0)
        margins += [total // 2, total - total // 2]
    return F.pad(x, margins, value=fill)


def convolution(weights: dict[str, torch.Tensor], config: dict[str, Any], x: torch.Tensor, training: bool) -> torch.Tensor:
    kernel = weights["kernel"].movedim((-1, -2), (0, 1)).contiguous()  # as slow_conv2d in float64 asks
    run = F.conv1d if x.dim() == 3 else F.conv2d
    x = run(padded(x, list(kernel.shape[2:]), config, 0.0), kernel, weights["bias"], stride=config["strides"])
    return ACTIVATIONS[config["activation"]](x.movedim(1, -1))


def wide(rank: int, size: int = 2) -> Any:
    return one(rank, rank, test=lambda x: is_float(x) and min(x.shape[1:-1]) >= size)


def windows(pick: Any, x: torch.Tensor) -> dict[str, Any]:
    return {"strides": pick(1, 2), "padding": pick("valid", "same")}


for rank in (1, 2):
    layer(
        f"Conv{rank}D",
        wide(rank + 2, 3),
        convolution,
        lambda pick, x: (
            {"filters": pick(1, 2, 3), "kernel_size": pick(1, 2, 3), "activation": pick(None, "relu")} | windows(pick, x)
        ),
        lambda config, x: {
            "kernel": (*[config["kernel_size"]] * (x.dim() - 2), x.shape[-1], config["filters"]),
            "bias": (config["filters"],),
        },
    )


def max_pool(x: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    run = F.max_pool1d if x.dim() == 3 else F.max_pool2d
    sizes = [config["pool_size"]] * (x.dim() - 2)
    return run(padded(x, sizes, config, -torch.inf), config["pool_size"], config["strides"]).movedim(1, -1)


def average_pool(x: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    run = F.avg_pool1d if x.dim() == 3 else F.avg_pool2d
    sizes = [config["pool_size"]] * (x.dim() - 2)
    total, count = (
        run(padded(part, sizes, config, 0.0), config["pool_size"], config["strides"]) for part in (x, torch.ones_like(x))
    )
    return (total / count).movedim(1, -1)


for rank in (1, 2):
    for word, pool in (("Max", max_pool), ("Average", average_pool)):
        still(f"{word}Pooling{rank}D", wide(rank + 2), pool, lambda pick, x: {"pool_size": 2} | windows(pick, x))
    still(f"GlobalAveragePooling{rank}D", one(rank + 2, rank + 2), lambda x, config: x.mean(tuple(range(1, x.dim() - 1))))
    still(
        f"GlobalMaxPooling{rank}D",
        one(rank + 2, rank + 2),
        lambda x, config: x.amax(tuple(range(1, x.dim() - 1)), keepdim=config["keepdims"]),
        lambda pick, x: {"keepdims": pick(True, False)},
    )


def batch_norm(weights: dict[str, torch.Tensor], config: dict[str, Any], x: torch.Tensor, training: bool) -> torch.Tensor:
    x = x.movedim(config["axis"], -1)
    mean, variance = weights["moving_mean"], weights["moving_variance"]
    if training and config["trainable"]:
        over = tuple(range(x.dim() - 1))
        mean, variance = x.mean(over), x.var(over, correction=0)
    x = (x - mean) / torch.sqrt(variance + 0.1) * weights["gamma"] + weights["beta"]
    return x.movedim(-1, config["axis"])


layer(
    "BatchNormalization",
    one(2),
    batch_norm,
    lambda pick, x: {"axis": pick(-1, 1), "epsilon": 0.1, "trainable": pick(True, True, True, False)},
    lambda config, x: dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (x.shape[config["axis"]],)),
)
layer(
    "LayerNormalization",
    one(2),
    lambda weights, config, x, training: F.layer_norm(x, x.shape[-1:], weights["gamma"], weights["beta"], 0.1),
    lambda pick, x: {"epsilon": 0.1},
    lambda config, x: dict.fromkeys(("gamma", "beta"), x.shape[-1:]),
)
layer(
    "Embedding",
    one(1, 2, test=lambda x: x.dtype in (torch.int32, torch.int64)),
    lambda weights, config, x, training: F.embedding(x.long(), weights["embeddings"]),
    lambda pick, x: {"input_dim": 7, "output_dim": pick(1, 2, 3)},
    lambda config, x: {"embeddings": (config["input_dim"], config["output_dim"])},
)
layer(
    "PReLU",
    one(2),
    lambda weights, config, x, training: torch.where(x > 0, x, weights["alpha"] * x),
    weights=lambda config, x: {"alpha": tuple(x.shape[1:])},
)
layer("Dropout", one(2), lambda weights, config, x, training: x, lambda pick, x: {"rate": 0.5}, random=True)

still(
    "Activation",
    one(2),
    lambda x, config: ACTIVATIONS[config["activation"]](x),
    lambda pick, x: {"activation": pick(*ACTIVATIONS)},
)
still("ReLU", one(2), lambda x, config: x.clamp(0, 1), lambda pick, x: {"max_value": 1.0})
still("LeakyReLU", one(2), lambda x, config: F.leaky_relu(x, 0.3))
still("Identity", one(2), lambda x, config: x)
still("Rescaling", one(2), lambda x, config: x * 0.5 - 1, lambda pick, x: {"scale": 0.5, "offset": -1.0})
still("Flatten", one(2), lambda x, config: x.flatten(1))
still("Reshape", one(2), lambda x, config: x.reshape(-1, x.shape[-1], x[0].numel() // x.shape[-1]),
      lambda pick, x: {"target_shape": (x.shape[-1], -1)})  # fmt: skip
still("Permute", one(3, 3), lambda x, config: x.permute(0, 2, 1), lambda pick, x: {"dims": (2, 1)})
still("RepeatVector", one(2, 2), lambda x, config: torch.stack([x] * 2, 1), lambda pick, x: {"n": 2})
still("ZeroPadding1D", one(3, 3), lambda x, config: F.pad(x, (0, 0, 1, 2)), lambda pick, x: {"padding": (1, 2)})
still("UpSampling2D", one(4, 4), lambda x, config: x.repeat_interleave(2, 1).repeat_interleave(2, 2))

MERGES: dict[str, Callable[..., Any]] = {
    "Add": lambda x: x[0] + x[1],
    "Subtract": lambda x: x[0] - x[1],
    "Multiply": lambda x: x[0] * x[1],
    "Average": lambda x: (x[0] + x[1]) / 2,
    "Maximum": lambda x: torch.maximum(*x),
    "Minimum": lambda x: torch.minimum(*x),
}
for name, merge in MERGES.items():
    still(name, some(2, alike), lambda x, config, merge=merge: merge(x))
still("Add, of three", some(3, alike), lambda x, config: x[0] + x[1] + x[2])
still("Concatenate", some(2, joinable), lambda x, config: torch.cat(x, -1))
still("Concatenate, of three", some(3, joinable), lambda x, config: torch.cat(x, -1))
still("Dot", some(2, lambda a, b: alike(a, b) and a.dim() == 2), lambda x, config: (x[0] * x[1]).sum(1, keepdim=True),
      lambda pick, x: {"axes": 1})  # fmt: skip


# Layers of users' own, whose shapes only torch knows


class Gate(layers.Layer):
    """A second tensor by keyword, and weights."""

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, x: Any, by: Any = None, training: bool = False) -> Any:
        return x * self.scale * torch.sigmoid(by) + (1.0 if training else 0.0)


class SumAndDifference(layers.Layer):
    """A dict of tensors in, a dict of tensors out."""

    def call(self, inputs: Any) -> Any:
        return {"sum": inputs["b"] + inputs["a"], "difference": inputs["b"] - inputs["a"]}


class Branching(layers.Layer):
    """Python control flow on numbers, which cannot be traced; two outputs."""

    def call(self, x: Any) -> Any:
        return (x, 2 * x) if float(x.detach().sum()) > 0 else (-x, x + 1)


def branch(x: torch.Tensor, config: dict[str, Any]) -> Any:
    return (x, 2 * x) if float(x.detach().sum()) > 0 else (-x, x + 1)


layer(
    "Gate",
    some(2, lambda a, b: alike(a, b) and a.dim() > 1),
    lambda weights, config, x, training: x[0] * weights["scale"] * torch.sigmoid(x[1]) + float(training),
    weights=lambda config, x: {"scale": x[0].shape[-1:]},
    make=Gate,
    invoke=lambda made, x: made(x[0], by=x[1]),
)
still(
    "SumAndDifference",
    lambda values: [{"a": a, "b": b} for a, b in some(2, alike)(values)],
    lambda x, config: {"sum": x["b"] + x["a"], "difference": x["b"] - x["a"]},
    make=SumAndDifference,
)
still("Branching", one(2), branch, make=Branching)


# Lambdas: traced as graphs inside the layer

LAMBDAS: dict[str, Callable[..., Any]] = {
    "twice and one": lambda x: 2 * x + 1,
    "soft": lambda x: F.softmax(torch.tanh(x), dim=-1),
    "both": lambda x: [x.mean(dim=-1), x],
    "the same": lambda x: x,
}
for name, body in LAMBDAS.items():
    still(
        f"Lambda, {name}",
        one(2),
        lambda x, config, body=body: body(x),
        make=lambda body=body, **config: layers.Lambda(body, **config),
    )

"""Activations by name: functions of tensors that say what; ``ops`` says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch._errors import ArgumentTypeError, ShapeError, unknown
from anabranch.graph import Shape
from anabranch.graph.call_site import call_site
from anabranch.ops import _kernels as kernels

Activation = Callable[[Any], Any]


def linear(x: Any) -> Any:
    """Return x."""
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """Return max(x, 0); with options, x cut at ``max_value`` and sloped below ``threshold``."""
    return kernels.relu(x, negative_slope, max_value, threshold)


def relu6(x: Any) -> Any:
    """Return min(max(x, 0), 6)."""
    return kernels.relu(x, max_value=6.0)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """Return x above 0, negative_slope · x below."""
    return kernels.relu(x, negative_slope)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return kernels.sigmoid(x)


def hard_sigmoid(x: Any) -> Any:
    """Return relu6(x + 3) / 6."""
    return kernels.hard_sigmoid(x)


def log_sigmoid(x: Any) -> Any:
    """Return log(sigmoid(x))."""
    return kernels.log_sigmoid(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x."""
    return kernels.tanh(x)


def hard_tanh(x: Any) -> Any:
    """Return x cut to [-1, 1]."""
    return kernels.hard_tanh(x)


def tanh_shrink(x: Any) -> Any:
    """Return x - tanh(x)."""
    return kernels.tanh_shrink(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along ``axis``."""
    return kernels.softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return log(softmax(x)) along ``axis``."""
    return kernels.log_softmax(x, axis)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """Return the nearest point to x whose elements along ``axis`` are ≥ 0 and sum to 1 (Martins & Astudillo 2016)."""
    return kernels.sparsemax(x, axis)


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x))."""
    return kernels.softplus(x)


def softsign(x: Any) -> Any:
    """Return x / (1 + abs(x))."""
    return kernels.softsign(x)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x moved towards 0 by ``threshold``, and 0 within it."""
    return kernels.soft_shrink(x, threshold)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x where abs(x) > threshold, 0 elsewhere."""
    return kernels.hard_shrink(x, threshold)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x above 0, alpha · (exp(x) - 1) below (Clevert et al. 2016)."""
    return kernels.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """Return max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0) (Barron 2017)."""
    return kernels.celu(x, alpha)


def selu(x: Any) -> Any:
    """Return the scaled elu whose outputs normalize themselves (Klambauer et al. 2017)."""
    return kernels.selu(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return x · Φ(x) (Hendrycks & Gimpel 2016), or its tanh approximation."""
    return kernels.gelu(x, approximate)


def silu(x: Any) -> Any:
    """Return x · sigmoid(x) (Ramachandran et al. 2017)."""
    return kernels.silu(x)


def hard_silu(x: Any) -> Any:
    """Return x · hard_sigmoid(x)."""
    return kernels.hard_silu(x)


def mish(x: Any) -> Any:
    """Return x · tanh(softplus(x)) (Misra 2019)."""
    return kernels.mish(x)


def exponential(x: Any) -> Any:
    """Return exp(x)."""
    return kernels.exp(x)


def glu(x: Any, axis: int = -1) -> Any:
    """Return a · sigmoid(b) for the halves a, b of x along ``axis`` (Dauphin et al. 2017)."""
    return kernels.glu(x, axis)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """Return x above ``threshold``, ``default_value`` elsewhere."""
    return kernels.threshold(x, threshold, default_value)


def squareplus(x: Any, b: float = 4) -> Any:
    """Return (x + sqrt(x² + b)) / 2 (Barron 2021)."""
    return kernels.squareplus(x, b)


def sparse_plus(x: Any) -> Any:
    """Return 0 below -1, x above 1, (x + 1)² / 4 between."""
    return kernels.sparse_plus(x)


def sparse_sigmoid(x: Any) -> Any:
    """Return (x + 1) / 2 cut to [0, 1]."""
    return kernels.sparse_sigmoid(x)


swish, hard_swish = silu, hard_silu

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    linear, relu, relu6, leaky_relu, sigmoid, hard_sigmoid, log_sigmoid, tanh, hard_tanh, tanh_shrink, softmax, log_softmax,
    sparsemax, softplus, softsign, soft_shrink, hard_shrink, elu, celu, selu, gelu, silu, hard_silu, mish, exponential, glu,
    threshold, squareplus, sparse_plus, sparse_sigmoid,
)  # fmt: skip
_BY_NAME: dict[str, Activation] = {f.__name__: f for f in _FUNCTIONS} | {"swish": silu, "hard_swish": hard_silu}


def get(identifier: Any) -> Activation:
    """Return an activation from a name or a callable; None is ``linear``.

    >>> get("relu").__name__
    'relu'
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        identifier = identifier.get("config")
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise unknown("activation", identifier, _BY_NAME, where=str(call_site()))
        return _BY_NAME[identifier]
    if callable(identifier) and not isinstance(identifier, type):
        return identifier  # type: ignore[no-any-return]  # any f(x) of the user's
    raise ArgumentTypeError(
        "That is no activation.",
        expected="a name, or a function of a tensor",
        got=repr(identifier),
        where=str(call_site()),
        repair=f"{identifier.__name__}()" if isinstance(identifier, type) else None,
    )


def serialize(activation: Activation) -> str:
    """Return the name of an activation of this module."""
    name = getattr(activation, "__name__", "")
    if _BY_NAME.get(name) is not activation:
        raise ArgumentTypeError("Only activations with a name here are plain data.", got=repr(activation))
    return name


def deserialize(config: Any, custom_objects: dict[str, Activation] | None = None) -> Activation:
    """Return the activation of that name, one of ``custom_objects`` first."""
    return (custom_objects or {}).get(config) or get(config) if isinstance(config, str) else get(config)


def output_shape(activation: Activation, input_shape: Shape) -> Shape:
    """Return the shape of activation(x) for x of ``input_shape``: the same, but ``glu`` halves the last axis.

    >>> output_shape(glu, (None, 4, 6))
    (None, 4, 3)
    """
    if activation is not glu or input_shape[-1] is None:
        return input_shape
    if input_shape[-1] % 2:
        raise ShapeError("glu halves the last axis, so its size is even.", got=str(input_shape))
    return (*input_shape[:-1], input_shape[-1] // 2)

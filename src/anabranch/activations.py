"""Activations by name: the functions of ``ops/activation.py``, and those that differ from Keras's ``ops`` in their options."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import anabranch.ops.activation as definitions
from anabranch._arguments import checked
from anabranch._errors import AnabranchError
from anabranch.graph import Shape, Spec, rules
from anabranch.graph.call_site import call_site
from anabranch.graph.facts import pointwise
from anabranch.ops._public import FACTS, facts_of, operation
from anabranch.ops._torch import F, kernels
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import floats, tensor
from anabranch.ops.hyperbolic import tanh as tanh
from anabranch.registry import Json, Registry, finder, writer

if TYPE_CHECKING:
    from anabranch.ops.activation import *  # noqa: F403 - each is one of ours
    from anabranch.runtime import Tensor

Activation: TypeAlias = "Callable[[Tensor], Tensor]"


@operation(rules.unchanged, pointwise)
def linear(x: TensorLike) -> Tensor:
    """Return x.

    >>> linear([-1.0, 2.0])
    tensor([-1.,  2.])
    """
    return tensor(x)


@operation(rules.rectified, pointwise)  # type: ignore[no-redef]  # with more options than that of ops
def relu(x: TensorLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return x above ``threshold``, at most ``max_value``; below it negative_slope · (x - threshold).

    Args:
        negative_slope: the slope below ``threshold``.
        max_value: the greatest value; None: there is none.
        threshold: where the slope changes.

    >>> relu([-1.0, 2.0, 8.0], max_value=6.0)
    tensor([0., 2., 6.])
    """
    return kernels.relu(tensor(x), negative_slope, max_value, threshold)


@operation(rules.as_float, pointwise)  # type: ignore[no-redef]  # of another default than that of ops
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """Return x · Φ(x), Φ the cumulative distribution function of the normal distribution (Hendrycks & Gimpel 2016).

    Args:
        approximate: whether Φ is approximated by tanh.

    >>> gelu([-1.0, 2.0])
    tensor([-0.1587,  1.9545])
    """
    return definitions.gelu(x, approximate)


@operation(rules.as_float, pointwise)
def mish(x: TensorLike) -> Tensor:
    """Return x · tanh(softplus(x)) (Misra 2019).

    >>> mish([-1.0, 2.0])
    tensor([-0.3034,  1.9440])
    """
    return F.mish(floats(x))


@operation(rules.as_float, pointwise)
def exponential(x: TensorLike) -> Tensor:
    """Return exp(x).

    >>> exponential([0.0, 1.0])
    tensor([1.0000, 2.7183])
    """
    from anabranch.ops.elementary import exp  # imported above, it would be an activation of that name

    return exp(x)


def _defined(module: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operations of a module by name."""
    return {name: each for name, each in module.items() if isinstance(each, types.FunctionType) and each in FACTS}


_OWN = _defined(globals())
_BY_NAME = {**_defined(vars(definitions)), **_OWN}
globals().update(_BY_NAME)

_registry: Registry[Any] = Registry("activation", "keras.activations", None, lambda: _BY_NAME, plain_names=True)


@finder
def get(identifier: TensorLike) -> Activation:
    """Return an activation.

    Args:
        identifier: a name, a function of a tensor, the data of one, or None, which is ``linear``.

    Raises:
        UnknownNameError: there is no such name.
        ArgumentTypeError: nothing of the kind.

    Example:
        >>> get("relu").__name__
        'relu'
    """
    if identifier is None:
        return linear
    try:
        found: Activation = _registry.get(identifier)
    except AnabranchError as error:
        raise error.at(str(call_site())) from None
    return found


@writer
def serialize(activation: Activation) -> Json:
    """Return an activation as JSON: the name of one of ours, Keras's form of any other.

    Example:
        >>> serialize(get("swish"))
        'silu'
    """
    return _registry.serialize(activation)


@finder
def deserialize(config: Json, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """Return the activation that ``serialize`` described.

    Args:
        config: a name, or Keras's form of a function.

    Example:
        >>> deserialize("tanh").__name__
        'tanh'
    """
    if config is None:
        return linear
    return _registry.deserialize(config, custom_objects)


def shape_after(activation: Activation, input_shape: Shape) -> Shape:
    """Return ``output_shape`` without a look at the arguments, for layers, which ask at each call."""
    facts = facts_of(activation)
    if facts.mask is pointwise:
        return input_shape
    answer = None if facts.spec is None else facts.spec(Spec(input_shape, "float32"))
    shape: Shape = input_shape if answer is None else answer.shape
    return shape


@checked
def output_shape(activation: Activation, input_shape: Shape) -> Shape:
    """Return the shape of activation(x), by its own rule; that of x where it states none.

    Args:
        activation: the function.
        input_shape: the shape of x.

    Example:
        >>> output_shape(get("glu"), (None, 4, 6))
        (None, 4, 3)
    """
    return shape_after(activation, input_shape)


__all__ = sorted([*_BY_NAME, "get", "serialize", "deserialize", "output_shape"])


def __dir__() -> list[str]:
    return __all__

"""What a rule says of one call, and the rules by layer type or function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bound_methods, bounded
from anabranch.graph import Spec
from anabranch.graph.records import item_bytes


class Stage(NamedTuple):
    """One step of a call: what torch does in one operation.

    Args:
        macs: multiply-accumulates of matrix products and convolutions.
        flops: other floating-point operations, one for an element and a function of it.
        size: bytes of the result; 0 where it is a view of the input, or the input.
        saves: what autograd saves for the backward pass.
        extra: bytes made besides, which are saved too: indices, masks, noise.
        weights: whether it reads the layer's weights.
        passes: whether the gradient goes on as it is, or as a view.
        training: whether it runs in training alone.

    Example:
        >>> Stage(macs=100, size=40, saves="both", weights=True).macs
        100
    """

    macs: int = 0
    flops: int = 0
    size: int = 0
    saves: Literal["", "input", "output", "both"] = "input"
    extra: int = 0
    weights: bool = False
    passes: bool = False
    training: bool = False


@bound_methods
class Call(NamedTuple):
    """One call of an operation, whose sizes are all known.

    Args:
        operation: the layer or function.
        inputs: shape and dtype of each tensor that it takes.
        outputs: shape and dtype of each tensor that it gives.
        args: the arguments of the call.
        kwargs: those by name.

    Example:
        >>> from anabranch.graph import Spec
        >>> Call(None, [Spec((8, 4), "float32")], [Spec((8, 2), "float32")]).size
        64
    """

    operation: Any
    inputs: Sequence[Spec]
    outputs: Sequence[Spec]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}

    @property
    def elements(self) -> int:
        """How many values it gives."""
        return sum(elements(spec) for spec in self.outputs)

    @property
    def size(self) -> int:
        """How many bytes it gives."""
        return sum(nbytes(spec) for spec in self.outputs)


def elements(spec: Spec) -> int:
    """Return how many values a tensor has, whose sizes are known."""
    return math.prod(size or 0 for size in spec.shape)


def nbytes(spec: Spec) -> int:
    """Return how many bytes a tensor takes, whose sizes are known."""
    return elements(spec) * item_bytes(spec.dtype)


Rule: TypeAlias = "Callable[[Call], int | Sequence[Stage] | None]"
"""Returns the multiply-accumulates of a call, or its stages; None where it does not know."""
R = TypeVar("R", bound=Rule)
RULES: dict[object, Rule] = {}
"""The rules by layer type, or by function."""


def rule(*kinds: object) -> Callable[[R], R]:
    """Let a function be the rule of layer types or functions."""

    def add(function: R) -> R:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return add


@bounded
def register_cost(kind: object, rule: Rule | None = None) -> Any:
    """Say what calls of a layer type or of a function cost; also a decorator, ``@register_cost(MyLayer)``.

    Args:
        kind: a class of layers or torch modules, whose subclasses follow the rule too, or a function that a graph may hold.
        rule: takes a ``Call`` (``operation``, ``inputs`` and ``outputs`` with ``shape`` and ``dtype``) and returns the
            multiply-accumulates of its forward pass as an integer, or a list of ``Stage``.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> class Gram(layers.Layer):
        ...     def call(self, x):
        ...         return x.mT @ x
        ...     def compute_output_shape(self, input_shape):
        ...         return (input_shape[0], input_shape[2], input_shape[2])
        >>> @register_cost(Gram)
        ... def gram(call):
        ...     batch, steps, channels = call.inputs[0].shape
        ...     return batch * steps * channels * channels
        >>> x = Input((16, 8))
        >>> Model(x, Gram()(x)).cost().macs
        1024
    """
    if not (callable(kind) or isinstance(kind, type)):
        raise ArgumentTypeError("register_cost takes a layer class or a function.", got=shown(kind))
    if rule is None:
        return lambda function: register_cost(kind, function)
    if not callable(rule):
        raise ArgumentTypeError("The rule of register_cost is a function of a call.", got=shown(rule))
    RULES[kind] = rule
    return rule


def stages_of(found: Rule | None, call: Call) -> tuple[Stage, ...] | None:
    """Return the stages that a rule says, None where it does not know; an integer is the products of a single stage."""
    said = None if found is None else found(call)
    if said is None:
        return None
    if is_integer(said):
        return (Stage(macs=int(said), size=call.size, weights=bool(call.operation.weights)),)
    if isinstance(said, (list, tuple)) and all(isinstance(stage, Stage) for stage in said):
        return tuple(said)
    raise ArgumentError(
        f"The rule of {call.operation._error_label_()} returned no cost.", got=shown(said),
        expected="multiply-accumulates as an integer, a list of Stage, or None where it does not know",
    )  # fmt: skip


def rule_of(owner: type) -> Rule | None:
    """Return the rule of a type, or of its nearest base that has one; None where there is none."""
    for kind in owner.__mro__:
        if kind in RULES:
            return RULES[kind]
    return None

"""What the rules know of operations: their last activation, and whether they are linear maps, sums, or only move values."""

from __future__ import annotations

import functools
from typing import NamedTuple, cast

from anabranch._asked import name_of
from anabranch.graph import Node, Operation
from anabranch.layers import activation, convolutional, core, merging, normalization, pooling, regularization, reshaping

KNOWN = frozenset((
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "sparsemax", "swish",
    "tanh",
))  # fmt: skip
"""Activations, by the names of their functions."""
RECTIFIERS = frozenset(("relu", "relu6"))
PROBABILITIES = frozenset(("sigmoid", "hard_sigmoid", "softmax", "sparsemax"))
_MOVING = frozenset((
    "cast", "contiguous", "copy", "expand_dims", "flatten", "float", "identity", "moveaxis", "permute", "reshape", "squeeze",
    "swapaxes", "transpose", "unsqueeze", "view",
))  # fmt: skip
_BY_TYPE: dict[type, str] = {
    activation.ELU: "elu",
    activation.LeakyReLU: "leaky_relu",
    activation.PReLU: "leaky_relu",
    activation.Softmax: "softmax",
}
_MERGES: dict[type, str] = {
    merging.Add: "add", merging.Subtract: "subtract", merging.Multiply: "multiply", merging.Maximum: "maximum",
    merging.Minimum: "minimum", merging.Concatenate: "concatenate",
}  # fmt: skip


class Kind(NamedTuple):
    """What follows from the class of an operation; asked of ``issubclass``, as layers answer ``isinstance`` slowly."""

    affine: bool
    """A product with a kernel, and an activation after it."""
    applies: bool
    """An activation given as a setting, and nothing else."""
    same: bool
    """An identity."""
    moves: bool
    pools: bool
    drops: bool
    random: bool
    normalizes: bool
    by_batch: bool
    """A batch normalization."""
    merge: str
    """The name of the function that merges branches, "" where none does."""


def kind_of(operation: Operation) -> Kind:
    """Return what is known of the class of an operation."""
    return _kind_of_class(type(operation))  # type: ignore[arg-type]  # a class is hashable


@functools.cache
def _kind_of_class(kind: type) -> Kind:
    return Kind(
        affine=issubclass(kind, (core.Dense, convolutional.Windowed)),
        applies=issubclass(kind, core.Activation),
        same=issubclass(kind, core.Identity),
        moves=issubclass(kind, (core.Identity, reshaping.Flatten, reshaping.Reshape, reshaping.Permute)),
        pools=issubclass(kind, (pooling.Pooling, pooling.GlobalPooling)),
        drops=issubclass(kind, regularization.Dropping),
        random=issubclass(kind, regularization.Seeded),
        normalizes=issubclass(kind, normalization.Normalizing),
        by_batch=issubclass(kind, normalization.BatchNormalization),
        merge=next((name for merge, name in _MERGES.items() if issubclass(kind, merge)), ""),
    )


def activation_of(operation: Operation) -> str:
    """Return the name of the activation that an operation ends in: "" where it ends in none, ``"?"`` for one not known here."""
    if operation._is_function_:
        return operation.name if operation.name in KNOWN else ""
    kind = type(operation)
    known = kind_of(operation)
    if known.affine or known.applies:
        name = name_of(cast("core.Activation", operation).activation)
        return "" if name == "linear" else name if name in KNOWN else "?"
    return _rectifier(cast("activation.ReLU", operation)) if kind is activation.ReLU else _BY_TYPE.get(kind, "")


def _rectifier(layer: activation.ReLU) -> str:
    if layer.threshold:
        return "?"
    return "leaky_relu" if layer.negative_slope else "relu6" if layer.max_value is not None else "relu"


def is_activation(operation: Operation) -> bool:
    """Return whether an operation applies an activation and does nothing else."""
    if operation._is_function_:
        return operation.name in KNOWN
    kind = type(operation)
    return kind_of(operation).applies or kind is activation.ReLU or kind in _BY_TYPE


def is_linear(operation: Operation) -> bool:
    """Return whether an operation is an affine map with weights and nothing after it."""
    return kind_of(operation).affine and not activation_of(operation)


def moves(operation: Operation) -> bool:
    """Return whether an operation gives the values that it takes, in another place, shape or dtype."""
    if operation._is_function_:
        return operation.name in _MOVING
    known = kind_of(operation)
    return known.moves or (known.applies and not activation_of(operation))


def merge_of(operation: Operation) -> str:
    """Return the name of the function by which an operation merges tensors: ``"add"`` for Add, ``a + b`` and ``ops.add``."""
    return operation.name if operation._is_function_ else kind_of(operation).merge


def drops(operation: Operation) -> float:
    """Return the fraction that an operation drops, 0 where it is no dropout."""
    return cast("regularization.Dropping", operation).rate if kind_of(operation).drops else 0.0


def slides(operation: Operation) -> bool:
    """Return whether an operation is a convolution with a window of more than one position."""
    if not issubclass(type(operation), convolutional.Windowed):
        return False
    return any(size > 1 for size in cast("convolutional.Windowed", operation).kernel_size)


def pools_all(operation: Operation) -> bool:
    """Return whether an operation takes a mean or maximum over all positions."""
    return issubclass(type(operation), pooling.GlobalPooling)


def has_bias(operation: Operation) -> bool:
    """Return whether an affine map adds a bias."""
    return cast("core.Dense", operation).use_bias


def batch_axis(operation: Operation) -> int | None:
    """Return the axis of the channels of a batch normalization; None where an operation is none."""
    return cast("normalization.BatchNormalization", operation).axis if kind_of(operation).by_batch else None


def ends_linearly(operation: Operation) -> bool:
    """Return whether an operation is linear in the sense of residual branches: an affine map, or a normalization."""
    return kind_of(operation).normalizes or is_linear(operation)


def passes_on(operation: Operation) -> bool:
    """Return whether what an operation gives has the signs of what it takes: it moves values, drops some, or takes means."""
    known = kind_of(operation)
    return known.drops or known.pools or moves(operation)


def softmax_axis(node: Node) -> int | None:
    """Return the axis of a call that ends in softmax; None where it is not one integer."""
    operation = node.operation
    axis: object = operation.axis if type(operation) is activation.Softmax else -1
    if operation._is_function_:
        axis = node.kwargs.get("axis", node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else -1))
    return axis if isinstance(axis, int) else None

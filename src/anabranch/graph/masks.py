"""How far the masks of values reach: over how many leading axes, told from a description alone; 0 is no mask.

A mask is a second value of an edge, one truth value for each place along the leading axes: (B, T) of (B, T, C). Layers have a
rule each (``mask_reach``), nested models are walked, functions are told by name: those that act element by element keep the
mask, those that act along an axis keep it where they leave the masked axes alone, all others drop it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch.graph.shapes import Shape

if TYPE_CHECKING:
    from anabranch.graph.records import Node

# fmt: off
ELEMENTWISE = frozenset({
    "abs", "absolute", "add", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "bool", "cast", "cbrt", "ceil", "celu", "clamp", "clip", "clone", "contiguous", "copy", "cos", "cosh", "deg2rad", "detach",
    "div", "divide", "divide_no_nan", "double", "dropout", "elu", "empty_like", "eq", "equal", "erf", "erfc", "erfinv", "exp",
    "exp2", "expm1", "float", "floor", "floor_divide", "fmax", "fmin", "fmod", "full_like", "ge", "gelu", "greater",
    "greater_equal", "gt", "half", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "hypot", "identity", "int", "isclose", "isfinite", "isinf", "isnan", "isneginf",
    "isposinf", "le", "leaky_relu", "lerp", "less", "less_equal", "log", "log10", "log1p", "log2", "log_sigmoid", "logaddexp",
    "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsigmoid", "long", "lt", "masked_fill",
    "maximum", "minimum", "mish", "mod", "mul", "multiply", "nan_to_num", "ne", "neg", "negative", "not_equal", "ones_like",
    "pow", "power", "rad2deg", "reciprocal", "relu", "relu6", "round", "rsqrt", "saturate_cast", "selu", "sigmoid",
    "sign", "signbit", "silu", "sin", "sinc", "sinh", "soft_shrink", "softplus", "softshrink", "softsign", "sparse_plus",
    "sparse_sigmoid", "sqrt", "square", "squareplus", "stop_gradient", "sub", "subtract", "swish", "tan", "tanh", "tanh_shrink",
    "tanhshrink", "threshold", "to", "true_divide", "trunc", "type", "where", "xlogy", "zeros_like",
})
# what acts along an axis: where among the arguments it stands, and which it is where nobody says (None: all of them)
ALONG: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys((
        "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "median", "min", "prod",
        "squeeze", "std", "sum", "var", "flip", "expand_dims", "unsqueeze", "cumsum", "cumprod", "unbind",
    ), (1, None)),
    **dict.fromkeys(("argsort", "glu", "log_softmax", "softmax", "sort", "sparsemax"), (1, -1)),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), (1, 0)),
    **dict.fromkeys(("chunk", "split"), (2, 0)),
    **dict.fromkeys(("repeat_interleave", "roll", "take"), (2, None)),
    **dict.fromkeys(("topk",), (2, -1)),
    **dict.fromkeys(("linear", "top_k"), (99, -1)),
}
NEW_AXIS = frozenset({"expand_dims", "stack", "unsqueeze"})
PRODUCTS = frozenset({"bmm", "matmul", "mm"})
# fmt: on


def reaches(node: Node, given: Sequence[int]) -> tuple[int, ...]:
    """Return over how many leading axes each output of ``node`` is masked, where its inputs are as ``given``; () is none."""
    operation = node.operation
    if operation.graph is not None:
        return through(operation.graph, given)
    if operation.is_function:
        if not any(given):
            return ()
        known = iter(given)
        arrays = [leaf for leaf in _tree.leaves((node.args, list(node.kwargs.values()))) if hasattr(leaf, "shape")]
        inputs = [(tuple(leaf.shape), next(known) if hasattr(leaf, "node") else 0) for leaf in arrays]
        reach = of_function(operation, node.args, node.kwargs, inputs)
        return (reach,) * node.output_count if reach else ()
    told = operation.mask_reach(node, given)
    seen = _seen(node.output_specs)
    if not any(told) and not any(seen):
        return ()
    found = tuple(rule or reach for rule, reach in itertools.zip_longest(told, seen, fillvalue=0))
    return found if any(found) else ()


def _seen(specs: Any) -> list[int]:
    """Return how far the masks reach that values were seen to carry when their specs were inferred."""
    if hasattr(specs, "shape"):
        reach: int = getattr(specs, "mask_axes", 0)
        return [reach]
    return [reach for part in (specs.values() if isinstance(specs, dict) else specs) for reach in _seen(part)]


def through(graph: Any, given: Sequence[int]) -> tuple[int, ...]:
    """Return how far the masks of a graph's outputs reach where its inputs are as ``given``."""
    if not any(given) and not any(tensor.mask_axes for tensor in graph.inputs):
        found = tuple(tensor.mask_axes for tensor in graph.outputs)
        return found if any(found) else ()
    known: dict[tuple[Any, int], int] = {t.key: reach for t, reach in zip(graph.inputs, given, strict=False)}
    for node in graph.nodes:
        if node.inputs:
            for index, reach in enumerate(reaches(node, [known.get(t.key, 0) for t in node.inputs])):
                known.setdefault((node, index), reach)
    found = tuple(known.get(tensor.key, 0) for tensor in graph.outputs)
    return found if any(found) else ()


def of_function(operation: Any, args: Any, kwargs: dict[str, Any], inputs: list[tuple[Shape, int]]) -> int:
    """Return how far the mask of a function's results reaches; ``inputs``: shape and reach of each array, in their order.

    The mask is the logical and of the inputs' masks; that of ``x[key]`` is ``mask[mask_key(key, …)]``.
    """
    reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
    name = operation.base_name.strip("_")
    if name == "get_item":
        key = mask_key(args[1], *inputs[0][::-1])
        return 0 if key is None else reach + sum(item is None for item in key)
    if name in PRODUCTS:
        return reach if inputs[0][1] == reach < len(inputs[0][0]) == rank and not any(r for _, r in inputs[1:]) else 0
    if name in ELEMENTWISE:
        return reach if _stay([(s, r) for s, r in inputs if s or r], rank, reach) else 0
    if name in ALONG:
        position, default = ALONG[name]
        axis = kwargs.get("axis", kwargs.get("dim", kwargs.get("dims", args[position] if len(args) > position else default)))
        return reach if _leaves_alone(axis, rank + (name in NEW_AXIS), reach) else 0
    return 0


def _stay(inputs: list[tuple[Shape, int]], rank: int, reach: int) -> bool:
    """Return whether the masked axes stay in their places, none of them stretched."""
    for shape, masked in inputs:
        if masked and (len(shape) != rank or any(shape[axis] == 1 != _widest(inputs, rank, axis) for axis in range(masked))):
            return False
    return True


def _widest(inputs: list[tuple[Shape, int]], rank: int, axis: int) -> int | None:
    sizes = [shape[axis - rank] for shape, _ in inputs if len(shape) >= rank - axis]
    return next((size for size in sizes if size != 1), 1)


def _leaves_alone(axis: Any, rank: int, reach: int) -> bool:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return all(isinstance(a, int) and not isinstance(a, bool) and a % rank >= reach for a in axes) and bool(axes)


def mask_key(key: Any, reach: int, shape: Shape) -> tuple[Any, ...] | None:
    """Return what takes from the mask what ``key`` takes from a value of ``shape``; None where the mask cannot follow.

    Slices are followed. A whole number along a masked axis picks one step of all, whose mask is no mask of steps any more.
    """
    items = key if isinstance(key, tuple) else (key,)
    rest = len(shape) - sum(item is not None and item is not Ellipsis for item in items)
    wide: list[Any] = []
    for item in items:
        wide.extend([slice(None)] * rest if item is Ellipsis else [item])
    found: list[Any] = []
    for item in wide:
        if sum(part is not None for part in found) == reach:
            break
        if item is not None and not isinstance(item, slice):
            return None
        found.append(item)
    return tuple(found)

"""Shape and dtype of what the commonest functions give on symbolic tensors, told by name; all others run on fake tensors.

A rule answers for the plain cases alone: floats of one type, axes that exist, sizes that agree. For all else, also for
mistakes, it returns None, and running the function on fake tensors says what it gives or what is wrong.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from anabranch import _tree, config
from anabranch.graph import Shape, Spec, Tensor
from anabranch.graph.operators import DTYPES
from anabranch.graph.shapes import product

Answer = Spec | None
Rule = Callable[..., Answer]
R = TypeVar("R", bound=Rule)


# Families


def kept(x: Any, **numbers: Any) -> Answer:
    """Tell of a function of each float that it keeps shape and dtype."""
    return Spec(x.shape, x.dtype) if "float" in x.dtype and _all_numbers(numbers) else None


def moved(x: Any) -> Answer:
    """Tell of a function that keeps shape and dtype, whatever the dtype."""
    return Spec(x.shape, x.dtype)


def as_float(x: Any, **numbers: Any) -> Answer:
    """Tell of a function of each number that makes floats of whole ones."""
    return Spec(x.shape, _float(x)) if _all_numbers(numbers) else None


def truth(x: Any) -> Answer:
    """Tell of a question asked of each number."""
    return Spec(x.shape, "bool")


def along(x: Any, axis: Any = -1) -> Answer:
    """Tell of floats made along an axis of which all are kept."""
    return None if _axes(axis, x.shape) is None or axis is None else Spec(x.shape, _float(x))


def arithmetic(x1: Any, x2: Any) -> Answer:
    """Tell of a float for each two floats of one type, of which one may be a number."""
    tensors = _tensors(x1, x2)
    kind = tensors[0].dtype if tensors else ""
    if "float" not in kind or any(x.dtype != kind or not x.shape for x in tensors):
        return None
    shape = _together([x.shape for x in tensors])
    return None if shape is None else Spec(shape, kind)


def comparison(x1: Any, x2: Any) -> Answer:
    """Tell of a truth value for each two numbers."""
    tensors = _tensors(x1, x2)
    shape = _together([x.shape for x in tensors]) if tensors else None
    return None if shape is None else Spec(shape, "bool")


def clipped(x: Any, x_min: Any, x_max: Any) -> Answer:
    """Tell of floats cut to bounds that are numbers."""
    return kept(x, x_min=x_min, x_max=x_max)


def chosen(condition: Any, x1: Any = None, x2: Any = None) -> Answer:
    """Tell of a choice between two by a condition."""
    found = arithmetic(x1, x2)
    if found is None or not isinstance(condition, Tensor):
        return None
    shape = _together([condition.shape, found.shape])
    return None if shape is None else Spec(shape, found.dtype)


def cast(x: Any, dtype: Any) -> Answer:
    """Tell of numbers in another dtype."""
    return Spec(x.shape, dtype) if dtype in DTYPES else None


def _over(kind: Callable[[Any], str | None]) -> Rule:
    """Return the rule of one number for all along axes; ``kind`` tells its dtype."""

    def reduced(x: Any, axis: Any = None, keepdims: Any = False) -> Answer:
        axes, dtype = _axes(axis, x.shape), kind(x)
        if not axes or dtype is None or 0 in x.shape or not isinstance(keepdims, bool):
            return None
        sizes = [1 if place in axes else size for place, size in enumerate(x.shape) if keepdims or place not in axes]
        return Spec(tuple(sizes), dtype)

    return reduced


def one_place(x: Any, axis: Any = None, keepdims: Any = False) -> Answer:
    """Tell of where something stands along one axis, or in all."""
    return None if isinstance(axis, tuple) else _over(lambda x: "int32")(x, axis, keepdims)


def reshaped(x: Any, newshape: Any) -> Answer:
    """Tell of a shape in which one size may be -1 (or None)."""
    wanted = [-1 if size is None else size for size in (newshape if isinstance(newshape, (tuple, list)) else (newshape,))]
    if not all(type(size) is int and size >= -1 for size in wanted) or wanted.count(-1) > 1:
        return None
    before, after = product(x.shape), math.prod(size for size in wanted if size != -1)
    if -1 not in wanted:
        return Spec(tuple(wanted), x.dtype) if before == after else None
    if not after or (before is not None and before % after):
        return None
    rest = None if before is None else before // after
    return Spec(tuple(rest if size == -1 else size for size in wanted), x.dtype)


def flattened(x: Any) -> Answer:
    """Tell of all numbers along one axis."""
    return Spec((product(x.shape),), x.dtype)


def transposed(x: Any, axes: Any = None) -> Answer:
    """Tell of axes in another order."""
    order = tuple(reversed(range(len(x.shape)))) if axes is None else _axes(tuple(axes), x.shape)
    if order is None or len(order) != len(x.shape):
        return None
    return Spec(tuple(x.shape[place] for place in order), x.dtype)


def swapped(x: Any, axis1: Any, axis2: Any) -> Answer:
    """Tell of two axes in each other's place."""
    if _axes((axis1,), x.shape) is None or _axes((axis2,), x.shape) is None:
        return None
    sizes = list(x.shape)
    sizes[axis1], sizes[axis2] = sizes[axis2], sizes[axis1]
    return Spec(tuple(sizes), x.dtype)


def widened(x: Any, axis: Any) -> Answer:
    """Tell of a new axis of size 1."""
    rank = len(x.shape) + 1
    if type(axis) is not int or not -rank <= axis < rank:
        return None
    place = axis % rank
    return Spec((*x.shape[:place], 1, *x.shape[place:]), x.dtype)


def narrowed(x: Any, axis: Any = None) -> Answer:
    """Tell of axes of size 1 that go."""
    axes = [place for place, size in enumerate(x.shape) if size == 1] if axis is None else _axes(axis, x.shape)
    if axes is None or any(x.shape[place] != 1 for place in axes):
        return None
    return Spec(tuple(size for place, size in enumerate(x.shape) if place not in axes), x.dtype)


def flipped(x: Any, axis: Any = None) -> Answer:
    """Tell of an order reversed along axes."""
    return None if _axes(axis, x.shape) is None else Spec(x.shape, x.dtype)


def joined(xs: Any, axis: Any = 0) -> Answer:
    """Tell of tensors side by side along an axis."""
    found = _alike(xs)
    axes = _axes(axis, xs[0].shape) if found else None
    if not axes or isinstance(axis, tuple):
        return None
    place = axes[0]
    if any(x.shape[:place] != xs[0].shape[:place] or x.shape[place + 1 :] != xs[0].shape[place + 1 :] for x in xs):
        return None
    sizes = [x.shape[place] for x in xs]
    return Spec((*xs[0].shape[:place], None if None in sizes else sum(sizes), *xs[0].shape[place + 1 :]), xs[0].dtype)


def stacked(x: Any, axis: Any = 0) -> Answer:
    """Tell of tensors of one shape along a new axis."""
    rank = len(x[0].shape) + 1 if _alike(x) else 0
    if type(axis) is not int or not -rank <= axis < rank or any(one.shape != x[0].shape for one in x):
        return None
    place = axis % rank
    return Spec((*x[0].shape[:place], len(x), *x[0].shape[place:]), x[0].dtype)


def matrix_product(x1: Any, x2: Any) -> Answer:
    """Tell of the product over the last two axes, the first ones being equal, or x2 one matrix."""
    if not (isinstance(x1, Tensor) and isinstance(x2, Tensor)) or x1.dtype != x2.dtype or "float" not in x1.dtype:
        return None
    a, b = x1.shape, x2.shape
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2] or b[:-2] not in ((), a[:-2]):
        return None
    return Spec((*a[:-1], b[-1]), x1.dtype)


# What the rules ask


def _float(x: Any) -> str:
    return x.dtype if "float" in x.dtype else config.floatx()


def _same(x: Any) -> str | None:
    return x.dtype if "float" in x.dtype or x.dtype in ("int32", "int64") else None


def _summed(x: Any) -> str:
    return x.dtype if "float" in x.dtype or x.dtype == "int64" else "int32"


def _all_numbers(values: dict[str, Any]) -> bool:
    return all(isinstance(value, (int, float)) for value in values.values())


def _tensors(*values: Any) -> list[Tensor]:
    """Return the tensors among values which all are tensors or numbers, else none."""
    if not all(isinstance(value, (Tensor, int, float)) for value in values):
        return []
    return [value for value in values if isinstance(value, Tensor)]


def _alike(xs: Any) -> bool:
    """Return whether these are several tensors of one dtype and rank."""
    if not isinstance(xs, (list, tuple)) or not xs or not all(isinstance(x, Tensor) for x in xs):
        return False
    return all(x.dtype == xs[0].dtype and len(x.shape) == len(xs[0].shape) for x in xs)


def _axes(axis: Any, shape: Shape) -> tuple[int, ...] | None:
    """Return axes counted from the front, all where it is None; None where they are none of the tensor's."""
    rank = len(shape)
    given = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all(type(place) is int and -rank <= place < rank for place in given):
        return None
    found = tuple(place % rank for place in given)
    return found if len(set(found)) == len(found) else None


def _together(shapes: list[Shape]) -> Shape | None:
    """Return the shape that shapes stretch to; None where an unknown size meets a known one, or sizes do not fit."""
    rank = max(len(shape) for shape in shapes)
    found: list[int | None] = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            return None
        found.append(wide.pop() if wide else 1)
    return tuple(found)


# fmt: off
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("absolute", "negative", "reciprocal", "relu", "relu6", "sign", "square", "threshold", "trunc"), kept),
    **dict.fromkeys((
        "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "cbrt", "ceil", "celu", "cos", "cosh", "deg2rad",
        "elu", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fabs", "floor", "gelu", "hard_shrink", "hard_sigmoid",
        "hard_silu", "hard_tanh", "i0", "leaky_relu", "log", "log10", "log1p", "log2", "log_sigmoid", "rad2deg", "rsqrt",
        "selu", "sigmoid", "silu", "sin", "sinc", "sinh", "soft_shrink", "softplus", "softsign", "sparse_plus",
        "sparse_sigmoid", "sqrt", "squareplus", "tan", "tanh", "tanh_shrink",
    ), as_float),
    **dict.fromkeys(("isfinite", "isinf", "isnan", "logical_not", "signbit"), truth),
    **dict.fromkeys(("copy",), moved),
    **dict.fromkeys(("log_softmax", "softmax", "sparsemax"), along),
    **dict.fromkeys((
        "add", "divide", "divide_no_nan", "floor_divide", "fmax", "fmin", "maximum", "minimum", "mod", "multiply", "power",
        "subtract", "true_divide",
    ), arithmetic),
    **dict.fromkeys((
        "equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor", "not_equal",
    ), comparison),
    **dict.fromkeys(("logsumexp", "mean", "std", "var"), _over(_float)),
    **dict.fromkeys(("amax", "amin", "max", "min", "ptp"), _over(_same)),
    **dict.fromkeys(("prod", "sum"), _over(_summed)),
    **dict.fromkeys(("all", "any"), _over(lambda x: "bool")),
    **dict.fromkeys(("argmax", "argmin"), one_place),
    "cast": cast, "clip": clipped, "concatenate": joined, "expand_dims": widened, "flip": flipped, "matmul": matrix_product,
    "ravel": flattened, "reshape": reshaped, "squeeze": narrowed, "stack": stacked, "swapaxes": swapped,
    "transpose": transposed, "where": chosen,
}
# fmt: on
NAMES = frozenset(_RULES)


def rule_of(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Answer] | None:
    """Return what tells of a call of one of the functions of this room; None where no rule is written down."""
    rule = _RULES.get(function.__name__)
    if rule is None:
        return None
    signature: inspect.Signature | None = None

    def told(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        for leaf in _tree.leaves((args, list(kwargs.values()))):
            if leaf.masked if isinstance(leaf, Tensor) else not isinstance(leaf, (int, float, str, type(None))):
                return None
        nonlocal signature
        signature = signature or inspect.signature(function)
        try:
            return rule(**signature.bind(*args, **kwargs).arguments)
        except (TypeError, AttributeError):  # arguments of another kind: running the function says what is wrong
            return None

    return told

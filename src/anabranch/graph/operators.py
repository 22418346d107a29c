"""Python's operators on symbolic tensors, as operations of a graph; each runs as the operator itself."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from anabranch._errors import ArgumentTypeError, ShapeError
from anabranch.graph.explain import Clash, repairs
from anabranch.graph.records import Operation, Spec
from anabranch.graph.shapes import Shape, broadcast
from anabranch.graph.story import SYMBOLS
from anabranch.graph.strangers import is_symbolic

Rule = Callable[[list[Spec]], Spec]


DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64")


def promote(a: str, b: str) -> str:
    """Return the dtype of an arithmetic result.

    >>> promote("uint8", "float32")
    'float32'
    """
    return a if a == b else max(a, b, key=DTYPES.index)


def _arithmetic(specs: list[Spec]) -> Spec:
    first, *rest = specs
    shape, dtype = first
    for spec in rest:
        shape, dtype = broadcast(shape, spec.shape), promote(dtype, spec.dtype)
    return Spec(shape, dtype)


def _division(specs: list[Spec]) -> Spec:
    shape, dtype = _arithmetic(specs)
    return Spec(shape, dtype if "float" in dtype else "float32")


def _comparison(specs: list[Spec]) -> Spec:
    return Spec(_arithmetic(specs).shape, "bool")


def _matrix_product(specs: list[Spec]) -> Spec:
    (a, first), (b, second) = specs
    if len(a) < 1 or len(b) < 1:
        raise ShapeError("A matrix product needs tensors with axes.", got=f"{a} @ {b}")
    rows = (1, *a) if len(a) == 1 else a
    columns = (*b, 1) if len(b) == 1 else b
    inner, outer = rows[-1], columns[-2]
    if inner is not None and outer is not None and inner != outer:
        raise ShapeError(
            f"The inner sizes of a matrix product differ: {inner} and {outer}.",
            expected="(…, n, k) @ (…, k, m)", got=f"{a} @ {b}",
            repair="a @ b.transpose(-1, -2) swaps the last two axes of b" if len(b) > 1 and b[-1] == inner else None,
        )  # fmt: skip
    shape = (*broadcast(rows[:-2], columns[:-2]), rows[-2], columns[-1])
    if len(a) == 1:
        shape = (*shape[:-2], shape[-1])
    return Spec(shape[:-1] if len(b) == 1 else shape, promote(first, second))


# Python's function -> (its name in tables and summaries, the rule for its result)
OPERATORS: dict[Callable[..., Any], tuple[str, Rule]] = {
    operator.add: ("add", _arithmetic),
    operator.sub: ("subtract", _arithmetic),
    operator.mul: ("multiply", _arithmetic),
    operator.truediv: ("true_divide", _division),
    operator.floordiv: ("floor_divide", _arithmetic),
    operator.mod: ("mod", _arithmetic),
    operator.pow: ("power", _arithmetic),
    operator.matmul: ("matmul", _matrix_product),
    operator.neg: ("negative", _arithmetic),
    operator.abs: ("absolute", _arithmetic),
    operator.eq: ("equal", _comparison),
    operator.ne: ("not_equal", _comparison),
    operator.lt: ("less", _comparison),
    operator.le: ("less_equal", _comparison),
    operator.gt: ("greater", _comparison),
    operator.ge: ("greater_equal", _comparison),
    operator.and_: ("logical_and", _arithmetic),
    operator.or_: ("logical_or", _arithmetic),
    operator.xor: ("logical_xor", _arithmetic),
    operator.invert: ("logical_not", _arithmetic),
}


class Operator(Operation):
    """One use of a Python operator in a graph: an operation without weights."""

    is_function = True
    opaque_if_needed = False  # there is nothing to keep whole

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._name, self._rule = OPERATORS[function]
        self.calls = []

    @property
    def name(self) -> str:
        """The operator's name in tables and summaries."""
        return self._name

    @property
    def base_name(self) -> str:
        """The operator's name in tables and summaries."""
        return self._name

    def error_label(self) -> str:
        """Return it as errors name it: ``the operator +``."""
        return f"the operator {SYMBOLS.get(self._name, self._name)}"

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the operator."""
        return self.function(*args, **kwargs)

    def compute_output_spec(self, *operands: Any) -> Spec:
        """Return the result's shape and dtype; a Python number takes the tensor's dtype unless it is a float."""
        tensors = [Spec(tuple(o.shape), str(o.dtype).removeprefix("torch.")) for o in operands if hasattr(o, "shape")]
        numbers = [Spec((), "float32") for o in operands if isinstance(o, float) and "float" not in tensors[0].dtype]
        try:
            return self._rule(tensors + numbers)
        except ShapeError as error:
            if len(tensors) == 2 and self._rule is not _matrix_product:
                raise _unequal(self.name, tensors[0].shape, tensors[1].shape) from None
            raise error


def _unequal(name: str, a: Shape, b: Shape) -> ShapeError:
    """Build the error of two operands that do not go together element by element."""
    rank = max(len(a), len(b))
    pair = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    axes = [i for i, (m, n) in enumerate(zip(*pair, strict=True)) if m != n and None not in (m, n) and 1 not in (m, n)]
    found = Clash(0, 1, pair, axes)
    sign = SYMBOLS.get(name, name)
    return ShapeError(
        f"a {sign} b cannot combine {a} and {b}: {found.sizes()}.",
        expected="sizes that are equal or 1, aligned from the last axis" + (f": {a} over {b}" if len(a) != len(b) else ""),
        repair=repairs(found) if len(a) == len(b) else None, clue=found,
    )  # fmt: skip


class GetItem(Operator):
    """``x[key]``: integers, slices, ``...`` and None."""

    def __init__(self) -> None:
        self.function = operator.getitem
        self._name = "get_item"
        self.calls = []

    def error_label(self) -> str:
        """Return it as errors name it."""
        return "x[…]"

    def compute_output_spec(self, *operands: Any) -> Spec:
        """Return the shape that indexing leaves."""
        tensor, key = operands
        return Spec(indexed(tuple(tensor.shape), key if isinstance(key, tuple) else (key,)), tensor.dtype)


def indexed(shape: Shape, key: tuple[Any, ...]) -> Shape:
    """Return the shape of ``x[key]`` for ``x`` of ``shape``.

    >>> indexed((None, 8, 8, 3), (Ellipsis, 0)), indexed((None, 8), (slice(None), None, slice(2, 4)))
    ((None, 8, 8), (None, 1, 2))
    """
    taken = sum(item is not None and item is not Ellipsis for item in key)
    if taken > len(shape):
        raise ShapeError("More indices than axes.", expected=f"at most {len(shape)} for {shape}", got=str(taken))
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    result: list[int | None] = []
    axes = iter(shape)
    for item in key:
        if item is None:
            result.append(1)
        elif item is Ellipsis:
            result.extend(next(axes) for _ in range(len(shape) - taken))
        elif isinstance(item, slice):
            result.append(_sliced(next(axes), item))
        elif hasattr(item, "__index__") and not is_symbolic(item):
            _check_index(int(item), next(axes), shape)
        else:
            raise ArgumentTypeError(
                "A symbolic tensor is indexed by integers, slices, ... and None.",
                got=repr(item)[:90],
                repair="for other indices: ops.take(x, indices, axis)\nfor a condition: ops.where(condition, x, other)",
            )  # fmt: skip
    return tuple(result)


def _sliced(size: int | None, item: slice) -> int | None:
    if size is not None:
        return len(range(*item.indices(size)))
    return None


def _check_index(index: int, size: int | None, shape: Shape) -> None:
    if size is not None and not -size <= index < size:
        raise ShapeError(
            f"Index {index} lies outside an axis of size {size}.",
            expected=f"{-size} to {size - 1}" if size else None, got=f"shape {shape}",
        )  # fmt: skip

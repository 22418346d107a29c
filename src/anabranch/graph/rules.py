"""Rules for the shape and dtype of a function's result, a family each; functions state theirs where they are written.

A rule answers for the plain cases: dtypes that go together, axes that exist. For all else, mistakes too, it returns None, and
running the function on fake tensors says what it gives or what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsIndex, TypeAlias, TypeGuard

from anabranch import _process
from anabranch._errors import ArgumentTypeError, ShapeError
from anabranch.graph.arrays import ArrayLike, is_array
from anabranch.graph.clues import WrongIndex
from anabranch.graph.records import Spec, Tensor
from anabranch.graph.shapes import Shape, broadcast, product

Answer: TypeAlias = "Spec | None"
Rule: TypeAlias = Callable[..., Answer]


class Array(Protocol):
    """What has a shape and a dtype: a symbolic tensor, a Spec, an array or tensor among the arguments."""

    @property
    def shape(self) -> Shape:
        """The sizes along each axis."""

    @property
    def dtype(self) -> str:
        """The dtype, by name where it is a symbolic tensor's."""


CASTS = {  # the method of torch's tensors that casts to each dtype
    "bool": "bool", "uint8": "byte", "int8": "char", "int16": "short", "int32": "int", "int64": "long",
    "bfloat16": "bfloat16", "float16": "half", "float32": "float", "float64": "double",
    "complex64": "cfloat", "complex128": "cdouble",
}  # fmt: skip
DTYPES = tuple(CASTS)
SIGNED = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}
"""What arrays become of whose dtypes torch has few functions."""
_WIDER = {
    frozenset(("uint8", "int8")): "int16", frozenset(("bfloat16", "float16")): "float32",
    frozenset(("float64", "complex64")): "complex128",
}  # fmt: skip


def promote(a: str, b: str) -> str:
    """Return the dtype that holds two, as torch has it.

    >>> promote("uint8", "float32"), promote("uint8", "int8")
    ('float32', 'int16')
    """
    return a if a == b else _WIDER.get(frozenset((a, b))) or max(a, b, key=DTYPES.index)


def is_float(dtype: str) -> bool:
    """Return whether values of a dtype have fractions: floats and complex numbers."""
    return "float" in dtype or "complex" in dtype


def _category(dtype: str) -> int:
    return 3 if "complex" in dtype else 2 if "float" in dtype else 0 if dtype == "bool" else 1


def result_dtype(operands: Sequence[Array | float]) -> str:
    """Return the dtype of an arithmetic result: scalars and numbers count only where they are of a higher category."""
    kinds: list[str] = ["", "", ""]  # of tensors with axes, of those without, of Python's numbers
    for operand in operands:
        if isinstance(operand, (int, float)):
            place, dtype = 2, _number(operand)
        else:
            place, dtype = 0 if operand.shape else 1, dtype_name(operand)
        kinds[place] = promote(kinds[place], dtype) if kinds[place] else dtype
    found = ""
    for kind in reversed(kinds):
        if kind and (not found or _category(kind) >= _category(found)):
            found = kind
    return found


def _number(value: float) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int32" if fits_int32(value) else "int64"
    return "float32"


def fits_int32(value: object) -> bool:
    """Return whether a value is no integer of Python's that needs more than 32 bits."""
    return not isinstance(value, int) or -(2**31) <= value < 2**31


def dtype_name(value: ArrayLike) -> str:
    """Return the name of the dtype of a tensor or array."""
    dtype = value.dtype
    if isinstance(dtype, str):
        return dtype
    name = str(dtype).removeprefix("torch.")
    return SIGNED.get(name, name)


# Element by element, of one tensor


def float_unchanged(x: Array, **numbers: object) -> Answer:
    """Say that each float gives a float of its type."""
    return Spec(x.shape, x.dtype) if "float" in x.dtype and _all_numbers(numbers) else None


def rectified(x: Array, max_value: object = None, **numbers: object) -> Answer:
    """Say that each float gives a float of its type, cut where ``max_value`` is a number."""
    return float_unchanged(x, **numbers) if max_value is None else float_unchanged(x, max_value=max_value, **numbers)


def unchanged(x: Array) -> Answer:
    """Say that shape and dtype stay, whatever the dtype."""
    return Spec(x.shape, x.dtype)


def as_float(x: Array, **numbers: object) -> Answer:
    """Say that each number gives a float, integers one of the default type."""
    return Spec(x.shape, _float(x)) if _all_numbers(numbers) else None


def boolean(x: Array) -> Answer:
    """Say that each number gives a boolean."""
    return Spec(x.shape, "bool")


def cast(x: Array, dtype: object) -> Answer:
    """Say that the dtype becomes another."""
    return Spec(x.shape, dtype) if isinstance(dtype, str) and dtype in DTYPES else None


def clipped(x: Array, x_min: object, x_max: object) -> Answer:
    """Say that floats are cut to bounds that are numbers."""
    return float_unchanged(x, x_min=x_min, x_max=x_max)


# Element by element, of several tensors


def arithmetic(x1: object, x2: object) -> Answer:
    """Say that each two numbers give one of their common dtype."""
    operands = _operands(x1, x2)
    dtype = result_dtype(operands) if operands else "bool"
    return None if dtype == "bool" else _broadcast(operands, dtype)


def division(x1: object, x2: object) -> Answer:
    """Say that each two numbers give a float."""
    operands = _operands(x1, x2)
    dtype = result_dtype(operands) if operands else ""
    return _broadcast(operands, dtype if is_float(dtype) else "float32") if operands else None


def difference(x1: object, x2: object) -> Answer:
    """Say that each two numbers give one of their common dtype, booleans an integer."""
    operands = _operands(x1, x2)
    return _broadcast(operands, numeric(result_dtype(operands))) if operands else None


def numeric(dtype: str) -> str:
    """Return the dtype in which values are numbers: int32 for booleans."""
    return "int32" if dtype == "bool" else dtype


def float_pair(x1: object, x2: object) -> Answer:
    """Say that each two floats of one type give one; a number may stand for one of them."""
    operands = _operands(x1, x2)
    arrays = [x for x in operands if not isinstance(x, (int, float))]
    kinds = {x.dtype for x in arrays}
    if len(kinds) != 1 or "float" not in str(next(iter(kinds))) or not all(x.shape for x in arrays):
        return None
    return _broadcast(operands, result_dtype(operands))


def comparison(x1: object, x2: object) -> Answer:
    """Say that each two numbers give a boolean."""
    operands = _operands(x1, x2)
    return _broadcast(operands, "bool") if operands else None


def chosen(condition: object, x1: object = None, x2: object = None) -> Answer:
    """Say that a condition chooses between two."""
    found = float_pair(x1, x2)
    if found is None or not _known(condition):
        return None
    return _broadcast([condition, found], found.dtype)


def _operands(*values: object) -> list[Array | float]:
    """Return operands of which one at least is a tensor and the others are tensors or numbers; [] for any others."""
    operands = [value for value in values if isinstance(value, (int, float)) or _known(value)]
    return operands if len(operands) == len(values) and any(_known(value) for value in values) else []


def _known(value: object) -> TypeGuard[Array]:
    """Return whether a value is a symbolic tensor, or one of torch's."""
    return is_array(value) and (isinstance(value.dtype, str) or str(value.dtype).startswith("torch."))


def _broadcast(operands: Sequence[Array | float], dtype: str) -> Answer:
    shape: Shape = ()
    try:
        for operand in operands:
            shape = shape if isinstance(operand, (int, float)) else broadcast(shape, tuple(operand.shape))
    except ShapeError:
        return None
    return Spec(shape, dtype)


# Along axes


def along(x: Array, axis: object = -1) -> Answer:
    """Say that floats are made along an axis, of which all sizes stay."""
    return None if axes_of(axis, x.shape) is None or axis is None else Spec(x.shape, _float(x))


def halved(x: Array, axis: object = -1) -> Answer:
    """Say that an axis is halved."""
    axes = axes_of(axis, x.shape)
    if not axes or isinstance(axis, tuple):
        return None
    size = x.shape[axes[0]]
    if size is not None and size % 2:
        raise ShapeError("glu halves an axis.", expected="an even size", got=f"{x.shape}, axis={axis}")
    half = None if size is None else size // 2
    return Spec((*x.shape[: axes[0]], half, *x.shape[axes[0] + 1 :]), _float(x))


def reduction(kind: Callable[[Array], str | None]) -> Rule:
    """Return the rule of one number for all along axes; ``kind`` gives its dtype."""

    def reduced(
        x: Array, axis: object = None, keepdims: object = False, initial: object = None, dtype: object = None
    ) -> Answer:
        axes, found = axes_of(axis, x.shape), kind(x)
        if not axes or found is None or 0 in x.shape or not isinstance(keepdims, bool) or initial is not None or dtype:
            return None
        sizes = [1 if place in axes else size for place, size in enumerate(x.shape) if keepdims or place not in axes]
        return Spec(tuple(sizes), found)

    return reduced


def _same(x: Array) -> str | None:
    return x.dtype if "float" in x.dtype or x.dtype in ("int32", "int64") else None


def _summed(x: Array) -> str:
    return x.dtype if is_float(x.dtype) or x.dtype == "int64" else "int32"


def _float(x: Array) -> str:
    return x.dtype if is_float(x.dtype) else _process.floatx()


mean, extreme, total, truth = reduction(_float), reduction(_same), reduction(_summed), reduction(lambda x: "bool")


def position(x: Array, axis: object = None, keepdims: object = False) -> Answer:
    """Say that it is an index along one axis, or along all."""
    return None if isinstance(axis, tuple) else reduction(lambda x: "int32")(x, axis, keepdims)


# Shapes


def reshaped(x: Array, newshape: int | Sequence[int | None]) -> Answer:
    """Say that the shape is another, in which one size may be -1 (or None)."""
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


def flattened(x: Array) -> Answer:
    """Say that all numbers are along one axis."""
    return Spec((product(x.shape),), x.dtype)


def transposed(x: Array, axes: Sequence[int] | None = None) -> Answer:
    """Say that the axes are in another order."""
    order = tuple(reversed(range(len(x.shape)))) if axes is None else axes_of(tuple(axes), x.shape)
    if order is None or len(order) != len(x.shape):
        return None
    return Spec(tuple(x.shape[place] for place in order), x.dtype)


def swapped(x: Array, axis1: int, axis2: int) -> Answer:
    """Say that two axes change positions."""
    if axes_of((axis1,), x.shape) is None or axes_of((axis2,), x.shape) is None:
        return None
    sizes = list(x.shape)
    sizes[axis1], sizes[axis2] = sizes[axis2], sizes[axis1]
    return Spec(tuple(sizes), x.dtype)


def expanded(x: Array, axis: object) -> Answer:
    """Say that there is a new axis of size 1."""
    rank = len(x.shape) + 1
    if type(axis) is not int or not -rank <= axis < rank:
        return None
    place = axis % rank
    return Spec((*x.shape[:place], 1, *x.shape[place:]), x.dtype)


def squeezed(x: Array, axis: object = None) -> Answer:
    """Say that axes of size 1 are removed."""
    axes = [place for place, size in enumerate(x.shape) if size == 1] if axis is None else axes_of(axis, x.shape)
    if axes is None or any(x.shape[place] != 1 for place in axes):
        return None
    return Spec(tuple(size for place, size in enumerate(x.shape) if place not in axes), x.dtype)


def diagonals(x: Array, offset: object = 0, axis1: object = 0, axis2: object = 1) -> Answer:
    """Say that the diagonals along two axes are a new last axis; how long it is depends on both sizes."""
    axes = axes_of((axis1, axis2), x.shape)
    if axes is None or type(offset) is not int:
        return None
    rows, columns = (x.shape[place] for place in axes)
    both = None if rows is None or columns is None else max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    return Spec((*(size for place, size in enumerate(x.shape) if place not in axes), both), x.dtype)


def stretched(x: Array, shape: object) -> Answer:
    """Say that axes of size 1 are stretched to a shape, and new ones come before; raise where a known size is another."""
    if not isinstance(shape, (tuple, list)) or not all(type(size) is int and size >= 0 for size in shape):
        return None
    aligned = zip(reversed(x.shape), reversed(shape), strict=False)
    if len(x.shape) > len(shape) or any(known not in (None, 1, size) for known, size in aligned):
        raise ShapeError(
            "x does not broadcast to the shape.", expected="each size of x 1 or that of the shape, from the last on",
            got=f"x {x.shape}, shape {tuple(shape)}",
        )  # fmt: skip
    return Spec(tuple(shape), dtype_name(x))


def flipped(x: Array, axis: object = None) -> Answer:
    """Say that the order along axes is reversed."""
    return None if axes_of(axis, x.shape) is None else Spec(x.shape, x.dtype)


def joined(xs: object, axis: object = 0) -> Answer:
    """Say that tensors are joined along an axis; a known size holds where another tensor's is unknown."""
    if not _alike(xs):
        return None
    axes = axes_of(axis, xs[0].shape)
    if not axes or isinstance(axis, tuple):
        return None
    place = axes[0]
    sizes: list[int | None] = []
    for index, column in enumerate(zip(*(x.shape for x in xs), strict=True)):
        known = [size for size in column if size is not None]
        if index == place:
            sizes.append(sum(known) if len(known) == len(column) else None)
        elif len(set(known)) > 1:
            return None
        else:
            sizes.append(known[0] if known else None)
    return Spec(tuple(sizes), dtype_name(xs[0]))


def stacked(x: object, axis: object = 0) -> Answer:
    """Say that tensors of one shape are stacked along a new axis."""
    if not _alike(x):
        return None
    inner = joined([Spec((*one.shape, 1), dtype_name(one)) for one in x], -1)
    rank = len(x[0].shape) + 1
    if inner is None or type(axis) is not int or not -rank <= axis < rank:
        return None
    place = axis % rank
    return Spec((*inner.shape[:-1][:place], len(x), *inner.shape[:-1][place:]), inner.dtype)


def partitioned(x: Array, kth: object, axis: object = -1) -> Answer:
    """Say that indices are put in order along an axis, of which all sizes stay."""
    axes = axes_of(axis, x.shape)
    if not axes or isinstance(axis, tuple) or type(kth) is not int:
        return None
    size = product(x.shape) if axis is None else x.shape[axes[0]]
    return Spec((size,) if axis is None else x.shape, "int32") if size is None or -size <= kth < size else None


def unique(
    x: Array, sorted: object = True, return_index: object = False, return_inverse: object = False,
    return_counts: object = False, axis: object = None, size: int | None = None, fill_value: object = None,
) -> Spec | tuple[Spec, ...] | None:  # fmt: skip
    """Say that slices along an axis stay that differ; how many these are is known where ``size`` says so."""
    axes = axes_of(axis, x.shape)
    if axes is None or isinstance(axis, tuple) or not (size is None or type(size) is int):
        return None
    values = (size,) if axis is None else (*x.shape[: axes[0]], size, *x.shape[axes[0] + 1 :])
    places = x.shape if axis is None else (x.shape[axes[0]],)
    wanted = ((return_index, (size,)), (return_inverse, places), (return_counts, (size,)))
    found = (Spec(values, x.dtype), *(Spec(shape, "int32") for asked, shape in wanted if asked))
    return found[0] if len(found) == 1 else found


def folded(
    x: Array, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Answer:  # fmt: skip
    """Say that columns of windows, as many as fit, become images: (B, C · h · w, positions) -> (B, C, H, W)."""
    given = [
        each if isinstance(each, tuple) else (each, each) for each in (output_size, kernel_size, dilation, padding, stride)
    ]
    if not _have_rank([x], 3) or not all(len(each) == 2 and type(each[0]) is type(each[1]) is int for each in given):
        return None
    if min(min(each) for each in given) < 0 or 0 in (*given[0], *given[1], *given[2], *given[4]):
        return None
    rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(*given, strict=True))
    channels, rest = (None, 0) if x.shape[1] is None else divmod(x.shape[1], given[1][0] * given[1][1])
    fits = not rest and channels != 0 and min(rows, columns) > 0 and x.shape[2] in (None, rows * columns)
    return Spec((x.shape[0], channels, *given[0]), x.dtype) if fits else None


def indexed_by(x: Array, key: object) -> Answer:
    """Say that it is ``x[key]`` of integers, slices, ... and None."""
    items = key if isinstance(key, tuple) else (key,)
    if not all(item is None or item is Ellipsis or type(item) in (int, slice) for item in items):
        return None
    return Spec(indexed(tuple(x.shape), items), x.dtype)


def matrix_product(x1: object, x2: object) -> Answer:
    """Say that it is the product over the last two axes; the first ones broadcast."""
    if not (_known(x1) and _known(x2)) or dtype_name(x1) != dtype_name(x2) or "float" not in dtype_name(x1):
        return None
    a, b = tuple(x1.shape), tuple(x2.shape)
    if len(a) < 2 or len(b) < 2 or (a[-1] != b[-2] and None not in (a[-1], b[-2])):
        return None
    try:
        return Spec((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]), dtype_name(x1))
    except ShapeError:
        return None


def crossed(x1: object, x2: object, axisa: object = -1, axisb: object = -1, axisc: object = -1, axis: object = None) -> Answer:
    """Say that vectors of three along the last axes give vectors of three; the first axes broadcast."""
    if axis not in (None, -1) or not axisa == axisb == axisc == -1:
        return None
    found = float_pair(x1, x2)
    return Spec((*found.shape[:-1], 3), found.dtype) if found is not None and found.shape[-1] in (3, None) else None


def written(inputs: Array, *others: object, **more: object) -> Answer:
    """Say that a part of a tensor is written, which keeps its shape and dtype."""
    plain = all(is_array(x) or _row_of_numbers(x) for x in (*others, *more.values()))
    return (
        Spec(tuple(inputs.shape), dtype_name(inputs)) if plain and is_array(inputs) and dtype_name(inputs) in DTYPES else None
    )


def block_written(inputs: Array, start_indices: object, updates: object) -> Answer:
    """Say that a block of a tensor is written, which has its rank and fits into it from where it starts."""
    if not is_array(inputs) or not is_array(updates) or len(inputs.shape) != len(updates.shape):
        return None
    if isinstance(start_indices, (list, tuple)):
        if len(start_indices) != len(inputs.shape):
            return None
        for size, start, length in zip(inputs.shape, start_indices, updates.shape, strict=True):
            if size is None or length is None or not isinstance(start, int):
                continue
            if not 0 <= start <= size - length:
                return None
    return written(inputs, start_indices, updates)


def attention(query: object, key: object, value: object, bias: object = None, mask: object = None, **others: object) -> Answer:
    """Say that each query gives a mean of values: (B, T, N, H), (B, S, K, H), (B, S, K, V) -> (B, T, N, V)."""
    given = [query, key, value]
    added = [_of_lists(x) for x in (bias, mask) if x is not None and not isinstance(x, (int, float))]
    if not _have_rank(given, 4) or not _have_rank(added, 0, 1, 2, 3, 4):
        return None
    q, k, v = given
    columns = [
        (q.shape[0], k.shape[0], v.shape[0]),
        (k.shape[1], v.shape[1]),
        (k.shape[2], v.shape[2]),
        (q.shape[3], k.shape[3]),
    ]
    agreed = [{*column} - {None} for column in columns]
    if any(len(known) > 1 for known in agreed):
        return None
    batch, keys, shared, _ = (next(iter(known), None) for known in agreed)
    heads = q.shape[2]
    if heads is not None and shared is not None and heads != shared and (not shared or heads % shared):
        return None
    logits = Spec((batch, heads, q.shape[1], keys), result_dtype([q, k, v]))
    found = _broadcast([logits, *added], _float(logits))
    if found is None:
        return None
    pairs = [*zip(logits.shape, found.shape, strict=True)]
    if any(size is not None and new not in (None, size) for size, new in pairs):
        return None
    batch, heads, steps, _ = (new if size is None else size for size, new in pairs)
    return Spec((batch, steps, heads, v.shape[3]), found.dtype)


# What the rules ask


def _row_of_numbers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, (int, float)) for each in value)


def _all_numbers(values: dict[str, object]) -> bool:
    return all(isinstance(value, (int, float)) for value in values.values())


def _of_lists(value: object) -> object:
    """Return what lists of numbers are as an array; what is none, and uneven lists, as they are."""
    if not isinstance(value, (list, tuple)):
        return value
    parts = [Spec((), "float32") if isinstance(each, (int, float)) else _of_lists(each) for each in value]
    shapes = {part.shape if isinstance(part, Spec) else None for part in parts}
    inner = shapes.pop() if len(shapes) == 1 else None
    return value if inner is None else Spec((len(parts), *inner), "float32")


def _have_rank(xs: list[object], *ranks: int) -> TypeGuard[list[Array]]:
    """Return whether these are arrays, NumPy's too, with one of some numbers of axes."""
    return all(is_array(x) and len(x.shape) in ranks and dtype_name(x) in DTYPES for x in xs)


def _alike(xs: object) -> TypeGuard[Sequence[Array]]:
    """Return whether these are several tensors of one dtype and rank."""
    if not isinstance(xs, (list, tuple)) or not xs or not all(_known(x) or isinstance(x, Spec) for x in xs):
        return False
    return all(dtype_name(x) == dtype_name(xs[0]) and len(x.shape) == len(xs[0].shape) for x in xs)


def axes_of(axis: object, shape: Shape) -> tuple[int, ...] | None:
    """Return axes counted from the front, all where it is None; None where one is not the tensor's."""
    rank = len(shape)
    given = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all(type(place) is int and -rank <= place < rank for place in given):
        return None
    found = tuple(place % rank for place in given)
    return found if len(set(found)) == len(found) else None


# Indexing


def indexed(shape: Shape, key: tuple[object, ...]) -> Shape:
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
            size = next(axes)
            result.append(None if size is None else len(range(*item.indices(size))))
        elif isinstance(item, int) or (isinstance(item, SupportsIndex) and not isinstance(item, Tensor)):
            _check_index(int(item), next(axes), shape)
        else:
            raise ArgumentTypeError(
                "A symbolic tensor is indexed by integers, slices, ... and None.",
                got=repr(item)[:90], clue=WrongIndex(item),
            )  # fmt: skip
    return tuple(result)


def _check_index(index: int, size: int | None, shape: Shape) -> None:
    if size is not None and not -size <= index < size:
        raise ShapeError(
            f"Index {index} is outside an axis of size {size}.",
            expected=f"{-size} to {size - 1}" if size else None, got=f"shape {shape}",
        )  # fmt: skip

"""New tensors, and what tensors are: ranges, constants, conversions, dtypes and shapes."""

from __future__ import annotations

import math

from anabranch import config, runtime
from anabranch._errors import ArgumentTypeError
from anabranch._frames import bounded
from anabranch.graph import Tensor as Symbolic, Weight, rules
from anabranch.graph.facts import last, pointwise
from anabranch.ops._arguments import documented
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import dtype as dtype_name, float_pair, number_of, one_axis, rank, tensor, tensor_of, torch_dtype
from anabranch.ops.core import shape

ARGUMENTS = {
    "dtype: str | None": "the dtype of the result; None: that of x, or ``config.floatx()`` where there is no x.",
    "x": "what the result is like.",
    "N": "how many rows.",
    "M": "how many columns; None: as many as rows.",
    "start": "where values begin.",
    "stop": "the last value, or the end where ``endpoint`` is False.",
    "num": "how many values.",
    "endpoint": "whether ``stop`` is the last value.",
    "axis": "where the new axis is, if ``start`` and ``stop`` have axes.",
}


@operation()
def array(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return a number, nested list or array as a tensor; floats of lists become ``config.floatx()``.

    Args:
        x: a number, nested list, array, weight or tensor.
        dtype: the dtype of the result; None: it follows from x.

    >>> array([-1.5, 0.0, 2.0])
    tensor([-1.5000,  0.0000,  2.0000])
    """
    return tensor_of(x, dtype)


@operation(rules.unchanged, pointwise)
def copy(x: TensorLike) -> Tensor:
    """Return a copy of x, in memory of its own.

    Args:
        x: the input, of any shape.

    >>> copy([-1.5, 0.0, 2.0])
    tensor([-1.5000,  0.0000,  2.0000])
    """
    return torch.clone(tensor(x))


@operation(mask=last)
def view(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return the bits of x read as another dtype, along a last axis of another size where this has more bits or fewer.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: that of x.

    >>> view([1.0], "int32")
    tensor([1065353216], dtype=torch.int32)
    """
    x = tensor(x)
    return x if dtype is None else x.contiguous().view(torch_dtype(dtype))


# What a tensor is


@bounded
@documented
def ndim(x: TensorLike) -> int:
    """Return the number of dimensions.

    Args:
        x: the input, of any shape.

    >>> ndim([[1.0, 2.0]])
    2
    """
    return len(x.shape) if isinstance(x, (Symbolic, Weight)) else rank(tensor(x))


@bounded
@documented
def size(x: TensorLike) -> int | None:
    """Return the number of elements; None if the size of an axis is unknown.

    Args:
        x: the input, of any shape.

    >>> size([[1.0, 2.0]])
    2
    """
    total: int | None = 1
    for length in shape(x):
        total = None if length is None or total is None else total * length
    return total


# Constants


@operation()
def zeros(shape: Sizes | Tensor, dtype: str | None = None) -> Tensor:
    """Return a tensor of zeros.

    >>> zeros((2,))
    tensor([0., 0.])
    """
    return _filled(shape, 0, dtype)


@operation()
def ones(shape: Sizes | Tensor, dtype: str | None = None) -> Tensor:
    """Return a tensor of ones.

    >>> ones((2,))
    tensor([1., 1.])
    """
    return _filled(shape, 1, dtype)


@operation()
def empty(shape: Sizes | Tensor, dtype: str | None = None) -> Tensor:
    """Return a tensor of arbitrary values, which are zeros.

    >>> empty((2,))
    tensor([0., 0.])
    """
    return _filled(shape, 0, dtype)


@operation()
def full(shape: Sizes | Tensor, fill_value: TensorLike, dtype: str | None = None) -> Tensor:
    """Return a tensor filled with a value.

    Args:
        fill_value: the value, or a tensor that broadcasts to ``shape``.

    >>> full((2,), 3.0)
    tensor([3., 3.])
    """
    if isinstance(fill_value, (bool, int, float)):
        return _filled(shape, fill_value, dtype)
    value = tensor(fill_value).to(torch_dtype(dtype or config.floatx()))
    return torch.broadcast_to(value, _as_shape(shape)).clone()


def _filled(shape: Sizes | Tensor, value: float, dtype: str | None) -> Tensor:
    kind = torch_dtype(dtype or config.floatx())
    if isinstance(value, int):
        runtime.check_fits(torch.tensor(value), kind, "fill_value")
    return runtime.create(torch.full, _as_shape(shape), value, dtype=kind, device=runtime.device())


def _as_shape(shape: Sizes | Tensor) -> tuple[int, ...]:
    given = shape if isinstance(shape, (tuple, list)) else shape.tolist() if isinstance(shape, torch.Tensor) else (shape,)
    given = given if isinstance(given, (tuple, list)) else (given,)
    if any(length is None for length in given):
        raise ArgumentTypeError(
            "A tensor cannot be made in a shape of which a size is not known.", got=f"shape={tuple(given)}",
            repair="ops.zeros_like(x), ops.full_like(x, value): like a symbolic tensor, whatever its batch",
        )  # fmt: skip
    return tuple(number_of("A size", length, 0) for length in given)


@operation(mask=pointwise)
def zeros_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return zeros of x's shape and dtype.

    >>> zeros_like([1, 2])
    tensor([0, 0], dtype=torch.int32)
    """
    return torch.zeros_like(tensor(x), dtype=_as_dtype(dtype))


@operation(mask=pointwise)
def ones_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return ones of x's shape and dtype.

    >>> ones_like([1.5, 2.5], dtype="int32")
    tensor([1, 1], dtype=torch.int32)
    """
    return torch.ones_like(tensor(x), dtype=_as_dtype(dtype))


@operation(mask=pointwise)
def empty_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return arbitrary values, which are zeros, of x's shape and dtype.

    >>> empty_like([[1, 2, 3]]).shape
    torch.Size([1, 3])
    """
    return torch.zeros_like(tensor(x), dtype=_as_dtype(dtype))


@operation(mask=pointwise)
def full_like(x: TensorLike, fill_value: TensorLike, dtype: str | None = None) -> Tensor:
    """Return a tensor of x's shape and dtype filled with a value.

    Args:
        fill_value: the value, or a tensor that broadcasts to x's shape.

    >>> full_like([1, 2], 5)
    tensor([5, 5], dtype=torch.int32)
    """
    x = tensor(x)
    if isinstance(fill_value, (bool, int, float)):
        return torch.full_like(x, fill_value, dtype=_as_dtype(dtype))
    return torch.zeros_like(x, dtype=_as_dtype(dtype)) + tensor(fill_value).to(torch_dtype(dtype or dtype_name(x)))


def _as_dtype(dtype: str | None) -> torch.dtype | None:
    return None if dtype is None else torch_dtype(dtype)


@operation()
def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Tensor:  # noqa: N803 - Keras's names
    """Return an N × M matrix with ones on a diagonal, zeros elsewhere.

    >>> eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    rows, columns = _distance(N, M)
    return (columns - rows == number_of("k", k)).to(torch_dtype(dtype or config.floatx()))


@operation()
def identity(n: int, dtype: str | None = None) -> Tensor:
    """Return the n × n identity matrix.

    Args:
        n: how many rows and columns.

    >>> identity(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return torch.eye(number_of("n", n, 0), dtype=torch_dtype(dtype or config.floatx()), device=runtime.device())


@operation()
def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Tensor:  # noqa: N803 - Keras's names
    """Return an N × M matrix with ones at and below a diagonal, zeros above.

    >>> tri(2)
    tensor([[1., 0.],
            [1., 1.]])
    """
    rows, columns = _distance(N, M)
    return (columns - rows <= number_of("k", k)).to(torch_dtype(dtype or config.floatx()))


def _distance(rows: int, columns: int | None) -> tuple[Tensor, Tensor]:
    counts = number_of("N", rows, 0), number_of("M", rows if columns is None else columns, 0)
    down, across = (torch.arange(count, device=runtime.device()) for count in counts)
    return down.unsqueeze(1), across.unsqueeze(0)


# Ranges


@operation()
def arange(
    start: TensorLike, stop: TensorLike | None = None, step: TensorLike | None = None, dtype: str | None = None
) -> Tensor:
    """Return start, start + step, … up to but not including ``stop``.

    Args:
        start: where values begin; the end where ``stop`` is None, and values begin at 0.
        stop: the end, excluded.
        step: the distance between values; None: 1.
        dtype: the dtype of the result; None: int32, int64 for large bounds, ``config.floatx()`` if one is a float.

    >>> arange(1, 10, 3)
    tensor([1, 4, 7], dtype=torch.int32)
    """
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if dtype is None:
        given = (start, stop, step)
        large = any(type(n) is int and not rules.fits_int32(n) for n in given)
        dtype = config.floatx() if any(isinstance(n, float) for n in given) else "int64" if large else "int32"
    kind = torch_dtype(dtype)
    if "int" in dtype:
        _check_ends(start, stop, step, kind)
    return runtime.create(torch.arange, start, stop, step, dtype=kind, device=runtime.device())


def _check_ends(start: object, stop: object, step: object, kind: torch.dtype) -> None:
    """Raise where a range of numbers, not of tensors, has what its integers cannot hold."""
    if isinstance(start, (int, float)) and isinstance(stop, (int, float)) and isinstance(step, (int, float)) and step:
        count = math.ceil((stop - start) / step)
        if count > 0:
            runtime.check_fits(torch.tensor([start, start + (count - 1) * step]), kind, "The range")


@operation()
def linspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: str | None = None, axis: int = 0,
) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
    """Return ``num`` values at equal distances from ``start`` to ``stop``.

    Args:
        start: where it begins.
        stop: the end.
        retstep: whether the distance is returned too.
        axis: where the new axis is.

    >>> linspace(0.0, 1.0, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    num = number_of("num", num, 0)
    first, last = float_pair(start, stop)
    step = (last - first) / max(num - 1 if endpoint else num, 1)
    made = _line(first, last, num, endpoint, axis)
    made = tensor_of(made, dtype)
    return (made, step) if retstep else made


@operation()
def logspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, base: float | Tensor = 10,
    dtype: str | None = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    """Return ``base`` to the power of ``num`` exponents at equal distances from ``start`` to ``stop``.

    Args:
        start: the first exponent.
        stop: the last exponent, or the end where ``endpoint`` is False.
        base: the base of the powers.
        axis: where the new axis is.

    >>> logspace(0.0, 2.0, 3)
    tensor([  1.,  10., 100.])
    """
    num = number_of("num", num, 0)
    made = torch.pow(base, _line(*float_pair(start, stop), num, endpoint, axis))
    return tensor_of(made, dtype)


@operation()
def geomspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, dtype: str | None = None, axis: int = 0
) -> Tensor:
    """Return ``num`` values from ``start`` to ``stop``, each the same multiple of the one before.

    Args:
        start: where values begin, not 0.
        stop: the last value, of the same sign, or the end where ``endpoint`` is False.
        axis: where the new axis is.

    >>> geomspace(1.0, 8.0, 4)
    tensor([1., 2., 4., 8.])
    """
    num = number_of("num", num, 0)
    first, last = float_pair(start, stop)
    sign = torch.sign(first)
    made = torch.exp2(_line(torch.log2(first * sign), torch.log2(last * sign), num, endpoint, -1)) * sign.unsqueeze(-1)
    place = torch.arange(num, device=runtime.device())
    made = torch.where(place == 0, first.unsqueeze(-1), made)
    if endpoint and num > 1:
        made = torch.where(place == num - 1, last.unsqueeze(-1), made)
    made = torch.movedim(made, -1, one_axis(axis, rank(made)))
    return tensor_of(made, dtype)


def _line(first: Tensor, last: Tensor, num: int, endpoint: bool, axis: int) -> Tensor:
    steps = max(num - 1 if endpoint else num, 1)
    share = torch.arange(num, dtype=runtime.dtype_of(config.floatx()), device=runtime.device()) / steps
    span = last - first
    made = (first.unsqueeze(-1) + span.unsqueeze(-1) * share).to(runtime.dtype_of(dtype_name(first)))
    if endpoint and num > 1:
        made = torch.where(share == 1, last.unsqueeze(-1), made)
    return torch.movedim(made, -1, one_axis(axis, rank(made)))

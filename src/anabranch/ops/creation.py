"""New tensors, and what tensors are: ranges, constants, conversions, dtypes and shapes."""

from __future__ import annotations

from typing import Any

from anabranch import config, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import Shape, Tensor as Symbolic, Weight, rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import fx, np, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import dtype as dtype_name, floats, one_axis, rank, recorded, sizes, tensor

# Conversions

OUTSIDE = frozenset(
    ("cast", "convert_to_numpy", "convert_to_tensor", "dtype", "is_tensor", "saturate_cast", "shape", "stop_gradient")
)  # Keras has them in no namespace of this family


@operation()
def convert_to_tensor(
    x: TensorLike, dtype: str | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Return a number, list or array as a tensor; lists of floats get the default float type, of integers int32.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: the one that follows from the input.
        sparse: only False: tensors are dense.
        ragged: only None: tensors are dense.

    Example:
        >>> convert_to_tensor([-1.5, 0.0, 2.0])
        tensor([-1.5000,  0.0000,  2.0000])
    """
    if sparse or ragged:
        raise ArgumentError(
            "Tensors here are dense.", expected="sparse=None, ragged=None", got=f"sparse={sparse}, ragged={ragged}"
        )
    x = tensor(x)
    return x if dtype is None else x.to(runtime.dtype_of(_name(dtype)))


@operation()
def array(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return a number, list or array as a tensor.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> array([-1.5, 0.0, 2.0])
        tensor([-1.5000,  0.0000,  2.0000])
    """
    x = tensor(x)
    return x if dtype is None else x.to(runtime.dtype_of(_name(dtype)))


def convert_to_numpy(x: TensorLike) -> np.ndarray[Any, Any]:
    """Return the numbers as a NumPy array on the host.

    Args:
        x: the input, of any shape.

    Example:
        >>> convert_to_numpy([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """
    if isinstance(x, Symbolic):
        np.asarray(x)  # which says that it has no numbers
    return runtime.numpy_of(tensor(runtime.as_tensor(x) if isinstance(x, Weight) else x))


@operation(rules.cast, pointwise)
def cast(x: TensorLike, dtype: str) -> Tensor:
    """Return x as another dtype.

    Args:
        x: the input, of any shape.
        dtype: the new dtype.

    Example:
        >>> cast([1.5, 2.5], "int32")
        tensor([1, 2], dtype=torch.int32)
    """
    return tensor(x).to(runtime.dtype_of(_name(dtype)))


@operation(mask=pointwise)
def saturate_cast(x: TensorLike, dtype: str) -> Tensor:
    """Return x as another dtype, cut to the numbers that it holds.

    Args:
        x: the input, of any shape.
        dtype: the new dtype.

    Example:
        >>> saturate_cast([-3.0, 300.0], "uint8")
        tensor([  0, 255], dtype=torch.uint8)
    """
    x, kind = tensor(x), runtime.dtype_of(_name(dtype))
    limits = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
    if "float" in dtype_name(x) and not kind.is_floating_point and limits.bits >= 32:
        # the greatest integer is no float; the nearest below it is
        top = torch.nextafter(torch.tensor(float(limits.max)), torch.tensor(0.0)).item()
        return torch.clamp(x, float(limits.min), top).to(kind)
    return torch.clamp(x, limits.min, limits.max).to(kind)


def _name(dtype: str | type | np.dtype[Any] | torch.dtype) -> str:
    return dtype if isinstance(dtype, str) else str(np.dtype(dtype)) if not isinstance(dtype, torch.dtype) else str(dtype)[6:]


@operation(rules.unchanged, pointwise)
def copy(x: TensorLike) -> Tensor:
    """Return the same numbers in memory of their own.

    Args:
        x: the input, of any shape.

    Example:
        >>> copy([-1.5, 0.0, 2.0])
        tensor([-1.5000,  0.0000,  2.0000])
    """
    return torch.clone(tensor(x))


@operation(mask=pointwise)
def stop_gradient(variable: TensorLike) -> Tensor:
    """Return the same numbers, through which nothing learns.

    Args:
        variable: the input.

    Example:
        >>> stop_gradient([-1.5, 0.0, 2.0])
        tensor([-1.5000,  0.0000,  2.0000])
    """
    return tensor(variable).detach()


# What a tensor is


def is_tensor(x: object) -> bool:
    """Return whether it is a tensor of torch's or a symbolic one.

    Args:
        x: the input, of any shape.

    Example:
        >>> is_tensor(3.0)
        False
    """
    return isinstance(x, (torch.Tensor, Symbolic))


def shape(x: TensorLike) -> Shape:
    """Return the sizes along each axis; None where a symbolic tensor's is not known, a read of it while a model is lowered.

    Args:
        x: the input, of any shape.

    Example:
        >>> shape([[1.0, 2.0]])
        (1, 2)
    """
    return x.shape if isinstance(x, (Symbolic, Weight)) else tuple(sizes(tensor(x)))


def ndim(x: TensorLike) -> int:
    """Return the number of axes.

    Args:
        x: the input, of any shape.

    Example:
        >>> ndim([[1.0, 2.0]])
        2
    """
    return len(x.shape) if isinstance(x, (Symbolic, Weight)) else rank(tensor(x))


def dtype(x: TensorLike) -> str:
    """Return the name of the dtype.

    Args:
        x: the input, of any shape.

    Example:
        >>> dtype([1.0])
        'float32'
    """
    return x.dtype if isinstance(x, (Symbolic, Weight)) else dtype_name(tensor(x))


def size(x: TensorLike) -> int | None:
    """Return the number of elements, None where a symbolic tensor's is not known.

    Args:
        x: the input, of any shape.

    Example:
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
    """Return zeros of a shape.

    Args:
        shape: the sizes along each axis.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> zeros((2,))
        tensor([0., 0.])
    """
    return _filled(shape, 0, dtype)


@operation()
def ones(shape: Sizes | Tensor, dtype: str | None = None) -> Tensor:
    """Return ones of a shape.

    Args:
        shape: the sizes along each axis.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> ones((2,))
        tensor([1., 1.])
    """
    return _filled(shape, 1, dtype)


@operation()
def empty(shape: Sizes | Tensor, dtype: str | None = None) -> Tensor:
    """Return any numbers of a shape; they are zeros.

    Args:
        shape: the sizes along each axis.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> empty((2,))
        tensor([0., 0.])
    """
    return _filled(shape, 0, dtype)


@operation()
def full(shape: Sizes | Tensor, fill_value: TensorLike, dtype: str | None = None) -> Tensor:
    """Return one number, or what broadcasts, in a shape.

    Args:
        shape: the sizes along each axis.
        fill_value: the value, or what broadcasts.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> full((2,), 3.0)
        tensor([3., 3.])
    """
    if isinstance(fill_value, (bool, int, float)):
        return _filled(shape, fill_value, dtype)
    value = tensor(fill_value).to(runtime.dtype_of(_name(dtype or config.floatx())))
    return torch.broadcast_to(value, _as_shape(shape)).clone()


def _filled(shape: Sizes | Tensor, value: float, dtype: str | None) -> Tensor:
    kind = runtime.dtype_of(_name(dtype or config.floatx()))
    return recorded(torch.full, _as_shape(shape), value, dtype=kind, device=runtime.device())


def _as_shape(shape: Sizes | Tensor) -> tuple[int, ...]:
    given = shape if isinstance(shape, (tuple, list)) else shape.tolist() if isinstance(shape, torch.Tensor) else (shape,)
    if any(length is None for length in given):
        raise ArgumentTypeError(
            "A tensor cannot be made in a shape of which a size is not known.", got=f"shape={tuple(given)}",
            repair="ops.zeros_like(x), ops.full_like(x, value): like a symbolic tensor, whatever its batch",
        )  # fmt: skip
    return tuple(length if isinstance(length, fx.Proxy) else int(length) for length in given)  # type: ignore[misc]  # traced


@operation(mask=pointwise)
def zeros_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return zeros of x's shape and dtype.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> zeros_like([1, 2])
        tensor([0, 0], dtype=torch.int32)
    """
    return torch.zeros_like(tensor(x), **_as_dtype(dtype))


@operation(mask=pointwise)
def ones_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return ones of x's shape and dtype.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> ones_like([1, 2])
        tensor([1, 1], dtype=torch.int32)
    """
    return torch.ones_like(tensor(x), **_as_dtype(dtype))


@operation(mask=pointwise)
def empty_like(x: TensorLike, dtype: str | None = None) -> Tensor:
    """Return any numbers of x's shape and dtype; they are zeros.

    Args:
        x: the input, of any shape.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> empty_like([1, 2])
        tensor([0, 0], dtype=torch.int32)
    """
    return torch.zeros_like(tensor(x), **_as_dtype(dtype))


@operation(mask=pointwise)
def full_like(x: TensorLike, fill_value: TensorLike, dtype: str | None = None) -> Tensor:
    """Return one number, or what broadcasts, in x's shape and dtype.

    Args:
        x: the input, of any shape.
        fill_value: the value.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> full_like([1, 2], 5)
        tensor([5, 5], dtype=torch.int32)
    """
    x = tensor(x)
    if isinstance(fill_value, (bool, int, float)):
        return torch.full_like(x, fill_value, **_as_dtype(dtype))
    return torch.zeros_like(x, **_as_dtype(dtype)) + tensor(fill_value).to(runtime.dtype_of(_name(dtype or dtype_name(x))))


def _as_dtype(dtype: str | None) -> dict[str, Any]:
    return {} if dtype is None else {"dtype": runtime.dtype_of(_name(dtype))}


@operation()
def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Tensor:  # noqa: N803 - Keras's names
    """Return an N × M matrix of zeros with ones along the diagonal ``k``.

    Args:
        N: how many rows.
        M: how many columns; None: as many as rows.
        k: which diagonal: 0 the main one, above it if positive, below it if negative.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    lower, columns = _distance(N, M)
    return (columns - lower == k).to(runtime.dtype_of(_name(dtype or config.floatx())))


@operation()
def identity(n: int, dtype: str | None = None) -> Tensor:
    """Return the n × n matrix with ones along the diagonal.

    Args:
        n: how many rows and columns.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> identity(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return torch.eye(n, dtype=runtime.dtype_of(_name(dtype or config.floatx())), device=runtime.device())


@operation()
def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Tensor:  # noqa: N803 - Keras's names
    """Return an N × M matrix of ones up to the diagonal ``k``, zeros above.

    Args:
        N: how many rows.
        M: how many columns; None: as many as rows.
        k: which diagonal: 0 the main one, above it if positive, below it if negative.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> tri(2)
        tensor([[1., 0.],
                [1., 1.]])
    """
    rows, columns = _distance(N, M)
    return (columns - rows <= k).to(runtime.dtype_of(_name(dtype or config.floatx())))


def _distance(rows: int, columns: int | None) -> tuple[Tensor, Tensor]:
    down, across = (torch.arange(n, device=runtime.device()) for n in (rows, rows if columns is None else columns))
    return down.unsqueeze(1), across.unsqueeze(0)


# Ranges


@operation()
def arange(
    start: TensorLike, stop: TensorLike | None = None, step: TensorLike | None = None, dtype: str | None = None
) -> Tensor:
    """Return start, start + step, … below ``stop``; from 0 to ``start`` where ``stop`` is None.

    Args:
        start: where it begins.
        stop: the end, excluded; None: ``start`` is the end.
        step: the distance; 1 unless given.
        dtype: the dtype of the result; None: the one that follows from the input.

    Example:
        >>> arange(3)
        tensor([0, 1, 2], dtype=torch.int32)
    """
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if dtype is None:
        dtype = config.floatx() if any(isinstance(n, float) for n in (start, stop, step)) else "int32"
    return recorded(torch.arange, start, stop, step, dtype=runtime.dtype_of(_name(dtype)), device=runtime.device())


@operation()
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: str | None = None,
    axis: int = 0,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return ``num`` numbers at equal distances from ``start`` to ``stop``, the latter excluded unless ``endpoint``.

    Starts and stops of more axes give a line for each, along the new ``axis``. ``retstep``: the distance too.

    Args:
        start: where it begins.
        stop: the end.
        num: how many values.
        endpoint: whether ``stop`` is the last value.
        retstep: whether the distance is returned too.
        dtype: the dtype of the result; None: the one that follows from the input.
        axis: where the new axis is.

    Example:
        >>> linspace(0.0, 1.0, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    first, last = floats(start), floats(stop)
    step = (last - first) / max(num - 1 if endpoint else num, 1)
    made = _line(first, last, num, endpoint, axis)
    made = made if dtype is None else made.to(runtime.dtype_of(_name(dtype)))
    return (made, step) if retstep else made


@operation()
def logspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    base: float | Tensor = 10,
    dtype: str | None = None,
    axis: int = 0,
) -> Tensor:
    """Return ``base`` to the powers that ``linspace`` gives.

    Args:
        start: where it begins.
        stop: the end.
        num: how many values.
        endpoint: whether ``stop`` is the last value.
        base: the base of the powers.
        dtype: the dtype of the result; None: the one that follows from the input.
        axis: where the new axis is.

    Example:
        >>> logspace(0.0, 2.0, 3)
        tensor([  1.,  10., 100.])
    """
    made = torch.pow(base, _line(floats(start), floats(stop), num, endpoint, axis))
    return made if dtype is None else made.to(runtime.dtype_of(_name(dtype)))


def _line(first: Tensor, last: Tensor, num: int, endpoint: bool, axis: int) -> Tensor:
    steps = max(num - 1 if endpoint else num, 1)
    share = torch.arange(num, dtype=runtime.dtype_of(config.floatx()), device=runtime.device()) / steps
    span = last - first
    made = first.unsqueeze(-1) + span.unsqueeze(-1) * share
    if endpoint and num > 1:
        made = torch.where(share == 1, last.unsqueeze(-1), made)
    return torch.movedim(made, -1, one_axis(axis, rank(made)))

"""Functions from floats to values in a few bits, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from anabranch._arguments import guarded
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from anabranch.graph import Tensor as Symbol, rules
from anabranch.graph.facts import pointwise
from anabranch.ops import _kernels as kernels
from anabranch.ops._arguments import documented
from anabranch.ops._public import operation
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    check_rank,
    dtype as dtype_of,
    floats,
    number_of,
    one_axis,
    one_of,
    rank,
    shape,
    some_axes,
    tensor,
)

Byte = Literal["int8", "uint8"]
Float8 = Literal["float8_e4m3fn", "float8_e5m2"]
BYTES = ("int8", "uint8")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
ARGUMENTS = {
    "inputs": "the values, of any shape.",
    "value_range": "the least and the greatest integer.",
    "dtype: str": "the dtype of the integers.",
    "epsilon": "added to the greatest magnitude, so that zeros have a scale too.",
    "to_numpy": "whether this is computed on the CPU, which spares the memory of the device.",
    "scale": "the scale, a scalar.",
}


@operation()
def abs_max_quantize(
    inputs: TensorLike,
    axis: int | Sequence[int],
    value_range: Sequence[float] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return integers and their scale: round(x · scale), where the greatest magnitude along ``axis`` is the greatest integer.

    Args:
        axis: the axis or axes that share a scale.

    Returns:
        The integers, in the shape of ``inputs``, and the scale, with size 1 along ``axis``; x ≈ integers / scale.

    >>> integers, scale = abs_max_quantize([[1.0, -2.0], [0.5, 0.3]], axis=-1)
    >>> integers.tolist()
    [[64, -127], [127, 76]]
    """
    x = floats(inputs)
    low, high = limits(value_range, epsilon)
    axes = some_axes(axis, rank(x))
    found, scale = kernels.quantized(x.cpu() if to_numpy else x, axes, (low, high), dtype, epsilon)
    return (found.to(x.device), scale.to(x.device)) if to_numpy else (found, scale)


@operation()
def abs_max_quantize_grouped_with_zero_point(
    inputs: TensorLike,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return integers of a matrix with a scale and a zero point for each block of its rows, in each column.

    Args:
        inputs: the matrix (I, O).
        block_size: how many rows share a scale; the last block may have fewer.

    Returns:
        The integers (I, O), scales and zero points (ceil(I / block_size), O); x ≈ (integers - zero point) · scale.

    >>> integers, scale, zero = abs_max_quantize_grouped_with_zero_point([[0.0], [1.5], [-0.5], [0.25]], block_size=2)
    >>> integers.flatten().tolist(), zero.flatten().tolist()
    ([-8, 7, -8, 7], [-8, 2])
    """
    x = floats(inputs)
    check_rank(x, (2,), "(inputs, outputs)", "inputs")
    low, high = limits(value_range, epsilon)
    size = number_of("block_size", block_size, 1)
    found = kernels.quantized_in_blocks(x.cpu() if to_numpy else x, size, (int(low), int(high)), dtype, epsilon)
    integers, scale, zero = [each.to(x.device) for each in found] if to_numpy else found
    return integers, scale, zero


def limits(value_range: Sequence[float], epsilon: float) -> tuple[float, float]:
    """Return the least and the greatest value of a range; raise where there is none, or ``epsilon`` is not finite."""
    if not math.isfinite(epsilon) or epsilon < 0:
        raise ArgumentError("epsilon must be a finite number ≥ 0.", got=shown(epsilon))
    found = tuple(value_range)
    if len(found) != 2 or not found[0] < found[1]:
        raise ArgumentError("value_range has the least and the greatest value.", expected="(-127, 127)", got=shown(value_range))
    return found


@guarded
@documented
def pack_int4(arr: TensorLike, axis: int = 0, dtype: Byte = "int8") -> tuple[Tensor, tuple[int, ...], int]:
    """Return 4-bit integers two in a byte: of each pair along ``axis`` the first in the lower half, the second in the upper.

    Args:
        arr: the integers, from -8 to 7, or from 0 to 15 as uint8.
        axis: the axis along which pairs are formed; an odd one gets a 0 at its end.
        dtype: the dtype of ``arr`` and of the bytes.

    Returns:
        The bytes, their shape, and the size that ``axis`` had, which ``unpack_int4`` takes.

    >>> import numpy as np
    >>> packed, shape, size = pack_int4(np.array([[-3, 7], [2, -8], [1, 0]], "int8"))
    >>> packed.tolist(), shape, size
    ([[45, -121], [1, 0]], (2, 2), 3)
    """
    if isinstance(arr, Symbol):
        raise ArgumentTypeError("Values are packed once, before a model runs.", expected="an array or a tensor", got=str(arr))
    x = _bytes(arr, (one_of("dtype", dtype, BYTES),), "arr")
    found = kernels.packed(x, one_axis(axis, x.ndim), dtype)
    return found, tuple(found.shape), x.shape[axis]


@operation()
def unpack_int4(packed: TensorLike, orig_len: int, axis: int = 0, dtype: Byte = "int8") -> Tensor:
    """Return the 4-bit integers that ``pack_int4`` put two in a byte.

    Args:
        packed: the bytes, int8 or uint8.
        orig_len: how many integers the axis had.
        axis: the axis along which pairs were formed.
        dtype: ``"int8"``: integers from -8 to 7; ``"uint8"``: from 0 to 15.

    >>> import numpy as np
    >>> unpack_int4(np.array([[45, -121], [1, 0]], "int8"), 3).tolist()
    [[-3, 7], [2, -8], [1, 0]]
    """
    x, size = _bytes(packed, BYTES, "packed"), number_of("orig_len", orig_len, 0)
    axis = one_axis(axis, rank(x))
    held = shape(x)[axis]
    if held is not None and size > 2 * held:
        raise ShapeError("The bytes hold fewer integers.", expected=f"at most {2 * held} along axis {axis}", got=str(size))
    return kernels.unpacked(x, size, axis, one_of("dtype", dtype, BYTES))


def _bytes(value: TensorLike, kinds: Sequence[str], name: str) -> Tensor:
    x = tensor(value)
    if dtype_of(x) not in kinds:
        raise DtypeError(f"{name} must have values of 8 bits.", expected=" or ".join(kinds), got=dtype_of(x))
    return x


@operation(rules.float_unchanged, pointwise)
def fake_quant_with_min_max_vars(
    inputs: TensorLike,
    min_vals: TensorLike,
    max_vals: TensorLike,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Return floats rounded to the 2^bits levels between two limits, which move a little so that 0 is a level.

    Gradients reach ``inputs`` within the limits, and the limits from what is at or beyond them (Jacob et al. 2018, §3), so that
    a network trains for the integers it will be run with.

    Args:
        min_vals: the lower limit, a scalar; with ``axis`` one for each position along it.
        max_vals: the upper limit.
        num_bits: how many bits a level has, from 2 to 16.
        narrow_range: whether the lowest level is left out.
        axis: the axis with limits of its own; None: all values have the same.

    >>> fake_quant_with_min_max_vars([-1.0, 0.1, 0.52, 3.0], 0.0, 1.5, num_bits=2)
    tensor([0.0000, 0.0000, 0.5000, 1.5000])
    """
    x = floats(inputs)
    if not is_integer(num_bits) or not 2 <= num_bits <= 16:
        raise ArgumentError("num_bits must be an integer from 2 to 16.", got=shown(num_bits))
    least, most = floats(min_vals).to(x.device), floats(max_vals).to(x.device)
    if axis is not None:
        sizes = [1] * rank(x)
        sizes[one_axis(axis, rank(x))] = -1
        least, most = least.reshape(sizes), most.reshape(sizes)
    return kernels.fake_quantized(
        x, least, most, int(num_bits), narrow_range, "float64" if dtype_of(least) == "float64" else "float32"
    )  # by name, as torch 2.6 cannot promote a traced dtype


@operation()
def compute_float8_scale(amax: TensorLike, scale: TensorLike, dtype_max: TensorLike, margin: int = 0) -> Tensor:
    """Return the scale by which values of magnitude up to ``amax`` fit float8: amax / dtype_max · 2^margin.

    Args:
        amax: the greatest magnitude of late.
        scale: the scale so far, which stays where ``amax`` is 0 or not finite.
        dtype_max: the greatest value of the type: 448 of float8_e4m3fn, 57344 of float8_e5m2.
        margin: how many bits are left free.

    >>> compute_float8_scale(896.0, 1.0, 448.0)
    tensor(2.)
    """
    return kernels.float8_scale(floats(amax), floats(scale), floats(dtype_max), number_of("margin", margin))


@operation()
def compute_float8_amax_history(x: TensorLike, amax_history: TensorLike) -> Tensor:
    """Return a history of greatest magnitudes that begins with that of ``x``, in the place of the oldest.

    Args:
        amax_history: the greatest magnitudes of the last steps (N,).

    >>> compute_float8_amax_history([1.0, -3.0], [1.0, 2.0, 4.0])
    tensor([3., 4., 1.])
    """
    history = floats(amax_history)
    check_rank(history, (1,), "(steps,)", "amax_history")
    return kernels.with_greatest(floats(x), history)


@operation()
def quantize_and_dequantize(inputs: TensorLike, scale: TensorLike, quantized_dtype: Float8, compute_dtype: str) -> Tensor:
    """Return what float8 makes of values: cast(clip(x / scale)) · scale.

    Args:
        quantized_dtype: ``"float8_e4m3fn"`` or ``"float8_e5m2"``.
        compute_dtype: the float type of the result.

    >>> quantize_and_dequantize([1.0, 1.05, 500.0], 1.0, "float8_e4m3fn", "float32")
    tensor([  1.,   1., 448.])
    """
    return kernels.through(floats(inputs), floats(scale), one_of("quantized_dtype", quantized_dtype, FLOAT8), compute_dtype)

"""Linear maps: dense, convolution and its transpose, over any number of spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from anabranch.graph import Weight
from anabranch.graph.shapes import same_padding
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import shape_of, sizes
from anabranch.runtime.masks import shaped
from anabranch.runtime.weights import native, shown

_sym_max: Callable[[int, int], int] = torch.sym_max
_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
_TRANSPOSED = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}


def linear(x: Tensor, kernel: Weight | Tensor, bias: Weight | None) -> Tensor:
    """Return x · kernel + bias over the last axis: (…, I) -> (…, O)."""
    return F.linear(x, native(kernel), None if bias is None else native(bias))


def with_product(kernel: Weight, first: Weight, second: Weight, scale: float) -> Tensor:
    """Return kernel + scale · first · second in torch's layout: a kernel (…, O), factors (…, rank) and (rank, O)."""
    own = native(kernel)
    return own + kernel.to_native(scale * (native(first) @ native(second))).to(own.dtype)


def linear_back(x: Tensor, table: Weight | Tensor) -> Tensor:
    """Return the product of ``x`` with each row of a table (V, D), in x's type: (…, D) -> (…, V)."""
    return F.linear(x, native(table).to(x.dtype))


def linear_over(x: Tensor, kernel: Weight | Tensor, bias: Weight | None, contracted: int, result: tuple[int, ...]) -> Tensor:
    """Return x · kernel + bias over the last axes: (…, *contracted) -> (…, *result); torch's kernel is a matrix."""
    product = linear(x.flatten(-contracted) if contracted > 1 else x, kernel, bias)
    return product.unflatten(-1, result) if len(result) > 1 else product  # type: ignore[no-untyped-call]  # untyped in torch


def einsum(equation: str, x: Tensor, kernel: Weight | Tensor, bias: Weight | None) -> Tensor:
    """Return the sum of products of ``x`` and ``kernel`` in Einstein's notation, plus ``bias``, which broadcasts."""
    return plus(torch.einsum(equation, x, shown(kernel) if isinstance(kernel, Weight) else kernel), bias)


def plus(x: Tensor, bias: Weight | None) -> Tensor:
    """Return ``x`` plus a bias that broadcasts, where there is one."""
    return x if bias is None else x + native(bias)


def channels_front(x: Tensor, rank: int, data_format: str) -> Tensor:
    """View (B, …spatial, C) as torch's (B, C, …spatial), without a copy."""
    if data_format == "channels_first":
        return x
    order = (0, rank + 1, *range(1, rank + 1))
    shape, view = shape_of(x), x.permute(*order)
    return shaped(view, None if shape is None else tuple(shape[axis] for axis in order))


def channels_back(x: Tensor, rank: int, data_format: str) -> Tensor:
    """View torch's (B, C, …spatial) as (B, …spatial, C), without a copy."""
    if data_format == "channels_first":
        return x
    order = (0, *range(2, rank + 2), 1)
    shape, view = shape_of(x), x.permute(*order)
    return shaped(view, None if shape is None else tuple(shape[axis] for axis in order))


def conv(
    x: Tensor, kernel: Weight | Tensor, bias: Weight | None, *, window: tuple[int, ...], strides: tuple[int, ...], padding: str,
    data_format: str, dilation_rate: tuple[int, ...], groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return the cross-correlation of ``x`` (B, …spatial, C or channels first) with ``kernel`` (…window, I/groups, O).

    ``same`` pads with zeros, the odd element after, as Keras does.
    """
    return convolve(x, native(kernel), bias, window, strides, padding, data_format, dilation_rate, groups)


def depthwise_conv(
    x: Tensor, kernel: Weight, bias: Weight | None, *, strides: tuple[int, ...], padding: str, data_format: str,
    dilation_rate: tuple[int, ...],
) -> Tensor:  # fmt: skip
    """Return each channel convolved by filters of its own: kernel (…window, C, M), result (B, …positions, C · M)."""
    *window, channels, multiplier = kernel.shape
    filters = native(kernel).reshape(channels * multiplier, 1, *window)
    return convolve(x, filters, bias, tuple(window), strides, padding, data_format, dilation_rate, channels)


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Weight | Tensor | None,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Return the cross-correlation of ``x`` with a kernel in torch's layout (O, I/groups, …window)."""
    rank = len(strides)
    x = channels_front(x, rank, data_format)
    x, symmetric = pad_for(x, window, strides, padding, dilation)
    x = _CONVOLUTIONS[rank](x, kernel, None if bias is None else native(bias), strides, symmetric, dilation, groups)
    return channels_back(x, rank, data_format)


def conv_transpose(
    x: Tensor,
    kernel: Weight | Tensor,
    bias: Weight | None,
    *,
    strides: tuple[int, ...],
    reach: Sequence[int],
    crops: tuple[tuple[int, int], ...],
    data_format: str,
    dilation_rate: tuple[int, ...],
) -> Tensor:
    """Return the transpose of a convolution: kernel (…window, O, I), whose window with its gaps is ``reach`` long.

    ``crops`` are taken off both ends of the whole result; an end below 0 is lengthened instead, by less than the stride.
    """
    rank = len(strides)
    # torch's fake tensors refuse to leave nothing of an input of one position: what would is sliced off below
    even = tuple(max(min(before, after, (most - 1) // 2), 0) for (before, after), most in zip(crops, reach, strict=True))
    longer = tuple(max(-after, 0) for _, after in crops)
    x = channels_front(x, rank, data_format)
    biases = None if bias is None else native(bias)
    x = _TRANSPOSED[rank](x, native(kernel), biases, strides, even, longer, 1, dilation_rate)
    # torch takes as much off both ends; Keras's odd position is still to go
    for axis, ((before, after), taken) in enumerate(zip(crops, even, strict=True)):
        if max(before, after) > taken:
            x = x[(slice(None),) * (axis + 2) + (slice(before - taken, -(after - taken) or None),)]
    return channels_back(x, rank, data_format)


def pad_for(
    x: Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
) -> tuple[Tensor, tuple[int, ...]]:
    """Return ``x`` (B, C, …spatial) zero-padded as far as it must be, and the even padding left to torch's own function."""
    rank = len(window)
    if padding == "valid":
        return x, (0,) * rank
    if padding == "causal":
        return F.pad(x, ((window[0] - 1) * dilation[0], 0)), (0,)
    pads = same_pads(x, window, strides, dilation)
    if is_even(pads):
        return x, tuple(before for before, _ in pads)
    return F.pad(x, flat_pads(pads)), (0,) * rank


def same_pads(x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return Keras's padding before and after each spatial axis of ``x`` (B, C, …spatial); traced values where sizes are."""
    rank = len(window)
    return [_same(x, axis, rank, window[axis], strides[axis], dilation[axis]) for axis in range(rank)]


def is_even(pads: list[tuple[int, int]]) -> bool:
    """Return whether the padding is known and the same at both ends of each axis, as torch's own functions pad."""
    return all(isinstance(before, int) and before == after for before, after in pads)


def flat_pads(pads: list[tuple[int, int]]) -> list[int]:
    """Return padding in the order of ``F.pad``: the last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]


def _same(x: Tensor, axis: int, rank: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    if stride == 1:  # whatever the length
        total = (window - 1) * dilation
        return total // 2, total - total // 2
    length = sizes(x, rank + 2)[axis + 2]
    if isinstance(length, int):
        return same_padding(length, window, stride, dilation)
    total = _sym_max((-(length // -stride) - 1) * stride + (window - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2

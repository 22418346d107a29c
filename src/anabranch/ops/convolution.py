"""Windows over images and series: convolution, its transpose, pooling; and blocks of positions as channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anabranch import config
from anabranch._errors import ShapeError
from anabranch.graph import rules
from anabranch.graph.rules import is_float
from anabranch.graph.shapes import per_axis
from anabranch.ops._public import operation
from anabranch.ops._torch import F, kernels, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import check_rank, dtype, float_pair, floats, one_of, rank, shape, sizes, tensor, torch_dtype

ARGUMENTS = {
    "kernel": "the kernel, as above.",
    "strides": "the step of the window along each axis, or one integer.",
    "padding": '"valid": none; "same": so that ceil(length / stride) positions result.',
    "dilation_rate": "the distance between the elements of the window.",
    "pool_size": "the size of the window along each axis, or one integer.",
    "strides: Sizes | None": "the step of the window; None: ``pool_size``.",
    "output_size": "the sizes of the result along the spatial axes, or one integer.",
    "block_size": "b, the size of a block.",
    "kernel_size": "(h, w), the size of the window, or one integer.",
    "dilation": "the distance between the elements of the window.",
    "padding: Sizes": "how many zeros are put around the images.",
    "stride": "the step of the window.",
    "x": "images (B, H, W, C).",
    "data_format: str": '"channels_last" or "channels_first".',
}


@operation()
def conv(
    inputs: TensorLike, kernel: TensorLike, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Return the cross-correlation: (B, …spatial, C), kernel (…window, C / groups, O) -> (B, …positions, O).

    >>> import torch
    >>> conv(torch.ones(1, 4, 1), torch.ones(2, 1, 3)).shape
    torch.Size([1, 3, 3])
    """
    x, kernel, spatial, layout = _prepared(inputs, kernel, padding, data_format)
    channels, taken = _channels(x, layout), shape(kernel)[-2]
    if channels is not None and taken is not None and channels % taken:
        raise _misfit(x, kernel, layout, f"the kernel takes {taken} channels, or a divisor of what comes")
    groups = 1 if channels is None or taken is None else channels // taken
    return _convolved(x, _turned(kernel, spatial), strides, padding, layout, dilation_rate, groups)


@operation()
def depthwise_conv(
    inputs: TensorLike, kernel: TensorLike, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Return each channel convolved with its own filters: kernel (…window, C, M) -> (B, …positions, C · M).

    >>> import torch
    >>> depthwise_conv(torch.ones(1, 4, 2), torch.ones(2, 2, 3)).shape
    torch.Size([1, 3, 6])
    """
    x, kernel, _, layout = _prepared(inputs, kernel, padding, data_format)
    return _depthwise(x, kernel, strides, padding, layout, dilation_rate)


@operation()
def separable_conv(
    inputs: TensorLike, depthwise_kernel: TensorLike, pointwise_kernel: TensorLike, strides: Sizes = 1,
    padding: str = "valid", data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Return a depthwise convolution followed by a pointwise one (Chollet 2017).

    Args:
        depthwise_kernel: the kernel of each channel (…window, C, M).
        pointwise_kernel: the kernel that mixes channels (1, …, C · M, O).

    >>> import torch
    >>> separable_conv(torch.ones(1, 4, 2), torch.ones(2, 2, 3), torch.ones(1, 6, 5)).shape
    torch.Size([1, 3, 5])
    """
    x, kernel, spatial, layout = _prepared(inputs, depthwise_kernel, padding, data_format)
    x = _depthwise(x, kernel, strides, padding, layout, dilation_rate)
    return _convolved(x, _turned(floats(pointwise_kernel), spatial), 1, "valid", layout, 1, 1)


@operation()
def conv_transpose(
    inputs: TensorLike, kernel: TensorLike, strides: Sizes = 1, padding: str = "valid", output_padding: Sizes | None = None,
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Return the transposed convolution: (B, …spatial, C), kernel (…window, O, C) -> (B, …longer, O).

    Args:
        output_padding: how many positions are added at the end; None: as many as the padding asks for.

    >>> import torch
    >>> conv_transpose(torch.ones(1, 4, 1), torch.ones(2, 3, 1), strides=2).shape
    torch.Size([1, 8, 3])
    """
    x, kernel, spatial, layout = _prepared(inputs, kernel, padding, data_format)
    channels, taken = _channels(x, layout), shape(kernel)[-1]
    if None not in (channels, taken) and channels != taken:
        raise _misfit(x, kernel, layout, f"{taken} channels, the last axis of the kernel")
    steps, gaps = per_axis(strides, spatial, "strides"), per_axis(dilation_rate, spatial, "dilation_rate")
    extras = (None,) * spatial if output_padding is None else per_axis(output_padding, spatial, "output_padding", least=0)
    window = [int(size) for size in shape(kernel)[:spatial] if size]
    reach = [(size - 1) * gap + 1 for size, gap in zip(window, gaps, strict=True)]
    crops = tuple(_crop(padding, *axis) for axis in zip(reach, steps, extras, strict=True))
    return kernels.conv_transpose(
        x, _turned(kernel, spatial), None, strides=steps, reach=reach, crops=crops, data_format=layout, dilation_rate=gaps
    )


def _crop(padding: str, reach: int, stride: int, extra: int | None) -> tuple[int, int]:
    """Return what is taken off both ends of the whole result, (length - 1) · stride + reach; below 0 it is lengthened."""
    if padding == "valid":
        return 0, -(max(stride - reach, 0) if extra is None else extra)
    total = reach - stride if extra is None else reach - reach % 2 - extra
    before = max(total // 2, 0)
    return before, total - before


def _prepared(inputs: TensorLike, kernel: TensorLike, padding: str, data_format: str | None) -> tuple[Tensor, Tensor, int, str]:
    layout = config.check_data_format(data_format)
    one_of("padding", padding, ("valid", "same"))
    x, kernel = float_pair(inputs, kernel)
    axes = "(batch, …spatial, channels)" if layout == "channels_last" else "(batch, channels, …spatial)"
    spatial = check_rank(x, (3, 4, 5), axes, "inputs") - 2
    if rank(kernel) != spatial + 2:
        raise ShapeError(
            "The kernel does not fit the inputs' number of axes.",
            expected=f"{spatial} of the window, channels in, channels out", got=f"inputs {shape(x)}, kernel {shape(kernel)}",
        )  # fmt: skip
    return x, kernel, spatial, layout


def _channels(x: Tensor, layout: str) -> int | None:
    return shape(x)[-1 if layout == "channels_last" else 1]


def _misfit(x: Tensor, kernel: Tensor, layout: str, expected: str) -> ShapeError:
    return ShapeError(
        "The channels of inputs and kernel do not fit.",
        expected=expected, got=f"{_channels(x, layout)} channels: inputs {shape(x)} ({layout}), kernel {shape(kernel)}",
    )  # fmt: skip


def _turned(kernel: Tensor, spatial: int) -> Tensor:
    """View Keras's (…window, I, O) as torch's (O, I, …window); also (…window, O, I) as (I, O, …window)."""
    return kernel.permute(spatial + 1, spatial, *range(spatial))


def _depthwise(x: Tensor, kernel: Tensor, strides: Sizes, padding: str, layout: str, dilation: Sizes) -> Tensor:
    spatial = rank(kernel) - 2
    *window, channels, _ = shape(kernel)
    if _channels(x, layout) not in (channels, None):
        raise _misfit(x, kernel, layout, f"{channels} channels, the axis before the last of the kernel")
    filters = kernel.permute(spatial, spatial + 1, *range(spatial)).reshape(-1, 1, *window)  # type: ignore[arg-type]  # a kernel has no unknown size
    return _convolved(x, filters, strides, padding, layout, dilation, channels or 1)


def _convolved(x: Tensor, kernel: Tensor, strides: Sizes, padding: str, layout: str, dilation: Sizes, groups: int) -> Tensor:
    spatial = rank(kernel) - 2  # the rank of a value between two convolutions is not known while a model is traced
    window = tuple(size or 1 for size in shape(kernel)[2:])
    steps, gaps = per_axis(strides, spatial, "strides"), per_axis(dilation, spatial, "dilation_rate")
    return kernels.convolve(x, kernel, None, window, steps, padding, layout, gaps, groups)


# Pooling


@operation()
def max_pool(
    inputs: TensorLike, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the maximum of each window: (B, …spatial, C) -> (B, …positions, C).

    >>> max_pool([[[1.0], [3.0], [2.0], [0.0]]], 2)
    tensor([[[3.],
             [2.]]])
    """
    return _pooled("max", inputs, pool_size, strides, padding, data_format)


@operation()
def average_pool(
    inputs: TensorLike, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the mean of each window, without the padding: (B, …spatial, C) -> (B, …positions, C).

    >>> average_pool([[[1.0], [3.0], [2.0], [0.0]]], 2)
    tensor([[[2.],
             [1.]]])
    """
    return _pooled("mean", inputs, pool_size, strides, padding, data_format)


def _pooled(
    mode: str, inputs: TensorLike, pool_size: Sizes, strides: Sizes | None, padding: str, data_format: str | None
) -> Tensor:
    layout = config.check_data_format(data_format)
    one_of("padding", padding, ("valid", "same"))
    x = floats(inputs)
    spatial = check_rank(x, (3, 4, 5), "batch, spatial axes and channels", "inputs") - 2
    window = per_axis(pool_size, spatial, "pool_size")
    steps = window if strides is None else per_axis(strides, spatial, "strides")
    lengths = shape(x)[1:-1] if layout == "channels_last" else shape(x)[2:]
    if padding == "valid" and any(length is not None and length < size for length, size in zip(lengths, window, strict=True)):
        raise ShapeError(
            "The window is larger than what it slides over.",
            expected=f"at least {window}",
            got=f"{lengths}",
            repair="a smaller pool_size, or padding='same'",
        )
    return kernels.pool(x, mode, window, steps, padding, layout)


@operation()
def adaptive_average_pool(inputs: TensorLike, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return means over windows chosen so that ``output_size`` positions result: (B, …output_size, C).

    Args:
        output_size: the sizes of the result; None keeps one.

    >>> adaptive_average_pool([[[1.0], [3.0], [2.0], [0.0]]], 2)
    tensor([[[2.],
             [1.]]])
    """
    kinds = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
    return _adaptive(kinds, inputs, output_size, data_format)


@operation()
def adaptive_max_pool(inputs: TensorLike, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return maxima over windows chosen so that ``output_size`` positions result: (B, …output_size, C).

    Args:
        output_size: the sizes of the result.

    >>> adaptive_max_pool([[[1.0], [3.0], [2.0], [0.0]]], 2)
    tensor([[[3.],
             [2.]]])
    """
    kinds = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
    return _adaptive(kinds, inputs, output_size, data_format)


def _adaptive(
    kinds: Mapping[int, Callable[..., Tensor]], inputs: TensorLike, output_size: Sizes, data_format: str | None
) -> Tensor:
    layout = config.check_data_format(data_format)
    x = floats(inputs)
    spatial = check_rank(x, (3, 4, 5), "batch, spatial axes and channels", "inputs") - 2
    x = x if layout == "channels_first" else torch.movedim(x, -1, 1)
    found = kinds[spatial](x, per_axis(output_size, spatial, "output_size"))
    return found if layout == "channels_first" else torch.movedim(found, 1, -1)


# Blocks


@operation()
def space_to_depth(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Return the positions of each block as channels: (B, H, W, C) -> (B, H / b, W / b, C · b²).

    >>> import torch
    >>> space_to_depth(torch.ones(1, 4, 4, 1), 2).shape
    torch.Size([1, 2, 2, 4])
    """
    x, (batch, height, width, channels) = _image(x, data_format)
    rows, columns = height // block_size, width // block_size
    order = (0, 1, 3, 2, 4, 5) if data_format == "channels_last" else (0, 1, 3, 5, 2, 4)  # Keras's: there the channels lead
    x = x.reshape(batch, rows, block_size, columns, block_size, channels).permute(order)
    return _as_format(x.reshape(batch, rows, columns, channels * block_size**2), data_format)


@operation()
def depth_to_space(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Return channels as the positions of blocks: (B, H, W, C) -> (B, H · b, W · b, C / b²).

    >>> import torch
    >>> depth_to_space(torch.ones(1, 2, 2, 4), 2).shape
    torch.Size([1, 4, 4, 1])
    """
    x, (batch, height, width, channels) = _image(x, data_format)
    depth = channels // block_size**2
    if data_format == "channels_last":
        x = x.reshape(batch, height, width, block_size, block_size, depth).permute(0, 1, 3, 2, 4, 5)
    else:
        x = x.reshape(batch, height, width, depth, block_size, block_size).permute(0, 1, 4, 2, 5, 3)
    return _as_format(x.reshape(batch, height * block_size, width * block_size, depth), data_format)


def _image(x: TensorLike, data_format: str) -> tuple[Tensor, tuple[int, ...]]:
    x = tensor(x)
    check_rank(x, (4,), "(batch, height, width, channels)")
    known = sizes(x)
    if config.check_data_format(data_format) == "channels_last":
        return x, known
    return x.permute(0, 2, 3, 1), (known[0], known[2], known[3], known[1])


def _as_format(x: Tensor, data_format: str) -> Tensor:
    return x if data_format == "channels_last" else x.permute(0, 3, 1, 2)


@operation()
def unfold(x: TensorLike, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Return the windows over images as columns: (B, C, H, W) -> (B, C · h · w, positions).

    Args:
        x: images (B, C, H, W), channels first.

    >>> unfold([[[[1, 2], [3, 4]]]], (1, 2))
    tensor([[[1, 3],
             [2, 4]]], dtype=torch.int32)
    """
    check_rank(tensor(x), (4,), "(B, C, H, W)")
    return _folded(F.unfold, x, padding, stride, kernel_size, dilation)


@operation(rules.folded)
def fold(
    x: TensorLike, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """Return images in which columns are added at the positions of their windows: (B, C · h · w, positions) -> (B, C, H, W).

    Args:
        x: the columns, as ``unfold`` returns them.
        output_size: (H, W), the size of the images.

    >>> fold([[[1, 3], [2, 4]]], (2, 2), (1, 2))
    tensor([[[[1, 2],
              [3, 4]]]], dtype=torch.int32)
    """
    check_rank(tensor(x), (3,), "(B, C · h · w, positions)")
    return _folded(F.fold, x, padding, stride, output_size, kernel_size, dilation)


def _folded(function: Callable[..., Tensor], x: TensorLike, padding: Sizes, stride: Sizes, *given: Sizes) -> Tensor:
    """Return what a function of torch's over the windows of images gives, of integers as well."""
    x, kind = tensor(x), dtype(tensor(x))
    made = [per_axis(each, 2, "a size") for each in given]
    found = function(
        x if is_float(kind) else x.to(torch.float64),
        *made,
        per_axis(padding, 2, "padding", least=0),
        per_axis(stride, 2, "stride"),
    )
    return found if is_float(kind) else found.to(torch_dtype(kind))

"""Filters over images: blurring, edges, and how alike two images are."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch import config
from anabranch._arguments import NotNegative, Positive, Several
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph.shapes import per_axis
from anabranch.ops._images import ARGUMENTS, as_batch, as_kind
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import dtype, float_pair, floats, rank, shape, tensor

ARGUMENTS = {**ARGUMENTS}


@operation()
def gaussian_blur(
    images: TensorLike, kernel_size: Sizes = (3, 3), sigma: Positive | Sequence[Positive] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return images blurred by a Gaussian, with zeros beyond the border; integers are rounded.

    Args:
        kernel_size: how many columns and rows the Gaussian covers.
        sigma: its standard deviations along columns and rows, in pixels.

    >>> import torch
    >>> gaussian_blur(torch.ones(1, 3, 3, 1))[0, 1, 1]
    tensor([1.])
    """
    layout = config.check_data_format(data_format)
    columns, rows = per_axis(kernel_size, 2, "kernel_size")
    spread = tuple(sigma) if isinstance(sigma, (list, tuple)) else (sigma, sigma)
    if len(spread) != 2:
        raise ArgumentError("There are two standard deviations.", expected="(along columns, along rows)", got=repr(sigma))
    x = tensor(images)
    kind = dtype(x)
    x, alone = as_batch(floats(x))
    across, down = kernels.gaussian(x, columns, spread[0]), kernels.gaussian(x, rows, spread[1])
    x = kernels.filtered(x, across, down, layout)
    return as_kind(torch.squeeze(x, 0) if alone else x, kind)


@operation()
def sobel_edges(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return how fast images change down and across, by Sobel's filters: (B, H, W, C) -> (B, H, W, C, 2).

    >>> import torch
    >>> sobel_edges(torch.arange(9.0).reshape(1, 3, 3, 1))[0, 1, 1]
    tensor([[24.,  8.]])
    """
    layout = config.check_data_format(data_format)
    x = tensor(images)
    kind = dtype(x)
    if rank(x) != 4:
        raise ShapeError("Expected a 4-D input.", expected="(batch, height, width, channels)", got=str(shape(x)))
    x = floats(x)
    smooth, slope = kernels.weights_like(x, (1.0, 2.0, 1.0)), kernels.weights_like(x, (-1.0, 0.0, 1.0))
    edges = torch.stack((kernels.filtered(x, smooth, slope, layout), kernels.filtered(x, slope, smooth, layout)), -1)
    return as_kind(edges, kind)


@operation()
def ssim(
    image1: TensorLike, image2: TensorLike, max_val: Positive = 1.0, filter_size: Several = 11, filter_sigma: Positive = 1.5,
    k1: NotNegative = 0.01, k2: NotNegative = 0.03, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the structural similarity of pairs of images, 1 for equal ones (Wang et al. 2004, §III): (B, H, W, C) -> (B,).

    Args:
        image1: images (B, H, W, C) or (H, W, C).
        image2: images of the same shape.
        max_val: the range of values.
        filter_size: the size of the Gaussian window.
        filter_sigma: its standard deviation.
        k1: steadies the quotient of luminances.
        k2: steadies the quotient of contrasts.

    >>> import torch
    >>> ssim(torch.ones(2, 16, 16, 3), torch.ones(2, 16, 16, 3))
    tensor([1., 1.])
    """
    layout = config.check_data_format(data_format)
    x, y = tensor(image1), tensor(image2)
    kind = dtype(x)
    (a, alone), (b, _) = (as_batch(image, name) for image, name in zip(float_pair(x, y), ("image1", "image2"), strict=True))
    height, width = shape(a)[1:3] if layout == "channels_last" else shape(a)[2:]
    if any(size is not None and size < filter_size for size in (height, width)):
        raise ShapeError(
            "The images are smaller than the window.", expected=f"at least {filter_size} x {filter_size}", got=str(shape(x)),
            repair="a smaller filter_size",
        )  # fmt: skip
    window = kernels.gaussian(a, filter_size, filter_sigma)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2

    def mean(values: Tensor) -> Tensor:
        return kernels.filtered(values, window, window, layout, padded=False)

    mean1, mean2 = mean(a), mean(b)
    variance1, variance2 = mean(a * a) - mean1 * mean1, mean(b * b) - mean2 * mean2
    covariance = mean(a * b) - mean1 * mean2
    likeness = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean1 * mean1 + mean2 * mean2 + c1) * (variance1 + variance2 + c2))
    found = likeness.mean((1, 2, 3))
    return as_kind(torch.squeeze(found, 0) if alone else found, kind)

"""Filters of images that act along columns, then along rows; windows of images as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.convolution import channels_back, channels_front, flat_pads, same_pads
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create, sizes


def weights_like(x: Tensor, weights: Sequence[float]) -> Tensor:
    """Return weights in the dtype and on the device of ``x``."""
    return create(torch.tensor, list(weights), dtype=x.dtype, device=x.device)


def gaussian(x: Tensor, size: int, sigma: float | Tensor) -> Tensor:
    """Return ``size`` weights of a Gaussian, which sum to 1, in the dtype and on the device of ``x``."""
    place = create(torch.arange, size, dtype=x.dtype, device=x.device) - (size - 1) / 2
    weights = (-0.5 * (place / sigma) ** 2).exp()
    return weights / weights.sum()


def filtered(x: Tensor, across: Tensor, down: Tensor, data_format: str, *, padded: bool = True) -> Tensor:
    """Return each channel of images filtered by weights along columns and along rows, with zeros beyond the border."""
    images = channels_front(x, 2, data_format)
    batch, channels, *_ = sizes(images, 4)
    planes = images.flatten(0, 1).unsqueeze(1)
    for weights, (rows, columns) in ((across, (0, 1)), (down, (1, 0))):
        kernel = weights.reshape((1, 1, -1, 1) if rows else (1, 1, 1, -1))
        length = sizes(weights, 1)[0]
        total = length - 1 if padded else 0
        if padded:
            before, after = total // 2, total - total // 2
            planes = F.pad(planes, (before * columns, after * columns, before * rows, after * rows))
        planes = F.conv2d(planes, kernel)
    images = planes.squeeze(1).unflatten(0, (batch, channels))  # type: ignore[no-untyped-call]  # untyped in torch
    return channels_back(images, 2, data_format)


def blurred(x: Tensor, size: tuple[int, int], sigma: Tensor) -> Tensor:
    """Return images (B, H, W, C) blurred by Gaussians that cover ``size`` columns and rows, with zeros beyond the border.

    ``sigma``: the standard deviations along columns and rows, of each image (B, 2), or of all (2,).
    """
    for axis, length in enumerate(size):
        place = create(torch.arange, length, dtype=x.dtype, device=x.device) - (length - 1) / 2
        weights = (-0.5 * (place / sigma[..., axis].to(x.dtype).reshape(-1, 1)) ** 2).exp()
        weights = (weights / weights.sum(1, keepdim=True)).reshape(-1, 1, 1, 1, length)
        before, after = (length - 1) // 2, length // 2
        padded = F.pad(x, (0, 0, *((before, after, 0, 0) if axis == 0 else (0, 0, before, after))))
        x = (padded.unfold(2 - axis, length, 1) * weights).sum(-1)
    return x


def patches(
    x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, data_format: str
) -> Tensor:
    """Return windows as vectors (…window, C): (B, …spatial, C) -> (B, …positions, window · C), or channels first."""
    rank, last = len(window), data_format == "channels_last"
    if padding == "same":
        pads = flat_pads(same_pads(channels_front(x, rank, data_format), window, strides, dilation))
        x = F.pad(x, [0, 0, *pads] if last else pads)
    for axis, (length, stride, gap) in enumerate(zip(window, strides, dilation, strict=True), 1 if last else 2):
        x = x.unfold(axis, (length - 1) * gap + 1, stride)
        x = x[..., ::gap] if gap > 1 else x
    inner = range(rank + 2, 2 * rank + 2)
    if last:
        return x.permute(0, *range(1, rank + 1), *inner, rank + 1).flatten(rank + 1)
    return x.permute(0, *inner, 1, *range(2, rank + 2)).flatten(1, rank + 1)

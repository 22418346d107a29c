"""Colors of images (B, H, W, C) adjusted by factors of each image."""

from __future__ import annotations

from anabranch.ops._types import Tensor

Range = tuple[float, float]


def contrasted(x: Tensor, factor: Tensor, values: Range) -> Tensor:
    """Return each image's distance from its channels' means scaled by a factor, cut to ``values``."""
    mean = x.mean((1, 2), keepdim=True)
    return ((x - mean) * factor.to(x.dtype) + mean).clamp(*values)


def brightened(x: Tensor, by: Tensor, values: Range) -> Tensor:
    """Return images plus an amount of each, cut to ``values``."""
    return (x + by.to(x.dtype)).clamp(*values)

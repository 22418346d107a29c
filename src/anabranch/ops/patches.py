"""Windows of images and volumes, as vectors."""

from __future__ import annotations

from anabranch import config
from anabranch._errors import ArgumentError
from anabranch.graph.shapes import per_axis
from anabranch.ops._images import ARGUMENTS
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import check_rank, one_of, tensor

ARGUMENTS = {
    **ARGUMENTS,
    "strides": "the step from patch to patch; None: ``size``.",
    "dilation_rate": "the distance between the elements of a patch.",
    "padding": '"valid": none; "same": zeros, so that ceil(length / stride) patches result.',
}


@operation()
def extract_patches(
    images: TensorLike, size: Sizes, strides: Sizes | None = None, dilation_rate: Sizes = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return patches of images as vectors: (B, H, W, C) -> (B, rows, columns, h · w · C); of volumes where ``size`` has three.

    Args:
        size: the patches' (h, w), or (d, h, w), or one integer for h and w.

    >>> import torch
    >>> extract_patches(torch.ones(1, 8, 8, 3), 4).shape
    torch.Size([1, 2, 2, 48])
    """
    if isinstance(size, (list, tuple)) and len(size) not in (2, 3):
        raise ArgumentError("A patch has two or three sizes.", expected="(h, w) or (d, h, w)", got=repr(size))
    spatial = len(size) if isinstance(size, (list, tuple)) else 2
    return _patches(images, size, strides, dilation_rate, padding, data_format, spatial, "images")


@operation()
def extract_patches_3d(
    volumes: TensorLike, size: Sizes, strides: Sizes | None = None, dilation_rate: Sizes = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return patches of volumes as vectors: (B, D, H, W, C) -> (B, depths, rows, columns, d · h · w · C).

    Args:
        volumes: volumes (B, D, H, W, C) or (D, H, W, C).
        size: the patches' (d, h, w), or one integer for all three.

    >>> import torch
    >>> extract_patches_3d(torch.ones(1, 4, 8, 8, 1), (2, 4, 4)).shape
    torch.Size([1, 2, 2, 2, 32])
    """
    return _patches(volumes, size, strides, dilation_rate, padding, data_format, 3, "volumes")


def _patches(
    images: TensorLike, size: Sizes, strides: Sizes | None, dilation: Sizes, padding: str, data_format: str | None,
    spatial: int, name: str,
) -> Tensor:  # fmt: skip
    layout = config.check_data_format(data_format)
    one_of("padding", padding, ("valid", "same"))
    window = per_axis(size, spatial, "size")
    steps = per_axis(strides or window, spatial, "strides")
    gaps = per_axis(dilation, spatial, "dilation_rate")
    x = tensor(images)
    alone = check_rank(x, (spatial + 1, spatial + 2), "(batch, …spatial, channels)", name) == spatial + 1
    found = kernels.patches(torch.unsqueeze(x, 0) if alone else x, window, steps, gaps, padding, layout)
    return torch.squeeze(found, 0) if alone else found

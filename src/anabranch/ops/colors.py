"""Colours of images (B, H, W, 3) or (H, W, 3): grey, and hue, saturation, value."""

from __future__ import annotations

from anabranch import config, runtime
from anabranch._errors import DtypeError
from anabranch.ops._images import ARGUMENTS, channel_axis
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import dtype, floats, shape, tensor, torch_dtype

ARGUMENTS = {**ARGUMENTS, "images": "images (B, H, W, 3) or (H, W, 3)."}


@operation()
def rgb_to_grayscale(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return 0.2989 · R + 0.587 · G + 0.114 · B as one channel, (…, H, W, 3) -> (…, H, W, 1); of one channel, that one.

    >>> import torch
    >>> rgb_to_grayscale(torch.ones(1, 2, 2, 3)).shape
    torch.Size([1, 2, 2, 1])
    """
    layout = config.check_data_format(data_format)
    x = tensor(images)
    axis = channel_axis(x, layout, 3, 1)
    if shape(x)[axis] == 1:
        return x
    kind = dtype(x)
    grey = kernels.grey(floats(x), axis)
    return grey if "float" in kind else grey.to(runtime.dtype_of(kind))


@operation()
def rgb_to_hsv(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return hue, saturation and value, all in [0, 1], of red, green and blue in [0, 1].

    >>> rgb_to_hsv([[[1.0, 0.5, 0.5]]])
    tensor([[[0.0000, 0.5000, 1.0000]]])
    """
    x, axis = _colors(images, data_format)
    return kernels.rgb_to_hsv(x, axis, torch.finfo(torch_dtype(dtype(x))).eps)


@operation()
def hsv_to_rgb(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return red, green and blue in [0, 1] of hue, saturation and value; hues beyond [0, 1] go round.

    >>> hsv_to_rgb([[[0.0, 0.5, 1.0]]])
    tensor([[[1.0000, 0.5000, 0.5000]]])
    """
    x, axis = _colors(images, data_format)
    return kernels.hsv_to_rgb(x, axis)


def _colors(images: TensorLike, data_format: str | None) -> tuple[Tensor, int]:
    """Return images, which are floats, and the axis of their channels."""
    x = tensor(images)
    if "float" not in dtype(x):
        raise DtypeError("These colours are floats in [0, 1].", got=dtype(x), repair='ops.cast(images, "float32") / 255')
    return x, channel_axis(x, config.check_data_format(data_format), 3)

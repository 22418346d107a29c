"""Images cut to the ratio of another size, then resized to it."""

from __future__ import annotations

import numpy as np
import torch

from anabranch import ops
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError


@checked
def smart_resize(
    x: np.ndarray | torch.Tensor,  # type: ignore[type-arg]  # of any type
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
) -> np.ndarray | torch.Tensor:  # type: ignore[type-arg]
    """Return images resized without distortion: the largest part in the middle that has the new ratio, resized.

    Args:
        x: an image (H, W, C), or images (B, H, W, C).
        size: the new (height, width).
        interpolation: as in ``ops.image.resize``.
        data_format: ``"channels_last"``, or ``"channels_first"``: (C, H, W) or (B, C, H, W).

    Returns:
        An array where x is one, else a tensor.

    Example:
        >>> import numpy as np
        >>> smart_resize(np.ones((34, 50, 3)), (20, 20)).shape
        (20, 20, 3)
    """
    if len(size) != 2:
        raise ArgumentError("size must be (height, width).", got=shown(size))
    resized: torch.Tensor = ops.image.resize(
        x, size, interpolation=interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return resized.numpy(force=True) if isinstance(x, np.ndarray) else resized

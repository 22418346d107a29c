"""What the functions of images share: batches of one, results in the dtype that came, which axis is that of the channels."""

from __future__ import annotations

from anabranch._errors import ShapeError
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor
from anabranch.ops._values import check_rank, inferred_dtype, shape, torch_dtype

ARGUMENTS = {
    "images": "images (B, H, W, C) or (H, W, C).",
    "interpolation": '"bilinear" or "nearest": how values between pixels are read.',
    "fill_mode": 'what is beyond the border: ``fill_value`` ("constant"), the nearest pixel ("nearest"), the image repeated '
    '("wrap"), mirrored at the border ("reflect": d c b a | a b c d) or at the last pixel ("mirror": d c b | a b c d).',
    "fill_value": 'the value beyond the border, for "constant".',
}


def as_batch(images: Tensor, name: str = "images") -> tuple[Tensor, bool]:
    """Return images as a batch, and whether it is of a single image that came without one."""
    alone = check_rank(images, (3, 4), "(batch, height, width, channels)", name) == 3
    return (torch.unsqueeze(images, 0) if alone else images), alone


def as_kind(x: Tensor, kind: str) -> Tensor:
    """Return numbers in the dtype that came: rounded, and those of few bits cut to their range, where it is one of integers."""
    if inferred_dtype(x) == kind:
        return x
    wanted = torch_dtype(kind)
    if "float" in kind:
        return x.to(wanted)
    x = torch.round(x)
    if kind == "bool":
        return x != 0
    limits = torch.iinfo(wanted)
    return (torch.clamp(x, limits.min, limits.max) if limits.bits <= 16 else x).to(wanted)


def channel_axis(images: Tensor, layout: str, *counts: int) -> int:
    """Return the axis of the channels of images with or without a batch; raise where there are none of ``counts``."""
    axis = check_rank(images, (3, 4), "(batch, height, width, channels)", "images") - (1 if layout == "channels_last" else 3)
    found = shape(images)[axis]
    if found is not None and found not in counts:
        wanted = " or ".join(map(str, counts))
        raise ShapeError(
            "Colours have three channels.", expected=f"{wanted} along axis {axis} ({layout})", got=str(shape(images))
        )
    return axis

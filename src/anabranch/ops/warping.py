"""Images read at other positions: affine and perspective maps, elastic distortion, scaling by weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch import config, runtime
from anabranch._arguments import Finite, Positive
from anabranch._errors import ShapeError
from anabranch.ops._images import ARGUMENTS, as_batch, as_kind
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import check_rank, common, dtype, floats, number_of, one_axis, one_of, rank, shape, sizes, tensor

if TYPE_CHECKING:
    from anabranch.ops._kernels import Sampling

ARGUMENTS = {**ARGUMENTS}
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), "linear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "cubic"),
    "lanczos3": "lanczos3", "lanczos5": "lanczos5",
}  # fmt: skip


@operation()
def map_coordinates(
    inputs: TensorLike, coordinates: TensorLike | Sequence[TensorLike], order: int, fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:  # fmt: skip
    """Return values of an array at fractional positions: (n₁, …, nₖ) at (k, …) -> (…).

    Args:
        inputs: the array, of any number of dimensions k.
        coordinates: the positions along each axis, (k, …).
        order: 0 reads the nearest element, 1 interpolates linearly.

    >>> map_coordinates([[0.0, 1.0], [2.0, 3.0]], [[0.5, 1.0], [0.5, 0.0]], 1)
    tensor([1.5000, 2.0000])
    """
    one_of("order", order, (0, 1))
    one_of("fill_mode", fill_mode, FILL_MODES)
    x, places = tensor(inputs), floats(coordinates)  # type: ignore[arg-type]  # a sequence of them is stacked
    kind, axes = dtype(x), rank(x)
    if rank(places) < 2 or shape(places)[0] not in (axes, None):
        raise ShapeError(
            "There is a row of coordinates for each axis of the inputs.", expected=f"({axes}, …), of 2 dimensions or more",
            got=f"coordinates {shape(places)} for inputs {shape(x)}",
        )  # fmt: skip
    fill = fill_value if "float" in kind else int(fill_value)
    rows = [places[axis] for axis in range(axes)]
    return as_kind(kernels.read_at(x, rows, sizes(x), order, fill_mode, fill), kind)


@operation()
def affine_transform(
    images: TensorLike, transform: TensorLike, interpolation: str = "bilinear", fill_mode: str = "constant",
    fill_value: float = 0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return images read at (a₀x + a₁y + a₂, b₀x + b₁y + b₂) / (c₀x + c₁y + 1) for each pixel (x, y); integers are rounded.

    Args:
        transform: a₀, a₁, a₂, b₀, b₁, b₂, c₀, c₁: one row of 8 for all images, or (B, 8).

    >>> import torch
    >>> affine_transform(torch.arange(3.0).reshape(1, 1, 3, 1), [1.0, 0, 1, 0, 1, 0, 0, 0]).flatten()
    tensor([1., 2., 0.])
    """
    layout = config.check_data_format(data_format)
    one_of("interpolation", interpolation, ("bilinear", "nearest"))
    one_of("fill_mode", fill_mode, FILL_MODES)
    given = tensor(transform)
    single = check_rank(given, (1, 2), "8, or (batch, 8)", "transform") == 1
    if shape(given)[-1] not in (8, None):
        raise ShapeError("A transform has 8 numbers.", expected="(8,) or (batch, 8)", got=str(shape(given)))
    maps = floats(torch.unsqueeze(given, 0) if single else given)
    x, kind, alone = _prepared(images, layout)
    x = kernels.projected(x, _wide(maps), _how(interpolation, fill_mode, fill_value, kind), sizes(x))
    return _returned(x, kind, alone, layout)


@operation()
def perspective_transform(
    images: TensorLike, start_points: TensorLike, end_points: TensorLike, interpolation: str = "bilinear",
    fill_value: float = 0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return images in whose perspective four points have moved; integers are rounded.

    Args:
        start_points: (x, y) of the points before, (4, 2), or (B, 4, 2).
        end_points: where each of them is afterwards, of the same shape.
        fill_value: the value beyond the border.

    >>> import torch
    >>> corners = [[0.0, 0], [3, 0], [0, 3], [3, 3]]
    >>> perspective_transform(torch.ones(1, 4, 4, 3), corners, corners).shape
    torch.Size([1, 4, 4, 3])
    """
    layout = config.check_data_format(data_format)
    one_of("interpolation", interpolation, ("bilinear", "nearest"))
    start, end = common(floats(start_points), floats(end_points))
    for name, points in (("start_points", start), ("end_points", end)):
        if check_rank(points, (2, 3), "(batch, 4, 2)", name) and shape(points)[-2:] != (4, 2):
            raise ShapeError(f"{name} are four pairs.", expected="(4, 2) or (batch, 4, 2)", got=str(shape(points)))
    if rank(start) != rank(end):
        raise ShapeError("Each point starts and ends.", expected="one shape", got=f"{shape(start)} and {shape(end)}")
    if rank(start) == 2:
        start, end = torch.unsqueeze(start, 0), torch.unsqueeze(end, 0)
    x, kind, alone = _prepared(images, layout)
    maps = kernels.homography(_wide(start), _wide(end))
    x = kernels.projected(x, maps, _how(interpolation, "constant", fill_value, kind), sizes(x))
    return _returned(x, kind, alone, layout)


@operation()
def elastic_transform(
    images: TensorLike, alpha: Finite = 20.0, sigma: Positive = 5.0, interpolation: str = "bilinear",
    fill_mode: str = "reflect", fill_value: float = 0.0, seed: object = None, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return images whose pixels have moved by smooth random distances (Simard et al. 2003, §2); integers are rounded.

    Args:
        alpha: how far they move.
        sigma: how smooth the distances are: the standard deviation of the Gaussian that blurs them, in pixels.

    >>> import torch
    >>> elastic_transform(torch.ones(1, 8, 8, 3), seed=0).shape
    torch.Size([1, 8, 8, 3])
    """
    layout = config.check_data_format(data_format)
    one_of("interpolation", interpolation, ("bilinear", "nearest"))
    one_of("fill_mode", fill_mode, FILL_MODES)
    x, kind, alone = _prepared(images, layout)
    batch, height, width, _ = sizes(x)
    like = floats(x)
    noise = like.new_empty((batch, height, width, 2)).normal_(**runtime.drawn_from(seed, like))
    rows, columns = kernels.elastic(noise, alpha, sigma, (height, width))
    x = kernels.sampled(x, rows, columns, _how(interpolation, fill_mode, fill_value, kind), sizes(x))
    return _returned(x, kind, alone, layout)


@operation()
def scale_and_translate(
    images: TensorLike, output_shape: Sequence[int], scale: TensorLike, translation: TensorLike, spatial_dims: Sizes,
    method: str, antialias: bool = True,
) -> Tensor:  # fmt: skip
    """Return images scaled, then shifted, along some axes: position p of the result is read at (p - translation) / scale.

    Args:
        images: images of any number of dimensions.
        output_shape: the shape of the result.
        scale: the factor along each of ``spatial_dims``.
        translation: the shift along each of them, in pixels of the result.
        spatial_dims: the axes that are scaled.
        method: "linear", "cubic" (Keys), "lanczos3" or "lanczos5"; "bilinear", "trilinear", "bicubic" and "tricubic" as well.
        antialias: whether a pixel averages over all that it covers.

    >>> scale_and_translate([[0.0, 1.0]], (1, 4), [2.0], [0.0], (1,), "linear")
    tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    one_of("method", method, tuple(_METHODS))
    x = tensor(images)
    kind, axes = dtype(x), tuple(spatial_dims) if isinstance(spatial_dims, (list, tuple)) else (spatial_dims,)
    factors, shifts = _wide(floats(scale)), _wide(floats(translation))
    for name, given in (("scale", factors), ("translation", shifts)):
        if shape(given) not in ((len(axes),), (None,)):
            raise ShapeError(
                f"{name} has a number for each of spatial_dims.", expected=f"({len(axes)},)", got=str(shape(given))
            )
    found = floats(x)
    for place, axis in enumerate(axes):
        dim = one_axis(axis, rank(x), "spatial_dims")
        length = number_of("output_shape", output_shape[dim], least=0)
        weights = kernels.resampling(
            sizes(x)[dim], length, factors[place], shifts[place], _METHODS[method], antialias=antialias
        )
        found = torch.tensordot(found, weights.to(runtime.dtype_of(dtype(found))), dims=([dim], [0])).movedim(-1, dim)
    if "float" in kind:
        return found
    least, most = _bounds(floats(x))
    return as_kind(torch.minimum(torch.maximum(torch.round(found), least), most), kind)


def _bounds(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value, of none -∞ and ∞: a model does not know that a batch is empty."""
    values = x.flatten()
    inf = torch.full_like(values[:0].sum(), math.inf).reshape(1)
    least, most = torch.cat((values, inf)).min(), torch.cat((values, -inf)).max()  # ∞ and -∞ where there are no values
    return torch.minimum(least, most), torch.maximum(least, most)


def _prepared(images: TensorLike, layout: str) -> tuple[Tensor, str, bool]:
    """Return images as (B, H, W, C), their dtype, and whether it is one without a batch."""
    x = tensor(images)
    kind = dtype(x)
    x, alone = as_batch(x)
    return (x if layout == "channels_last" else x.permute(0, 2, 3, 1)), kind, alone


def _how(interpolation: str, fill_mode: str, fill_value: float, kind: str) -> Sampling:
    return kernels.Sampling(fill_mode, interpolation, fill_value if "float" in kind else int(fill_value), kind)


def _wide(x: Tensor) -> Tensor:
    """Return floats of 32 bits or more, as positions need the digits."""
    return x.float() if "16" in dtype(x) else x


def _returned(x: Tensor, kind: str, alone: bool, layout: str) -> Tensor:
    x = x if layout == "channels_last" else x.permute(0, 3, 1, 2)
    return as_kind(torch.squeeze(x, 0) if alone else x, kind)

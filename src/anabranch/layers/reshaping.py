"""Layers that move numbers and change none: flatten, reshape, permute, pad, crop, scale up."""

from __future__ import annotations

from typing import Any, ClassVar

from anabranch import config, runtime
from anabranch._errors import ArgumentError, ShapeError, unknown
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank, per_axis, product
from anabranch.layers.convolutional import AXES
from anabranch.layers.core import Keeping, whole
from anabranch.ops import _kernels as kernels


class Flatten(Keeping):
    """(B, …) -> (B, n), row by row; with channels first the channels are moved last before."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.check_data_format(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, a, b, …) -> (B, a · b · …)."""
        return (input_shape[0], product(input_shape[1:]))

    def call(self, inputs: Any) -> Any:
        """Flatten."""
        return kernels.flatten(inputs, self.data_format == "channels_first")


class Reshape(Keeping):
    """(B, …) -> (B, *target_shape); one -1 takes what is left."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape) if not isinstance(target_shape, int) else (target_shape,)
        whole_sizes = all(isinstance(size, int) and (size > 0 or size == -1) for size in self.target_shape)
        if not whole_sizes or self.target_shape.count(-1) > 1:
            raise ArgumentError("A target shape has positive sizes and at most one -1.", got=repr(target_shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …) -> (B, *target_shape)."""
        total, wanted = product(input_shape[1:]), product([size for size in self.target_shape if size != -1])
        free = -1 in self.target_shape
        if total is None or wanted is None:
            return (input_shape[0], *(None if size == -1 else size for size in self.target_shape))
        if (free and total % wanted) or (not free and total != wanted):
            last = self.target_shape[-1] if self.target_shape else 0
            raise ShapeError(
                f"{total} numbers do not fit into {self.target_shape}.",
                expected=f"a shape of {total} numbers", got=f"{input_shape} into {self.target_shape}",
                repair=f"Reshape((-1, {last}))(x) keeps all numbers" if last > 0 and total % last == 0 else None,
            )  # fmt: skip
        return (input_shape[0], *(total // wanted if size == -1 else size for size in self.target_shape))

    def call(self, inputs: Any) -> Any:
        """Reshape."""
        known = runtime.shape_of(inputs)
        wanted = self.target_shape if known is None else self.compute_output_shape(known)[1:]
        return kernels.reshape(inputs, tuple(None if size == -1 else size for size in wanted))


class Permute(Keeping):
    """The axes after the batch in another order, counted from 1: ``Permute((2, 1))`` swaps the first two."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError("dims names each axis after the batch once, from 1.", got=repr(dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sizes in their new order."""
        if len(input_shape) != len(self.dims) + 1:
            raise ShapeError(
                "dims names each axis after the batch.", expected=f"rank {len(self.dims) + 1}", got=str(input_shape)
            )
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def call(self, inputs: Any) -> Any:
        """Permute."""
        return kernels.permute(inputs, (0, *self.dims))


class RepeatVector(Keeping):
    """(B, C) -> (B, n, C)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = whole("n", n, self)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, C) -> (B, n, C)."""
        check_rank(input_shape, 2, "batch, features")
        return (input_shape[0], self.n, input_shape[1])

    def call(self, inputs: Any) -> Any:
        """Repeat."""
        return kernels.repeat_vector(inputs, self.n)


class Spatial(Keeping):
    """A layer that changes the lengths of ``rank`` spatial axes. Abstract: padding, cropping, scaling up."""

    rank: ClassVar[int]

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.check_data_format(data_format) if self.rank > 1 else "channels_last"

    def length(self, size: int, axis: int) -> int:
        """Return the length of a spatial axis afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must write length(size, axis)")

    @property
    def first(self) -> int:
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The spatial sizes change, batch and channels stay."""
        check_rank(input_shape, self.rank + 2, f"batch, {AXES[self.rank]}, channels")
        sizes = list(input_shape)
        for axis in range(self.rank):
            size = sizes[self.first + axis]
            sizes[self.first + axis] = None if size is None else self.length(size, axis)
        return tuple(sizes)


class ZeroPadding(Spatial):
    """Zeros before and after each spatial axis. Abstract."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = pairs(padding, self.rank, "padding")

    def length(self, size: int, axis: int) -> int:
        """Before + size + after."""
        return size + sum(self.padding[axis])

    def call(self, inputs: Any) -> Any:
        """Pad."""
        return kernels.pad_spatial(inputs, self.padding, self.first)


class ZeroPadding1D(ZeroPadding):
    """Zeros around steps: (B, T, C) -> (B, T', C)."""

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around images: (B, H, W, C) -> (B, H', W', C); ``padding`` is n, (h, w) or ((top, bottom), (left, right))."""

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes."""

    rank = 3


class Cropping(Spatial):
    """Positions taken off both ends of each spatial axis. Abstract."""

    def __init__(self, cropping: Any = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        none = (1, 1) if self.rank == 1 else ((0, 0),) * self.rank if self.rank == 2 else ((1, 1),) * 3
        self.cropping = pairs(none if cropping is None else cropping, self.rank, "cropping")

    def length(self, size: int, axis: int) -> int:
        """Size - before - after."""
        left = size - sum(self.cropping[axis])
        if left < 1:
            raise ShapeError(f"Nothing is left of {size} positions.", got=f"cropping={self.cropping}")
        return left

    def call(self, inputs: Any) -> Any:
        """Crop."""
        return kernels.crop_spatial(inputs, self.cropping, self.first)


class Cropping1D(Cropping):
    """Steps without their ends."""

    rank = 1


class Cropping2D(Cropping):
    """Images without their rims: ``cropping`` is n, (h, w) or ((top, bottom), (left, right))."""

    rank = 2


class Cropping3D(Cropping):
    """Volumes without their rims."""

    rank = 3


class UpSampling(Spatial):
    """Each position repeated, or positions between them interpolated. Abstract."""

    def __init__(self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size = per_axis(size, self.rank, "size")
        known = ("nearest", "bilinear", "bicubic") if self.rank == 2 else ("nearest",)
        if interpolation not in known:
            raise unknown("interpolation", str(interpolation), known)
        self.interpolation = interpolation

    def length(self, size: int, axis: int) -> int:
        """Size · times."""
        return size * self.size[axis]

    def call(self, inputs: Any) -> Any:
        """Scale up."""
        return kernels.upsample(inputs, self.size, self.interpolation, self.data_format)


class UpSampling1D(UpSampling):
    """Each step ``size`` times."""

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(size, **kwargs)


class UpSampling2D(UpSampling):
    """Images ``size`` times as high and wide, by ``nearest``, ``bilinear`` or ``bicubic`` interpolation."""

    rank = 2


class UpSampling3D(UpSampling):
    """Volumes ``size`` times as long in each direction."""

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)


def pairs(value: Any, rank: int, name: str) -> tuple[tuple[int, int], ...]:
    """Return Keras's forms (n, one per axis, or a pair per axis) as a pair for each spatial axis."""
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if rank == 1 and len(found) == 2 and all(isinstance(item, int) for item in found):
        found = (found,)
    if len(found) == rank:
        wide = tuple((item, item) if isinstance(item, int) else tuple(item) for item in found)
        if all(len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair) for pair in wide):
            return tuple((pair[0], pair[1]) for pair in wide)
    raise ArgumentError(
        f"{name} does not fit {rank} spatial axes.", expected="n, one per axis, or a pair per axis", got=repr(value)
    )

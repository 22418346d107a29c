"""Layers that change the lengths of spatial axes: padding, cropping, scaling up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from anabranch import runtime
from anabranch._errors import ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.core import Keeping
from anabranch.layers.windows import AXES, pairs
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

Pairs: TypeAlias = tuple[tuple[int, int], ...]
PairsField: TypeAlias = "fields.Field[int | Sequence[int] | Sequence[Sequence[int]] | None, Pairs]"


class Spatial(Keeping):
    """A layer that changes the lengths of ``rank`` spatial axes. Abstract: padding, cropping, scaling up."""

    _rule_checks_values_ = True

    rank: ClassVar[int]

    def layout(self) -> fields.DataFormat:
        """Return which axis is that of the channels."""
        return "channels_last"

    def length(self, size: int, axis: int) -> int:
        """Return the length of a spatial axis afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must write length(size, axis)")

    @property
    def first(self) -> int:
        """The first spatial axis."""
        return 1 if self.layout() == "channels_last" else 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with other spatial sizes; batch and channels stay."""
        check_rank(input_shape, self.rank + 2, f"batch, {AXES[self.rank]}, channels")
        lengths = list(input_shape)
        for axis in range(self.rank):
            size = lengths[self.first + axis]
            lengths[self.first + axis] = None if size is None else self.length(size, axis)
        return tuple(lengths)


def _pairs(value: object, owner: object, name: str) -> object:
    return pairs(value, owner.rank, name) if fields.has_rank(owner) else value


def _cropped(value: object, owner: Cropping | type[Cropping], name: str) -> object:
    return _pairs(owner.preset if value is None else value, owner, name)


def _plain_pairs(value: Pairs) -> list[int] | list[list[int]]:
    found = [list(pair) for pair in value]
    return found[0] if len(found) == 1 else found


class ZeroPadding(Spatial):
    """Zeros before and after each spatial axis. Abstract."""

    padding: PairsField = fields.field(
        default=1, convert=_pairs, plain=_plain_pairs, doc="zeros on each side: n, one n per axis, or (before, after) per axis."
    )
    data_format: fields.DataFormatField = fields.data_format(default=None)

    def layout(self) -> fields.DataFormat:
        """Return ``data_format``."""
        return self.data_format

    def length(self, size: int, axis: int) -> int:
        """Return before + size + after."""
        return size + sum(self.padding[axis])

    def call(self, inputs: Tensor) -> Tensor:
        """Pad."""
        return kernels.pad_spatial(inputs, self.padding, self.first)


class ZeroPadding1D(ZeroPadding):
    """Add steps of zeros at both ends: (B, T, C) -> (B, before + T + after, C).

    Example:
        >>> from anabranch import Input
        >>> ZeroPadding1D((1, 2))(Input((10, 4))).shape
        (None, 13, 4)
    """

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Add a border of zeros to images: (B, H, W, C) -> (B, top + H + bottom, left + W + right, C).

    Example:
        >>> from anabranch import Input
        >>> ZeroPadding2D(((1, 0), (2, 2)))(Input((8, 8, 3))).shape
        (None, 9, 12, 3)
    """

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Add a border of zeros to volumes: (B, D, H, W, C) -> (B, D', H', W', C).

    Example:
        >>> from anabranch import Input
        >>> ZeroPadding3D(1)(Input((8, 8, 8, 1))).shape
        (None, 10, 10, 10, 1)
    """

    rank = 3


class Cropping(Spatial):
    """Positions cut off both ends of each spatial axis. Abstract."""

    preset: ClassVar[int | tuple[int, int]] = 1  # what None means

    cropping: PairsField = fields.field(
        default=None, convert=_cropped, plain=_plain_pairs,
        doc="positions cut off each side: n, one n per axis, or (before, after) per axis; None: 1, for images 0.",
    )  # fmt: skip

    def length(self, size: int, axis: int) -> int:
        """Return size - before - after."""
        left = size - sum(self.cropping[axis])
        if left < 1:
            raise ShapeError(f"Nothing is left of {size} positions.", got=f"cropping={self.cropping}")
        return left

    def call(self, inputs: Tensor) -> Tensor:
        """Crop."""
        known = runtime.shape_of(inputs)
        if known is not None:
            self.compute_output_shape(known)
        return kernels.crop_spatial(inputs, self.cropping, self.first, known)


class CroppingImages(Cropping):
    """Cropping with a data format. Abstract."""

    data_format: fields.DataFormatField = fields.data_format(default=None)
    _field_order_ = ("cropping",)

    def layout(self) -> fields.DataFormat:
        """Return ``data_format``."""
        return self.data_format


class Cropping1D(Cropping):
    """Cut steps off both ends: (B, T, C) -> (B, T - before - after, C).

    Example:
        >>> from anabranch import Input
        >>> Cropping1D(2)(Input((10, 4))).shape
        (None, 6, 4)
    """

    rank = 1


class Cropping2D(CroppingImages):
    """Cut the border off images: (B, H, W, C) -> (B, H - top - bottom, W - left - right, C).

    Example:
        >>> from anabranch import Input
        >>> Cropping2D(((1, 0), (2, 2)))(Input((8, 8, 3))).shape
        (None, 7, 4, 3)
    """

    rank, preset = 2, 0


class Cropping3D(CroppingImages):
    """Cut the border off volumes: (B, D, H, W, C) -> (B, D', H', W', C).

    Example:
        >>> from anabranch import Input
        >>> Cropping3D(1)(Input((8, 8, 8, 1))).shape
        (None, 6, 6, 6, 1)
    """

    rank = 3


class UpSampling(Spatial):
    """Each position repeated, or positions between them interpolated. Abstract."""

    size: tuple[int, ...] = fields.state(init=False)

    def length(self, size: int, axis: int) -> int:
        """Return size · times."""
        return size * int(self.size[axis])

    def call(self, inputs: Tensor) -> Tensor:
        """Scale up."""
        return kernels.upsample(inputs, self.size, self.interpolated(), self.layout())

    def interpolated(self) -> str:
        """Return the kind of interpolation."""
        return "nearest"


SIZE_DOC = "how many times longer each spatial axis becomes."


class UpSampling1D(UpSampling):
    """Repeat each step: (B, T, C) -> (B, size · T, C).

    Example:
        >>> from anabranch import Input
        >>> UpSampling1D(3)(Input((10, 4))).shape
        (None, 30, 4)
    """

    rank = 1

    size: fields.SizesField = fields.sizes(default=2, single=True, doc=SIZE_DOC)


class UpSampling2D(UpSampling):
    """Enlarge images: (B, H, W, C) -> (B, size[0] · H, size[1] · W, C).

    Example:
        >>> from anabranch import Input
        >>> UpSampling2D((2, 3), interpolation="bilinear")(Input((8, 8, 3))).shape
        (None, 16, 24, 3)
    """

    rank = 2

    size: fields.SizesField = fields.sizes(default=(2, 2), doc=SIZE_DOC)
    data_format: fields.DataFormatField = fields.data_format(default=None)
    interpolation: fields.Field[Literal["nearest", "bilinear", "bicubic"], str] = fields.choice(
        "nearest", "bilinear", "bicubic", default="nearest", doc='"nearest", "bilinear" or "bicubic".'
    )

    def layout(self) -> fields.DataFormat:
        """Return ``data_format``."""
        return self.data_format

    def interpolated(self) -> str:
        """Return ``interpolation``."""
        return self.interpolation

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return floats where values are interpolated; copies of integers are integers."""
        return super()._output_dtype_(input_dtypes) if self.interpolation == "nearest" else self.compute_dtype

    def call(self, inputs: Tensor) -> Tensor:
        """Scale up."""
        return super().call(inputs if self.interpolation == "nearest" else kernels.cast(inputs, self.compute_dtype))


class UpSampling3D(UpSampling):
    """Enlarge volumes by repeating: (B, D, H, W, C) -> (B, size[0] · D, size[1] · H, size[2] · W, C).

    Example:
        >>> from anabranch import Input
        >>> UpSampling3D(2)(Input((4, 4, 4, 1))).shape
        (None, 8, 8, 8, 1)
    """

    rank = 3

    size: fields.SizesField = fields.sizes(default=(2, 2, 2), doc=SIZE_DOC)
    data_format: fields.DataFormatField = fields.data_format(default=None)

    def layout(self) -> fields.DataFormat:
        """Return ``data_format``."""
        return self.data_format

"""Random changes of images while training, each image by its own draws, all at once on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.regularization import Seeded
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

Range: TypeAlias = tuple[float, float]
FactorField: TypeAlias = "fields.Field[float | Sequence[float], float | Range]"
RangeFactorField: TypeAlias = "fields.Field[float | Sequence[float], Range]"
RangeField: TypeAlias = "fields.Field[Sequence[float], Range]"


def _pair(value: object, owner: object, name: str) -> Range:
    """Return two numbers, the lesser first."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(n, (int, float)) for n in value):
        return float(min(value)), float(max(value))
    raise ArgumentError(f"{name} of {type(owner).__name__} must be a pair of numbers.", expected="(low, high)", got=repr(value))


def _factor(value: object, owner: object, name: str) -> float | Range | None:
    """Return a factor as it is; None where the field has None for its default."""
    return None if value is None else _fraction(value, owner, name)


def _fraction(value: object, owner: object, name: str) -> float | Range:
    """Return a factor as it is: a number, or (low, high), within [-1, 1]."""
    low, high = reach(value) if isinstance(value, (int, float)) else _pair(value, owner, name)
    if not -1 <= low <= high <= 1:
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be a fraction.", expected="a number or a pair (low, high) in [-1, 1]",
            got=repr(value),
        )  # fmt: skip
    return value if isinstance(value, (int, float)) else (low, high)


def _range(value: object, owner: object, name: str) -> Range:
    """Return the range that a factor means."""
    return reach(_fraction(value, owner, name))


def _contrast(value: object, owner: object, name: str) -> float | Range:
    low, high = (value, value) if isinstance(value, (int, float)) else _pair(value, owner, name)
    if not 0 <= min(low, high) <= max(low, high) <= 1:
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be a fraction.", expected="a number or a pair in [0, 1]", got=repr(value)
        )
    return value if isinstance(value, (int, float)) else (low, high)


def reach(factor: float | Range) -> Range:
    """Return the range that a factor means: (low, high), or ±factor."""
    return (-abs(factor), abs(factor)) if isinstance(factor, (int, float)) else factor


class RandomImages(Seeded):
    """A random change of each image while training; otherwise images pass, as floats. Abstract.

    Images are (B, H, W, C), or (B, C, H, W) with channels first; a value (H, W, C) is one image without a batch. Integers such
    as uint8 become floats.
    """

    supports_masking = False

    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if len(input_shape) != 3 or input_shape[0] is None:  # unless it is one image without a batch
            check_rank(input_shape, 4, "batch, height, width, channels")
        return input_shape

    def change(self, images: Tensor) -> Tensor:
        """Return (B, H, W, C) changed, each image in its own way."""
        raise NotImplementedError(f"{type(self).__name__} must write change(images)")

    def unchanged(self, images: Tensor) -> Tensor:
        """Return what images become unless training: themselves."""
        return images

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
        """Change while training."""
        shape = runtime.shape_of(inputs)
        if shape is not None:
            self.compute_output_shape(shape)
            if len(shape) == 3:
                return self.call(inputs[None], training)[0]
        if not training:
            return kernels.cast(self.unchanged(inputs), self.compute_dtype)
        images = kernels.cast(inputs, self.compute_dtype)
        if self.data_format == "channels_last":
            return self.change(images)
        return kernels.permute(self.change(kernels.permute(images, (0, 2, 3, 1))), (0, 3, 1, 2))


Mode: TypeAlias = Literal["horizontal", "vertical", "horizontal_and_vertical"]


class RandomFlip(RandomImages):
    """Mirror each image with probability 1/2 in each direction of ``mode``, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomFlip("horizontal")(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    axes: ClassVar[dict[str, tuple[int, ...]]] = {
        "horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (2, 1)
    }  # fmt: skip

    mode: fields.Field[Mode, str] = fields.choice(
        *axes, default="horizontal_and_vertical",
        doc='"horizontal" (left to right), "vertical", or "horizontal_and_vertical", each by its own draw.',
    )  # fmt: skip

    def change(self, images: Tensor) -> Tensor:
        """Mirror."""
        return kernels.random_flip(images, self.axes[self.mode], self.generator())


class RandomCrop(RandomImages):
    """Cut a window out of each image: at a random position while training, in the middle otherwise.

    Shapes: (B, H, W, C) -> (B, height, width, C).

    Example:
        >>> from anabranch import Input
        >>> RandomCrop(24, 24)(Input((32, 32, 3))).shape
        (None, 24, 24, 3)
    """

    others_by_position = {"name": fields.NAME_DOC}

    height: fields.Field[int, int] = fields.integer(doc="the window's height.")
    width: fields.Field[int, int] = fields.integer(doc="the window's width.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) -> (B, height, width, C)."""
        if len(input_shape) == 3 and input_shape[0] is not None:  # one image without a batch
            return self.compute_output_shape((1, *input_shape))[1:]
        check_rank(input_shape, 4, "batch, height, width, channels")
        first = 1 if self.data_format == "channels_last" else 2
        sizes = input_shape[first : first + 2]
        if any(size is not None and size < part for size, part in zip(sizes, (self.height, self.width), strict=True)):
            raise ShapeError(
                "The crop is larger than the images.",
                expected=f"images of at least {self.height} x {self.width}", got=f"{sizes[0]} x {sizes[1]} in {input_shape}",
                repair="a smaller crop, or ZeroPadding2D before it",
            )  # fmt: skip
        return (*input_shape[:first], self.height, self.width, *input_shape[first + 2 :])

    def change(self, images: Tensor) -> Tensor:
        """Crop at random positions."""
        return kernels.random_crop(images, (self.height, self.width), self.generator())

    def unchanged(self, images: Tensor) -> Tensor:
        """Crop the middle."""
        return kernels.middle(images, (self.height, self.width), 1 if self.data_format == "channels_last" else 2)


FILL_DOC = (
    'what is beyond the border: the image mirrored ("reflect": d c b a | a b c d), repeated ("wrap"), its nearest pixel '
    '("nearest"), or ``fill_value`` ("constant").'
)
FillField: TypeAlias = "fields.Field[Literal['reflect', 'wrap', 'constant', 'nearest'], str]"
InterpolationField: TypeAlias = "fields.Field[Literal['bilinear', 'nearest'], str]"


class Warp(RandomImages):
    """A change of each image's position, angle or size. Abstract."""

    fill_mode: FillField = fields.choice(
        "reflect", "wrap", "constant", "nearest", default="reflect", doc=FILL_DOC, kw_only=True
    )
    interpolation: InterpolationField = fields.choice(
        "bilinear", "nearest", default="bilinear", doc="how values between pixels are read.", kw_only=True
    )
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    fill_value: fields.NumberField = fields.number(
        default=0.0, doc='the value beyond the border, for "constant".', kw_only=True
    )

    def sampling(self) -> kernels.Sampling:
        """Return how to read between pixels and beyond the border."""
        return kernels.Sampling(self.fill_mode, self.interpolation, self.fill_value, self.compute_dtype)


class RandomTranslation(Warp):
    """Shift each image by its own fraction of height and width, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomTranslation(0.1, 0.1)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    height_factor: FactorField = fields.field(
        convert=_factor, plain=fields.listed, doc="fractions of the height, down: (low, high), or ±factor."
    )
    width_factor: FactorField = fields.field(
        convert=_factor, plain=fields.listed, doc="fractions of the width, right: (low, high), or ±factor."
    )

    def change(self, images: Tensor) -> Tensor:
        """Shift."""
        by = reach(self.height_factor), reach(self.width_factor)
        return kernels.random_translation(images, *by, self.sampling(), self.generator())


class RandomRotation(Warp):
    """Turn each image about its middle, counter-clockwise, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomRotation(0.05)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: RangeFactorField = fields.field(
        convert=_range, plain=fields.listed, doc="fractions of a full turn: (low, high), or ±factor."
    )

    def change(self, images: Tensor) -> Tensor:
        """Turn."""
        return kernels.random_rotation(images, self.factor, self.sampling(), self.generator())


class RandomZoom(Warp):
    """Show 1 + a fraction of each image's height and width, while training: above 0 it gets smaller.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomZoom((-0.2, 0.0))(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    height_factor: FactorField = fields.field(
        convert=_factor, plain=fields.listed, doc="fractions of the height: (low, high), or ±factor."
    )
    width_factor: fields.Field[float | Sequence[float] | None, float | Range | None] = fields.field(
        default=None, convert=_factor, plain=fields.listed, doc="fractions of the width; None: the ratio of the sides stays."
    )

    def change(self, images: Tensor) -> Tensor:
        """Zoom."""
        width = None if self.width_factor is None else reach(self.width_factor)
        return kernels.random_zoom(images, reach(self.height_factor), width, self.sampling(), self.generator())


RANGE_DOC = "the least and greatest value of an image."


class RandomContrast(RandomImages):
    """Scale each image's distance from its channels' means by a draw from [1 - factor, 1 + factor], while training.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomContrast(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: FactorField = fields.field(
        convert=_contrast, plain=fields.listed, doc="a number, or (a, b) to draw from [1 - a, 1 + b]."
    )
    value_range: RangeField = fields.field(default=(0, 255), convert=_pair, plain=fields.listed, doc=RANGE_DOC)

    def change(self, images: Tensor) -> Tensor:
        """Scale."""
        low, high = (self.factor, self.factor) if isinstance(self.factor, (int, float)) else self.factor
        return kernels.random_contrast(images, (1.0 - low, 1.0 + high), self.value_range, self.generator())


class RandomBrightness(RandomImages):
    """Add to each image a fraction of the range of values, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomBrightness(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: RangeFactorField = fields.field(
        convert=_range, plain=fields.listed, doc="fractions of the range: (low, high), or ±factor."
    )
    value_range: RangeField = fields.field(default=(0, 255), convert=_pair, plain=fields.listed, doc=RANGE_DOC)

    def change(self, images: Tensor) -> Tensor:
        """Add."""
        return kernels.random_brightness(images, self.factor, self.value_range, self.generator())

"""Settings that layers of images share: ranges that draws come from, the range of values, what is beyond the border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch.graph.shapes import per_axis
from anabranch.layers import fields
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor

Range: TypeAlias = tuple[float, float]
FactorField: TypeAlias = "fields.Field[float | Sequence[float], float | Range]"
OptionalFactorField: TypeAlias = "fields.Field[float | Sequence[float] | None, float | Range | None]"
RangeFactorField: TypeAlias = "fields.Field[float | Sequence[float], Range]"
RangeField: TypeAlias = "fields.Field[Sequence[float], Range]"
FillField: TypeAlias = "fields.Field[Literal['reflect', 'wrap', 'constant', 'nearest'], str]"
InterpolationField: TypeAlias = "fields.Field[Literal['bilinear', 'nearest'], str]"

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
"""How bounding boxes are written: corners, or a corner or the center with a size, in pixels or as fractions."""
INTERPOLATION_DOC = "how values between pixels are read."
FILL_VALUE_DOC = 'the value beyond the border, for "constant".'
FILL_DOC = (
    'what is beyond the border: the image mirrored ("reflect": d c b a | a b c d), repeated ("wrap"), its nearest pixel '
    '("nearest"), or ``fill_value`` ("constant").'
)


def reach(factor: float | Range) -> Range:
    """Return the range that a factor means: (low, high), or ±factor."""
    return (-abs(factor), abs(factor)) if isinstance(factor, (int, float)) else factor


def bounded_range(value: object, owner: object, name: str, least: float, most: float) -> Range:
    """Return the range that a number or a pair means, ±number cut at ``least``; raise where it is beyond the bounds."""
    alone = isinstance(value, (int, float)) and not isinstance(value, bool)
    low, high = (max(-abs(value), least), abs(value)) if alone else fields.pair(value, owner, name)  # type: ignore[arg-type]  # a number
    if not (least <= low <= high <= most) or (alone and value < least):  # type: ignore[operator]
        what = "a fraction" if most == 1 else f"in [{least}, {most}]"
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be {what}.",
            expected=f"a number or a pair (low, high) in [{least}, {most}]", got=shown(value),
        )  # fmt: skip
    return low + 0.0, high + 0.0  # never -0.0, which is another text in a config


def written(value: Range) -> float | list[float]:
    """Return a range as Keras reads it: of one around 0 the number that means it, as Keras refuses what is below 0."""
    low, high = value
    return high if low == -high else [low, high]


def whole(value: Range) -> list[float]:
    """Return a range of counts, which Keras draws between integers."""
    return [int(each) if each == int(each) else each for each in value]


def within(least: float, most: float) -> Callable[[object, object, str], Range]:
    """Return what reads a range within bounds."""
    return lambda value, owner, name: bounded_range(value, owner, name, least, most)


def unread(value: object, owner: object, name: str) -> float | Range | None:
    """Return a fraction or a pair as it is; None where the field has None for its default."""
    if value is None:
        return None
    bounded_range(value, owner, name, -1, 1)
    return value if isinstance(value, (int, float)) else fields.pair(value, owner, name)


def positive(factor: float | Range) -> Range:
    """Return the range that a factor of a probability or an amount means: (low, high), or (0, factor)."""
    return (0.0, factor) if isinstance(factor, (int, float)) else factor


def chosen(images: Tensor, factor: Range, generator: Generator | None) -> Tensor:
    """Return which images of a batch are chosen, each with a probability that is drawn from a range."""
    probability = kernels.drawn(images, (), *factor, generator)
    return kernels.drawn(images, (), 0.0, 1.0, generator) < probability


def two_sizes(value: object, owner: object, name: str) -> tuple[int, ...]:
    """Return two integers of 1 or more."""
    return per_axis(value, 2, name)  # type: ignore[arg-type]  # which it checks

"""What makes integers and scales of weights and activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import config
from anabranch._arguments import guarded
from anabranch._asked import is_integer, is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Field, Value, choice, field, number

if TYPE_CHECKING:
    from anabranch.ops._types import Tensor, TensorLike


class Quantizing(Value):
    """What ``quantizers.get`` finds. Abstract."""


class Quantizer(Quantizing):
    """Base of quantizers: subclass and write ``__call__(x)``, which returns integers and their scale.

    Example:
        >>> Quantizer().output_dtype
        'int8'
    """

    output_dtype: Field[str, str] = choice(
        "int8", "uint8", "int16", "int32", "int64", default="int8", doc="the dtype of the integers."
    )

    def __call__(self, x: TensorLike) -> Any:
        """Return ``x``; subclasses return integers and their scale."""
        return x


def _axes(value: object, owner: object, name: str) -> tuple[int, ...] | None:
    found = (value,) if is_integer(value) else value
    if found is None or (isinstance(found, (list, tuple)) and found and all(map(is_integer, found))):
        return None if found is None else tuple(map(int, found))
    raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be an axis, several, or None.", got=shown(value))


def _range(value: object, owner: object, name: str) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not pair[0] < pair[1]:
        raise ArgumentError(
            f"{name} of a quantizer has the least and the greatest value.", expected="(-127, 127)", got=shown(value)
        )
    return pair[0], pair[1]


class AbsMaxQuantizer(Quantizer):
    """Scale so that the greatest magnitude along some axes is the greatest integer, and round.

    Example:
        >>> integers, scale = AbsMaxQuantizer(axis=-1)([[1.0, -2.0]])
        >>> integers.tolist(), scale.tolist()
        ([[64, -127]], [[63.5]])
    """

    _field_order_ = ("axis", "value_range", "epsilon", "output_dtype")

    axis: Field[int | Sequence[int] | None, tuple[int, ...] | None] = field(
        default=None, convert=_axes, doc="the axes that share a scale, unless a call names others; None: the last one."
    )
    value_range: Field[Sequence[float], tuple[float, float]] = field(
        default=(-127, 127), convert=_range, doc="the least and the greatest integer."
    )
    epsilon: Field[float, float] = number(
        default=config.epsilon(), least=0, doc="added to the greatest magnitude, so that zeros have a scale too."
    )

    def _check_(self) -> None:
        low, high = self.value_range
        if self.output_dtype == "int8" and not -128 <= low < high <= 127:
            raise ArgumentError("value_range does not fit int8.", expected="within (-128, 127)", got=str(self.value_range))

    @guarded
    def __call__(self, x: TensorLike, axis: int | Sequence[int] | None = None, to_numpy: bool = False) -> tuple[Tensor, Tensor]:
        """Return the integers and their scale, which has size 1 along the axes.

        Args:
            x: the values.
            axis: the axes that share a scale; None: those of the constructor.
            to_numpy: whether this is computed on the CPU, which spares the memory of the device.
        """
        from anabranch.quantizers.functions import abs_max_quantize  # which loads torch

        axes = self.axis if axis is None else axis
        return abs_max_quantize(x, -1 if axes is None else axes, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> dict[str, Any]:
        """Return all settings as JSON; without axes no entry of them, as in Keras.

        Example:
            >>> AbsMaxQuantizer().get_config()
            {'value_range': [-127, 127], 'epsilon': 1e-07, 'output_dtype': 'int8'}
        """
        found = super().get_config() | {"value_range": list(self.value_range)}
        axis = found.pop("axis")
        return found if axis is None else found | {"axis": list(self.axis or ())}

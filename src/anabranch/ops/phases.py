"""Complex numbers by absolute value and angle."""

from __future__ import annotations

from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import complex_of, float_pair


@operation(mask=pointwise)
def polar(abs_: TensorLike, angle: TensorLike) -> Tensor:
    """Return the complex numbers abs · (cos(angle) + i · sin(angle)).

    Args:
        abs_: the absolute values.
        angle: the angles in radians; the two broadcast.

    >>> polar(2.0, 0.0)
    tensor(2.+0.j)
    """
    length, angle = float_pair(abs_, angle)
    return complex_of(length * torch.cos(angle), length * torch.sin(angle))

"""The types that functions annotate with: names for a checker, which load nothing."""

from __future__ import annotations

from types import EllipsisType as EllipsisType  # arguments are checked by it
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

    from anabranch import graph

Tensor: TypeAlias = "torch.Tensor"
"""What a function returns: a torch tensor, or a symbolic tensor where one is among its arguments."""

TensorLike: TypeAlias = (
    "torch.Tensor | graph.Tensor | graph.Weight | np.ndarray[Any, Any] | np.generic | complex | Sequence[TensorLike]"
)
"""What a function takes: a tensor, symbolic or not, a weight, an array, a number, or nested lists of these."""

Axes: TypeAlias = "int | Sequence[int] | None"
"""One axis, several, or None: all of them, unless the function says otherwise."""

ShapeLike: TypeAlias = "int | Sequence[int | None]"
"""Sizes along axes, or one size; None: one that is not known yet, or that remains."""

Sizes: TypeAlias = "int | Sequence[int]"
"""An integer for each axis, or one for all of them."""

Widths: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]] | torch.Tensor"
"""How many elements at the ends of axes: one number, a pair (before, after), or a pair for each axis."""

Place: TypeAlias = "int | slice | EllipsisType | torch.Tensor | None"
"""What picks positions along an axis."""

Key: TypeAlias = "Place | Sequence[Place] | np.ndarray[Any, Any]"
"""What is between the brackets of ``x[key]``."""

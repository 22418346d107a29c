"""Merges of branches: element by element, or along an axis."""

from __future__ import annotations

import functools
import operator
from typing import Any

from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import broadcast
from anabranch.layers.base import Layer


class Merge(Layer):
    """Combine a list of tensors element by element. Abstract: Add, Multiply, …"""

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The shapes broadcast as NumPy's do."""
        check_branches(self, input_shape)
        return functools.reduce(broadcast, input_shape)


class Add(Merge):
    """a + b + …: a residual join."""

    def call(self, inputs: list[Any]) -> Any:
        """Add the branches."""
        return functools.reduce(operator.add, inputs)


def add(inputs: list[Any], **kwargs: Any) -> Any:
    """Return the sum of a list of tensors; see :class:`Add`."""
    return Add(**kwargs)(inputs)


def check_branches(layer: Layer, shapes: Any, least: int = 2) -> None:
    """Raise unless ``shapes`` are those of at least ``least`` branches."""
    if not isinstance(shapes, list) or (shapes and not isinstance(shapes[0], tuple)):
        raise ArgumentError(
            f"{type(layer).__name__} merges branches, so it is called on a list.",
            expected="[a, b]",
            got=f"one tensor {shapes}",
        )
    if len(shapes) < least:
        raise ShapeError(f"{type(layer).__name__} merges at least {least} branches.", got=f"{len(shapes)}")

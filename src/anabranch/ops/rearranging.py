"""Axes by name: split, joined and put in another order by a pattern, as in einops."""

from __future__ import annotations

import functools
import math
import re
from typing import NamedTuple

from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph.records import Spec
from anabranch.graph.rules import Answer, Array, dtype_name
from anabranch.graph.shapes import Shape
from anabranch.ops._public import operation
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import number_of, shape, sizes, tensor as as_tensor


class Recipe(NamedTuple):
    """What a pattern says.

    Args:
        before: the names that form each axis of the input.
        after: the names that form each axis of the result.
    """

    before: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...]

    @property
    def joins(self) -> bool:
        """Whether an axis of the result is formed by several."""
        return any(len(group) != 1 for group in self.after)

    @property
    def names(self) -> list[str]:
        """The names in the order of the input."""
        return [name for group in self.before for name in group]


@functools.lru_cache(256)
def _parsed(pattern: str) -> Recipe:
    sides = [side.strip() for side in pattern.split("->")]
    if len(sides) != 2 or not all(re.fullmatch(r"(\s*(\w+|\([\w\s]*\)))*", side) for side in sides):
        raise ArgumentError(
            "This is no pattern.", expected='names and groups of them, as in "b (h k) c -> b h (k c)"', got=pattern
        )
    found = [tuple(tuple(re.findall(r"\w+", group)) for group in re.findall(r"\w+|\([^)]*\)", side)) for side in sides]
    names = [[name for group in side for name in group] for side in found]
    if sorted(names[0]) != sorted(names[1]) or len(set(names[0])) != len(names[0]):
        raise ArgumentError("Each name must be once on each side of the pattern.", got=pattern)
    return Recipe(*found)


def _lengths(recipe: Recipe, known: Shape, given: dict[str, int], pattern: str) -> dict[str, int | None]:
    """Return the size of each named axis; None where it is not known."""
    if len(known) != len(recipe.before):
        raise ShapeError(f"The pattern {pattern!r} does not fit.", expected=f"a {len(recipe.before)}-D input", got=str(known))
    unknown = set(given) - set(recipe.names)
    if unknown:
        raise ArgumentError(f"The pattern {pattern!r} has no axis {sorted(unknown)[0]!r}.")
    found: dict[str, int | None] = {}
    for size, group in zip(known, recipe.before, strict=True):
        stated = {name: number_of(name, given[name], 1) for name in group if name in given}
        rest = [name for name in group if name not in stated]
        if len(rest) > 1:
            raise ArgumentError(f"The sizes of {', '.join(rest)} do not follow.", repair=f"rearrange(…, {rest[0]}=n)")
        product = math.prod(stated.values())
        if size is not None and (size % product if rest else size != product):
            raise ShapeError(f"An axis does not split into ({' '.join(group)}).", got=f"size {size}, {stated}")
        found |= stated | dict.fromkeys(rest, None if size is None else size // product)
    return found


def _joined(lengths: dict[str, int | None], group: tuple[str, ...]) -> int | None:
    parts = [lengths[name] for name in group]
    known = [part for part in parts if part is not None]
    return math.prod(known) if len(known) == len(parts) else None


def rearranged(tensor: Array, pattern: str, axes_lengths: dict[str, int]) -> Answer:
    """Say that axes are split, reordered and joined."""
    recipe = _parsed(pattern)
    lengths = _lengths(recipe, tuple(tensor.shape), axes_lengths, pattern)
    return Spec(tuple(_joined(lengths, group) for group in recipe.after), dtype_name(tensor))


@operation(rearranged)
def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> Tensor:
    """Return a tensor with its axes split, put in another order and joined, as a pattern says (Rogozhnikov 2022).

    Args:
        tensor: the input.
        pattern: the names of the axes before and after; parentheses hold those that form one axis.
        **axes_lengths: sizes of axes that are split; one for each split follows from the others.

    >>> rearrange([[1, 2, 3, 4]], "b (h w) -> (b w) h", w=2)
    tensor([[1, 3],
            [2, 4]], dtype=torch.int32)
    """
    x, recipe = as_tensor(tensor), _parsed(pattern)
    lengths = _lengths(recipe, shape(x), axes_lengths, pattern)
    for size, group in zip(sizes(x), recipe.before, strict=True):
        for name in group:
            if lengths[name] is None:
                others = math.prod(axes_lengths[each] for each in group if each != name)
                lengths[name] = size if others == 1 else size // others
    if any(len(group) != 1 for group in recipe.before):
        x = x.reshape([lengths[name] for name in recipe.names])  # type: ignore[misc]  # all are known now
    x = x.permute([recipe.names.index(name) for group in recipe.after for name in group])
    return x.reshape([_joined(lengths, group) for group in recipe.after]) if recipe.joins else x  # type: ignore[misc]  # as above

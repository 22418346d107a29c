"""What a function states of itself where it is written: the spec of its result, and how far the masks of its inputs reach.

The graph, the masks, the run and lowering ask an operation for its :class:`Facts`; no list of names is anywhere else.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from anabranch import _tree
from anabranch._asked import has_shape
from anabranch.graph.shapes import Shape, same

if TYPE_CHECKING:
    import inspect

SpecRule: TypeAlias = Callable[..., Any]
"""Takes a call's arguments by name and returns the specs of its results, None where it cannot say."""
Inputs: TypeAlias = Sequence[tuple[Shape, int]]
"""Shape and reach of each array among the arguments, in their order."""
MaskRule: TypeAlias = Callable[[Mapping[str, Any], Inputs], int]
"""Takes a call's arguments by name and its inputs, and returns over how many leading axes its results are masked."""


class Facts(NamedTuple):
    """The facts of one function; whether it is pure is no fact here, as passes ask that of each torch call it is traced to.

    Args:
        spec: its rule for shape and dtype; None: it runs on fake tensors.
        mask: its rule for masks; None: judged by what it dispatches while it runs on fake tensors.
    """

    spec: SpecRule | None = None
    mask: MaskRule | None = None


NO_FACTS = Facts()
_OPEN_ENDED = 0x04 | 0x08  # flags of code that takes *args or **kwargs


class Judgement(NamedTuple):
    """What one run on fake tensors showed about masks.

    ``leads``: for each array among the arguments, how many leading axes of the results are still that array's own, None where
    the results do not depend on it. ``unknown``: a torch operation on the way that is not known, "" where all are.
    """

    leads: tuple[int | None, ...]
    unknown: str = ""

    def reach(self, inputs: Inputs) -> int:
        """Return over how many leading axes the results are masked."""
        masked = [(lead, reach) for lead, (_, reach) in zip(self.leads, inputs, strict=True) if reach]
        return max(r for _, r in masked) if all(lead is not None and lead >= reach for lead, reach in masked) else 0


class Judgements:
    """What runs of one operation showed, by the shapes of the arrays it took."""

    def __init__(self) -> None:
        self._found: dict[tuple[Shape, ...], Judgement] = {}

    def add(self, shapes: tuple[Shape, ...], judgement: Judgement) -> None:
        """Take what a run on arrays of ``shapes`` showed."""
        self._found[shapes] = judgement

    def of(self, inputs: Inputs) -> Judgement:
        """Return what is known of a call on such arrays, whose sizes may be known better by now."""
        shapes = tuple(shape for shape, _ in inputs)
        if shapes in self._found:
            return self._found[shapes]
        fit = (one for known, one in self._found.items() if len(known) == len(shapes) and all(map(same, known, shapes)))
        return next(fit, Judgement((0,) * len(shapes)))


class Signature:
    """A function's parameters, read when they are first needed."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @functools.cached_property
    def _named(self) -> tuple[tuple[str, ...], int, dict[str, Any]] | None:
        """The parameters of a function that takes each by name: names, how many of them by position too, and defaults."""
        function = self._function
        if not isinstance(function, types.FunctionType) or "__wrapped__" in vars(function):
            return None
        code = function.__code__
        if code.co_posonlyargcount or code.co_flags & _OPEN_ENDED:
            return None
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        last = function.__defaults__ or ()
        defaults = dict(zip(names[code.co_argcount - len(last) :], last, strict=False))
        return names, code.co_argcount, defaults | (function.__kwdefaults__ or {})

    @functools.cached_property
    def _any(self) -> inspect.Signature:
        import inspect  # which takes a while to load

        return inspect.signature(self._function)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call by name, defaults too; None where they do not fit."""
        if self._named is not None:
            names, most, defaults = self._named
            given = dict(zip(names, args, strict=False))
            found = {**defaults, **given, **kwargs}
            fits = len(args) <= most and given.keys().isdisjoint(kwargs) and found.keys() == set(names)
            return found if fits else None
        try:
            bound = self._any.bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        return bound.arguments


def plain(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether arguments are of the kinds that rules know: real arrays, numbers, strings, slices, None, nests of them."""
    return all(
        leaf is None
        or isinstance(leaf, (int, float, str, slice))
        or leaf is Ellipsis
        or (has_shape(leaf) and "complex" not in str(leaf.dtype))
        for leaf in _tree.leaves((args, list(kwargs.values())))
    )


# Rules for masks


def pointwise(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that every element follows from those at its own position: the mask stays, unless a masked axis is stretched."""
    reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
    return reach if _stay([(s, r) for s, r in inputs if s or r], rank, reach) else 0


def along(*, new: bool = False, joins: bool = False) -> MaskRule:
    """Return the rule of what acts along the axes that the argument ``axis`` gives: masked axes before them stay.

    ``new``: the axis is counted in the result, which has one more; ``joins``: several tensors of one rank.
    """

    def rule(arguments: Mapping[str, Any], inputs: Inputs) -> int:
        reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
        axis = arguments.get("axis")
        if not joins and sum(reach > 0 for _, reach in inputs) > 1:
            return 0
        added = (len(axis) if isinstance(axis, (tuple, list)) else 1) if new else 0
        return reach if leaves_alone(axis, rank + added, reach) else 0

    return rule


def last(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that it acts along the last axis."""
    reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
    return reach if reach < rank else 0


def last_two(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that it acts along the last two axes."""
    reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
    return reach if reach < rank - 1 else 0


def product(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that it is a matrix product: the mask of the first operand stays where the other has none."""
    reach, rank = max(reach for _, reach in inputs), max(len(shape) for shape, _ in inputs)
    alone = inputs[0][1] == reach < len(inputs[0][0]) == rank and not any(r for _, r in inputs[1:])
    return reach if alone else 0


def dropped(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that masked axes may go elsewhere, so that no mask stays."""
    return 0


def reshaped(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that the shape changes: the mask stays where the masked axes come first in the new shape as well."""
    (shape, reach), wanted = inputs[0], arguments["newshape"]
    sizes = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted,)
    rest = [size for size in shape[reach:] if size is not None]
    others = [size for size in sizes[reach:] if isinstance(size, int)]
    if len(sizes) < reach or len(rest) + reach < len(shape) or len(others) + reach < len(sizes) or None in shape[1:reach]:
        return 0  # not all sizes are known
    same = sizes[0] in (-1, shape[0]) and shape[1:reach] == sizes[1:reach] and math.prod(rest) == math.prod(others)
    return reach if same else 0


def permuted(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that axes change their order: the mask stays where the masked ones keep their positions."""
    (shape, reach), axes = inputs[0], arguments.get("axes")
    order = list(reversed(range(len(shape)))) if axes is None else [axis % len(shape) for axis in axes]
    return reach if order[:reach] == list(range(reach)) else 0


def swapped(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that two axes change positions."""
    (shape, reach) = inputs[0]
    return reach if leaves_alone((arguments["axis1"], arguments["axis2"]), len(shape), reach) else 0


def taken(arguments: Mapping[str, Any], inputs: Inputs) -> int:
    """Say that it is ``x[key]``, whose mask is ``mask[mask_key(key, …)]``."""
    shape, reach = inputs[0]
    key = mask_key(arguments["key"], reach, shape)
    return 0 if key is None else reach + sum(item is None for item in key)


def _stay(inputs: Inputs, rank: int, reach: int) -> bool:
    """Return whether the masked axes stay in their positions, none of them stretched."""
    for shape, masked in inputs:
        if masked and (len(shape) != rank or any(shape[axis] == 1 != _widest(inputs, rank, axis) for axis in range(masked))):
            return False
    return True


def _widest(inputs: Inputs, rank: int, axis: int) -> int | None:
    sizes = [shape[axis - rank] for shape, _ in inputs if len(shape) >= rank - axis]
    return next((size for size in sizes if size != 1), 1)


def leaves_alone(axis: object, rank: int, reach: int) -> bool:
    """Return whether none of the axes is one of the first ``reach``; None means all of them."""
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return all(isinstance(a, int) and not isinstance(a, bool) and a % rank >= reach for a in axes) and bool(axes)


def mask_key(key: object, reach: int, shape: Shape) -> tuple[slice | None, ...] | None:
    """Return what takes from the mask what ``key`` takes from a value of ``shape``; None where the mask cannot follow.

    Slices are followed. An integer along a masked axis picks one step of all, whose mask is no mask of steps any more.
    """
    items = key if isinstance(key, tuple) else (key,)
    rest = len(shape) - sum(item is not None and item is not Ellipsis for item in items)
    wide: list[object] = []
    for item in items:
        wide.extend([slice(None)] * rest if item is Ellipsis else [item])
    found: list[slice | None] = []
    for item in wide:
        if sum(part is not None for part in found) == reach:
            break
        if item is not None and not isinstance(item, slice):
            return None
        found.append(item)
    return tuple(found)

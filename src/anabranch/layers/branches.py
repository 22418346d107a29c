"""Whether the branches of a merge fit together; where they do not: at which axes, and what would mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from anabranch import config
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.call_site import warn
from anabranch.layers.base import Layer

if TYPE_CHECKING:
    from anabranch.diagnosis.clash import Clash


class Joins(Protocol):
    """A layer of several branches."""

    @property
    def broadcast(self) -> bool:
        """Whether axes of size 1 stretch."""


def check_branches(layer: Layer, shapes: object, least: int, most: int | None = None) -> list[Shape]:
    """Return the shapes of as many branches as the layer takes, which may be lists or tuples, or raise."""
    name = type(layer).__name__
    if not isinstance(shapes, (list, tuple)) or shapes == () or [s for s in shapes if not isinstance(s, (list, tuple))]:
        raise ArgumentError(
            f"{name} merges branches, so it is called on a list.",
            expected="a list of tensors: [a, b]", got=f"one tensor {shapes}", repair=f"{name}()([a, b])",
        )  # fmt: skip
    if len(shapes) < least or (most is not None and len(shapes) > most):
        takes = f"{least} branches" if least == most else f"at least {least}"
        raise ArgumentError(f"{name} takes a list of {takes}.", got=str(len(shapes)))
    return [tuple(shape) for shape in shapes]


def raised(shapes: list[Shape]) -> list[Shape]:
    """Return shapes of one rank: those of lower rank gain axes of size 1 after the batch, as in Keras."""
    rank = max(len(shape) for shape in shapes)
    return [(*shape[:1], *(1,) * (rank - len(shape)), *shape[1:]) for shape in shapes]


def agreed(
    layer: Joins, shapes: list[Shape], *, stretch: bool, but: int | None = None, given: list[Shape] | None = None
) -> Shape:
    """Return the sizes that shapes of one rank agree on; None fits any, with ``stretch`` so does 1; ``but`` is left out.

    ``given``: the shapes as they were before they were raised to one rank, for errors.
    """
    sizes = list(shapes[0])
    givers = [0] * len(sizes)  # the branch that each size is from
    for branch, shape in enumerate(shapes):
        for axis, (m, n) in enumerate(zip(sizes, shape, strict=True)):
            if axis != but and differ(m, n, stretch):
                raise parted(layer, clash(shapes, givers[axis], branch, stretch=stretch, but=but), stretch, given)
            if (m is None and not (stretch and n == 1)) or (stretch and m == 1):
                sizes[axis], givers[axis] = n, branch
    return tuple(sizes)


def differ(m: int | None, n: int | None, stretch: bool) -> bool:
    """Return whether two sizes cannot go together."""
    return m is not None and n is not None and m != n and not (stretch and 1 in (m, n))


def clash(shapes: list[Shape], one: int, other: int, *, stretch: bool, but: int | None = None) -> Clash:
    """Return where two branches do not go together."""
    from anabranch.diagnosis.clash import Clash  # loaded for errors alone

    pair = shapes[one], shapes[other]
    axes = [axis for axis, (m, n) in enumerate(zip(*pair, strict=True)) if axis != but and differ(m, n, stretch)]
    return Clash(one, other, pair, axes, config.image_data_format() == "channels_first")


def parted(layer: Joins, found: Clash, stretch: bool, given: list[Shape] | None = None) -> ShapeError:
    """Build the error of two branches whose sizes differ, axis by axis, with the edits that would mend it."""
    from anabranch.diagnosis.branches import repairs  # loaded for errors alone

    a, b = (given[found.one], given[found.other]) if given else found.shapes
    if len(a) != len(b):
        return ShapeError(
            f"{type(layer).__name__} cannot merge {a} and {b}: {len(a)} and {len(b)} axes.", expected="equal shapes",
            repair=f"branches of one rank; stretching the lower one fails at {found.sizes()}",
            clue=found._replace(axes=[]),
        )  # fmt: skip
    return ShapeError(
        f"{type(layer).__name__} cannot merge {a} and {b}: {found.sizes()}.",
        expected=f"equal {listed(found.names)}{', or 1' if stretch and layer.broadcast else ''}",
        repair=repairs(found),
        clue=found,
    )


def listed(names: list[str]) -> str:
    """Return names as a sentence has them.

    >>> listed(["height", "width", "channels"])
    'height, width and channels'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def stretched(shapes: list[Shape]) -> Clash | None:
    """Return the first two branches that go together only because one is stretched: along an axis of size 1, or in rank."""
    same = raised(shapes)
    first_known: dict[int, int] = {}
    for branch, shape in enumerate(same):
        if len(shapes[branch]) != len(shapes[0]):
            return clash(same, 0, branch, stretch=False)
        for axis, size in enumerate(shape):
            if size is not None and same[one := first_known.setdefault(axis, branch)][axis] != size:
                return clash(same, one, branch, stretch=False)
    return None


def refuse_stretching(layer: Layer, shapes: list[Shape]) -> None:
    """Raise, or warn where merges are not strict, if branches are stretched although nobody asked for it."""
    found = stretched(shapes)
    if found is None:
        return
    name = type(layer).__name__
    a, b = shapes[found.one], shapes[found.other]
    ranks = [] if len(a) == len(b) else [f"{len(a)} and {len(b)} axes"]
    fact = f"one of {a} and {b}: {', '.join([*ranks, *([found.sizes()] if found.axes and not ranks else [])])}."
    meant = f"{name.lower()}([a, b], broadcast=True)"
    if config.strict_merges():
        from anabranch.diagnosis.branches import repairs

        operator = {"Add": ", or a + b", "Subtract": ", or a - b"}.get(name, "")
        found = found._replace(meant=f"{meant}{operator}", axes=[] if ranks else found.axes)
        raise ShapeError(
            f"{name} would stretch {fact}", expected="equal shapes, unless stretching is asked for",
            repair=repairs(found), clue=found,
        )  # fmt: skip
    warn(f"{name} stretches {fact} Keras does so in silence; to say that it is meant: {meant}")

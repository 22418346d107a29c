"""Merges of branches: element by element, along an axis, or as a product over one."""

from __future__ import annotations

import functools
import operator
from typing import Any, ClassVar

from anabranch import _tree, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.diagnosis import Clash
from anabranch.graph import Shape, Tensor, call_site
from anabranch.graph.rules import promote
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.base import Layer
from anabranch.layers.branches import agreed, check_branches, raised, refuse_stretching
from anabranch.ops import _kernels as kernels


class Joining(Layer):
    """A layer of several branches. Abstract."""

    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None
    broadcast = False
    supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Count the branches."""
        check_branches(self, input_shape, self.least, self.most)
        self.built = True

    def output_dtype(self, input_dtypes: list[str]) -> str:
        """The layer's where a branch has floats, else the widest of the branches'."""
        found = functools.reduce(promote, input_dtypes)
        return self.compute_dtype if "float" in found or not self.takes_integers else found


class Merge(Joining):
    """Combine a list of tensors element by element. Abstract: Add, Multiply, …

    Args:
        broadcast: whether axes of size 1 stretch, and branches of lower rank gain such axes after the batch; unless so, unequal
            shapes are an error. None: as the layer does by itself, which is True for Multiply alone, since gates stretch.
    """

    stretches: ClassVar[bool] = False

    def __init__(self, *, broadcast: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.broadcast = self.stretches if broadcast is None else bool(broadcast)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The sizes that the branches agree on, or that those of size 1 are stretched to."""
        check_branches(self, input_shape, self.least, self.most)
        if input_shape.count(input_shape[0]) == len(input_shape):  # as in most residual joins
            return input_shape[0]
        shape = agreed(self, raised(input_shape), stretch=True)
        if not self.broadcast:
            refuse_stretching(self, input_shape)
        return shape

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        shapes = [runtime.shape_of(x) for x in _tree.leaves(args) if hasattr(x, "shape")]
        known = [shape for shape in shapes if shape is not None]
        if known and len(known) == len(shapes):
            try:
                agreed(self, raised(known), stretch=True)
                if not (self.broadcast or runtime.is_recording()):  # recorded sizes may stand for unknown ones
                    refuse_stretching(self, known)
            except ShapeError as error:
                raise error.at(self._described(call_site())) from None
        return super()._compute(args, kwargs)

    def call(self, inputs: list[Any]) -> Any:
        """Merge the branches in order."""
        return functools.reduce(self.merge, kernels.as_equal_ranks(inputs))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where one branch counts at least; None unless all have masks."""
        if mask is None or any(one is None for one in mask):
            return None
        return functools.reduce(operator.or_, mask) if isinstance(mask[0], Tensor) else runtime.either(list(mask))

    def makes_mask(self) -> bool:
        """Return False, as a mask follows from those of the branches, unless a subclass has a rule of its own."""
        return type(self).compute_mask is not Merge.compute_mask

    def merge(self, a: Any, b: Any) -> Any:
        """Merge two branches."""
        raise NotImplementedError(f"{type(self).__name__} must write merge(a, b)")


class Add(Merge):
    """a + b + …: a residual join."""

    def merge(self, a: Any, b: Any) -> Any:
        """Add."""
        return a + b


class Subtract(Merge):
    """a - b."""

    least = most = 2

    def merge(self, a: Any, b: Any) -> Any:
        """Subtract."""
        return a - b


class Multiply(Merge):
    """a · b · …: a gate, so axes of size 1 stretch."""

    stretches = True

    def call(self, inputs: list[Any]) -> Any:
        """Multiply; what a mask leaves out counts as 1."""
        branches = kernels.as_equal_ranks(inputs)
        return kernels.masked_product(branches) if _some_masked(branches) else functools.reduce(self.merge, branches)

    def merge(self, a: Any, b: Any) -> Any:
        """Multiply."""
        return a * b


class Average(Merge):
    """(a + b + …) / n."""

    takes_integers = False

    def call(self, inputs: list[Any]) -> Any:
        """Take the mean."""
        return functools.reduce(operator.add, kernels.as_equal_ranks(inputs)) / len(inputs)


class Extreme(Merge):
    """The greatest or least of each place; what a mask leaves out does not take part. Abstract."""

    def call(self, inputs: list[Any]) -> Any:
        """Compare."""
        branches = kernels.as_equal_ranks(inputs)
        if _some_masked(branches):
            return kernels.masked_extreme(self.merge, branches)
        return functools.reduce(self.merge, branches)


class Maximum(Extreme):
    """The greatest of each place."""

    def merge(self, a: Any, b: Any) -> Any:
        """Take the greater."""
        return kernels.maximum(a, b)


class Minimum(Extreme):
    """The least of each place."""

    def merge(self, a: Any, b: Any) -> Any:
        """Take the lesser."""
        return kernels.minimum(a, b)


class Concatenate(Joining):
    """Branches side by side along ``axis``."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentTypeError("axis of Concatenate is one axis.", got=repr(axis), where=str(self.made_at))
        self.axis = axis

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """All sizes agree but those along the axis, which add up."""
        check_branches(self, input_shape, self.least, self.most)
        if len({len(shape) for shape in input_shape}) > 1:
            raise ShapeError(
                "Concatenate joins branches of one rank.", expected="as many axes in each",
                repair="Flatten()(x) on the branch with more axes, or Reshape((…))(x) on one of them",
            )  # fmt: skip
        axis = normalise_axis(self.axis, len(input_shape[0]))
        sizes = list(agreed(self, input_shape, stretch=False, but=axis))
        lengths = [shape[axis] for shape in input_shape]
        sizes[axis] = None if None in lengths else sum(length or 0 for length in lengths)
        return tuple(sizes)

    def call(self, inputs: list[Any]) -> Any:
        """Join."""
        return kernels.concatenate(list(inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the masks joined along a masked axis; along another, where one counts. A branch without a mask counts."""
        if mask is None or all(one is None for one in mask):
            return None
        return runtime.side_by_side(list(inputs), list(mask), self.axis)

    def symbolic_mask(self, inputs: Any, mask: Any) -> Any:
        """Return the mask of most axes."""
        return None if mask is None else max((one for one in mask if one is not None), key=lambda one: len(one.shape))


class Dot(Joining):
    """Σ a · b over one axis of each of two branches, sample by sample; ``normalize`` makes it the cosine of the angle.

    The other axes of a, then those of b, remain: (B, i, k) and (B, j, k) with ``axes=2`` give (B, i, j); (B, k) and (B, k) give
    (B, 1).
    """

    takes_integers = False
    least = most = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ArgumentError("axes of Dot is an axis, or one for each branch.", got=repr(axes), where=str(self.made_at))
        self.axes, self.normalize = pair, normalize

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The shapes without the axes summed over, the batch once."""
        check_branches(self, input_shape, self.least, self.most)
        a, b = input_shape
        first, second = normalise_axis(self.axes[0], len(a)), normalise_axis(self.axes[1], len(b))
        if first == 0 or second == 0:
            raise ArgumentError("Dot cannot sum over the batch.", got=f"axes={self.axes}")
        if a[first] is not None and b[second] is not None and a[first] != b[second]:
            found = Clash(0, 1, (a, b), [first] if first == second and len(a) == len(b) else [])
            fits = [(i, j) for i in range(1, len(a)) for j in range(1, len(b)) if a[i] == b[j] is not None]
            last = second == len(b) - 1
            raise ShapeError(
                f"Dot sums over axes of one size: with axes={self.axes}, {a[first]} meets {b[second]}.",
                expected=f"equal sizes along axis {first} of branch 1 and axis {second} of branch 2",
                repair=f"axes={fits[0]}, which have one size" if fits else f"Dense({a[first]})(b) first" if last else None,
                clue=found,
            )
        rest = (*a[1:first], *a[first + 1 :], *b[1:second], *b[second + 1 :])
        return (a[0], *rest) if rest else (a[0], 1)

    def call(self, inputs: list[Any]) -> Any:
        """Multiply and sum."""
        return kernels.batch_dot(inputs[0], inputs[1], self.axes, self.normalize)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: the axes are others."""


def _some_masked(branches: list[Any]) -> bool:
    return any(runtime.mask_of(branch) is not None for branch in branches)


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of a list of tensors; see :class:`Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return the difference of two tensors; see :class:`Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return the product of a list of tensors; see :class:`Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of a list of tensors; see :class:`Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return the greatest of a list of tensors; see :class:`Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return the least of a list of tensors; see :class:`Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Return a list of tensors side by side; see :class:`Concatenate`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Return the product of two tensors summed over an axis of each; see :class:`Dot`."""
    return Dot(axes=axes, **kwargs)(inputs)

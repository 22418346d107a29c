"""Merges of branches: element by element, along an axis, or as a product over one."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, Unpack

from anabranch import _tree, ops, runtime
from anabranch._asked import has_shape
from anabranch._errors import ArgumentError, ShapeError
from anabranch._frames import bounded
from anabranch.graph import Shape, Tensor as Symbol, call_site
from anabranch.graph.rules import promote
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.branches import agreed, check_branches, raised, refuse_stretching
from anabranch.layers.fields import BooleanField, Field, FieldLayer, axes, boolean, field, listed
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.layers.fields import LayerOptions
    from anabranch.runtime import Tensor

    class MergeOptions(LayerOptions, total=False):
        """What a merge takes by name."""

        broadcast: bool | None


Masks: TypeAlias = "Sequence[Tensor | None]"


class Joining(FieldLayer):
    """A layer of several branches. Abstract."""

    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None
    broadcast = False
    supports_masking = True
    _makes_weights_ = False

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Check the number of branches."""
        check_branches(self, input_shape, self.least, self.most)

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """The layer's where a branch has floats, else the widest of the branches'."""
        found = functools.reduce(promote, input_dtypes)
        return self.compute_dtype if "float" in found or not self._takes_integers_ else found


BROADCAST_DOC = (
    "whether axes of size 1 stretch, and branches of lower rank gain such axes after the batch; unless so, unequal shapes are "
    "an error. None: as the layer does by itself, which is True for Multiply alone, since gates stretch."
)


def _broadcast(value: object, owner: Any, name: str) -> bool:
    return bool(owner.stretches if value is None else value)


class Merge(Joining):
    """Combine a list of tensors element by element. Abstract: Add, Multiply, …"""

    stretches: ClassVar[bool] = False
    _writes_config_ = False  # it leaves out what Keras does not read

    broadcast: Field[bool | None, bool] = field(  # type: ignore[assignment]  # a setting of these
        default=None, convert=_broadcast, doc=BROADCAST_DOC, kw_only=True
    )

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Return the sizes that the branches agree on, or that those of size 1 are stretched to."""
        input_shape = check_branches(self, input_shape, self.least, self.most)
        if input_shape.count(input_shape[0]) == len(input_shape):  # as in most residual joins
            return input_shape[0]
        shape = agreed(self, raised(input_shape), stretch=True, given=input_shape)
        if not self.broadcast:
            refuse_stretching(self, input_shape)
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the settings; ``broadcast``, which Keras lacks, only where it is not as the layer does by itself.

        Example:
            >>> Add(broadcast=True).get_config()["broadcast"]
            True
        """
        config = super().get_config()
        if self.broadcast == self.stretches:
            config.pop("broadcast", None)
        return config

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        shapes = [runtime.shape_of(x) for x in _tree.leaves(args) if has_shape(x)]
        known = [shape for shape in shapes if shape is not None]
        if known and len(known) == len(shapes):
            try:
                agreed(self, raised(known), stretch=True)
                if not (self.broadcast or runtime.is_tracing()):  # traced sizes may stand for unknown ones
                    refuse_stretching(self, known)
            except ShapeError as error:
                raise error.at(self._described_(call_site())) from None
        return super()._compute_(args, kwargs)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Merge the branches in order."""
        return functools.reduce(self.merge, kernels.as_equal_ranks(inputs))

    def compute_mask(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> Tensor | None:
        """Return where one branch counts at least; None unless all have masks."""
        if mask is None or any(one is None for one in mask):
            return None
        return (
            functools.reduce(operator.or_, mask)
            if isinstance(mask[0], Symbol)
            else runtime.either(runtime.as_tensors(list(mask)))
        )

    def _makes_mask_(self) -> bool:
        """Return False, as a mask follows from those of the branches, unless a subclass has a rule of its own."""
        return type(self).compute_mask is not Merge.compute_mask

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Merge two branches."""
        raise NotImplementedError(f"{type(self).__name__} must write merge(a, b)")


class Add(Merge):
    """Add branches, a residual join: a + b + …

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out is merged all the same.

    Example:
        >>> import numpy as np
        >>> Add()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[4.0]]
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Add."""
        return a + b


class Subtract(Merge):
    """Subtract the second branch from the first: a - b.

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out is merged all the same.

    Example:
        >>> import numpy as np
        >>> Subtract()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[-2.0]]
    """

    least = most = 2

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """The layer's where a branch has floats, else the widest of the branches'; of booleans int32."""
        found = super()._output_dtype_(input_dtypes)
        return "int32" if found == "bool" else found

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Subtract; booleans count as integers."""
        return ops.subtract(a, b)


class Multiply(Merge):
    """Multiply branches, a gate, so that axes of size 1 stretch: a · b · ….

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out does not take part.

    Example:
        >>> import numpy as np
        >>> Multiply()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[3.0]]
    """

    stretches = True

    def call(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> Tensor:
        """Multiply; what a mask leaves out counts as 1."""
        branches = kernels.as_equal_ranks(inputs)
        masks = _masks(inputs, branches, mask)
        return kernels.masked_product(branches, masks) if masks else functools.reduce(self.merge, branches)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply."""
        return a * b


class Average(Merge):
    """Take the mean of branches: (a + b + …) / n.

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out is merged all the same.

    Example:
        >>> import numpy as np
        >>> Average()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[2.0]]
    """

    _takes_integers_ = False

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Take the mean."""
        return functools.reduce(operator.add, kernels.as_equal_ranks(inputs)) / len(inputs)


class Extreme(Merge):
    """The greatest or least of each position; what a mask leaves out does not take part. Abstract."""

    def call(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> Tensor:
        """Compare."""
        branches = kernels.as_equal_ranks(inputs)
        masks = _masks(inputs, branches, mask)
        return kernels.masked_extreme(self.merge, branches, masks) if masks else functools.reduce(self.merge, branches)


class Maximum(Extreme):
    """Take the greatest of the branches' elements: max(a, b, …).

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out does not take part.

    Example:
        >>> import numpy as np
        >>> Maximum()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[3.0]]
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Take the greater."""
        return kernels.maximum(a, b)


class Minimum(Extreme):
    """Take the least of the branches' elements: min(a, b, …).

    All branches and the result have one shape, unless ``broadcast``. What a mask leaves out does not take part.

    Example:
        >>> import numpy as np
        >>> Minimum()([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[1.0]]
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """Take the lesser."""
        return kernels.minimum(a, b)


class Concatenate(Joining):
    """Put branches side by side along ``axis``: (B, …, m) and (B, …, n) -> (B, …, m + n).

    Example:
        >>> from anabranch import Input
        >>> Concatenate()([Input((4, 3)), Input((4, 5))]).shape
        (None, 4, 8)
    """

    axis: Field[int, int] = axes(default=-1, one=True, doc="the axis along which sizes add up; all others are equal.")

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """All sizes agree but those along the axis, which add up."""
        input_shape = check_branches(self, input_shape, self.least, self.most)
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

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Join."""
        return kernels.concatenate(list(inputs), self.axis)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> Tensor | None:
        """Return the masks joined along a masked axis; along another, where one counts. A branch without a mask counts."""
        if mask is None or all(one is None for one in mask):
            return None
        return runtime.side_by_side(runtime.as_tensors(list(inputs)), runtime.as_tensors(list(mask)), self.axis)

    def _symbolic_mask_(self, inputs: Sequence[Tensor], mask: Masks | None, **more: object) -> Tensor | None:
        """Return the mask of most axes."""
        return None if mask is None else max((one for one in mask if one is not None), key=lambda one: len(one.shape))


def _dot_axes(value: object, owner: object, name: str) -> int | tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    pair = tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        raise ArgumentError(f"{name} of Dot must be an axis, or one for each branch.", got=repr(value))
    return pair


class Dot(Joining):
    """Sum the products of two branches over one axis of each, sample by sample: Σ a · b.

    The other axes of a, then those of b, remain: (B, i, k) and (B, j, k) with ``axes=2`` give (B, i, j); (B, k) and (B, k) give
    (B, 1).

    Example:
        >>> from anabranch import Input
        >>> Dot(axes=2)([Input((4, 8)), Input((5, 8))]).shape
        (None, 4, 5)
    """

    _rule_checks_values_ = True

    _takes_integers_ = False
    least = most = 2

    axes: Field[int | Sequence[int], int | tuple[int, int]] = field(
        convert=_dot_axes, plain=listed,
        doc="the axis summed over, or one for each branch.",
    )  # fmt: skip
    normalize: BooleanField = boolean(default=False, doc="whether vectors are scaled to norm 1: the cosine of their angle.")

    def pair(self) -> tuple[int, int]:
        """Return the axis of each branch."""
        return (self.axes, self.axes) if isinstance(self.axes, int) else self.axes

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The shapes without the axes summed over, the batch once."""
        input_shape = check_branches(self, input_shape, self.least, self.most)
        a, b = input_shape
        first, second = (normalise_axis(axis, len(shape)) for axis, shape in zip(self.pair(), input_shape, strict=True))
        if first == 0 or second == 0:
            raise ArgumentError("Dot cannot sum over the batch.", got=f"axes={self.pair()}")
        if a[first] is not None and b[second] is not None and a[first] != b[second]:
            from anabranch.diagnosis.clash import Clash  # loaded for errors alone

            found = Clash(0, 1, (a, b), [first] if first == second and len(a) == len(b) else [])
            fits = [(i, j) for i in range(1, len(a)) for j in range(1, len(b)) if a[i] == b[j] is not None]
            last = second == len(b) - 1
            raise ShapeError(
                f"Dot sums over axes of one size: with axes={self.pair()}, {a[first]} meets {b[second]}.",
                expected=f"equal sizes along axis {first} of branch 1 and axis {second} of branch 2",
                repair=f"axes={fits[0]}, which have one size" if fits else f"Dense({a[first]})(b) first" if last else None,
                clue=found,
            )
        rest = (*a[1:first], *a[first + 1 :], *b[1:second], *b[second + 1 :])
        return (a[0], *rest) if rest else (a[0], 1)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Multiply and sum."""
        return kernels.batch_dot(inputs[0], inputs[1], self.pair(), self.normalize)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> None:
        """Return None: the axes are others."""


def _masks(inputs: Sequence[Tensor], branches: Sequence[Tensor], masks: Masks | None) -> Masks:
    """Return the branches' masks, none of those that gained axes; an empty list where no branch is masked."""
    given = masks or [runtime.mask_of(x) for x in inputs]  # a subclass's ``call`` may hand on the inputs alone
    masks = runtime.as_tensors(list(given))
    found = [mask if x is branch else None for x, branch, mask in zip(inputs, branches, masks, strict=True)]
    return found if any(mask is not None for mask in found) else []


class MergeFunction(Protocol):
    """A merge as a function of its branches."""

    def __call__(self, inputs: Sequence[Tensor], **kwargs: Unpack[MergeOptions]) -> Tensor:
        """Merge."""


def _function(kind: type[Merge], what: str, merged: float) -> MergeFunction:
    """Return what makes a layer of class ``kind`` and calls it; ``merged``: what it makes of 1 and 3."""

    def function(inputs: Sequence[Tensor], **kwargs: Unpack[MergeOptions]) -> Tensor:
        return kind(**kwargs)(inputs)

    name = kind.__name__.lower()
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""Return the {what} of a list of tensors; see :class:`{kind.__name__}`.

    Args:
        inputs: the branches.
        kwargs: arguments of :class:`{kind.__name__}`, such as ``name``.

    Example:
        >>> import numpy as np
        >>> {name}([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[{merged}]]
    """
    return bounded(function)


add = _function(Add, "sum", 4.0)
subtract = _function(Subtract, "difference", -2.0)
multiply = _function(Multiply, "product", 3.0)
average = _function(Average, "mean", 2.0)
maximum = _function(Maximum, "greatest", 3.0)
minimum = _function(Minimum, "least", 1.0)


@bounded
def concatenate(inputs: Sequence[Tensor], axis: int = -1, **kwargs: Unpack[LayerOptions]) -> Tensor:
    """Return a list of tensors side by side; see :class:`Concatenate`.

    Args:
        inputs: the branches.
        axis: the axis along which sizes add up.
        kwargs: arguments of :class:`Concatenate`, such as ``name``.

    Example:
        >>> import numpy as np
        >>> concatenate([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[1.0, 3.0]]
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


@bounded
def dot(inputs: Sequence[Tensor], axes: int | Sequence[int] = -1, **kwargs: Unpack[LayerOptions]) -> Tensor:
    """Return the product of two tensors summed over an axis of each; see :class:`Dot`.

    Args:
        inputs: the branches.
        axes: the axis summed over, or one for each tensor.
        kwargs: arguments of :class:`Dot`, such as ``name``.

    Example:
        >>> import numpy as np
        >>> dot([np.array([[1.0]]), np.array([[3.0]])]).tolist()
        [[3.0]]
    """
    return Dot(axes=axes, **kwargs)(inputs)

"""What a layer says of the inputs that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anabranch import _tree
from anabranch._arguments import Count, checked
from anabranch._asked import dtype_by_name, has_shape, is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from anabranch._frames import bound_methods
from anabranch.graph import Shape
from anabranch.graph.shapes import to_shape


@bound_methods
class InputSpec:
    """Describe an input that a layer takes; set as ``self.input_spec``, or a list of them, it is checked at each call.

    Args:
        dtype: the dtype that it must have; None: any.
        shape: its shape with the batch, None where a size may be any.
        ndim: how many axes it has.
        max_ndim: how many axes it has at most.
        min_ndim: how many axes it has at least.
        axes: the size along some axes, by axis.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing or there.
        name: the key under which a dict of inputs holds it.
        optional: whether None may be passed in its place.

    Example:
        >>> from anabranch import Input, layers
        >>> class Rows(layers.Layer):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.input_spec = InputSpec(ndim=2, axes={-1: 3})
        ...     def call(self, x):
        ...         return x
        >>> Rows()(Input((3,))).shape
        (None, 3)
    """

    @checked
    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: Count | None = None,
        max_ndim: Count | None = None,
        min_ndim: Count | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtype_by_name(dtype)
        self.shape: Shape | None = None if shape is None else to_shape(shape, "shape")
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim, self.name, self.optional = max_ndim, min_ndim, name, optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        if axes is not None and not (isinstance(axes, Mapping) and all(map(is_integer, axes))):
            raise ArgumentTypeError("axes of InputSpec must be a dict of sizes by axis.", got=shown(axes))
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        most = self.ndim if self.ndim is not None else max_ndim
        if most is not None and self.axes and max(self.axes) >= most:
            raise ArgumentError("axes of InputSpec has an axis too many.", expected=f"below {most}", got=str(self.axes))

    def get_config(self) -> dict[str, Any]:
        """Return what the spec says, as data.

        Example:
            >>> InputSpec(ndim=2).get_config()["ndim"]
            2
        """
        return {
            "dtype": self.dtype, "shape": self.shape, "ndim": self.ndim, "max_ndim": self.max_ndim, "min_ndim": self.min_ndim,
            "axes": self.axes, "optional": self.optional,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Return the spec that a config describes.

        Args:
            config: what ``get_config`` returned.

        Example:
            >>> InputSpec.from_config({"ndim": 2})
            InputSpec(ndim=2)
        """
        return cls(**config)

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        known = {name: getattr(self, name) for name in names}
        return f"InputSpec({', '.join(f'{name}={value!r}' for name, value in known.items() if value not in (None, {}))})"


def check_inputs(specs: object, inputs: _tree.Nest, layer: str) -> None:
    """Raise where inputs are not those that a layer's ``input_spec`` describes."""
    wanted = _tree.leaves(specs)
    names = [spec.name for spec in wanted if isinstance(spec, InputSpec) and spec.name]
    if isinstance(inputs, dict) and len(names) == len(wanted):
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ArgumentError(f"{layer} lacks inputs.", expected=", ".join(names), got=", ".join(map(str, inputs)))
        inputs = [inputs[name] for name in names]
    given = _tree.leaves(inputs)
    if len(given) != len(wanted):
        raise ArgumentError(f"{layer} got too many inputs, or too few.", expected=str(len(wanted)), got=str(len(given)))
    for number, (value, spec) in enumerate(zip(given, wanted, strict=True)):
        if isinstance(spec, InputSpec) and not (value is None and spec.optional):
            _check(value, spec, f"Input {number} of {layer}")


def _check(value: Any, spec: InputSpec, label: str) -> None:
    if not has_shape(value):
        raise ArgumentTypeError(f"{label} is no tensor.", got=shown(value))
    shape: Shape = tuple(value.shape)
    rank, fixed = len(shape), spec.shape
    if spec.allow_last_axis_squeeze and fixed is not None:
        shape, fixed = _squeezed(shape), _squeezed(fixed)
        fits = len(shape) == len(fixed)
    else:
        fits = spec.ndim in (None, rank)
    fits = fits and (spec.max_ndim is None or rank <= spec.max_ndim) and (spec.min_ndim is None or rank >= spec.min_ndim)
    sizes = [*zip(fixed or (), shape, strict=False)]
    sizes += [(size, value.shape[axis]) for axis, size in spec.axes.items() if -rank <= axis < rank]
    if not fits or any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ShapeError(
            f"{label} is not what the layer's input_spec describes.", expected=repr(spec), got=str(tuple(value.shape))
        )
    dtype = str(value.dtype).removeprefix("torch.")
    if spec.dtype is not None and dtype != spec.dtype:
        raise DtypeError(f"{label} has another dtype than the layer's input_spec says.", expected=spec.dtype, got=dtype)


def _squeezed(shape: Shape) -> Shape:
    return shape[:-1] if shape[-1:] == (1,) else shape

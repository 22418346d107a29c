"""A layer's weight as a record: what it is now, its numbers when somebody first asks for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

from anabranch._errors import DtypeError, ShapeError
from anabranch.graph.arrays import is_numpy
from anabranch.graph.shapes import product


class Home:
    """Which model owns a layer, the first that took it: the model's ordinal since the seed was set, and the path there."""

    __slots__ = ("ordinal", "path")

    def __init__(self, path: str) -> None:
        self.ordinal: int | None = None
        self.path = path


class WeightEngine(Protocol):
    """What a weight asks of whoever holds tensors."""

    def native(self, weight: Weight) -> Any:
        """Return the tensor in torch's layout, made on first use; a recorded node while a model is being lowered."""

    def shown(self, weight: Weight) -> Any:
        """Return the tensor in the weight's own axis order; a recorded node while a model is being lowered."""

    def as_tensor(self, value: Any) -> Any:
        """Return an array as a tensor."""

    def shape_of(self, value: Any) -> Any:
        """Return what is known of the shape of what may be a number, an array, a tensor or a recorded value."""

    def write(self, weight: Weight, value: Any) -> None:
        """Replace the numbers in place."""


class Weight:
    """A weight: shape, dtype, initializer and path, with a tensor that is made on first use.

    ``shape`` is in Keras's axis order (kernels H W I O; dense I O). ``axes`` is torch's order: axis ``k`` of the tensor
    is axis ``axes[k]`` of ``shape``; None where both agree.
    """

    __slots__ = (
        "__weakref__", "assigned", "autocast", "axes", "constraint", "dtype", "engine", "home", "initializer", "name",
        "regularizer", "shape", "tensor", "trainable",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        initializer: Callable[..., Any],
        home: Home,
        engine: WeightEngine,
        *,
        trainable: bool = True,
        axes: tuple[int, ...] | None = None,
        regularizer: Callable[[Any], Any] | None = None,
        constraint: Callable[[Any], Any] | None = None,
        autocast: bool = True,
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.initializer = initializer
        self.home = home
        self.engine = engine
        self.trainable = trainable
        self.axes = axes
        self.regularizer = regularizer
        self.constraint = constraint
        self.autocast = autocast  # whether a layer that computes in fewer bits reads it in those
        self.tensor: Any = None
        self.assigned = False  # whether somebody gave the numbers, rather than the initializer

    def __deepcopy__(self, memo: dict[int, Any]) -> Weight:
        """Return a weight of the same numbers, which are drawn the same where nobody asked for them yet."""
        twin = Weight(
            self.name, self.shape, self.dtype, self.initializer, copy.deepcopy(self.home, memo), self.engine,
            trainable=self.trainable, axes=self.axes, regularizer=self.regularizer, constraint=self.constraint,
            autocast=self.autocast,
        )  # fmt: skip
        twin.tensor, twin.assigned = copy.deepcopy(self.tensor, memo), self.assigned
        memo[id(self)] = twin
        return twin

    @property
    def path(self) -> str:
        """The layer's path in the model that owns it, and the weight's name."""
        return f"{self.home.path}/{self.name}"

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return product(self.shape) or 0

    @property
    def value(self) -> Any:
        """The tensor in torch's layout, made on first use; inside a ``call`` that is traced, its proxy."""
        return self.engine.native(self)

    def numpy(self) -> Any:
        """Return the numbers as an array in Keras's axis order; bfloat16, which NumPy lacks, as float32."""
        tensor = self.engine.shown(self).detach().cpu()
        return (tensor.float() if self.dtype == "bfloat16" else tensor).numpy().copy()

    def assign(self, value: Any) -> Weight:
        """Replace the numbers, given in Keras's axis order; the tensor object stays the same.

        Inside a layer's ``call`` this becomes a step of the model, which every later call takes.
        """
        found = self.engine.shape_of(value)
        if found is not None and tuple(found) != self.shape:
            raise ShapeError(
                f"Values for weight {self.path!r} have another shape.", expected=str(self.shape), got=str(tuple(found))
            )
        if is_numpy(value) and value.dtype.kind in "OSU":
            raise DtypeError(f"Values for weight {self.path!r} are not numbers.", got=str(value.dtype))
        self.engine.write(self, value)
        self.assigned = True
        return self

    def assign_add(self, value: Any) -> Weight:
        """Add to the numbers."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Weight:
        """Subtract from the numbers."""
        return self.assign(self - value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def _operand(self, other: Any) -> Any:
        return self.engine.as_tensor(other) if is_numpy(other) else _shown(other)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*_shown(args), **{k: _shown(v) for k, v in (kwargs or {}).items()})

    def __add__(self, other: Any) -> Any:
        return _shown(self) + self._operand(other)

    def __radd__(self, other: Any) -> Any:
        return self._operand(other) + _shown(self)

    def __sub__(self, other: Any) -> Any:
        return _shown(self) - self._operand(other)

    def __rsub__(self, other: Any) -> Any:
        return self._operand(other) - _shown(self)

    def __mul__(self, other: Any) -> Any:
        return _shown(self) * self._operand(other)

    def __rmul__(self, other: Any) -> Any:
        return self._operand(other) * _shown(self)

    def __truediv__(self, other: Any) -> Any:
        return _shown(self) / self._operand(other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operand(other) / _shown(self)

    def __matmul__(self, other: Any) -> Any:
        return _shown(self) @ self._operand(other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._operand(other) @ _shown(self)

    def __pow__(self, other: Any) -> Any:
        return _shown(self) ** self._operand(other)

    def __bool__(self) -> bool:
        return True

    def __neg__(self) -> Any:
        return -_shown(self)

    def __getitem__(self, key: Any) -> Any:
        return _shown(self)[key]

    def __repr__(self) -> str:
        return f"<Weight {self.path} shape={self.shape} dtype={self.dtype} trainable={self.trainable}>"


def _shown(value: Any) -> Any:
    if isinstance(value, Weight):
        return value.engine.shown(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_shown(item) for item in value)
    return value

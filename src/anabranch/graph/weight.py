"""A layer's weight as a record: its shape and options now, its values when somebody first asks for them."""

from __future__ import annotations

import contextlib
import copy
import importlib
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from anabranch import _process, _tree
from anabranch._asked import first_line, is_boolean, is_from, is_integer, is_number, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from anabranch._frames import bound_methods, leave, unbounded
from anabranch.graph.arrays import is_array, is_numpy
from anabranch.graph.operands import Operators
from anabranch.graph.shapes import Shape, product

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from anabranch._types import Tensor as EngineTensor

T = TypeVar("T")
NARROW = frozenset(("bfloat16", "float8_e4m3fn", "float8_e5m2"))  # floats that NumPy lacks
Axes = tuple[int | tuple[int, ...], ...]  # for each axis of torch's tensor, that of the weight's shape, or several as one
IN_ORDER = "weight[...], whose axes are in Keras's order; weight.value has torch's"
Aggregation = Literal["none", "mean", "sum", "only_first_replica"]  # over devices, in Keras's words


class Home:
    """Which model owns a layer, the first that took it: the path there, and the model's number among those of its seeding.

    The seed is that of when the layer was made: values are made when they are first read, and until then it may be set again.
    """

    __slots__ = ("__weakref__", "ordinal", "path", "seeding")

    def __init__(self, path: str) -> None:
        self.ordinal: int | None = None
        self.path = path
        self.seeding = _process.seeding()

    def take(self, path: str, numbers: dict[_process.Seeding, int] | None = None) -> None:
        """Note the path, and the number of the model, or of what is called by itself; ``numbers``: the model's, by seeding."""
        numbers = {} if numbers is None else numbers
        if self.seeding not in numbers:
            numbers[self.seeding] = self.seeding.next_claim()
        self.ordinal, self.path = numbers[self.seeding], path


class Unowned(Home):
    """The home of a weight that no layer has: its path is a prefix, or ""."""

    __slots__ = ()


DRAWING: ContextVar[np.random.Generator | None] = ContextVar("DRAWING", default=None)
"""What initializers without a seed draw from while a weight's values are made, those too that a user's function calls."""


@contextlib.contextmanager
def drawing_from(rng: np.random.Generator) -> Iterator[None]:
    """Let initializers draw from a weight's generator, which its seed and path decide."""
    before = DRAWING.set(rng)
    try:
        yield
    finally:
        DRAWING.reset(before)


class WeightOptions(NamedTuple):
    """How a weight begins and how it is trained.

    Args:
        initializer: returns its initial values for a shape and a dtype.
        regularizer: a penalty on its values, which joins the training loss.
        constraint: is applied to its values after each update.
        trainable: whether training changes it.
        autocast: whether a layer that computes in fewer bits reads it in those.
        aggregation: how Keras combines the values of several devices; without effect, as all have the same values.
        synchronization: when Keras does so; without effect, too.
    """

    initializer: Callable[..., Any]
    regularizer: Callable[[Any], Any] | None = None
    constraint: Callable[[Any], Any] | None = None
    trainable: bool = True
    autocast: bool = True
    aggregation: Aggregation = "none"
    synchronization: str = "auto"


class WeightEngine(Protocol):
    """What a weight asks of the package that holds tensors."""

    def native(self, weight: Weight) -> EngineTensor:
        """Return the tensor in torch's layout, made on first use; a traced read while a model is being lowered."""

    def shown(self, weight: Weight) -> EngineTensor:
        """Return the tensor in the weight's own axis order; a traced read while a model is being lowered."""

    def as_tensor(self, value: object) -> EngineTensor:
        """Return an array as a tensor."""

    def shape_of(self, value: object) -> Shape | None:
        """Return what is known of the shape of what may be a number, an array, a tensor or a traced value."""

    def remember(self, weight: Weight) -> None:
        """Note that a weight's tensor is handed out in torch's layout."""

    def in_keras_order(self, value: object, target: Weight) -> object:
        """Return what a weight is assigned in Keras's order of axes, turned where it is a tensor that was handed out."""

    def write(self, weight: Weight, value: object) -> None:
        """Replace the values in place."""

    def note_change(self) -> None:
        """Let compiled models look again before they run, as a weight's options changed."""


def _option(name: str, doc: str) -> property:
    """Return a property that reads and replaces one of a weight's options."""

    def replace(weight: Weight, value: object) -> None:
        whether = name in ("trainable", "autocast")
        if not (is_boolean(value) if whether else value is None or callable(value)):
            expected = "True or False" if whether else "a function or None"
            raise ArgumentTypeError(f"{name} of weight {weight.path!r} must be {expected}.", got=shown(value))
        options: dict[str, Any] = {name: value}
        weight.options = weight.options._replace(**options)
        weight.engine.note_change()

    return property(lambda weight: getattr(weight.options, name), replace, doc=doc)


@bound_methods
class Weight(Operators["EngineTensor"]):
    """A weight: shape, dtype, options and path, with a tensor that is made on first use.

    Args:
        name: the last part of its path.
        shape: in Keras's axis order (kernels H W I O; dense I O).
        dtype: of its values.
        options: how it begins and is trained; an initializer alone leaves the others at their defaults.
        home: the owner that gives its path.
        engine: the package that holds tensors.
        axes: axis ``k`` of torch's tensor is axis ``axes[k]`` of ``shape``, or several of them as one; None where both agree.
    """

    __slots__ = {  # what ``help`` shows of each
        "__weakref__": "",
        "assigned": "Whether somebody set the values, rather than the initializer.",
        "axes": "Which axes of ``shape`` each axis of torch's tensor is; None where both agree.",
        "dtype": "Of the values, as a string.",
        "engine": "The package that holds tensors.",
        "gradients": "Whether the tensor was last let have gradients, None before.",
        "home": "The owner that gives the path.",
        "learned": "Whether it was trainable at first, by which files order weights, whatever is frozen later.",
        "name": "The last part of the path.",
        "options": "How it begins and is trained.",
        "parts": "Weak references to the parameters of torch modules that are parts of the tensor.",
        "shape": "In Keras's axis order.",
        "tensor": "The tensor in torch's layout, None until its first use.",
    }

    @unbounded
    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        options: WeightOptions | Callable[..., Any],
        home: Home,
        engine: WeightEngine,
        axes: Axes | None = None,
    ) -> None:
        if not all(is_integer(size) and size >= 0 for size in shape):
            raise ShapeError(
                f"Weight {name!r} cannot have this shape, which follows from that of the input.",
                expected="sizes that are integers ≥ 0", got=shown(shape),
            )  # fmt: skip
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.options = options if isinstance(options, WeightOptions) else WeightOptions(options)
        self.learned = self.options.trainable
        self.home = home
        self.engine = engine
        self.axes = axes
        self.tensor: EngineTensor | None = None
        self.assigned = False
        self.gradients: bool | None = None
        self.parts: tuple[Callable[[], EngineTensor | None], ...] = ()

    initializer = _option("initializer", "Returns the initial values.")
    regularizer = _option("regularizer", "A penalty on the values, None without.")
    constraint = _option("constraint", "What is applied to the values after each update, None without.")
    _trainable = _option("trainable", "")
    autocast = _option("autocast", "Whether a layer that computes in fewer bits reads it in those.")

    @property
    def trainable(self) -> bool:
        """Whether training changes it; what torch code sets by ``requires_grad_`` on its tensor counts from then on."""
        if self.gradients is not None and self.tensor is not None:
            asked = not self.gradients
            if asked is not self.options.trainable and any(each.requires_grad is asked for each in self._held_()):
                self._trainable, self.gradients = asked, asked
                for each in self._held_():
                    each.requires_grad_(asked)
        return self.options.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value

    def _held_(self) -> list[EngineTensor]:
        """Return the tensor, and the parameters of torch modules that are parts of it, as far as they are there."""
        return [each for each in (self.tensor, *(part() for part in self.parts)) if each is not None]

    @property
    def aggregation(self) -> Aggregation:
        """How Keras combines the values of several devices; here all have the same values."""
        return self.options.aggregation

    @property
    def synchronization(self) -> str:
        """When Keras combines the values of several devices."""
        return self.options.synchronization

    @property
    def overwrite_with_gradient(self) -> bool:
        """False: an optimizer updates the values from the gradient, and never replaces them by it."""
        return False

    @overwrite_with_gradient.setter
    def overwrite_with_gradient(self, value: bool) -> None:
        if value:
            raise ArgumentError(
                f"The gradient of weight {self.path!r} cannot replace its values.", got="overwrite_with_gradient=True",
                repair="weight.assign(…) in the layer's call, or in a train_step of your own",
            )  # fmt: skip

    def __deepcopy__(self, memo: dict[int, object]) -> Weight:
        """Return a weight of the same values, which are drawn the same where nobody asked for them yet."""
        twin = Weight(self.name, self.shape, self.dtype, self.options, copy.deepcopy(self.home, memo), self.engine, self.axes)
        twin.tensor, twin.assigned = copy.deepcopy(self.tensor, memo), self.assigned
        twin.gradients, twin.learned = self.gradients, self.learned
        memo[id(self)] = twin
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the record and the tensor; the package that holds tensors goes by its name."""
        state = {name: getattr(self, name) for name in Weight.__slots__ if name not in ("__weakref__", "engine", "parts")}
        engine: object = self.engine
        package = engine.__name__ if isinstance(engine, types.ModuleType) else None
        return _unpickled, (None if package else engine, package, state)

    @property
    def path(self) -> str:
        """The layer's path in the model that owns it, and the weight's name."""
        return f"{self.home.path}/{self.name}" if self.home.path else self.name

    @property
    def size(self) -> int:
        """How many values it has."""
        return product(self.shape) or 0

    @property
    def value(self) -> EngineTensor:
        """The tensor in torch's layout, made on first use; inside a ``call`` that is traced, its traced read."""
        try:
            found = self.engine.native(self)
            if self.axes is not None:
                self.engine.remember(self)
            return found
        except BaseException as error:
            leave(error)
            raise

    @property
    def native_shape(self) -> tuple[int, ...]:
        """The shape of its tensor in torch's layout."""
        if self.axes is None:
            return self.shape
        return tuple(math.prod(self.shape[axis] for axis in _several(axes)) for axes in self.axes)

    def to_native(self, tensor: EngineTensor) -> EngineTensor:
        """Return a tensor of ``shape`` in torch's layout, without a copy where no axes become one."""
        if self.axes is None:
            return tensor
        found = tensor.permute(*(axis for axes in self.axes for axis in _several(axes)))
        return found.reshape(self.native_shape) if len(self.axes) < len(self.shape) else found

    def from_native(self, tensor: EngineTensor) -> EngineTensor:
        """Return a tensor in torch's layout in the axis order of ``shape``."""
        if self.axes is None:
            return tensor
        order = [axis for axes in self.axes for axis in _several(axes)]
        parts = tensor.reshape([self.shape[axis] for axis in order]) if len(self.axes) < len(order) else tensor
        return parts.permute(*map(order.index, range(len(order))))

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the values as an array in Keras's axis order; bfloat16 and float8, which NumPy lacks, as float32."""
        tensor = self.engine.shown(self).detach().cpu()
        values: np.ndarray[Any, Any] = (tensor.float() if self.dtype in NARROW else tensor).numpy().copy()
        return values

    def assign(self, value: object) -> Weight:
        """Replace the values, given in Keras's axis order; the tensor object stays the same.

        Another weight's ``value``, whose axes are in torch's order, is known as such. Inside a layer's ``call`` this becomes a
        step of the model, which every later call takes.
        """
        value = self.engine.in_keras_order(value, self)
        try:
            found = self.engine.shape_of(value)
        except ValueError as error:  # nested lists of unequal lengths
            raise ArgumentTypeError(f"Values for weight {self.path!r} are not numbers.", got=shown(value)) from error
        if found is not None and tuple(found) != self.shape:
            turned = self.axes is not None and tuple(found) == self.native_shape
            raise ShapeError(
                f"Values for weight {self.path!r} have another shape.", expected=str(self.shape),
                got=f"{tuple(found)}, its shape in torch's layout" if turned else str(tuple(found)),
                repair=IN_ORDER if turned else None,
            )  # fmt: skip
        dtype = str(value.dtype) if is_array(value) else ""
        if "complex" in dtype or (is_numpy(value) and value.dtype.kind in "OSU"):
            kind = "real numbers" if "complex" in dtype else "numbers"
            raise DtypeError(f"Values for weight {self.path!r} are not {kind}.", got=dtype)
        self.engine.write(self, value)
        self.assigned = True
        return self

    def assign_add(self, value: object) -> Weight:
        """Add to the values."""
        return self._changed(operator.add, value)

    def assign_sub(self, value: object) -> Weight:
        """Subtract from the values."""
        return self._changed(operator.sub, value)

    def _changed(self, function: Callable[[Weight, object], object], value: object) -> Weight:
        try:
            found = function(self, value)
        except AnabranchError:
            raise
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            fact = f"Values for weight {self.path!r} are no numbers that it can be changed by: {first_line(error)}"
            raise ArgumentTypeError(fact, got=shown(value)) from error
        return self.assign(found)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def _operate(self, function: Callable[..., Any], *operands: object) -> EngineTensor:
        found: EngineTensor = function(*(self.engine.as_tensor(each) if _is_plain(each) else _shown(each) for each in operands))
        return found

    def __eq__(self, other: object) -> EngineTensor | bool:  # type: ignore[override]  # element by element
        """Compare the values with numbers; two weights are equal where they are one, so that lists and dicts may hold them."""
        return self._operate(operator.eq, self, other) if _is_numbers(other) else self is other

    def __ne__(self, other: object) -> EngineTensor | bool:  # type: ignore[override]  # element by element
        return self._operate(operator.ne, self, other) if _is_numbers(other) else self is not other

    __hash__ = object.__hash__

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., T], types: object, args: Iterable[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> T:
        if is_from(function, "torch.autograd"):  # gradients are those of the tensors that layers compute with
            args, kwargs = _tree.map_leaves(
                lambda leaf: leaf.value if isinstance(leaf, Weight) else leaf, (tuple(args), kwargs)
            )
            return function(*args, **(kwargs or {}))
        return function(*_shown(args), **{k: _shown(v) for k, v in (kwargs or {}).items()})

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __bool__(self) -> bool:
        return True

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __getitem__(self, key: Any) -> EngineTensor:
        return self.engine.shown(self)[key]

    def __repr__(self) -> str:
        return f"<Weight {self.path} shape={self.shape} dtype={self.dtype} trainable={self.trainable}>"

    def _repr_html_(self) -> str:
        from anabranch._tables import facts

        options = [(name, getattr(self.options, name)) for name in ("initializer", "regularizer", "constraint")]
        values = []
        if self.tensor is not None and self.size:
            found = self.numpy().astype("float64")
            values = [("mean ± deviation", f"{found.mean():.4g} ± {found.std():.4g}")]
            values.append(("least to most", f"{found.min():.4g} to {found.max():.4g}"))
        known: list[tuple[str, object]] = [
            ("shape", self.shape), ("dtype", self.dtype), ("values", f"{self.size:,}"), ("trainable", self.trainable),
            *((name, value) for name, value in options if value is not None),
        ]  # fmt: skip
        return facts(f"Weight {self.path}", [*known, *values])


def in_file_order(weights: Iterable[Weight]) -> list[Weight]:
    """Return weights in the order that Keras's files have: those that were made to be trained first."""
    return sorted(weights, key=lambda weight: not weight.learned)


def _several(axes: int | tuple[int, ...]) -> tuple[int, ...]:
    return (axes,) if isinstance(axes, int) else axes


def _unpickled(engine: Any, package: str | None, state: dict[str, Any]) -> Weight:
    """Return the weight that was pickled."""
    made = Weight.__new__(Weight)
    made.engine, made.parts = importlib.import_module(package) if package else engine, ()
    for name, value in state.items():
        setattr(made, name, value)
    return made


def _is_numbers(value: object) -> bool:
    return not isinstance(value, Weight) and (is_number(value) or is_boolean(value) or is_array(value))


def _shown(value: _tree.Nest) -> _tree.Nest:
    if isinstance(value, Weight):
        return value.engine.shown(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_shown(item) for item in value)
    return value


def _is_plain(operand: object) -> bool:
    """Return whether an operand is to become a tensor first."""
    return is_numpy(operand) or isinstance(operand, (list, tuple))

"""The settings of built-in layers: the kinds of fields that families share, and the layer that is made of fields."""

from __future__ import annotations

import functools
import math
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeGuard,
    dataclass_transform,
)

from anabranch import _tree, activations, config, initializers, registry, runtime
from anabranch._arguments import RAW, to_boolean
from anabranch._asked import name_of, shown, unwrapped
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, ShapeError, unknown
from anabranch._fields import REQUIRED, Configurable, Field, boolean, choice, field, integer, number, state, text
from anabranch._frames import leave, mark
from anabranch.config import DTypePolicy
from anabranch.graph import Node, Shape, Weight, WeightOptions
from anabranch.graph.shapes import check_shapes, per_axis
from anabranch.graph.weight import Axes as WeightAxes
from anabranch.layers.base import Layer
from anabranch.layers.building import built_with, once, refuse_arguments, shapes_of_build
from anabranch.layers.configuring import shortened
from anabranch.layers.holding import WeightAttribute, to_constraint, to_regularizer

if TYPE_CHECKING:
    from anabranch.constraints import ConstraintLike
    from anabranch.initializers import InitializerLike
    from anabranch.regularizers import RegularizerLike
    from anabranch.runtime import Tensor

Function: TypeAlias = "Callable[..., Tensor]"
ActivationField: TypeAlias = "Field[str | Function | dict[str, Any] | None, Function]"
RegularizerField: TypeAlias = "Field[RegularizerLike, Function | None]"
ConstraintField: TypeAlias = "Field[ConstraintLike, Function | None]"
InitializerField: TypeAlias = "Field[InitializerLike, Callable[..., Any]]"
BooleanField: TypeAlias = "Field[bool, bool]"
NumberField: TypeAlias = "Field[float, float]"
SeedField: TypeAlias = "Field[int | None, int | None]"
SizesField: TypeAlias = "Field[int | Sequence[int], tuple[int, ...]]"
AxesField: TypeAlias = "Field[int | Sequence[int], int | list[int]]"
Padding: TypeAlias = Literal["valid", "same"]
PaddingField: TypeAlias = "Field[Padding, Padding]"
CausalPadding: TypeAlias = Literal["valid", "same", "causal"]
CausalPaddingField: TypeAlias = "Field[CausalPadding, CausalPadding]"
DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
DataFormatField: TypeAlias = "Field[DataFormat | None, DataFormat]"


# Kinds of fields. ``kw_only`` is for type checkers: a base's fields come last in the constructor, which they do not know.


def _activation_data(value: Function) -> registry.Json:
    try:
        return activations.serialize(value)
    except ArgumentTypeError:
        return registry.serialize(value)


def activation(*, default: object = REQUIRED, kw_only: bool = False) -> Field[Any, Any]:
    """Declare an activation."""
    doc = "the activation, by name or as a function; None: linear."
    return Field(default, lambda value, owner, name: activations.get(value), _activation_data, doc)


_OWNERS = {"activity": "the output", "depthwise": "the depthwise kernel", "pointwise": "the pointwise kernel"}


class _Option(Field[Any, Any]):
    """An option of what the field's name begins with, mostly a weight; ``{}`` in its line means that."""

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        stem = name.rpartition("_")[0]
        self.doc = self.doc.format(_OWNERS.get(stem, f"``{stem}``"))


def initializer(*, default: object = REQUIRED, doc: str = "of {}.", kw_only: bool = False) -> Field[Any, Any]:
    """Declare how a weight's initial value is drawn."""
    # None means to a weight what it means to ``add_weight``
    return _Option(default, lambda value, owner, name: initializers.get("glorot_uniform" if value is None else value), doc=doc)


def regularizer(*, default: object = None, kw_only: bool = False) -> Field[Any, Any]:
    """Declare a penalty that joins the training loss."""
    return _Option(default, lambda value, owner, name: to_regularizer(value), doc="a penalty on {}.")


def constraint(*, default: object = None, kw_only: bool = False) -> Field[Any, Any]:
    """Declare what is applied to a weight after each update."""
    return _Option(default, lambda value, owner, name: to_constraint(value), doc="applied to {} after each update.")


def sizes(
    *, default: object = REQUIRED, least: int = 1, optional: bool = False, single: bool = False, doc: str = "",
    fixed: bool = False,
) -> Field[Any, Any]:  # fmt: skip
    """Declare one size for each spatial axis of the layer's ``rank``; an integer means all of them.

    ``optional``: or None. ``single``: a config has the only size as an integer, as Keras's does.
    """

    def convert(value: int | Sequence[int], owner: object, name: str) -> object:
        if not has_rank(owner):
            return value  # the default of an abstract class
        return None if value is None and optional else per_axis(value, owner.rank, name, least=least)

    return Field(default, convert, _only if single else listed, doc, fixed=fixed)


class Ranked(Protocol):
    """A layer, or a class of layers, with so many spatial axes."""

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""


def has_rank(owner: object) -> TypeGuard[Ranked]:
    """Return whether a layer's class says how many spatial axes it has."""
    return hasattr(owner, "rank")  # abstract families have none


def listed(value: object) -> object:
    """Return a tuple as a list, for JSON, and anything else as it is."""
    return list(value) if isinstance(value, tuple) else value


def _only(value: tuple[int, ...]) -> int:
    return value[0]


def axes(*, default: object = REQUIRED, one: bool = False, doc: str = "", fixed: bool = False) -> Field[Any, Any]:
    """Declare an axis, or a list of axes; ``one``: a list of a single axis means that axis."""

    def convert(value: object, owner: object, name: str) -> object:
        if type(value) is int:  # as most are
            return value
        found = list(value) if isinstance(value, (list, tuple)) else [value]
        if not found or any(isinstance(axis, bool) or not isinstance(axis, int) for axis in found) or (one and len(found) > 1):
            wanted = "an axis" if one else "an axis or a list of axes"
            raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be {wanted}.", got=shown(value))
        return found[0] if one else found

    return Field(default, convert, doc=doc, fixed=fixed)


def padding(*, default: object = "valid", causal: bool = False) -> Field[Any, Any]:
    """Declare a padding; ``causal`` is one of them where the layer has one spatial axis."""

    def convert(value: object, owner: object, name: str) -> str:
        if value in ("valid", "same"):  # as most are
            return value
        known = ("valid", "same", "causal") if causal and (not has_rank(owner) or owner.rank == 1) else ("valid", "same")
        if not isinstance(value, str) or value.lower() not in known:
            raise unknown("padding", str(value), known)
        return value.lower()

    doc = '"valid" (no padding), "same" (output size = ceil(input size / stride))'
    return Field(default, convert, doc=doc + (', or "causal" (looks back only; 1-D)' if causal else "") + ".")


def _layout(value: str | None, owner: object, name: str) -> str:
    return config.image_data_format() if value is None else config.check_data_format(value)


def data_format(*, default: object = None, kw_only: bool = False) -> Field[Any, Any]:
    """Declare which axis of an image is that of the channels."""
    doc = '"channels_last" (B …spatial C) or "channels_first" (B C …spatial); None: config.image_data_format().'
    return Field(default, _layout, doc=doc, fresh=True, fixed=True)


def pair(value: object, owner: object, name: str) -> tuple[float, float]:
    """Return two numbers, the lesser first."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(n, (int, float)) for n in value):
        return float(min(value)), float(max(value))
    raise ArgumentError(
        f"{name} of {type(owner).__name__} must be a pair of numbers.", expected="(low, high)", got=shown(value)
    )


def _range_of_values(value: object, owner: object, name: str) -> tuple[float, float]:
    """Return the least and greatest value of images, which differ and are finite."""
    low, high = pair(value, owner, name)
    if not 0 < high - low < math.inf:
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be two different numbers.", expected="(0, 255)", got=shown(value)
        )
    return low, high


def value_range(*, default: object = (0, 255), kw_only: bool = False) -> Field[Any, Any]:
    """Declare the least and greatest value of images."""
    return field(default=default, convert=_range_of_values, plain=listed, doc="the least and greatest value of an image.")


def seed(*, default: object = None, kw_only: bool = False) -> Field[Any, Any]:
    """Declare the seed of a layer that draws random numbers."""
    return integer(default=default, least=None, optional=True, doc="None: the global generators; else one of the layer's own.")


def absent(*, default: object = None, hidden: bool = False, kw_only: bool = False) -> Field[Any, Any]:
    """Declare an argument of Keras's that is not there yet: any other value than the default is refused."""

    def convert(value: object, owner: object, name: str) -> Any:
        if value is not default and value != default:
            raise ArgumentError(f"{name}= of {type(owner).__name__} is not there yet.", got=shown(value))
        return default

    return Field(default, convert, doc="not there yet; only the default is taken.", hidden=hidden)


NAME_DOC = "the layer's name; None: the model numbers it."
_MISSING = object()


class LayerOptions(TypedDict, total=False):
    """What all layers take by name."""

    activity_regularizer: RegularizerLike
    trainable: bool
    dtype: str | DTypePolicy | dict[str, Any] | None
    autocast: bool
    name: str | None


def _of_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``build`` or a shape rule that refuses what is no shape, bounded; after a ``build``, ``built`` is true."""
    written = unwrapped(function)
    optional = isinstance(written, types.FunctionType) and bool(written.__defaults__)  # where weights are made at once
    name, builds = function.__name__, function.__name__ == "build"
    several = bool(shapes_of_build(written))  # a shape for each input, which may come by name

    @functools.wraps(function)
    def method(self: FieldLayer, input_shape: object = None, *args: object, **kwargs: object) -> object:
        given: tuple[object, ...] = () if several and input_shape is None else (input_shape, *args)
        try:
            if args or kwargs:
                refuse_arguments(written, self, () if input_shape is None and not args else given, kwargs)
            if several:
                checked([shape for shape in (*given, *kwargs.values()) if shape is not None], self)
            elif type(input_shape) is not tuple and not (optional and input_shape is None):
                checked(input_shape, self)
            try:
                if builds:
                    with once(self):
                        found = function(self, *given, **kwargs)
                else:
                    found = function(self, *given, **kwargs)
            except AnabranchError:
                raise
            except RAW as error:
                checked(given if several else input_shape, self)
                if self._captures_:
                    raise
                shapes = (given or kwargs) if several else input_shape
                raise ShapeError(f"{type(self).__name__} takes no input of this shape.", got=shown(shapes)) from error
            if builds:
                self.built = True
                self._built_with_ = built_with(function, given, kwargs) if args or kwargs else input_shape
            return found
        except BaseException as error:
            leave(error)
            raise

    def checked(shapes: object, layer: FieldLayer) -> None:
        check_shapes(shapes, f"input_shape of {type(layer).__name__}.{name}", layer._made_at_)

    mark(method)
    return method


def weight_state(*, init: Literal[False] = False) -> Any:
    """Declare the attribute of a weight, None until it is built."""
    return WeightAttribute()


@dataclass_transform(
    field_specifiers=(
        field, integer, number, boolean, text, choice, state, weight_state, activation, initializer, regularizer, constraint,
        sizes, axes, padding, data_format, value_range, seed, absent,
    )
)  # fmt: skip
class FieldLayer(Layer, Configurable):
    """A layer whose settings are fields. Abstract: base of all built-in layers.

    A setting changed after construction takes effect in every model that holds the layer, at its next call. It is refused where
    weights were made by it (a ``fixed`` one), or where a call of the layer would have another output than its graph says.
    """

    _captures_ = False
    _makes_weights_ = False
    _states_shapes_ = True
    option_names: ClassVar[Mapping[str, str]] = {}  # a weight's name -> what the fields of its options begin with

    if TYPE_CHECKING:  # what Layer's constructor takes
        name: Field[str | None, str] = field(default=None, kw_only=True)  # type: ignore[assignment]  # a property at run time
        trainable: Field[bool, bool] = field(default=True, kw_only=True)  # type: ignore[assignment]
        dtype: Field[str | DTypePolicy | dict[str, Any] | None, str] = field(default=None, kw_only=True)  # type: ignore[assignment]
        autocast: Field[bool, bool] = field(default=True, kw_only=True)  # type: ignore[assignment]
        activity_regularizer: RegularizerField = field(default=None, kw_only=True)  # type: ignore[assignment, override]
        input_shape: Field[int | Shape | None, Any] = field(default=None, kw_only=True)
        input_dim: Field[int | None, Any] = field(default=None, kw_only=True)
        batch_input_shape: Field[Shape | None, Any] = field(default=None, kw_only=True)
    else:
        __init__ = Configurable.__init__

    def __init_subclass__(cls, **kwargs: object) -> None:
        if "compute_output_shape" in cls.__dict__:
            cls.compute_output_shape = _of_shapes(cls.__dict__["compute_output_shape"])  # type: ignore[method-assign]
        super().__init_subclass__(**kwargs)
        cls._captures_ = cls.__init__ is not FieldLayer.__init__

    _complete_build_ = staticmethod(_of_shapes)
    if not TYPE_CHECKING:
        build = unwrapped(Layer.build)  # which is completed as every other

    def _take_others_(self, others: dict[str, Any]) -> None:
        if others:
            Layer.__init__(self, **others)
            if "autocast" in others:  # which a class may be without unless it is asked for
                self._autocast_ = to_boolean(others["autocast"], "autocast", self)

    def _place_(self) -> str:
        return str(self._made_at_)

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        if changed.fixed and (self.weights or (self.built and self._makes_weights_)) and value != getattr(self, changed.name):
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: its weights were made by it.",
                expected=f"{changed.name}={getattr(self, changed.name)!r}", got=shown(value),
                repair="make a new layer, or exchange it in a model by edit.replace",
            )  # fmt: skip
        self._check_change(changed, value)
        for weight in self._weights_:
            stem = self.option_names.get(weight.name, weight.name)
            if changed.name in (f"{stem}_regularizer", f"{stem}_constraint"):
                setattr(weight, changed.name.rpartition("_")[2], value)
        self._note_change_()

    def _check_change(self, changed: Field[Any, Any], value: object) -> None:
        """Raise where settings would not go together, or a call would not have the output that its graph says."""
        held = self.__dict__
        before = held.get(changed.key, _MISSING)
        held[changed.key] = value
        try:
            self._check_()
            for node in [node for node in (call() for call in self._calls_) if node is not None]:
                self._check_call(node, changed)
        finally:
            held.pop(changed.key)
            if before is not _MISSING:
                held[changed.key] = before

    def _check_call(self, node: Node, changed: Field[Any, Any]) -> None:
        try:
            specs = self.compute_output_spec(*node.args, **node.kwargs)
        except AnabranchError as error:
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: its call in a graph would fail.",
                got=error.fact, where=f"called at {node.site}", repair="exchange the layer in a model by edit.replace",
            ) from error  # fmt: skip
        if specs != node.output_specs:
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: its output in a graph would be another.",
                expected=f"{node.output_specs}, as called at {node.site}", got=f"{specs}",
                repair="set it before the call, or exchange the layer in a model by edit.replace",
            )  # fmt: skip

    def weight(
        self,
        name: str,
        shape: Sequence[int],
        axes: WeightAxes | None = None,
        *,
        trainable: bool = True,
        autocast: bool = True,
        initializer: Callable[..., Any] | None = None,
    ) -> None:
        """Add the weight ``name``, held by the attribute of that name.

        Its options are ``name_initializer``, ``name_regularizer`` and ``name_constraint``.

        Fields that the layer does not declare leave their option out; ``option_names`` gives another stem for a weight's name.
        ``axes``: see :class:`Weight`. ``initializer`` takes the place of the field's.
        """
        read, shared, key = _options(type(self), name, trainable, autocast)  # type: ignore[arg-type]  # a class is hashable
        drawn, penalty, limit = found = read(self) if initializer is None else (initializer, *read(self)[1:])
        same = all(map(operator.is_, found, shared))  # as for most: one record serves them all
        options = shared if same else WeightOptions(drawn, penalty, limit, trainable, autocast)
        state = self.__dict__
        state[key] = made = Weight(name, tuple(shape), self.dtype, options, self._home_, runtime, axes)
        state["_weights_"] = (*self._weights_, made)

    def _written_code_(self, *, named: bool = True, whole: bool = False) -> str:
        """Return the code that makes this layer, without the settings that are as by default."""
        if self._captures_:
            return super()._written_code_(named=named, whole=whole)
        held = self.__dict__
        words: list[str] = []
        for each in self._fields_.values():
            if each.key in held and not (each.fresh and held[each.key] == each.converted(each.default, self)):
                shown = _code(each.plain, held[each.key])
                leads = each.default is REQUIRED and not any("=" in word for word in words)
                words.append(shown if leads else f"{each.name}={shown}")
        if named and self._named_:
            words.append(f"name={self._explicit_name_!r}")
        return shortened(type(self).__name__, words, whole)

    __repr__ = Layer.__repr__


def _code(plain: Callable[[Any], Any], value: object) -> str:
    """Return a setting as code: a name as a string, equal sizes as one integer."""
    if isinstance(value, tuple) and value:
        same = set(_tree.leaves(value))
        return repr(same.pop() if len(same) == 1 else value[0] if len(value) == 1 else value)
    if callable(value):
        data = plain(value) if name_of(value) != "<lambda>" else value
        return repr(data) if isinstance(data, str) else name_of(value, repr(value))
    return repr(value)


@functools.cache
def _options(
    kind: type[FieldLayer], name: str, trainable: bool, autocast: bool
) -> tuple[Callable[[object], tuple[Any, ...]], WeightOptions, str]:
    """Return what reads a weight's options from a layer's fields, those that the class has by default, and the weight's key."""
    stem = kind.option_names.get(name, name)
    fields = [kind._fields_.get(f"{stem}_{option}") for option in ("initializer", "regularizer", "constraint")]
    defaults = (initializers.get("zeros"), None, None)
    if None not in fields:
        read: Callable[[object], tuple[Any, ...]] = operator.attrgetter(*(each.key for each in fields if each))
    else:

        def read(layer: object) -> tuple[Any, ...]:
            return tuple(getattr(layer, each.key) if each else default for each, default in zip(fields, defaults, strict=True))

    drawn, penalty, limit = read(kind)
    return read, WeightOptions(drawn, penalty, limit, trainable, autocast), f":{name}"


__all__ = [
    "NAME_DOC",
    "ActivationField", "AxesField", "BooleanField", "CausalPaddingField", "ConstraintField", "DataFormat", "DataFormatField",
    "Field", "FieldLayer", "InitializerField", "NumberField", "PaddingField", "RegularizerField", "SeedField", "SizesField",
    "absent", "activation", "axes", "boolean", "choice", "constraint", "data_format", "field", "initializer", "integer",
    "number", "padding", "regularizer", "seed", "sizes", "state", "text", "weight_state",
]  # fmt: skip

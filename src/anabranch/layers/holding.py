"""What a layer owns: its name and path, the weights, layers, metrics and torch modules that it holds."""

from __future__ import annotations

import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from anabranch import _process, initializers, runtime
from anabranch._arguments import checked, to_boolean
from anabranch._asked import has_shape, is_integer, is_number, method, shown as as_shown
from anabranch._errors import ArgumentError, ArgumentTypeError, MissingAttributeError, NotReadyError, ShapeError, unknown
from anabranch._frames import bound_methods, bounded, leave, unbounded
from anabranch.graph import CallSite, Home, Operation, Weight, WeightOptions, snake_case
from anabranch.graph.rules import DTYPES
from anabranch.graph.weight import Aggregation, Axes, Unowned, in_file_order

if TYPE_CHECKING:
    import numpy as np

    from anabranch.constraints import ConstraintLike
    from anabranch.regularizers import RegularizerLike

C = TypeVar("C", bound=type)
_PLAIN = frozenset((str, int, float, bool, type(None), types.FunctionType, Weight))  # what holds no layers or modules
_NO_WEIGHTS = frozenset((str, int, float, bool, list, tuple, dict, CallSite, Home))


def running_layer() -> Operation | None:
    """Return the layer whose call is under way; none is before the state of runs is loaded."""
    state = sys.modules.get("anabranch.runtime.state")
    found: Operation | None = None if state is None else state.running()
    return found


class WeightAttribute(property):
    """The attribute of a weight in a layer of the library: reading it costs no call of Python, setting it is guarded."""

    def __set_name__(self, owner: type, name: str) -> None:
        key = f":{name}"  # as settings are stored
        setattr(owner, key, None)
        put = unbounded(lambda layer, value: layer._set_guarded_(key, value))
        property.__init__(self, operator.attrgetter(key), put)
        self.__doc__ = f"The weight ``{name}``; None until it is made."


_LACKED = (
    "quantize", "quantized_build", "quantized_call", "forward", "apply",
    "get_submodule", "get_parameter", "get_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "to_empty", "share_memory", "register_buffer", "register_parameter", "register_module",
    "add_module", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
"""What people ask layers for in vain; ``absent`` names the way to each."""
_DTYPES = (*DTYPES, "uint16", "uint32", "uint64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2")  # of weights


class Absent:
    """An attribute that layers do not have: reading it is an error that names what does the same; setting it is allowed.

    Classes of users' own have those that register what a layer holds.

    Unlike ``__getattr__`` it costs the attributes that exist nothing.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Operation | None, kind: type) -> Callable[..., None]:
        from anabranch.layers.absent import missing, registering  # loaded for errors alone, nearly

        found = registering(layer, self.name)
        if found is None:
            raise missing(kind, self.name)
        return found


if TYPE_CHECKING:
    shown = property
else:

    class shown:  # noqa: N801  # a decorator
        """A property that the library itself never reads: an attribute or a method of a subclass may take its name."""

        def __init__(self, read: Callable[[Any], Any]) -> None:
            self.read, self.__doc__ = bounded(read), read.__doc__

        def __get__(self, owner: object, kind: type) -> Any:
            return self if owner is None else self.read(owner)


def without_absent(cls: C) -> C:
    """Let a class answer to the names that it lacks with the way to what does the same."""
    for name in _LACKED:
        setattr(cls, name, Absent(name))
    return cls


@without_absent
@bound_methods
class Holding(Operation):
    """Names, weights and sublayers of a layer. Abstract: the base of Layer."""

    _own_state_: ClassVar[frozenset[str]] = frozenset((  # attributes of the library's own, which hold nothing of a user's
        "_arguments_", "_explicit_name_", "_made_at_", "_calls_", "built", "_built_for_", "_built_with_", "dtype",
        "_first_shape_", "_activity_regularizer_", "_autocast_", "_home_", "_named_", "_third_party_", "_trainable",
        "_weights_", "_held_losses_", "_low_precision_", "_remat_scope_", "_revision_", "_quantized_as_", "_plain_",
        "_made_in_call_", "_building_", "_code_", "_training_code_",
    ))  # fmt: skip

    # What most layers have in common is stored here, not in each of them: there may be 100,000.
    built: bool = False
    _made_at_: CallSite
    dtype: str = "float32"  # of the weights
    _home_: Home
    _named_: bool = False  # whether the constructor was given a name
    _trainable: bool = True
    _made_in_call_: bool = False  # while a layer's call was under way
    _weights_: Sequence[Weight] = ()
    _built_with_: Any = None  # what its ``build`` was given, where it has one
    _third_party_: Sequence[Weight] = ()  # those of torch modules and parameters among the attributes
    _sublayers_: Callable[[], Sequence[Any]]  # of layers
    _inner_layers_: Callable[[], Iterator[Any]]

    # What holds a weight

    def _set_guarded_(self, name: str, value: object) -> None:
        """Set an attribute; an array in the place of a weight is assigned to it, as models hold the weight itself."""
        before = self.__dict__.get(name)
        if isinstance(value, Weight) and isinstance(value.home, Unowned):
            self._own_(value)
        if before is None or before is value or type(before) in _NO_WEIGHTS:
            object.__setattr__(self, name, value)
            return
        try:
            weight = before if isinstance(before, Weight) else self._weight_of_(before)
            if weight is None or self._may_replace_(weight, before, value):
                object.__setattr__(self, name, value)
            else:
                weight.assign(value)
        except BaseException as error:
            leave(error)
            raise

    def _own_(self, variable: Weight) -> None:
        """Take a variable that no layer has among the weights of this one, under a name of its own."""
        variable.home = self._home_
        variable.name = numbered(variable.name, {held.name: 0 for held in self._weights_})
        self._weights_ = (*self._weights_, variable)

    def _weight_of_(self, parameter: object) -> Weight | None:
        """Return the weight of a parameter of torch's that the layer holds, None where it is none."""
        return next((weight for weight in self._third_party_ if weight.tensor is parameter), None)

    def _may_replace_(self, weight: Weight, before: object, value: object) -> bool:
        """Return whether a value takes the place of a weight: one that the layer owns too, or a parameter for a parameter."""
        if before is not weight:
            return value is None or type(value) is type(before)
        if isinstance(value, Weight) and (value in self._weights_ or weight not in self._weights_):
            return all(held is not value for held in self.__dict__.values())  # as a second build makes it
        if isinstance(value, Weight) or not (has_shape(value) or is_number(value) or isinstance(value, (list, tuple))):
            raise ArgumentTypeError(
                f"Weight {weight.path!r} cannot be replaced, as models hold the weight itself.",
                expected=f"an array of shape {weight.shape}, whose values it takes", got=as_shown(value),
                repair="to share weights, call one layer several times; to change a layer's settings, see edit.replace",
            )  # fmt: skip
        return False

    # Names and paths

    @classmethod
    def _class_base_name_(cls) -> str:
        return snake_case(cls.__name__)

    @property
    def _base_name_(self) -> str:
        """What names are made of where none was given: ``conv2d`` of ``Conv2D``."""
        return self._class_base_name_()

    @property
    def name(self) -> str:
        """The name given, or the one in the model that first claimed the layer."""
        return self._explicit_name_ or self._home_.path.rpartition("/")[2]

    @name.setter
    def name(self, value: str) -> None:
        raise MissingAttributeError(
            f"The name of {self._described_()} cannot be set.", got=as_shown(value),
            repair=f"{type(self).__name__}(…, name='a'), or model.edit(edit.rename({self.name!r}, 'a'))",
        )  # fmt: skip

    @property
    def path(self) -> str:
        """The path in the model that first claimed the layer, e.g. ``backbone/conv2d``."""
        return self._home_.path

    def _claim_(self, path: str, numbers: dict[_process.Seeding, int] | None = None) -> None:
        """Note once which model first took this layer, and its path there; sublayers follow. ``numbers``: the model's."""
        if self._claimed_:
            return
        numbers = {} if numbers is None else numbers
        self._home_.take(path, numbers)
        counts: dict[str, int] = {}
        for layer in self._sublayers_():
            layer._claim_(f"{path}/{numbered(layer.name, counts)}", numbers)

    @property
    def _claimed_(self) -> bool:
        """Whether a model has taken this layer."""
        return self._home_.ordinal is not None

    def _note_change_(self) -> None:
        """Let every model that holds this layer look at its settings again before it runs."""
        self._revision_ += 1
        _process.note_change()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: all but the calls, which stay with the original."""
        return vars(self) | {"_calls_": [], "_held_losses_": ()}

    # Weights

    @checked
    def add_weight(
        self,
        shape: int | Sequence[int | None] | None = None,
        initializer: initializers.InitializerLike = None,
        dtype: str | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: RegularizerLike = None,
        constraint: ConstraintLike = None,
        aggregation: Aggregation | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
        *,
        axes: Axes | None = None,
    ) -> Weight:
        """Add a weight; its values are made on first use.

        Args:
            shape: in Keras's axis order (kernels H W I O); () is a scalar.
            initializer: how its values are drawn; None: Glorot uniform for floats, zeros for other types.
            dtype: of its values; None: the layer's.
            trainable: whether training changes it.
            autocast: whether a layer that computes in fewer bits reads it in those.
            regularizer: a penalty on its values.
            constraint: applied to its values after each update.
            aggregation: without effect: all devices have the same values.
            overwrite_with_gradient: False.
            name: the last part of its path.
            axes: see :class:`Weight`.

        Example:
            >>> from anabranch import layers
            >>> layers.Layer(name="scale").add_weight((3,), "ones", name="gain")
            <Weight scale/gain shape=(3,) dtype=float32 trainable=True>
        """
        if running_layer() is self:
            raise runtime.made_in_call("A weight", self, "in build: self.scale = self.add_weight(…)")
        given = () if shape is None else tuple(shape) if isinstance(shape, Iterable) else (shape,)
        sizes = tuple(size for size in given if is_integer(size) and size >= 0)
        if len(sizes) != len(given):
            raise ShapeError("A weight's sizes are known integers.", got=str(given), where=self._described_())
        dtype = dtype or self.dtype
        if dtype not in _DTYPES:
            raise unknown("dtype", dtype, _DTYPES).at(self._described_())
        name = numbered(name or "variable", {held.name: 0 for held in self._weights_}) if self._weights_ else name or "variable"
        drawn = ("glorot_uniform" if "float" in dtype else "zeros") if initializer is None else initializer
        options = WeightOptions(
            initializers.get(drawn), to_regularizer(regularizer), to_constraint(constraint), trainable, autocast,
            aggregation or "none",
        )  # fmt: skip
        made = Weight(name, sizes, dtype, options, self._home_, runtime, axes)
        made.overwrite_with_gradient = overwrite_with_gradient
        self._weights_ = (*self._weights_, made)
        return made

    add_variable = add_weight

    def _own_weights_(self) -> Sequence[Weight]:
        """Return the weights of this layer itself, without those of layers inside: those of torch modules it holds too."""
        if self._captures_:  # a user's layer, which may have put variables into lists since
            for leaf in [leaf for _, value in self._held_attributes_() for leaf in _leaves(value)]:
                if isinstance(leaf, Weight) and isinstance(leaf.home, Unowned):
                    self._own_(leaf)
        if "torch" in sys.modules:  # nothing of torch's can be held otherwise
            held = self._torch_attributes_()
            if held or self._third_party_:
                self._third_party_ = runtime.held_weights(
                    held, self._home_, runtime
                )  # saved, so that each stays the same object
                own = {id(weight.tensor) for weight in self._weights_ if weight.tensor is not None}  # in copies too
                return [*self._weights_, *(weight for weight in self._third_party_ if id(weight.tensor) not in own)]
        return self._weights_

    def _torch_attributes_(self) -> dict[str, list[Any]]:
        held = self._held_attributes_()  # by most layers nothing
        return {key: found for key, value in held if (found := list(_objects(value)))} if held else {}

    def _set_mode_(self, training: bool) -> None:
        """Bring the torch modules among the attributes into training mode, or out of it."""
        if self._third_party_:
            runtime.set_mode(self._held_objects_(), training)

    # Layers inside

    def _held_objects_(self) -> list[Any]:
        """Return what the attributes hold that may be layers, metrics or modules, in the order they were set."""
        held = self._held_attributes_()
        return [leaf for _, value in held for leaf in _objects(value)] if held else held

    def _held_attributes_(self) -> list[tuple[str, Any]]:
        """Return the attributes that may hold layers, metrics or modules."""
        own = self._own_state_
        return [(key, value) for key, value in vars(self).items() if key not in own and type(value) not in _PLAIN]

    def _held_metrics_(self) -> list[Any]:
        """Return the metrics among this layer's attributes, and those that ``add_metric`` made."""
        found = self._held_objects_()
        return [
            leaf for leaf in found if method(leaf, "update_state") and method(leaf, "result") and method(leaf, "reset_state")
        ]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of this layer and those inside it."""
        return [metric for layer in self._inner_layers_() for metric in layer._held_metrics_()]

    @property
    def metrics_variables(self) -> list[Any]:
        """The variables of ``metrics``."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def weights(self) -> list[Weight]:
        """All weights, layer by layer, in each layer those first that were made to be trained, as in Keras 3."""
        by_layer = (in_file_order(layer._own_weights_()) for layer in self._inner_layers_())
        return list(dict.fromkeys(weight for weights in by_layer for weight in weights))

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes."""
        held = (w for layer in self._inner_layers_() if layer.trainable for w in layer._own_weights_() if w.trainable)
        return list(dict.fromkeys(held))

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves: those of frozen layers, and statistics."""
        trained, found = set[Weight](), dict[Weight, None]()
        for layer in self._inner_layers_():
            own = layer._own_weights_()
            if layer.trainable:
                trained.update(weight for weight in own if weight.trainable)
            found.update(dict.fromkeys(_trainable_first(own)))
        return [weight for weight in found if weight not in trained]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it on every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        found = to_boolean(value, "trainable", self)
        for layer in self._inner_layers_():
            layer._trainable = found
        _process.note_change()

    # Values

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return the weights' values as NumPy arrays, in the order of ``weights``."""
        self._need_built_()
        return [weight.numpy() for weight in self.weights]

    @checked
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights' values from arrays in the order of ``weights``; nothing changes unless all fit.

        Args:
            weights: one array for each weight.
        """
        self._need_built_()
        mine = self.weights
        if len(weights) != len(mine):
            raise ArgumentError(
                f"Got {len(weights)} arrays for the {len(mine)} weights of {self._described_()}.",
                expected=f"{[f'{w.path} {w.shape}' for w in mine]}"[:400],
            )  # fmt: skip
        weights = [weight.engine.in_keras_order(value, weight) for weight, value in zip(mine, weights, strict=True)]
        for weight, value in zip(mine, weights, strict=True):
            if not has_shape(value) or tuple(value.shape) != weight.shape:
                raise ShapeError(
                    f"Values for weight {weight.path!r} have another shape.",
                    expected=str(weight.shape),
                    got=str(tuple(value.shape)) if has_shape(value) else as_shown(value),
                )
        for weight, value in zip(mine, weights, strict=True):
            weight.assign(value)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put into ``store`` what a file is to hold of this layer itself: its own weights as "0", "1", …, the trainable first.

        A layer of your own may add arrays, or have other names; ``load_own_variables`` then reads them.

        Args:
            store: arrays by name.

        Example:
            >>> from anabranch import Input, layers
            >>> layer, store = layers.Dense(2), {}
            >>> y = layer(Input((3,)))
            >>> layer.save_own_variables(store)
            >>> {name: array.shape for name, array in store.items()}
            {'0': (3, 2), '1': (2,)}
        """
        if not isinstance(store, MutableMapping):
            raise ArgumentTypeError("store of save_own_variables must be a dict.", got=as_shown(store))
        store.update((str(index), weight.numpy()) for index, weight in enumerate(in_file_order(self._own_weights_())))

    @checked
    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the values of this layer's own weights from what ``save_own_variables`` put into ``store``.

        Args:
            store: arrays by name.

        Example:
            >>> from anabranch import Input, layers
            >>> layer = layers.Dense(1)
            >>> y = layer(Input((1,)))
            >>> layer.load_own_variables({"0": [[2.0]], "1": [3.0]})
            >>> [weight.tolist() for weight in layer.get_weights()]
            [[[2.0]], [3.0]]
        """
        mine = in_file_order(self._own_weights_())
        if set(store) != {str(index) for index in range(len(mine))}:
            raise ArgumentError(
                f"The file has {len(store)} arrays of {self._described_()}, which has {len(mine)} weights of its own.",
                got=", ".join(map(str, store))[:200],
            )
        for index, weight in enumerate(mine):
            weight.assign(store[str(index)])

    def count_params(self) -> int:
        """Return how many values the weights have."""
        self._need_built_()
        return sum(weight.size for weight in self.weights)

    def _need_built_(self) -> None:
        if not self.built and not self._own_weights_():  # some layers make theirs as they are made
            raise NotReadyError(
                f"{self._described_()} has no weights yet: their shapes follow from its input.",
                repair="call it on a tensor, or layer.build(input_shape)",
            )

    def _described_(self, site: CallSite | None = None) -> str:
        place = f", called at {site}" if site else f" (made at {self._made_at_})"
        return f"{type(self).__name__} {self.name!r}{place}"


def numbered(name: str, taken: dict[str, int]) -> str:
    """Return ``name``, numbered where it is taken, and note it: paths tell weights apart in files and in initial values."""
    candidate = name
    while candidate in taken:
        taken[name] += 1
        candidate = f"{name}_{taken[name]}"
    taken[candidate] = 0
    return candidate


def to_regularizer(value: RegularizerLike) -> Callable[[Any], Any] | None:
    """Return the penalty that a value means; most layers do without the package."""
    if value is None:
        return None
    from anabranch import regularizers

    return regularizers.get(value)


def to_constraint(value: ConstraintLike) -> Callable[[Any], Any] | None:
    """Return the constraint that a value means; most layers do without the package."""
    if value is None:
        return None
    from anabranch import constraints

    return constraints.get(value)


def _trainable_first(weights: Sequence[Weight]) -> list[Weight]:
    return sorted(weights, key=lambda weight: not weight.trainable)


def _objects(value: object) -> Iterator[Any]:
    """Yield the leaves of a nest that are objects of some class."""
    return (leaf for leaf in _leaves(value) if type(leaf) not in _PLAIN)


def _leaves(value: object) -> Iterator[Any]:
    """Yield the leaves of a nest; a list that holds itself is entered once."""
    if not isinstance(value, (list, tuple, dict)):
        yield value
        return
    stack, seen = [value], set()
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple, dict)):
            if id(item) not in seen:
                seen.add(id(item))
                stack.extend(reversed(item.values() if isinstance(item, dict) else item))
        else:
            yield item

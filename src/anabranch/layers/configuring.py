"""What a layer was made with, read back: its arguments by name, as data, and as a new layer with the same settings.

Of a layer with an ``__init__`` of its own, the arguments that the constructor was given are known; an attribute of the same
name is the truth where there is one.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

from anabranch import _tree, dtype_policies, registry
from anabranch._arguments import checked, to_boolean
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError
from anabranch._fields import REQUIRED, Configurable
from anabranch._frames import bound_methods
from anabranch.config import DTypePolicy
from anabranch.graph import Weight
from anabranch.graph.shapes import NamedShapes, map_shapes
from anabranch.layers.holding import Holding, shown, to_regularizer
from anabranch.layers.torch_members import TorchMembers

if TYPE_CHECKING:
    from anabranch._fields import Field
    from anabranch.regularizers import RegularizerLike

C = TypeVar("C", bound="Configured")
BASE_ARGUMENTS = (
    "name", "trainable", "dtype", "autocast", "activity_regularizer", "input_shape", "input_dim", "batch_input_shape",
)  # fmt: skip


@bound_methods
class Configured(TorchMembers):
    """The settings that all layers have, and config. Abstract: a base of Layer."""

    _captures_: ClassVar[bool] = True  # whether the constructor's arguments are saved, as fields do not hold them
    _writes_config_: ClassVar[bool] = False  # whether get_config or from_config is the author's own
    _fields_: ClassVar[Mapping[str, Field[Any, Any]]] = types.MappingProxyType({})

    build: Callable[..., None]
    _arguments_: tuple[tuple[Any, ...], dict[str, Any]]
    _autocast_: bool = True
    _quantized_as_: DTypePolicy | None = None  # the policy of a layer whose weights are integers
    _activity_regularizer_: Callable[[Any], Any] | None = None

    if TYPE_CHECKING:

        def __init__(self, **kwargs: object) -> None: ...

    def _take_policy_(self, policy: DTypePolicy) -> None:
        if policy.quantization_mode is not None:
            self._take_quantized_(policy)
        elif self._quantized_as_ is not None:
            raise self._stays_quantized_(policy.name)
        self.dtype, computed = policy.variable_dtype, policy.compute_dtype
        if computed != self.dtype or self._low_precision_:
            self._low_precision_ = computed if computed != self.dtype else None

    def _take_quantized_(self, policy: DTypePolicy) -> None:
        """Take a policy that quantizes; most layers have nothing to quantize."""
        from anabranch.layers.absent import QUANTIZABLE  # loaded for errors alone

        raise ArgumentError(
            f"{type(self).__name__} does not quantize its weights.", expected="a policy without a mode", got=policy.name,
            repair=f"{QUANTIZABLE} do",
        )  # fmt: skip

    def _stays_quantized_(self, name: str) -> ArgumentError:
        return ArgumentError(
            f"The weights of a layer that is {self.quantization_mode} are integers, and stay so.",
            expected=self.dtype_policy.name, got=name, repair="keep a copy of the model from before, or its file",
        )  # fmt: skip

    @shown
    def quantization_mode(self) -> str | None:
        """How the weights are quantized; None: they are floats."""
        return None if self._quantized_as_ is None else self._quantized_as_.quantization_mode

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The precision policy: what the layer computes in, and the type of its weights."""
        return self._quantized_as_ or DTypePolicy(f"mixed_{self._low_precision_}" if self._low_precision_ else self.dtype)

    @dtype_policy.setter
    def dtype_policy(self, value: str | DTypePolicy | dict[str, Any] | None) -> None:
        self._take_policy_(dtype_policies.for_layer(value, self._home_.path))
        self._note_change_()

    @property
    def compute_dtype(self) -> str:
        """The float type that the layer computes in and gives."""
        return self._low_precision_ or self.dtype

    @property
    def input_dtype(self) -> str:
        """The float type that inputs are cast to."""
        return self.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The float type of the weights."""
        return self.dtype

    @property
    def activity_regularizer(self) -> Callable[[Any], Any] | None:
        """Function of the output whose value joins the training loss."""
        return self._activity_regularizer_

    @activity_regularizer.setter
    def activity_regularizer(self, value: RegularizerLike) -> None:
        self._activity_regularizer_ = to_regularizer(value)
        self._note_change_()

    @property
    def autocast(self) -> bool:
        """Whether float inputs are cast to the type that the layer computes in."""
        return self._autocast_

    @autocast.setter
    def autocast(self, value: bool) -> None:
        self._autocast_ = to_boolean(value, "autocast", self)
        self._note_change_()

    # Config

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes that the layer's ``build`` was given, in Keras's form; None before, and without a ``build``.

        A class of your own may return more; files then hold it, and ``build_from_config`` is given it before the first call.

        Example:
            >>> from anabranch import Input, layers
            >>> layer = layers.Dense(2)
            >>> y = layer(Input((3,)))
            >>> layer.get_build_config()
            {'input_shape': (None, 3)}
        """
        shapes = self._built_with_
        return None if shapes is None else {"shapes_dict" if isinstance(shapes, NamedShapes) else "input_shape": shapes}

    @checked
    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Make the weights for the shapes that ``get_build_config`` returned, unless there are some.

        Args:
            config: a config of anabranch's or Keras's.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(2)
            >>> layer.build_from_config({"input_shape": [None, 3]})
            >>> layer.count_params()
            8
        """
        if self.built or not config:
            return
        if config.get("input_shape") is not None:
            self.build(map_shapes(config["input_shape"], tuple))
        elif config.get("shapes_dict") is not None:
            self.build(**map_shapes(config["shapes_dict"], tuple))

    def get_config(self) -> dict[str, Any]:
        """Return all settings as they are now, defaults included, as data for ``from_config``.

        A layer with an ``__init__`` of its own needs none: what it takes is read back from the attributes of the same names.

        Example:
            >>> from anabranch import layers
            >>> layers.Flatten(name="flat").get_config()["data_format"]
            'channels_last'
        """
        return config_of(self)

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new layer with the settings of a config, and weights of its own.

        Args:
            config: what ``get_config`` returned, or Keras's ``get_config`` of the same class.

        Example:
            >>> from anabranch import layers
            >>> layers.Dense.from_config({"units": 3, "name": "head"})
            <Dense 'head', not built>
        """
        return of_config(cls, config)

    def _settings_by_name_(self) -> dict[str, Any]:
        """Return all settings as they are now, for comparison."""
        own = self.get_config() if self._writes_config_ else own_settings(self)
        return base_settings(self) | own | {"dtype": self.dtype_policy.name}

    def _learned_data_(self) -> object:
        """Return what was learned besides weights and settings, such as a vocabulary, as data; None where nothing was."""

    def _take_learned_(self, data: _tree.Nest) -> None:
        """Take what another layer of these settings learned."""

    def _written_code_(self, *, named: bool = True, whole: bool = False) -> str:
        """Return the code that makes this layer, for errors: ``Dense(3, activation='relu')``; unless ``whole``, shortened."""
        args, kwargs = self._arguments_
        known = given(self)
        words = [*map(repr, known.positional)]
        for number, (name, value) in enumerate(known.named.items()):
            now = current(self, name, value)
            if name == "name" and not named:
                continue
            if number < len(args) and name not in kwargs:
                words.append(repr(now))
            elif name in kwargs or now is not value:
                words.append(f"{name}={now!r}")
        return shortened(type(self).__name__, words, whole)


class Parameters(NamedTuple):
    """What an ``__init__`` takes: parameters with their defaults, those of them by position, and whether any others."""

    defaults: Mapping[str, Any]
    positional: tuple[str, ...]
    more_positional: bool
    more_named: bool


LONGEST = 48  # characters of a layer's arguments that are worth showing again


@functools.cache
def parameters(function: Callable[..., Any]) -> Parameters:
    """Return what an ``__init__`` takes, without ``self``; of a decorated one, what the one that its author wrote takes."""
    import inspect  # which takes a while to load

    found = list(inspect.signature(_undecorated(function)).parameters.values())[1:]
    named = [each for each in found if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    return Parameters(
        {each.name: REQUIRED if each.default is each.empty else each.default for each in named},
        tuple(each.name for each in named if each.kind != each.KEYWORD_ONLY),
        any(each.kind == each.VAR_POSITIONAL for each in found),
        any(each.kind == each.VAR_KEYWORD for each in found),
    )


def _undecorated(function: Callable[..., object]) -> Callable[..., object]:
    """Return the ``__init__`` inside a decorator that does not say what it wraps, as ``functools.wraps`` would have."""
    while isinstance(function, types.FunctionType) and function.__name__ != "__init__" and function.__closure__:
        cells = [cell.cell_contents for cell in function.__closure__]
        inner = [each for each in cells if isinstance(each, types.FunctionType) and each.__name__ == "__init__"]
        if not inner:
            break
        function = inner[0]
    import inspect

    return inspect.unwrap(function)


def taken(kind: type) -> list[str]:
    """Return the names of all arguments that a class of layers takes, for errors."""
    return [*parameters(kind.__init__).defaults, *BASE_ARGUMENTS]  # type: ignore[misc]  # of the class itself


def shortened(kind: str, words: list[str], whole: bool = False) -> str:
    """Return the code of a call with these arguments, without them where they are long, unless it is wanted ``whole``."""
    text = ", ".join(words)
    return f"{kind}({text if whole or len(text) <= LONGEST else '…'})"


class Given(NamedTuple):
    """What a constructor was given: by position where no name is known, and by name."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


def given(layer: Configured) -> Given:
    """Return what the constructor of a layer with an ``__init__`` of its own was given, with its own defaults."""
    args, kwargs = layer._arguments_
    found: dict[str, Any] = {}
    first = True
    for kind in type(layer).__mro__:
        if "__init__" not in vars(kind):
            continue
        function = vars(kind)["__init__"]
        known = parameters(function)
        if function is Configurable.__init__:
            known = known._replace(positional=tuple(layer._fields_))
        found.update((name, value) for name, value in zip(known.positional, args, strict=False) if name not in found)
        args = args[len(known.positional) :]
        found.update((name, kwargs[name]) for name in known.defaults if name in kwargs)
        if first:
            first = not known.defaults and known.more_positional and known.more_named  # it passes all on
            found.update((name, value) for name, value in known.defaults.items() if name not in found and value is not REQUIRED)
        if not first and (not known.more_positional or not args):
            break
    return Given(args, found | {name: value for name, value in kwargs.items() if name not in found})


def current(layer: Configured, name: str, value: object) -> object:
    """Return what the argument ``name``, which was ``value``, is now: the attribute of that name, if it is the setting.

    An attribute that holds layers or weights made of the argument is not.
    """
    held = getattr(layer, name) if name in layer._fields_ else vars(layer).get(name, value)
    return value if _holds_state(held) and not _holds_state(value) else held


def _holds_state(value: object) -> bool:
    return isinstance(value, (Weight, Holding)) or (
        _tree.is_nest(value) and any(isinstance(leaf, (Weight, Holding)) for leaf in _shallow(value))
    )


def _shallow(nest: _tree.Nest) -> list[object]:
    return list(nest.values() if isinstance(nest, dict) else nest)


def base_settings(layer: Configured) -> dict[str, Any]:
    """Return the settings that all layers have, those of them that are not as by default."""
    found: dict[str, Any] = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype_policy}
    if layer._activity_regularizer_ is not None:
        found["activity_regularizer"] = layer._activity_regularizer_
    if layer.autocast != type(layer)._autocast_:
        found["autocast"] = layer.autocast
    return found


def own_settings(layer: Configured) -> dict[str, Any]:
    """Return the settings of a layer besides the base's, by the constructor's names, as they are now."""
    if not layer._captures_:
        return {each.name: getattr(layer, each.name) for each in layer._fields_.values() if not each.left_out(layer)}
    named = given(layer).named
    found = {name: current(layer, name, value) for name, value in named.items() if name not in BASE_ARGUMENTS}
    optional = {
        name: getattr(layer, name)
        for name, each in layer._fields_.items()
        if each.default is not REQUIRED and not each.left_out(layer)
    }
    return optional | found


def as_data(value: object, otherwise: object) -> registry.Json:
    """Return a user's setting as data: plain values and nests of them unchanged, other objects as the registry writes them.

    What cannot be written is ``otherwise``, what the constructor was given.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, dict)):
        return _tree.map_leaves(lambda leaf: as_data(leaf, leaf), value)
    try:
        return registry.serialize(value)
    except AnabranchError:
        return otherwise


def config_of(layer: Configured) -> dict[str, Any]:
    """Return the config of a layer: base settings, fields, and what its own ``__init__`` takes."""
    base = base_settings(layer)
    base["dtype"] = dtype_policies.serialize(layer.dtype_policy)
    if "activity_regularizer" in base:
        base["activity_regularizer"] = as_data(layer.activity_regularizer, layer.activity_regularizer)
    if not layer._captures_:
        return base | {
            each.name: each.plain(getattr(layer, each.name)) for each in layer._fields_.values() if not each.left_out(layer)
        }
    named = given(layer).named
    for name, value in own_settings(layer).items():
        known = layer._fields_.get(name)
        if known is None:
            base[name] = as_data(value, named.get(name))
        elif name in named or not known.left_out(layer):
            base[name] = known.plain(value)
    return base


def of_config(kind: type[C], config: Mapping[str, Any]) -> C:
    """Return a layer of class ``kind`` with the settings of a config."""
    config = dict(config)
    if not kind._writes_config_:
        own = {name for name, value in config.items() if _is_described(value) and name != "dtype" and name not in kind._fields_}
        config.update((name, registry.deserialize(config[name])) for name in own)
    return made(kind, (), config)


def _is_described(value: object) -> bool:
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def made(kind: type[C], args: tuple[Any, ...], settings: dict[str, Any]) -> C:
    """Return a layer of class ``kind``; settings that its ``__init__`` does not take by name are set once it is made."""
    later: dict[str, Any] = {}
    if kind._captures_:
        known = parameters(kind.__init__)  # type: ignore[misc]  # of the class itself
        fields = {name for name, each in kind._fields_.items() if each.default is not REQUIRED}
        for name in [name for name in settings if name not in known.defaults]:
            if name in fields or (not known.more_named and name in BASE_ARGUMENTS):
                later[name] = settings.pop(name)
    layer = kind(*args, **settings)
    for name, value in later.items():
        if name == "name":
            layer._explicit_name_ = value
        else:
            setattr(layer, "dtype_policy" if name == "dtype" else name, value)
    return layer


def again(layer: C, memo: dict[int, Any] | None = None, *, named: bool = True) -> C:
    """Return a new layer with the settings that ``layer`` has now and what it learned besides weights; these are its own.

    Args:
        layer: the layer.
        memo: of copies, so that what several layers hold stays one thing.
        named: whether it has the same name; else a model names it.
    """
    twin, data = _same_settings(layer, memo, named), layer._learned_data_()
    if data is not None:
        twin._take_learned_(copy.deepcopy(data))
    return twin


def _same_settings(layer: C, memo: dict[int, Any] | None, named: bool) -> C:
    kind, memo = type(layer), {} if memo is None else memo
    if kind._writes_config_:
        config = layer.get_config()
        try:
            config = copy.deepcopy(config, memo)
        except TypeError as error:  # a generator, an open file, a lock
            raise ArgumentTypeError(f"get_config of {kind.__name__} returned what cannot be copied.", got=str(error)) from error
        return kind.from_config(config if named else {name: value for name, value in config.items() if name != "name"})
    own, positional = own_settings(layer), given(layer).positional if kind._captures_ else ()
    for held in _tree.leaves([own, positional]):  # layers, which a copy would give their weights' values
        if isinstance(held, Configured) and id(held) not in memo:
            memo[id(held)] = again(held, memo)
    settings = copy.deepcopy(base_settings(layer) | own, memo)
    if not named:
        del settings["name"]
    if not kind._captures_:
        return kind(**settings)
    twin = made(kind, copy.deepcopy(positional, memo), settings)
    for each in layer._fields_.values():  # what its ``__init__`` chose, and was changed since
        if each.key in vars(layer) and getattr(twin, each.name) != getattr(layer, each.name):
            vars(twin)[each.key] = copy.deepcopy(vars(layer)[each.key], memo)
    return twin

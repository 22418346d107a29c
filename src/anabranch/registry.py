"""The one mechanism for what is found by name and saved as data: layers, activations, initializers, losses, optimizers, …

Each package has one :class:`Registry`. An object becomes data in Keras's JSON form, ``{"module", "class_name", "config",
"registered_name"}``, and comes back from it: by a name of that registry's closed table, or one that the caller registered or
passed. No other module is ever imported by a name that was found in data.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from anabranch import _docstrings
from anabranch._arguments import check_called_as, checked
from anabranch._asked import is_boolean, is_from, is_without_values, method, module_of, name_of, says_how_built, shown
from anabranch._carrying import carried, found as found_beside, is_carried
from anabranch._custom_objects import (
    custom_object,
    definition,
    get_registered_name,
    get_registered_object,
    registered_name,
    scope,
)
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, unknown
from anabranch._frames import bounded
from anabranch._sharing import note_read, numbered, read_before, sharing, without_single_numbers

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
Json = Any  # what json.dumps takes: None, booleans, numbers, strings, lists, dicts with string keys
PACKAGE = __name__.partition(".")[0]

_registries: dict[str, Registry[Any]] = {}  # by Keras's module, such as "keras.losses"

# Objects as data


def serialize_shared(obj: Any) -> Json:
    """Return an object as JSON where objects in it that are there more than once have a number, as in Keras's files."""
    with sharing():
        return without_single_numbers(serialize(obj))


def serialize(obj: Any) -> Json:
    """Return an object as JSON: plain values as they are, others in Keras's form.

    >>> serialize((1, 2.5))
    {'class_name': '__tuple__', 'config': {'value': [1, 2.5]}}
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, tuple):
        return {"class_name": "__tuple__", "config": {"value": [serialize(item) for item in obj]}}
    if isinstance(obj, list):
        return [serialize(item) for item in obj]
    if isinstance(obj, Mapping) and method(type(obj), "get_config") is None:
        return {str(key): serialize(value) for key, value in obj.items()}
    if isinstance(obj, slice):
        return {"class_name": "__slice__", "config": {"start": obj.start, "stop": obj.stop, "step": obj.step}}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    kind = type(obj)
    has_config, has_values = method(kind, "get_config"), not is_without_values(obj) and method(obj, "tolist")
    plain = has_config or (is_from(obj, PACKAGE) if name_of(obj) else has_values and not obj.shape)
    if not plain and (beside := carried(obj)):
        return beside
    if has_values:
        values, dtype = obj.tolist(), str(obj.dtype).removeprefix("torch.")
        return {"class_name": "__numpy__", "config": {"value": values, "dtype": dtype}} if obj.shape else values
    if has_config:
        build = obj.get_build_config() if says_how_built(kind, PACKAGE) else None
        found = described(kind, obj.get_config())
        return numbered(obj, found | {"build_config": serialize(_lists(build))} if build else found)
    if callable(obj) and name_of(obj):
        if obj.__name__ == "<lambda>":
            raise ArgumentTypeError(
                "A lambda has no name by which data could mean it.", repair="def a function, and register it"
            )
        return {
            "module": _module_of(obj),
            "class_name": "function",
            "config": obj.__name__,
            "registered_name": registered_name(obj) or obj.__name__,
        }
    raise ArgumentTypeError(
        f"A {kind.__name__} cannot become JSON.", got=repr(obj)[:120],
        repair="give its class get_config(), or leave it out of the config",
    )  # fmt: skip


def described(kind: type, config: Json) -> dict[str, Json]:
    """Return the JSON of an object of class ``kind`` with that config."""
    own = is_from(kind, PACKAGE)
    module, name = _module_of(kind), kind.__name__
    if module in _registries:
        module, name = _registries[module].address(kind)
    found = {
        "module": module,
        "class_name": name,
        "config": serialize(_lists(config)),
        "registered_name": registered_name(kind) if own else get_registered_name(kind),
    }
    beside = None if own else carried(kind)
    return found if beside is None else found | {"class": beside}


def _lists(config: Json) -> Json:
    """Return a config with lists in the place of tuples, as Keras has them and JSON makes them."""
    if isinstance(config, (list, tuple)):
        return [_lists(part) for part in config]
    return {key: _lists(part) for key, part in config.items()} if isinstance(config, Mapping) else config


def _module_of(thing: object) -> str:
    """Return the module that Keras knows a class or function by: ``keras.layers`` for what is in our layers."""
    first, _, rest = module_of(thing).partition(".")
    if first != PACKAGE:
        return module_of(thing)
    parts = rest.split(".")
    module = f"keras.{parts[0]}"
    for name in (f"keras.{'.'.join(parts[:2])}", module):  # schedules are a package inside optimizers
        if name in _registries:
            return name
    return next((name for name, each in _registries.items() if each.holds(thing)), module)


def deserialize(config: Json, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the object that ``serialize`` made this JSON of."""
    with scope(custom_objects):
        return _revived(config)


@checked
def serialize_keras_object(obj: object) -> Json:
    """Return an object as JSON in Keras's form: ``{"module", "class_name", "config", "registered_name"}``.

    Args:
        obj: a layer, a model, a loss, …; or lists, tuples and dicts of such objects and of plain values.

    Raises:
        ArgumentTypeError: part of it cannot become JSON, such as a lambda.

    Example:
        >>> from anabranch import constraints
        >>> serialize_keras_object(constraints.MaxNorm(3))["config"]
        {'max_value': 3, 'axis': 0}
    """
    return serialize(obj)


@checked
def deserialize_keras_object(config: Json, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Return the object that ``serialize_keras_object`` made this JSON of.

    Only classes and functions of this library and those that the caller registered or passes are found.

    Args:
        config: the JSON.
        custom_objects: the caller's own classes and functions by name.
        safe_mode: must be True: code is never read from data.

    Raises:
        ArgumentError: a class or function is not known, or ``safe_mode`` is False.

    Example:
        >>> from anabranch import constraints
        >>> deserialize_keras_object(serialize_keras_object(constraints.MaxNorm(3)))
        MaxNorm(max_value=3, axis=0)
    """
    check_safe_mode(safe_mode)
    return deserialize(config, custom_objects)


def check_safe_mode(safe_mode: bool) -> None:
    """Raise unless ``safe_mode`` is True."""
    if not is_boolean(safe_mode):
        raise ArgumentTypeError("safe_mode must be True or False.", got=shown(safe_mode))
    if not safe_mode:
        raise ArgumentError(
            "safe_mode=False is not supported: data never bring code.", got="safe_mode=False",
            repair="def the function, and pass it in custom_objects",
        )  # fmt: skip


def _revived(config: Json, expected: Registry[Any] | None = None) -> Any:
    if isinstance(config, list):
        return [_revived(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    kind = config.get("class_name")
    if kind is None or "config" not in config:
        return {key: _revived(value) for key, value in config.items()}
    inner = config["config"]
    if kind == "__tuple__":
        return tuple(_revived(item) for item in inner["value"])
    if kind == "__slice__":
        return slice(inner["start"], inner["stop"], inner["step"])
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("__numpy__", "__tensor__"):
        import numpy as np

        dtype = np.dtype(inner["dtype"])
        if dtype.kind not in "biufc":  # texts would take as much memory as their type says
            raise ArgumentError("Data hold values of a type that has no numbers.", got=str(dtype))
        return np.array(inner["value"], dtype)
    if is_carried(config):
        return found_beside(config)
    if (known := read_before(config)) is not None:
        return known
    if kind == "__lambda__":
        raise ArgumentError(
            "The data hold a lambda as bytecode, which is never run.",
            repair="write it as a function, decorate it with @register_keras_serializable(), and save the model again",
        )
    name = str(inner) if kind == "function" else str(kind)
    if is_carried(config.get("class")):
        thing = found_beside(config["class"])
    else:
        thing = get_registered_object(str(config.get("registered_name") or name)) or get_registered_object(name)
    thing = thing or _found(name, str(config.get("module")), expected, function=kind == "function")
    if kind == "function":
        return thing
    found = note_read(config, made(thing, inner))
    if config.get("build_config") and says_how_built(type(found), PACKAGE):
        found.build_from_config(config["build_config"])
    return found


def _found(name: str, module: str, expected: Registry[Any] | None, *, function: bool) -> Callable[..., Any]:
    """Return the class or function of ours that data mean."""
    registry = _registry_of(module)
    if function:  # whose package Keras does not write
        first = registry or expected
        registries = [*([first] if first else []), *_registries.values()]
        thing = next((found for each in registries if (found := each.function(name)) is not None), None)
    else:
        thing = None if registry is None else registry.find(name)
    thing = _public_class(module, name) if thing is None else thing
    if thing is None:
        raise _missing(name, module, registry)
    return thing


def _registry_of(module: str) -> Registry[Any] | None:
    """Return the registry of the package that data mean by ``keras.losses`` or ``keras.src.losses.losses``, loaded first."""
    first, *parts = module.split(".")
    if first != "keras":
        return _registries.get(module)
    public = sys.modules[PACKAGE]
    for part in reversed(parts):
        name = f"keras.{part}"
        if name not in _registries and part in public.__all__:
            package = getattr(public, part)
            if "deserialize" in dir(package):
                _ = package.deserialize  # loads the module that holds the registry
        if name in _registries:
            return _registries[module if module in _registries else name]  # schedules have a registry of their own
    return None


def _public_class(module: str, name: str) -> type | None:
    """Return the class that data mean by a bare ``keras``, such as ``keras.Sequential``, or a saved one of ``keras.utils``."""
    public = sys.modules[PACKAGE]
    space = public if module == "keras" else public.utils if module == "keras.utils" else None
    found = getattr(space, name) if space is not None and name in space.__all__ else None
    return found if isinstance(found, type) and (space is public or method(found, "build_from_config")) else None


def made(kind: Any, config: Mapping[str, Any]) -> Any:
    """Return an object of class ``kind`` with that config; arguments that it does not take are an error of ours."""
    try:
        return kind.from_config(dict(config)) if config and method(kind, "from_config") else kind(**config)
    except AnabranchError:
        raise
    except TypeError as error:
        raise ArgumentError(
            f"{kind.__name__} cannot be made of this config.", got=f"{dict(config)!r} ({error})"[:400]
        ) from error


def _missing(name: str, module: str, registry: Registry[Any] | None) -> AnabranchError:
    if registry is not None:
        return unknown(registry.kind, name, registry.known())
    place = definition(name)
    return ArgumentError(
        f"The class or function {name!r} is not known here.",
        got=f"it was defined in {module}" + (f", at {place}" if place else ""),
        repair=f"pass custom_objects={{{name!r}: {name}}}, or decorate it with @register_keras_serializable()",
    )  # fmt: skip


# What one package holds


_KINDS = ["constraint", "regularizer", "initializer", "activation", "loss", "metric", "optimizer", "schedule", "dtype_policy"]
_documented = _docstrings.described({
    "config": "its JSON, or a name.", "custom_objects": "the caller's own classes and functions by name.",
    **dict.fromkeys(_KINDS, "one of this package or of the user's own."),
})  # fmt: skip


def finder(function: Callable[P, R]) -> Callable[P, R]:
    """Let users call a package's ``get`` or ``deserialize``; the arguments that all have are described here."""
    return bounded(_documented(function))


def writer(function: Callable[P, R]) -> Callable[P, R]:
    """Let users call a package's ``serialize``, whose argument is checked, too."""
    return checked(_documented(function))


class Registry(Generic[T]):
    """The names of one package.

    Args:
        kind: what its objects are called in errors, e.g. ``"initializer"``.
        module: where Keras has them, e.g. ``"keras.initializers"``.
        base: the class of its objects; None where they are functions. ``Registry[T]`` names what ``get`` returns.
        names: returns every name with the class or function it means; asked when the first name is looked up.
        callables: whether any function of the user's serves as it is.
        plain_names: whether a function of this package is written as its name alone, as activations are.
        functions: returns further functions that data may name, where ``names`` has classes under those names.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        base: type[Any] | None,
        names: Callable[[], Mapping[str, Any]],
        *,
        callables: bool = True,
        plain_names: bool = False,
        functions: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.kind, self.module, self.base = kind, module, base
        self.callables, self.plain_names = callables, plain_names
        self._names, self._functions = names, functions
        _registries[module] = self

    @functools.cached_property
    def table(self) -> Mapping[str, Any]:
        """Every name with what it means."""
        return self._names()

    def find(self, name: str) -> Callable[..., Any] | None:
        """Return what ``name`` means here, None where it means nothing."""
        return self.table.get(name)

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return the function that data mean by ``name`` here, None where there is none."""
        found = self._functions().get(name) or self.find(name)
        return None if isinstance(found, type) else found

    def known(self) -> Iterable[str]:
        """Return the names, for errors."""
        return self.table

    def holds(self, thing: object) -> bool:
        """Return whether a class or function is one of this package."""
        return any(each is thing for table in (self.table, self._functions()) for each in table.values())

    def address(self, kind: type) -> tuple[str, str]:
        """Return the module and the name by which Keras's data mean a class of this package."""
        return self.module, kind.__name__

    def get(self, identifier: Any) -> T:
        """Return the object that a name, a class, a config, an object or a callable means; None stays None.

        Raises:
            UnknownNameError: there is no such name.
            ArgumentTypeError: nothing of the kind.
        """
        found: Any
        if isinstance(identifier, str):
            found = self.named(identifier)
            if isinstance(found, type):
                found = made(found, {})
        elif identifier is None or (self.base is not None and isinstance(identifier, self.base)):
            found = identifier
        elif isinstance(identifier, Mapping):
            found = self.deserialize(identifier)
        elif isinstance(identifier, type) and self.base is not None and issubclass(identifier, self.base):
            found = made(identifier, {})
        elif callable(identifier) and self.callables and not isinstance(identifier, type):
            check_called_as(identifier, self.kind)
            found = identifier
        else:
            self._refuse(identifier, f"{identifier.__name__}()" if isinstance(identifier, type) else None)
        return cast("T", found)

    def named(self, name: str) -> Callable[..., Any]:
        """Return the class or function that ``name`` means: a user's of that name first."""
        found = custom_object(name)
        if found is None:
            found = self.find(name)
        if found is None:
            raise unknown(self.kind, name, self.known())
        return found

    def serialize(self, obj: object) -> Json:
        """Return an object of this package as JSON: a function's name, or ``{"module", "class_name", "config", …}``."""
        if obj is None:
            return None
        if self.plain_names and not isinstance(obj, type) and (name := name_of(obj)) and self.find(name) is obj:
            return name
        return serialize(obj)

    def deserialize(self, config: Json, custom_objects: Mapping[str, Any] | None = None) -> T:
        """Return what ``serialize`` described; ``custom_objects`` maps names to the caller's own classes and functions."""
        with scope(custom_objects):
            if not isinstance(config, Mapping):
                return self.get(config)
            if "class_name" not in config:
                raise ArgumentError(
                    f"That describes no {self.kind}.", expected='{"class_name": …, "config": {…}}', got=repr(config)[:200]
                )
            found = _revived({"module": self.module, "config": {}} | dict(config), self)
            return cast("T", found) if callable(found) or isinstance(found, self.base or ()) else self._refuse(found)

    def _refuse(self, identifier: object, repair: str | None = None) -> NoReturn:
        article = "an" if self.kind[0] in "aeiou" else "a"
        wanted = f"a name, {article} {self.kind} object" + (" or a function" if self.callables else "")
        raise ArgumentTypeError(f"Expected {article} {self.kind}.", expected=wanted, got=repr(identifier)[:120], repair=repair)


def registry_of(namespace: Mapping[str, Any], base: type[Any], **older_names: type) -> Registry[Any]:
    """Return the registry of a module of classes: of those in its ``__all__`` that derive from ``base``.

    Args:
        namespace: what the module defines; read when the first name is looked up.
        base: the class of its objects, which gives them their name in errors.
        older_names: further names.
    """

    def names() -> dict[str, Any]:
        found = {name: namespace[name] for name in namespace["__all__"]}
        return older_names | {name: each for name, each in found.items() if isinstance(each, type) and each is not base}

    kind = base.__name__.lower()
    return Registry(kind, f"keras.{kind}s", base, names)

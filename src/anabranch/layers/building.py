"""What a layer's ``build`` is given, and that it is built afterwards."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from anabranch import _tree
from anabranch._asked import has_shape, name_of, parameters_of, shown, takes_any
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.diagnosis import refuse_wrong_inputs, wrong_value
from anabranch.graph import Operation, Tensor as Symbol
from anabranch.graph.shapes import NamedShapes
from anabranch.layers.holding import Holding


def built_after(build: Callable[..., None]) -> Callable[..., None]:
    """Return a ``build`` after which ``built`` is true, whoever calls it."""

    @functools.wraps(build)
    def wrapper(self: Holding, *args: object, **kwargs: object) -> None:
        with once(self):
            build(self, *args, **kwargs)
        self.built = True
        self._built_with_ = built_with(build, args, kwargs)

    return wrapper


@contextlib.contextmanager
def once(layer: Holding) -> Iterator[None]:
    """Build inside the block; raise where the layer has weights of an earlier build, unless this is a part of it."""
    inner = "_building_" in vars(layer)
    if not inner and layer.built and layer._weights_:
        raise ArgumentError(
            f"{layer._described_()} is built: it has weights.", got=", ".join(weight.name for weight in layer._weights_)[:200],
            expected="one build", repair="a new layer has new ones",
        )  # fmt: skip
    vars(layer)["_building_"] = True
    try:
        yield
    finally:
        if not inner:
            del vars(layer)["_building_"]


def refuse_arguments(build: object, layer: Holding, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raise where a ``build`` or a shape rule is given more arguments than it has, or others by name."""
    names = parameters_of(build)[1:]
    if (len(args) > len(names) or not kwargs.keys() <= set(names)) and not takes_any(build):
        raise ArgumentTypeError(
            f"{type(layer).__name__}.{name_of(build)} was given arguments that it does not take.",
            expected=f"({', '.join(names)})",
            got=", ".join([*map(shown, args), *(f"{name}={shown(value)}" for name, value in kwargs.items())]),
        )  # fmt: skip


def built_with(build: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a ``build`` was given: a shape or a nest of them, or ``NamedShapes``."""
    if len(args) == 1 and not kwargs:
        return args[0]
    return NamedShapes({**dict(zip(parameters_of(build)[1:], args, strict=False)), **kwargs})


def shapes_of_build(build: object) -> tuple[str, ...]:
    """Return the names of the shapes that a ``build`` or a shape rule takes, () where it is only one."""
    names = tuple(name for name in parameters_of(build)[1:] if name.endswith("_shape"))
    return names if len(names) > 1 else ()


def inputs_of_build(
    wanted: Sequence[str], call: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a ``build`` of several shapes is built for: by ``query_shape`` the argument ``query``."""
    given = dict(zip(parameters_of(call)[1:], args, strict=False)) | dict(kwargs)
    named = {f"{name}_shape": value for name, value in given.items() if value is not None}
    if named.keys().isdisjoint(wanted):  # other names than those of the call: in its order
        named = dict(zip(wanted, args, strict=False))
    return {name: named[name] for name in wanted if name in named}


def shapes_in(nest: _tree.Nest) -> _tree.Nest:
    """Return the nest's shapes; what has none is left out of account."""
    if isinstance(nest, Symbol):
        return nest.shape
    if has_shape(nest):
        return tuple(nest.shape)
    if isinstance(nest, dict):
        return {key: shapes_in(value) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        return [shapes_in(value) for value in nest]
    raise wrong_value(nest, "a symbolic tensor, an array or a torch tensor")


def refuse_wrong_call(layer: Operation, args: tuple[Any, ...]) -> None:
    """Raise where a layer is called on what is no input, or on other inputs than its ``input_spec`` describes."""
    refuse_wrong_inputs(layer, args)
    if layer.input_spec is not None and args:
        from anabranch.layers.input_spec import check_inputs  # which layers without one do without

        check_inputs(layer.input_spec, args[0], layer._error_label_())

"""A value in the place of a symbolic tensor: a layer that was never called, a class, an array, None."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, KeysView, Set
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch.graph.arrays import is_array
from anabranch.graph.records import Operation, Tensor

if TYPE_CHECKING:
    from anabranch.graph.call_site import CallSite

_OTHERS = ("keras", "tensorflow", "tf_keras")  # packages whose objects look like ours


def _package(value: object) -> str:
    """Return the package that a value's class is of."""
    import inspect  # which takes a while to load

    module = inspect.getmodule(type(value))
    return "" if module is None else module.__name__.partition(".")[0]


def wrong_value(value: Any, expected: str = "a symbolic tensor or values") -> ArgumentTypeError:
    """Return the error for a value that is no tensor, with what to write instead."""
    if isinstance(value, Operation):
        return _layer(value, expected)
    for fits, fact, repair in _KINDS:
        if fits(value):
            return ArgumentTypeError(fact(value), expected=expected, repair=repair(value))
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):  # views of a dict, sets, generators
        kind, ordered = type(value).__name__, not isinstance(value, Set) or isinstance(value, KeysView)
        return ArgumentTypeError(
            f"Expected a tensor or a list of tensors, got {'an' if kind[0] in 'aeiou' else 'a'} {kind}.", expected=expected,
            repair=f"list(…) of the {kind}, or a dict of tensors" if ordered else "a list, which has an order",
        )  # fmt: skip
    return ArgumentTypeError(f"Expected a tensor, got {type(value).__name__} {shown(value)}.", expected=expected)


def refuse_wrong_inputs(layer: Operation, args: tuple[Any, ...]) -> None:
    """Raise where a layer is called on layers, or one of ours for one tensor on a list of them."""
    if len(args) == 1 and isinstance(args[0], Tensor):  # as in most calls
        return
    for leaf in _tree.leaves(args):
        if not isinstance(leaf, Tensor) and (isinstance(leaf, Operation) or _is_of_others(leaf)):
            raise wrong_value(leaf)
    if args and isinstance(args[0], (list, tuple)) and layer._takes_one_tensor_ and _any_symbolic(args[0]):
        first = "" if len(args[0]) == 1 else ", or Concatenate()([a, b]) first"
        raise ArgumentTypeError(
            f"{layer._kind_name_()} takes one tensor, not a list.", expected=f"{layer._written_code_()}(x)",
            got=f"a list of {len(args[0])}", repair=f"call it on each: {layer._written_code_()}(x){first}",
        )  # fmt: skip


def refuse_tensors_as_settings(kind: type, args: tuple[Any, ...], site: CallSite) -> None:
    """Raise where a layer is made from tensors: ``ReLU(x)`` in the place of ``ReLU()(x)``."""
    if args and _any_symbolic(_tree.leaves(args)):
        own = ", ".join(repr(arg) for arg in args if not _any_symbolic(_tree.leaves(arg)))
        code = f"{kind.__name__}({own})({'[a, b]' if isinstance(args[0], (list, tuple)) else 'x'})"
        raise ArgumentTypeError(
            f"A tensor was given to the constructor of {kind.__name__}.", where=str(site),
            repair=f"write {code}: the layer is made first, then called",
        )  # fmt: skip


def _any_symbolic(values: Iterable[object]) -> bool:
    return any(isinstance(value, Tensor) for value in values)


def _layer(layer: Operation, expected: str) -> ArgumentTypeError:
    name = type(layer).__name__ + (f" {layer._explicit_name_!r}" if layer._explicit_name_ else "")
    sites = [node.site for node in (call() for call in layer._calls_) if node is not None]
    if not sites and layer._built_for_ is not None:
        sites = [layer._built_for_]  # what that call gave is gone
    if layer._is_source_:
        return ArgumentTypeError(
            f"{name} made at {layer._made_at_} is a layer, not its tensor.", expected=expected,
            repair="Input(…) makes the layer and returns its tensor",
        )  # fmt: skip
    if not sites:
        return ArgumentTypeError(
            f"{name} made at {layer._made_at_} was never called.", expected=expected,
            repair=f"write {layer._written_code_()}(x): a layer is made first, then called on a tensor",
        )  # fmt: skip
    return ArgumentTypeError(
        f"{name} made at {layer._made_at_} is a layer, not the tensor that its call gave.",
        expected=expected,
        got=f"the layer, called at {', '.join(map(str, sites[:4]))}",
        repair="keep what the call returns, y = layer(x), and write y here",
    )


def _size(value: Any) -> str:
    return f"{_package(value)} {type(value).__name__} of shape {tuple(value.shape)}"


def _is_of_others(value: object) -> bool:
    return any(name in sys.modules for name in _OTHERS) and _package(value) in _OTHERS


# whether a value is of a kind -> the fact, the repair
_KINDS: list[tuple[Callable[[Any], bool], Callable[[Any], str], Callable[[Any], str]]] = [
    (
        lambda value: value is None,
        lambda value: "Expected a tensor, got None.",
        lambda value: "a function that calls layers must end in return x",
    ),
    (
        lambda value: isinstance(value, type) and issubclass(value, Operation),
        lambda value: f"{value.__name__} is a class of layers; no layer was made from it.",
        lambda value: f"{value.__name__}(…)(x): make one, then call it on a tensor",
    ),
    (
        _is_of_others,
        lambda value: f"Expected a tensor of anabranch, got a {type(value).__name__} of the package {_package(value)}.",
        lambda value: "make it with anabranch too: import anabranch as keras, or anabranch run script.py",
    ),
    (
        is_array,
        lambda value: f"Expected a symbolic tensor, got a {_size(value)}.",
        lambda value: f"x = Input({tuple(value.shape[1:])}); build the Model from x, then call it on the array: model(array)",
    ),
    (
        lambda value: isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)),
        lambda value: f"Expected a tensor, got the function {value.__name__}.",
        lambda value: f"what it returns: {value.__name__}(x); or as a layer: Lambda({value.__name__})(x)",
    ),
]

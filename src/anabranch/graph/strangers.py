"""What is told of a value that stands where a symbolic tensor belongs: a layer never called, a class, an array, None."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch._errors import ArgumentTypeError
from anabranch.graph.records import Operation, Tensor

if TYPE_CHECKING:
    from anabranch.graph.call_site import CallSite

_FOREIGN = ("keras", "tensorflow", "tf_keras")


def is_symbolic(value: Any) -> bool:
    """Return whether a value is a symbolic tensor."""
    return isinstance(value, Tensor)


def stranger(value: Any, expected: str = "a symbolic tensor or numbers") -> ArgumentTypeError:
    """Return the error for a value that is no tensor, with what to write instead."""
    if isinstance(value, Operation):
        return _layer(value, expected)
    for fits, fact, repair in _KINDS:
        if fits(value):
            return ArgumentTypeError(fact(value), expected=expected, repair=repair(value))
    return ArgumentTypeError(f"A tensor belongs where {type(value).__name__} {value!r}"[:90] + " stands.", expected=expected)


def refuse_strangers(layer: Operation, args: tuple[Any, ...]) -> None:
    """Raise where a layer is called on layers, or one of ours for one tensor on a list of them."""
    for leaf in _tree.leaves(args):
        if not is_symbolic(leaf) and (isinstance(leaf, Operation) or type(leaf).__module__.partition(".")[0] in _FOREIGN):
            raise stranger(leaf)
    if args and isinstance(args[0], (list, tuple)) and layer.takes_one_tensor and any(map(is_symbolic, args[0])):
        first = "" if len(args[0]) == 1 else ", or Concatenate()([a, b]) first"
        raise ArgumentTypeError(
            f"{layer.kind_name()} takes one tensor, not a list.", expected=f"{layer.written_code()}(x)",
            got=f"a list of {len(args[0])}", repair=f"call it on each: {layer.written_code()}(x){first}",
        )  # fmt: skip


def refuse_tensors(kind: type, args: tuple[Any, ...], site: CallSite) -> None:
    """Raise where a layer of ours is made from tensors: ``ReLU(x)`` in the place of ``ReLU()(x)``."""
    if args and kind.__module__.startswith("anabranch.layers.") and any(map(is_symbolic, _tree.leaves(args))):
        own = ", ".join(repr(arg) for arg in args if not any(map(is_symbolic, _tree.leaves(arg))))
        code = f"{kind.__name__}({own})({'[a, b]' if isinstance(args[0], (list, tuple)) else 'x'})"
        raise ArgumentTypeError(
            f"A tensor was given to the constructor of {kind.__name__}.", where=str(site),
            repair=f"write {code}: the layer is made first, then called",
        )  # fmt: skip


def _layer(layer: Operation, expected: str) -> ArgumentTypeError:
    name = type(layer).__name__ + (f" {layer.explicit_name!r}" if layer.explicit_name else "")
    sites = [node.site for node in (call() for call in layer.calls) if node is not None]
    if not sites and layer.built_for is not None:
        sites = [layer.built_for]  # what that call gave is gone
    if layer.is_source:
        return ArgumentTypeError(
            f"{name} made at {layer.made_at} is a layer, not its tensor.", expected=expected,
            repair="Input(…) makes the layer and returns its tensor",
        )  # fmt: skip
    if not sites:
        return ArgumentTypeError(
            f"{name} made at {layer.made_at} was never called.", expected=expected,
            repair=f"write {layer.written_code()}(x): a layer is made first, then called on a tensor",
        )  # fmt: skip
    return ArgumentTypeError(
        f"{name} made at {layer.made_at} is a layer, not the tensor that its call gave.",
        expected=expected,
        got=f"the layer, called at {', '.join(map(str, sites[:4]))}",
        repair="keep what the call returns, y = layer(x), and write y here",
    )


def _size(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]} {type(value).__name__} of shape {tuple(value.shape)}"


# whether a value is of a kind -> the fact, the repair
_KINDS: list[tuple[Any, Any, Any]] = [
    (
        lambda value: value is None,
        lambda value: "None stands where a tensor belongs.",
        lambda value: "a function that calls layers must end in return x",
    ),
    (
        lambda value: isinstance(value, type) and issubclass(value, Operation),
        lambda value: f"{value.__name__} is a class of layers; no layer was made from it.",
        lambda value: f"{value.__name__}(…)(x): make one, then call it on a tensor",
    ),
    (
        lambda value: type(value).__module__.partition(".")[0] in _FOREIGN,
        lambda value: f"A {type(value).__name__} of the real {type(value).__module__.partition('.')[0]} stands here.",
        lambda value: "make it with anabranch too: import anabranch as keras, or anabranch run script.py",
    ),
    (
        lambda value: hasattr(value, "shape") and hasattr(value, "dtype"),
        lambda value: f"A {_size(value)} stands where a symbolic tensor belongs.",
        lambda value: f"x = Input({tuple(value.shape[1:])}); build the Model from x, then call it on the array: model(array)",
    ),
    (
        lambda value: isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)),
        lambda value: f"The function {value.__name__} stands where a tensor belongs.",
        lambda value: f"what it returns: {value.__name__}(x); or as a layer: Lambda({value.__name__})(x)",
    ),
]

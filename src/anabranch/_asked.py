"""What is asked of any object, the user's included: its name, module and parameters, whether it has a shape or a method."""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsFloat, TypeGuard, TypeVar, cast

T = TypeVar("T")
SHOWN = 120  # characters of a value that a message shows
GREATEST = 2**63  # of an integer, as torch has none above


class Shaped(Protocol):
    """What has a shape: an array, a tensor, a traced value."""

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes."""

    @property
    def dtype(self) -> object:
        """The type of its values."""


def has_shape(value: object) -> TypeGuard[Shaped]:
    """Return whether a value has a shape, whoever made it.

    >>> has_shape(1.0)
    False
    """
    return hasattr(value, "shape")  # not a Protocol's isinstance: traced values answer through __getattr__


def answers(value: object, name: str) -> bool:
    """Return whether a value has an attribute, traced values too, which answer through ``__getattr__``.

    A Protocol's isinstance asks the class alone since Python 3.12.

    >>> answers(1, "__index__"), answers(1.0, "__index__")
    (True, False)
    """
    return hasattr(value, name)


def name_of(thing: object, default: str = "") -> str:
    """Return the name of a function or class; callable objects have none.

    >>> name_of(len), name_of(1, "a number")
    ('len', 'a number')
    """
    return str(getattr(thing, "__name__", default))  # functools.partial and callable objects have no name


def module_of(thing: object) -> str:
    """Return the name of the module that defines a class or function, or an object's class; "" where it is not known.

    >>> module_of(name_of)
    'anabranch._asked'
    """
    return str(getattr(thing, "__module__", None) or "")  # built-in functions have None, some objects nothing


def is_from(thing: object, *packages: str) -> bool:
    """Return whether a class or function, or an object's class, is defined in one of the packages.

    >>> is_from(name_of, "anabranch"), is_from(name_of, "torch", "numpy")
    (True, False)
    """
    return f"{module_of(thing)}.".startswith(tuple([f"{package}." for package in packages]))


_PYTHON_DTYPES = {float: "float32", int: "int32", bool: "bool", "float": "float32", "int": "int32"}  # as Keras reads them


def dtype_by_name(value: T) -> T | str:
    """Return the name of a dtype of torch's, NumPy's or Python's; any other value stays.

    >>> import numpy as np
    >>> dtype_by_name(np.float16), dtype_by_name(np.dtype("int8")), dtype_by_name(float), dtype_by_name("bool")
    ('float16', 'int8', 'float32', 'bool')
    """
    if isinstance(value, (str, type)) and value in _PYTHON_DTYPES:
        return _PYTHON_DTYPES[value]
    if isinstance(value, type):
        return value.__name__.rstrip("_") if is_from(value, "numpy") else value
    if is_from(type(value), "torch") and type(value).__name__ == "dtype":
        return str(value).removeprefix("torch.")
    return str(value) if is_from(type(value), "numpy") and "dtype" in type(value).__name__.lower() else value


def says_how_built(kind: type, package: str) -> bool:
    """Return whether a class that is not the package's writes ``get_build_config`` or ``build_from_config``.

    >>> class Gate:
    ...     def build_from_config(self, config): ...
    >>> says_how_built(Gate, "numpy"), says_how_built(Gate, "anabranch")
    (True, False)
    """
    own = (vars(each) for each in kind.__mro__ if not is_from(each, package))
    return any("get_build_config" in each or "build_from_config" in each for each in own)


def parameters_of(function: object) -> tuple[str, ...]:
    """Return the names of a Python function's or method's parameters; () for what is not written in Python.

    >>> parameters_of(name_of)
    ('thing', 'default')
    """
    code = _code_of(function)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def asked_by(rule: object, call: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments of a layer's call that a rule of the layer has parameters for, after its first two.

    >>> class Layer:
    ...     def call(self, inputs, reverse=False): ...
    ...     def compute_mask(self, inputs, mask=None, reverse=False): ...
    >>> asked_by(Layer.compute_mask, Layer.call, ("x", True), {})
    {'reverse': True}
    """
    names = parameters_of(unwrapped(rule))[3:]
    given = {**dict(zip(parameters_of(call)[1:], args, strict=False)), **kwargs} if names else {}
    return {name: given[name] for name in names if name in given}


def _code_of(function: object) -> types.CodeType | None:
    return getattr(function, "__code__", None)  # built-in functions and callable objects have none


_VARARGS, _VARKEYWORDS = 4, 8  # flags of code objects, as ``inspect`` has them


def takes_any(function: object) -> bool:
    """Return whether a Python function takes arguments beyond those that it names: ``*args`` or ``**kwargs``.

    >>> takes_any(name_of), takes_any(dict.fromkeys)
    (False, True)
    """
    code = _code_of(function)
    return code is None or bool(code.co_flags & (_VARARGS | _VARKEYWORDS))


def unwrapped(function: object) -> object:
    """Return what decorators that use ``functools.wraps`` were put around; without ``inspect``, which takes a while to load.

    >>> import functools
    >>> unwrapped(functools.wraps(name_of)(lambda thing: "")) is name_of
    True
    """
    while isinstance(function, types.FunctionType) and "__wrapped__" in vars(function):
        function = vars(function)["__wrapped__"]
    return function


def method(thing: object, name: str) -> Callable[..., Any] | None:
    """Return a method that an object may have, or None.

    >>> method([], "tolist") is None
    True
    """
    found = getattr(thing, name, None)  # the object is the user's, and each of its methods is optional
    return found if callable(found) else None


def described(value: object) -> str:
    """Return the shape and dtype of an array, else the value as a message shows it.

    >>> described(3), described([1, 2])
    ('3', '[1, 2]')
    """
    if isinstance(value, (list, tuple)) and any(map(has_shape, value)):
        return f"[{', '.join(map(described, value))}]"
    if not has_shape(value) or isinstance(value, type):
        return shown(value)
    try:
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    except (AttributeError, TypeError, ValueError):  # another thing with a shape; a traced value refuses to list its sizes
        return shown(value)


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, an array by its shape, a long one cut.

    >>> shown("a"), len(shown([1.0] * 60))
    ("'a'", 120)
    """
    if is_from(type(value), "numpy", "torch") and has_shape(value) and value.shape != ():
        return f"an array of shape {described(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


# What a value is


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, else the name of its class.

    >>> first_line(ValueError("no such row")), first_line(KeyError())
    ('no such row', 'KeyError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer that torch can hold.

    >>> is_integer(3), is_integer(True), is_integer(2**70)
    (True, False, False)
    """
    if type(value) is int:
        return -GREATEST <= value < GREATEST
    if value is None or isinstance(value, bool) or not answers(value, "__index__") or _is_truth(value):
        return False
    return not _is_read(value) or _converts(value, operator.index)


def _is_truth(value: object) -> bool:
    """Return whether a value is a boolean of NumPy's, which NumPy 1 takes for an index."""
    return type(value).__name__ in ("bool_", "bool") and is_from(type(value), "numpy")


def _is_read(value: object) -> bool:
    """Return whether a value is an array or tensor whose numbers can be looked at: none that is traced."""
    return is_from(type(value), "numpy") or (is_from(type(value), "torch") and type(value).__name__ in ("Tensor", "Parameter"))


def _converts(value: object, convert: Callable[[Any], object]) -> bool:
    """Return whether a value is one number rather than an array of several."""
    try:
        convert(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # NotImplementedError is one: a tensor without values
        return False
    return True


def is_without_values(value: Any) -> bool:
    """Return whether a value is a tensor of torch's whose numbers cannot be listed: on the device ``meta``, or sparse.

    >>> is_without_values(1)
    False
    """
    return is_from(type(value), "torch") and answers(value, "layout") and (value.is_meta or "strided" not in str(value.layout))


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number other than NaN.

    >>> is_number(0.5), is_number(float("nan")), is_number("0.5")
    (True, False, False)
    """
    if type(value) is float:
        return value == value  # NaN is not
    if isinstance(value, bool) or not answers(value, "__float__"):
        return False
    if not _is_read(value):
        return True
    number = cast(SupportsFloat, value)
    return dtype_by_name(cast(Shaped, value).dtype) != "bool" and _converts(value, float) and not math.isnan(float(number))


def is_boolean(value: object) -> bool:
    """Return whether a value is a boolean; 0 and 1 are taken for one.

    >>> is_boolean(True), is_boolean(1), is_boolean("a")
    (True, True, False)
    """
    return isinstance(value, bool) or (type(value).__name__ in ("bool_", "bool", "int") and value in (0, 1))


def on_host(x: object) -> object:
    """Return what NumPy can read: tensors leave their device and gradient behind; floats that NumPy lacks become float32.

    >>> on_host([1, 2])
    [1, 2]
    """
    if not has_shape(x):
        return x
    narrow = str(dtype_by_name(x.dtype)).startswith(("bfloat16", "float8"))
    tensor, cast = method(x, "detach"), method(x, "astype")
    if tensor is None:
        return cast("float32") if narrow and cast else x
    values = tensor().cpu()
    return (values.float() if narrow else values).numpy()

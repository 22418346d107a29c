"""What Keras scripts ask of ``keras.backend``: the engine's name and the process's float settings."""

from __future__ import annotations

import functools
from collections import Counter

from anabranch import graph
from anabranch._arguments import checked
from anabranch._asked import dtype_by_name, shown
from anabranch._errors import DtypeError
from anabranch.config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "result_type", "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip
__dir__ = __all__.copy

_uids: Counter[str] = Counter()
_WIDER = {  # the types to which each is widened next, as JAX has it; "int" and "float" are those of Python's numbers
    "bool": ("int",), "uint8": ("int16", "uint16"), "uint16": ("int32", "uint32"), "uint32": ("int64", "uint64"),
    "uint64": ("float",), "int": ("uint8", "int8", "complex64"), "int8": ("int16",), "int16": ("int32",), "int32": ("int64",),
    "int64": ("float",), "float": ("bfloat16", "float16"), "bfloat16": ("float32",), "float16": ("float32",),
    "float32": ("float64", "complex64"), "float64": ("complex128",), "complex64": ("complex128",), "complex128": (),
}  # fmt: skip
_DTYPES = (*(name for name in _WIDER if name not in ("int", "float")), "string", "float8_e4m3fn", "float8_e5m2")
_NARROWER = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


@checked
def clear_session(free_memory: bool = True) -> None:
    """Begin the numbers of ``get_uid`` again; there is no other session, and the memory of a deleted model is freed.

    Args:
        free_memory: accepted for compatibility with Keras, and without effect.

    Example:
        >>> clear_session()
    """
    _uids.clear()


@checked
def get_uid(prefix: str = "") -> int:
    """Return how often a prefix has been asked for since the last ``clear_session``, this time too; no name depends on it.

    Args:
        prefix: any string.

    Example:
        >>> get_uid("example"), get_uid("example")
        (1, 2)
    """
    _uids[prefix] += 1
    return _uids[prefix]


@checked
def is_keras_tensor(x: object) -> bool:
    """Return whether a value is a symbolic tensor.

    Args:
        x: any value.

    Example:
        >>> from anabranch import Input
        >>> is_keras_tensor(Input((2,))), is_keras_tensor(2)
        (True, False)
    """
    return isinstance(x, graph.Tensor)


@checked
def standardize_dtype(dtype: object) -> str:
    """Return the name of a dtype of torch's, NumPy's or Python's; that of ``floatx`` for None.

    Args:
        dtype: a dtype, its name, a type of Python's, or None.

    Raises:
        DtypeError: there is no such dtype.

    Example:
        >>> import numpy as np
        >>> standardize_dtype(np.float16), standardize_dtype(int), standardize_dtype(None)
        ('float16', 'int32', 'float32')
    """
    if dtype is None:
        return floatx()
    found = "string" if dtype is str else "complex64" if dtype is complex else dtype_by_name(dtype)
    if not isinstance(found, str) or found not in _DTYPES:
        raise DtypeError("Unknown dtype.", expected=", ".join(_DTYPES), got=shown(dtype))
    return found


@checked
def is_float_dtype(dtype: object) -> bool:
    """Return whether values of a dtype are floats.

    Args:
        dtype: a dtype, or its name.

    Example:
        >>> is_float_dtype("bfloat16"), is_float_dtype("int32")
        (True, False)
    """
    return "float" in standardize_dtype(dtype)


@checked
def is_int_dtype(dtype: object) -> bool:
    """Return whether values of a dtype are integers.

    Args:
        dtype: a dtype, or its name.

    Example:
        >>> is_int_dtype("uint8"), is_int_dtype("bool")
        (True, False)
    """
    return "int" in standardize_dtype(dtype)


@checked
def result_type(*dtypes: object) -> str:
    """Return the least dtype that holds several, by Keras's rule: none is of 64 bits.

    Args:
        *dtypes: dtypes, their names, or None for ``floatx``; ``int`` and ``float`` count where they are of a higher kind.

    Example:
        >>> result_type("int32", "float16"), result_type("bfloat16", float), result_type("int8", "uint8")
        ('float16', 'bfloat16', 'int16')
    """
    names = ["int" if dtype is int else "float" if dtype is float else standardize_dtype(dtype) for dtype in dtypes]
    if any(name.startswith("float8") for name in names):
        raise DtypeError("Floats of 8 bits do not become others by themselves.", got=", ".join(names), repair="ops.cast")
    found = (names[0] if names else floatx()) if len(set(names)) < 2 else _bound(frozenset(names))
    return _NARROWER.get(found, found + floatx()[-2:] if found in ("int", "float") else found)


@functools.cache
def _above(name: str) -> frozenset[str]:
    return frozenset({name}).union(*map(_above, _WIDER[name]))


@functools.cache
def _bound(names: frozenset[str]) -> str:
    """Return the least type above all."""
    common = frozenset.intersection(*map(_above, names))
    return next(name for name in common if _above(name) == common)

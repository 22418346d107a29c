"""Questions about symbolic tensors and dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import config
from anabranch._arguments import checked
from anabranch._asked import dtype_by_name, shown
from anabranch._errors import ArgumentTypeError, unknown
from anabranch.config.precision import DATA
from anabranch.graph.sources import sources_of
from anabranch.graph.tensor import SymbolicTensor

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

_BUILTINS = {bool: "bool", int: "int32", float: "float32", str: "string"}
_OTHERS = ("complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "string")


@checked
def is_keras_tensor(x: object) -> bool:
    """Return whether x is a symbolic tensor: what ``Input`` gives, and a layer called on it.

    Args:
        x: anything.

    Example:
        >>> from anabranch import Input
        >>> is_keras_tensor(Input((3,))), is_keras_tensor(1.0)
        (True, False)
    """
    return isinstance(x, SymbolicTensor)


@checked
def get_source_inputs(tensor: Tensor) -> list[Tensor]:
    """Return the Inputs that a symbolic tensor is computed from, in the order in which a walk back meets them.

    Args:
        tensor: the symbolic tensor.

    Example:
        >>> from anabranch import Input, layers
        >>> a, b = Input((2,), name="a"), Input((2,), name="b")
        >>> [source.name for source in get_source_inputs(layers.add([a, layers.Dense(2)(b)]))]
        ['a', 'b']
    """
    if not isinstance(tensor, SymbolicTensor):
        raise ArgumentTypeError("tensor of get_source_inputs must be a symbolic tensor.", got=shown(tensor))
    return sources_of(tensor)


@checked
def standardize_dtype(dtype: object) -> str:
    """Return a dtype's name, whether it is given by name, as a Python type, or as one of torch's or NumPy's.

    Args:
        dtype: the dtype; None for ``config.floatx()``.

    Raises:
        UnknownNameError: there is no such dtype.

    Example:
        >>> standardize_dtype(None), standardize_dtype(int), standardize_dtype("int8")
        ('float32', 'int32', 'int8')
    """
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, type) and dtype in _BUILTINS:
        return _BUILTINS[dtype]
    name = dtype_by_name(dtype)
    known = (*DATA, *_OTHERS)
    if not isinstance(name, str):
        raise ArgumentTypeError("dtype must be a name or a type.", got=shown(dtype))
    if name not in known:
        raise unknown("dtype", name, known)
    return name

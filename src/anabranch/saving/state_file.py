"""A nest of plain values and arrays as one safetensors file: JSON in its header, the arrays behind it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError, FileFormatError
from anabranch.registry import Json
from anabranch.saving import matching, safetensors_format

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Nest: TypeAlias = Any
"""None, booleans, integers, floats, strings, arrays, functions that return an array; lists, tuples and dicts of these."""

FORMAT = 1  # a reader refuses a greater one
_KEY = "anabranch"


def written(nest: Nest) -> Iterator[bytes]:
    """Yield a file in parts; functions are called at its beginning.

    Raises:
        ArgumentTypeError: something else is in the nest.
    """
    arrays: list[Array] = []
    plain = _plain(nest, arrays, "state")
    stored = {str(index): matching.of_array(array) for index, array in enumerate(arrays)}
    yield from safetensors_format.parts(stored, {_KEY: json.dumps({"format": FORMAT, "state": plain})})


def _plain(nest: Nest, arrays: list[Array], where: str) -> Json:
    """Return a nest as JSON; arrays are moved to ``arrays`` and leave their index."""
    import numpy as np

    if nest is None or isinstance(nest, (bool, int, str)):
        return nest
    if isinstance(nest, float):
        return nest if math.isfinite(nest) else {"float": repr(nest)}
    if isinstance(nest, list):
        return [_plain(item, arrays, f"{where}[{index}]") for index, item in enumerate(nest)]
    if isinstance(nest, tuple):
        return {"tuple": _plain(list(nest), arrays, where)}
    if isinstance(nest, Mapping):
        return {"dict": [[_plain(key, arrays, where), _plain(item, arrays, f"{where}[{key!r}]")] for key, item in nest.items()]}
    found = nest() if callable(nest) else nest
    if isinstance(found, np.generic):
        return _plain(found.item(), arrays, where)
    if isinstance(found, np.ndarray) and found.dtype.kind in "fiub" and found.dtype.itemsize <= 8:
        arrays.append(found)
        return {"array": len(arrays) - 1}
    raise ArgumentTypeError(
        f"{where} cannot be saved.", expected="numbers, strings, arrays of numbers; lists, tuples and dicts of these",
        got=shown(nest),
    )  # fmt: skip


def stored(data: bytes, source: str) -> Nest:
    """Return the nest of a file; what was a function is an array.

    Args:
        data: the file.
        source: what errors call it.

    Raises:
        FileFormatError: the file is damaged, of another kind, or of a newer format.
    """
    tensors, words = safetensors_format.contents(io.BytesIO(data), source)
    try:
        found = json.loads(words[_KEY])
        number, plain = found["format"], found["state"]
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{source} is no backup.", got=f"{type(error).__name__}: {error}"[:200]) from error
    if not isinstance(number, int) or number > FORMAT:
        raise FileFormatError(f"{source} is of a newer format.", expected=f"format {FORMAT}", got=f"format {number!r}")
    try:
        return _nest(plain, lambda index: tensors[str(index)].read().copy())
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{source} is damaged.", got=f"{type(error).__name__}: {error}"[:200]) from error


def _nest(plain: Json, array: Callable[[Json], Array]) -> Nest:
    """Return the nest that ``_plain`` made JSON of."""
    if isinstance(plain, list):
        return [_nest(item, array) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "float":
        return float(value)
    if kind == "array":
        return array(value)
    if kind == "tuple":
        return tuple(_nest(value, array))
    if kind == "dict":
        return {_nest(key, array): _nest(item, array) for key, item in value}
    raise ValueError(f"{kind!r} is no kind of value")

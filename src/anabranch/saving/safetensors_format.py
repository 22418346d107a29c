"""Arrays by path in safetensors: a header of JSON, then the values; each is read when it is asked for.

The library's own functions for NumPy know neither bfloat16 nor float8, and read a file whole.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from anabranch._asked import is_integer
from anabranch._errors import DtypeError, FileFormatError
from anabranch.saving import narrow
from anabranch.saving.matching import Stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_HEADER = 100_000_000  # bytes, as in the library
_METADATA = "__metadata__"
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4",
    "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_NARROW = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_KNOWN = {**_TYPES, **{name: narrow.BITS[dtype] for name, dtype in _NARROW.items()}}
_OTHERS = {
    "F4": "a float of four bits, two in a byte", "F6_E2M3": "a float of six bits", "F6_E3M2": "a float of six bits",
    "F8_E8M0": "the exponents of blocks of other arrays", "C64": "a complex number",
}  # fmt: skip


def written(arrays: Mapping[str, Stored], words: Mapping[str, str] | None = None) -> bytes:
    """Return a file of these arrays; arguments as of ``parts``."""
    return b"".join(parts(arrays, words))


def parts(arrays: Mapping[str, Stored], words: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """Yield a file of these arrays, each when its turn comes.

    Args:
        arrays: the arrays by path.
        words: for readers of the file.

    Raises:
        DtypeError: one has a type that the format lacks.
    """
    kinds = {_dtype(kind): kind for kind in _KNOWN}
    header: dict[str, Any] = {_METADATA: dict(words)} if words else {}
    begin = 0
    for path, array in arrays.items():
        if array.dtype not in kinds:
            raise DtypeError(f"{path!r} has a type that files of weights lack.", expected=", ".join(kinds), got=array.dtype)
    ordered = sorted(arrays, key=lambda path: -_itemsize(kinds[arrays[path].dtype]))  # so that each is aligned
    for path in ordered:
        kind, shape, end = kinds[arrays[path].dtype], list(arrays[path].shape), begin + arrays[path].nbytes
        header[path] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for path in ordered:
        yield _bytes(arrays[path])


def _bytes(array: Stored) -> bytes:
    import numpy as np

    values = array.read()
    bits = narrow.bits_of(values, array.dtype) if array.dtype in narrow.BITS else values
    return np.ascontiguousarray(bits, bits.dtype.newbyteorder("<")).tobytes()


def _itemsize(kind: str) -> int:
    return int(_KNOWN[kind][-1].replace("?", "1"))


def stored(file: IO[bytes], source: str) -> dict[str, Stored]:
    """Return the arrays of a file by path; each is read from the file when it is asked for.

    Args:
        file: the file, open until all are read.
        source: what errors call it.

    Raises:
        FileFormatError: the file is damaged.
    """
    return contents(file, source)[0]


def contents(file: IO[bytes], source: str) -> tuple[dict[str, Stored], dict[str, Any]]:
    """Return the arrays of a file, as ``stored`` does, and its words for readers."""
    header, begin = _header(file, source)
    words = header.get(_METADATA)
    return dict(_arrays(file, header, begin, source)), words if isinstance(words, dict) else {}


def _header(file: IO[bytes], source: str) -> tuple[dict[str, Any], int]:
    """Return the header of a file, and where the values begin."""
    file.seek(0)
    size = int.from_bytes(file.read(8), "little")
    text = file.read(size) if size <= MOST_HEADER else b""
    if len(text) != size or not text.startswith(b"{"):
        raise _damaged(source, f"a header of {size:,} bytes")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, str(error)) from error
    return header, 8 + size


def _arrays(file: IO[bytes], header: Mapping[str, Any], begin: int, source: str) -> Iterator[tuple[str, Stored]]:
    spans: list[tuple[int, ...]] = []
    for path, entry in header.items():
        if path == _METADATA:
            continue
        entry = entry if isinstance(entry, dict) else {}
        kind, shape, offsets = str(entry.get("dtype")), _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
        if shape is None or offsets is None or len(offsets) != 2:
            raise _damaged(source, f"{path[:80]!r}: {entry!r:.80}")
        spans.append(offsets)
        if kind in _KNOWN and offsets[1] - offsets[0] != math.prod(shape) * _itemsize(kind):
            raise _damaged(source, f"{path[:80]!r} declares {kind} {shape} in {offsets[1] - offsets[0]:,} bytes")
        read = functools.partial(_values, file, path, kind, shape, begin + offsets[0], source)
        yield path, Stored(shape, read, _dtype(kind))
    spans.sort()
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1] or file.seek(0, 2) != begin + ends[-1]:
        raise _damaged(source, "values that overlap, leave gaps, or are cut short")


def _sizes(found: object) -> tuple[int, ...] | None:
    return tuple(found) if isinstance(found, list) and all(is_integer(each) and each >= 0 for each in found) else None


def _dtype(kind: str) -> str:
    """Return the name of a type of the format, in NumPy's words where it has it."""
    import numpy as np

    return np.dtype(_TYPES[kind]).name if kind in _TYPES else _NARROW.get(kind, kind)


def _values(file: IO[bytes], path: str, kind: str, shape: tuple[int, ...], begin: int, source: str) -> Array:
    """Return the values of one array; floats that NumPy lacks become float32, which holds them exactly."""
    import numpy as np

    if kind not in _KNOWN:
        raise FileFormatError(
            f"{path!r} in {source} has a type that no weight has: {_OTHERS.get(kind, 'one that is not known here')}.",
            expected=", ".join(_KNOWN), got=kind[:40], repair="convert it to floats, or to int8, with what wrote the file",
        )  # fmt: skip
    file.seek(begin)
    data = file.read(math.prod(shape) * _itemsize(kind))
    try:
        values = np.frombuffer(data, _KNOWN[kind]).reshape(shape)
    except ValueError as error:  # the file has become shorter
        raise _damaged(source, str(error)) from error
    return narrow.from_bits(values, _NARROW[kind]) if kind in _NARROW else values


def _damaged(source: str, found: str) -> FileFormatError:
    return FileFormatError(f"{source} is damaged or no safetensors file.", got=found[:200])

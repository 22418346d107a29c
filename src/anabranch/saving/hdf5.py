"""Arrays by path in HDF5, as Keras has them: the only file that imports h5py. Sizes are bounded, links are refused."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch._errors import AnabranchError, FileFormatError, MissingExtraError
from anabranch.saving import bfloat16
from anabranch.saving.matching import Stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_OBJECTS = 1_000_000
UNSUSPICIOUS = 1 << 26  # bytes that an array may declare whatever the file stores of it
MOST_EXPANSION = 1_000  # times what is stored, which compression does not reach on weights
_FILTERS = frozenset((1, 2, 3, 32000))  # deflate, shuffle, checksum, LZF: others would load a plugin
_BFLOAT16 = "bfloat16"


class Group(NamedTuple):
    """What a file holds of one owner of variables.

    Args:
        path: where, such as ``layers/dense/vars``.
        name: the owner's name, for readers of the file; None where it has none.
        arrays: its arrays, by name.
    """

    path: str
    name: str | None
    arrays: Mapping[str, Array]


def written(groups: Iterator[Group]) -> bytes:
    """Return a file of these arrays."""
    h5py = _h5py()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, name, arrays in groups:
            group = file.require_group(path)
            if name is not None:
                group.attrs["name"] = name
            for key, values in arrays.items():
                group.create_dataset(key, data=values)
                if values.dtype.kind == "V":
                    group[key].attrs["dtype"] = _BFLOAT16
    return buffer.getvalue()


def as_bfloat16(values: Array) -> Array:
    """Return float32 values that are bfloat16's as Keras stores these: two opaque bytes each."""
    return bfloat16.bits_of(values).view("V2")


def stored(data: bytes, source: str) -> dict[str, Stored]:
    """Return the arrays of a file by path; each is read when it is asked for, from memory.

    Args:
        data: the file.
        source: what errors call it.

    Raises:
        FileFormatError: the file is damaged, links to elsewhere, or declares what it does not store.
    """
    h5py = _h5py()
    try:
        file = h5py.File(io.BytesIO(data), "r")
        return dict(_arrays(h5py, file, source))
    except AnabranchError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, ValueError, … for damage
        raise _damaged(source, error) from error


def _arrays(h5py: Any, file: Any, source: str) -> Iterator[tuple[str, Stored]]:
    stack = [("", file)]
    seen = {_address(h5py, file)}
    while stack:
        prefix, group = stack.pop()
        for name in group:
            path = f"{prefix}{name}"
            if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                raise FileFormatError(f"{source} has a link, {path!r}, which is not followed.", expected="groups and arrays")
            thing = group[name]
            address = _address(h5py, thing)
            if address in seen or len(seen) > MOST_OBJECTS:
                raise FileFormatError(f"{source} is no file of weights: {path!r} is there twice, or it has too many parts.")
            seen.add(address)
            if isinstance(thing, h5py.Group):
                stack.append((f"{path}/", thing))
            else:
                yield path, _checked(h5py, thing, path, source)


def _address(h5py: Any, thing: Any) -> tuple[int, int]:
    info = h5py.h5o.get_info(thing.id)
    return info.fileno, info.addr


def _checked(h5py: Any, array: Any, path: str, source: str) -> Stored:
    """Return an array that is safe to read."""
    if not isinstance(array, h5py.Dataset) or array.shape is None:
        raise FileFormatError(f"{path!r} in {source} is no array.")
    if array.external or array.is_virtual:
        raise FileFormatError(f"{path!r} in {source} has its values in another file, which is not opened.")
    is_bfloat16 = array.attrs.get("dtype") == _BFLOAT16 and array.dtype == "V2"
    if array.dtype.kind not in "fiub" and not is_bfloat16:
        raise FileFormatError(f"{path!r} in {source} has a type that no weight has.", got=str(array.dtype))
    plist = array.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise FileFormatError(f"{path!r} in {source} is compressed by a filter that is not built in.", got=str(filters))
    declared, held = math.prod(array.shape) * array.dtype.itemsize, array.id.get_storage_size()
    if declared > UNSUSPICIOUS and declared > MOST_EXPANSION * held:
        raise FileFormatError(
            f"{path!r} in {source} declares far more than the file holds.",
            got=f"{array.shape}: {declared:,} bytes, {held:,} stored",
        )

    def read() -> Array:
        try:
            values: Array = array[()]
        except Exception as error:
            raise _damaged(source, error) from error
        return bfloat16.from_bits(values.view("<u2")) if is_bfloat16 else values

    return Stored(tuple(array.shape), read)


def _damaged(source: str, error: Exception) -> FileFormatError:
    return FileFormatError(f"{source} is damaged, cut short, or no HDF5 file.", got=str(error)[:200])


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "Files of weights in HDF5, as .keras and .weights.h5 are, need h5py, which is not installed.",
            repair="pip install anabranch[hdf5]; or save_weights to a name ending in .safetensors",
        ) from error
    return h5py

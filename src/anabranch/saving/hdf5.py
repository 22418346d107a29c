"""Arrays by path in HDF5, as Keras has them: the only file that imports h5py. Sizes are bounded, links are refused."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from anabranch._errors import AnabranchError, FileFormatError, MissingExtraError
from anabranch.saving import narrow
from anabranch.saving.matching import Stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_OBJECTS = 1_000_000
UNSUSPICIOUS = 1 << 26  # bytes that an array may declare whatever the file stores of it
_LONGEST = 40  # letters of a type in a message
MOST_TEXT, MOST_TEXT_EXPANSION = 1 << 28, 16  # bytes of an attribute, or times the file
MOST_EXPANSION = 1_000  # times what is stored, which compression does not reach on weights
_FILTERS = frozenset((1, 2, 3, 32000))  # deflate, shuffle, checksum, LZF: others would load a plugin
_DTYPE = "dtype"  # the attribute that names a type which HDF5 lacks; Keras has it for bfloat16


class Contents(NamedTuple):
    """What a file holds.

    Args:
        arrays: the arrays by path; each is read when it is asked for.
        texts: what the groups say: strings by path and by the attribute's name.
    """

    arrays: dict[str, Stored]
    texts: dict[str, dict[str, list[str]]]


class Group(NamedTuple):
    """What a file holds of one owner of variables.

    Args:
        path: where, such as ``layers/dense/vars``.
        name: the owner's name, for readers of the file; None where it has none.
        arrays: its arrays, by name.
    """

    path: str
    name: str | None
    arrays: Mapping[str, Stored]


def written(groups: Iterable[Group], attributes: Mapping[str, str] | None = None) -> bytes:
    """Return a file of these arrays.

    Args:
        groups: what it holds.
        attributes: words for readers of the file.
    """
    h5py = _h5py()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(attributes or {})
        for path, name, arrays in groups:
            group = file.require_group(path)
            if name is not None:
                group.attrs["name"] = name
            for key, array in arrays.items():
                values = array.read()
                if array.dtype in narrow.BITS:  # as Keras has bfloat16: opaque bytes
                    values = narrow.bits_of(values, array.dtype)
                    group.create_dataset(key, data=values.view(f"V{values.itemsize}"))
                    group[key].attrs[_DTYPE] = array.dtype
                else:
                    group.create_dataset(key, data=values)
    return buffer.getvalue()


def stored(data: bytes | IO[bytes], source: str) -> dict[str, Stored]:
    """Return the arrays of a file by path; each is read when it is asked for.

    Args:
        data: the file, open until all are read, or its content.
        source: what errors call it.

    Raises:
        FileFormatError: the file is damaged, links to elsewhere, or declares what it does not store.
    """
    return contents(data, source, ()).arrays


def contents(data: bytes | IO[bytes], source: str, names: Collection[str]) -> Contents:
    """Return the arrays of a file by path, and what its groups say in the attributes of these names.

    Args:
        data: the file, open until all are read, or its content.
        source: what errors call it.
        names: the attributes; a long list is in several, with numbers behind the name.

    Raises:
        FileFormatError: the file is damaged, links to elsewhere, or declares what it does not store.
    """
    h5py = _h5py()
    found = Contents({}, {})
    try:
        file = h5py.File(io.BytesIO(data) if isinstance(data, bytes) else data, "r")
        for path, thing in _walked(h5py, file, source):
            if not isinstance(thing, h5py.Group):
                found.arrays[path] = _checked(h5py, thing, path, source)
            elif names:
                found.texts[path] = _texts(h5py, thing, names, data, source)
    except AnabranchError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, ValueError, … for damage
        raise _damaged(source, error) from error
    return found


def _texts(h5py: Any, group: Any, names: Collection[str], data: bytes | IO[bytes], source: str) -> dict[str, list[str]]:
    """Return attributes that are strings, or lists of them, by name."""
    found: dict[str, list[str]] = {}
    for key in sorted(group.attrs, key=lambda key: (len(key), key)):
        name = key.rstrip("0123456789")
        if name not in names:
            continue
        attribute = group.attrs.get_id(key)
        if attribute.shape and h5py.check_string_dtype(attribute.dtype):  # each of many may be the same long one
            longest, size = _longest_text(data)
            if math.prod(attribute.shape) * longest > max(MOST_TEXT, MOST_TEXT_EXPANSION * size):
                raise FileFormatError(
                    f"The attribute {key!r} in {source} declares far more than the file holds.",
                    got=f"{attribute.shape} strings of up to {longest:,} bytes",
                )
        value = group.attrs[key]
        values = [value] if isinstance(value, (str, bytes)) else list(value)
        found.setdefault(name, []).extend(each.decode() if isinstance(each, bytes) else str(each) for each in values)
    return found


def _longest_text(data: bytes | IO[bytes]) -> tuple[int, int]:
    """Return how long a string of variable length can be, as those are in heaps, which say their size; and the file's size."""
    if not isinstance(data, bytes):
        data.seek(0)
        data = data.read()
    longest, at = 0, data.find(b"GCOL")
    while at >= 0:
        longest = max(longest, int.from_bytes(data[at + 8 : at + 16], "little"))
        at = data.find(b"GCOL", at + 4)
    return min(longest, len(data)), len(data)


def _walked(h5py: Any, file: Any, source: str) -> Iterator[tuple[str, Any]]:
    """Yield groups and arrays by path, each once."""
    yield "", file
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
            yield path, thing
            if isinstance(thing, h5py.Group):
                stack.append((f"{path}/", thing))


def _address(h5py: Any, thing: Any) -> tuple[int, int]:
    info = h5py.h5o.get_info(thing.id)
    return info.fileno, info.addr


def _checked(h5py: Any, array: Any, path: str, source: str) -> Stored:
    """Return an array that is safe to read."""
    if not isinstance(array, h5py.Dataset) or array.shape is None:
        raise FileFormatError(f"{path!r} in {source} is no array.")
    if array.external or array.is_virtual:
        raise FileFormatError(f"{path!r} in {source} has its values in another file, which is not opened.")
    dtype = str(array.attrs.get(_DTYPE, ""))[:_LONGEST]
    is_narrow = dtype in narrow.BITS and array.dtype == narrow.BITS[dtype].replace("<u", "V").replace("u", "V")
    if array.dtype.kind not in "fiub" and not is_narrow:
        raise FileFormatError(
            f"{path!r} in {source} has a type that no weight has.", got=f"{array.dtype} {dtype}".strip(),
            expected="booleans, integers, floats; bfloat16 and float8 as opaque bytes with the attribute dtype",
            repair="convert it to floats, or to int8, with the library that wrote the file",
        )  # fmt: skip
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
        return narrow.from_bits(values.view(narrow.BITS[dtype]), dtype) if is_narrow else values

    return Stored(tuple(array.shape), read, dtype if is_narrow else array.dtype.name)


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

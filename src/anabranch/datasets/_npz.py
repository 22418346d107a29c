"""Arrays of an npz file; lists of integers in it are pickled, and read here as data: nothing in them is called or imported."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch._errors import FileFormatError
from anabranch._files import reached

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LARGEST = 1 << 30  # bytes of a member, unpacked
_BYTE, _SHORT, _WORD = ord("K"), ord("M"), ord("J")  # opcodes of integers, followed by 1, 2 and 4 bytes
_KNOWN = {  # what a pickle of an array names, and what it means here
    ("numpy.core.multiarray", "_reconstruct"): "array", ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "kind", ("numpy", "dtype"): "dtype", ("_codecs", "encode"): "bytes",
}  # fmt: skip


class _Made(NamedTuple):
    """What a pickle says to make: its kind, with what, and the state that it is given."""

    kind: str
    arguments: object
    state: list[Any]


def read(path: Path, names: tuple[str, ...]) -> list[Any]:
    """Return members of an npz file: arrays of numbers, and arrays of lists of integers as a list of lists.

    Raises:
        FileFormatError: it is no npz file, lacks one of ``names``, or holds anything else.
    """
    import io
    import zipfile

    import numpy as np

    found: list[Any] = []
    with reached("read", path):
        data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            for name in names:
                info = members.getinfo(f"{name}.npy")
                if info.file_size > LARGEST:
                    raise ValueError(f"{name} has {info.file_size:,} bytes")
                file = io.BytesIO(members.read(info))
                version = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = header(file)
                if dtype.hasobject:
                    rows = lists_of(file.read())
                    if (len(rows),) != shape:
                        raise ValueError(f"{name} has {len(rows)} rows, and its header says {shape}")
                    found.append(rows)
                else:
                    file.seek(0)
                    found.append(np.lib.format.read_array(file, allow_pickle=False))
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise FileFormatError(
            f"{path} is no npz file of {', '.join(names)}.", got=str(error)[:200], repair="delete it and run again"
        ) from error
    return found


def lists_of(data: bytes) -> list[list[int]]:
    """Return the lists of integers of an array that was pickled.

    >>> import pickle, numpy
    >>> rows = numpy.empty(2, object)
    >>> rows[:] = [[1, 300], [70000]]
    >>> lists_of(pickle.dumps(rows, protocol=2))
    [[1, 300], [70000]]

    Raises:
        ValueError: the pickle is of anything else.
    """
    made = _Reader(data).result()
    if not isinstance(made, _Made) or made.kind != "array" or not made.state:
        raise ValueError("a pickle of no array")
    state = made.state[0]
    rows = state[-1] if isinstance(state, tuple) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) and set(map(type, row)) <= {int} for row in rows):
        raise ValueError("an array of other things than lists of integers")
    return rows


class _Reader:
    """Follows the operations of a pickle of protocols 2 to 5, those alone that an array of lists of integers has."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> object:
        """Return what the pickle describes."""
        data, size = self.data, len(self.data)
        try:
            while self.at < size:
                code = data[self.at]
                if code in (_BYTE, _SHORT, _WORD):
                    self._integers()
                elif code == ord("."):
                    return self.stack.pop()
                else:
                    self.at += 1
                    _OPERATIONS[code](self)
        except (IndexError, KeyError, TypeError, struct.error) as error:
            raise ValueError(f"a pickle with an operation that no array of lists has, at byte {self.at}") from error
        raise ValueError("a pickle without an end")

    def _integers(self) -> None:
        """Take a run of integers, as most of a file is."""
        data, at, push = self.data, self.at, self.stack.append
        while True:
            code = data[at]
            if code == _BYTE:
                push(data[at + 1])
                at += 2
            elif code == _SHORT:
                push(data[at + 1] | data[at + 2] << 8)
                at += 3
            elif code == _WORD:
                push(int.from_bytes(data[at + 1 : at + 5], "little", signed=True))
                at += 5
            else:
                break
        self.at = at

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise IndexError
        self.at += count
        return found

    def number(self, count: int) -> int:
        """Return the next bytes as an integer."""
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        """Return the rest of the line."""
        end = self.data.index(b"\n", self.at)
        found = self.data[self.at : end].decode()
        self.at = end + 1
        return found

    def marked(self) -> list[Any]:
        """Return what is above the last mark."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def last(self, count: int) -> tuple[Any, ...]:
        """Return the last values as a tuple."""
        if len(self.stack) < count:
            raise IndexError
        found = tuple(self.stack[-count:])
        del self.stack[-count:]
        return found

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def name(self, module: str, name: str) -> None:
        """Put what a name means here on the stack; the name is not looked up."""
        self.push(("name", _KNOWN[module, name]))

    def call(self) -> None:
        """Note what is to be made."""
        function, arguments = self.last(2)
        sign, kind = function
        if sign != "name" or kind == "kind":
            raise TypeError
        self.push(arguments[0].encode(arguments[1]) if kind == "bytes" else _Made(kind, arguments, []))

    def build(self) -> None:
        """Note the state of what was made."""
        made, state = self.last(2)
        if not isinstance(made, _Made):
            raise TypeError
        made.state.append(state)
        self.push(made)

    def append(self, items: list[Any]) -> None:
        """Add items to the list on the stack."""
        into = self.stack[-1]
        if type(into) is not list:
            raise TypeError
        into += items


_OPERATIONS: dict[int, Callable[[_Reader], object]] = {
    0x80: lambda r: r.take(1), 0x95: lambda r: r.take(8),  # protocol, frame
    ord("c"): lambda r: r.name(r.line(), r.line()), 0x93: lambda r: r.name(*r.last(2)),
    ord("N"): lambda r: r.push(None), 0x88: lambda r: r.push(True), 0x89: lambda r: r.push(False),
    0x8A: lambda r: r.push(int.from_bytes(r.take(r.number(1)), "little", signed=True)),
    0x8C: lambda r: r.push(r.take(r.number(1)).decode()), ord("X"): lambda r: r.push(r.take(r.number(4)).decode()),
    ord("U"): lambda r: r.push(r.take(r.number(1)).decode("latin-1")),
    ord("T"): lambda r: r.push(r.take(r.number(4)).decode("latin-1")),
    ord("C"): lambda r: r.push(r.take(r.number(1))), ord("B"): lambda r: r.push(r.take(r.number(4))),
    ord("("): lambda r: r.marks.append(len(r.stack)), ord("t"): lambda r: r.push(tuple(r.marked())),
    ord(")"): lambda r: r.push(()), 0x85: lambda r: r.push(r.last(1)), 0x86: lambda r: r.push(r.last(2)),
    0x87: lambda r: r.push(r.last(3)),
    ord("]"): lambda r: r.push([]), ord("a"): lambda r: r.append(list(r.last(1))), ord("e"): lambda r: r.append(r.marked()),
    ord("R"): _Reader.call, ord("b"): _Reader.build,
    ord("q"): lambda r: r.memo.__setitem__(r.number(1), r.stack[-1]),
    ord("r"): lambda r: r.memo.__setitem__(r.number(4), r.stack[-1]),
    0x94: lambda r: r.memo.__setitem__(len(r.memo), r.stack[-1]),
    ord("h"): lambda r: r.push(r.memo[r.number(1)]), ord("j"): lambda r: r.push(r.memo[r.number(4)]),
}  # fmt: skip

"""IMDB, Reuters and the tables of housing: small files in the official format, beside what Keras makes of them."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import Server

from anabranch._errors import FileFormatError
from anabranch.datasets import _npz, boston_housing, california_housing, downloaded, imdb, reuters

RNG = np.random.default_rng(0)


def rows(count: int) -> np.ndarray:
    found = np.empty(count, object)
    for row in range(count):
        found[row] = RNG.integers(1, 400, RNG.integers(1, 60)).tolist()
    return found


def npz(**arrays: np.ndarray) -> bytes:
    """Return an npz file, its lists pickled as NumPy did it then."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        for name, array in arrays.items():
            member = io.BytesIO()
            header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
            np.lib.format.write_array_header_1_0(member, header)
            plain = pickle.dumps(array, protocol=3) if array.dtype.hasobject else array.tobytes()
            member.write(plain.replace(b"numpy._core.", b"numpy.core."))
            members.writestr(f"{name}.npy", member.getvalue())
    return file.getvalue()


PARTS = {"x_train": rows(30), "y_train": RNG.integers(0, 2, 30), "x_test": rows(20), "y_test": RNG.integers(0, 2, 20)}
WIRES = {"x": rows(50), "y": RNG.integers(0, 46, 50)}
TABLE = {"x": RNG.normal(size=(700, 5)), "y": RNG.normal(size=700)}


def compare(found: Any, wanted: Any) -> None:
    for (x, y), (x_wanted, y_wanted) in zip(found, wanted, strict=True):
        assert x.shape == x_wanted.shape
        assert [list(row) for row in x] == [list(row) for row in x_wanted]
        assert np.array_equal(y, y_wanted)
        assert x.dtype == x_wanted.dtype


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"num_words": 100}, {"num_words": 100, "skip_top": 10, "maxlen": 40},
        {"oov_char": None, "num_words": 50, "seed": 5}, {"start_char": None, "index_from": 0},
        {"start_char": None}, {"start_char": 7, "oov_char": 9, "index_from": 5},
    ],
)  # fmt: skip
def test_texts_equal_keras(
    keras: Any, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    for name, ours, arrays in (("imdb", imdb, PARTS), ("reuters", reuters, WIRES)):
        source = server.add(f"{name}.npz", npz(**arrays))
        found = ours.load_data(**arguments, source=source)
        theirs = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(theirs, "get_file", lambda *_, name=name, **__: str(folder / f"{name}.npz"))
        compare(found, theirs.load_data(**arguments))
        assert downloaded()[name]


def test_tables_equal_keras(keras: Any, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, ours, many in (
        ("boston_housing", boston_housing, [{}, {"test_split": 0.5, "seed": 3}]),
        ("california_housing", california_housing, [{}, {"version": "small"}]),
    ):
        source = server.add(f"{name}.npz", npz(**TABLE))
        theirs = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(theirs, "get_file", lambda *_, name=name, **__: str(folder / f"{name}.npz"))
        for arguments in many:
            compare(ours.load_data(**arguments, source=source), theirs.load_data(**arguments))


def test_word_indices_and_topics(keras: Any, server: Server, folder: Path) -> None:
    source = server.add("imdb_word_index.json", json.dumps({"the": 1, "and": 2}).encode())
    assert imdb.get_word_index(source=source) == {"the": 1, "and": 2}
    assert reuters.get_label_names() == tuple(keras.datasets.reuters.get_label_names())
    bad = folder.parent / "bad.json"
    bad.write_text("[1]")
    with pytest.raises(FileFormatError, match="other things"):
        reuters.get_word_index(str(bad))


def test_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(npz(**WIRES))
    assert len(reuters.load_data(str(tmp_path / "mine.npz"))[0][0]) == 40


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickled_lists_are_read_as_data(protocol: int) -> None:
    found = np.empty(4, object)
    found[0], found[1], found[2], found[3] = [], [7], [1, 255, 256, 65535, 65536, -1, 2**31 - 1, 2**40], list(range(2500))
    assert _npz.lists_of(pickle.dumps(found, protocol=protocol)) == found.tolist()


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("thing", [_Evil(), {"a": 1}, [1], *(np.array([each], object) for each in ("a", [1.5], _Evil()))])
def test_other_pickles_are_refused(thing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in (2, 4):
        with pytest.raises(ValueError, match=r"pickle|array of other things"):
            _npz.lists_of(pickle.dumps(thing, protocol=protocol))
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = npz(**WIRES)
    path = tmp_path / "reuters.npz"
    for data in (b"", b"no zip", whole[: len(whole) // 2], npz(x=WIRES["x"]), npz(x=np.empty(3, object), y=WIRES["y"])):
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match="no npz file"):
            reuters.load_data(str(path))
    plain = pickle.dumps(WIRES["x"], protocol=2)
    for _ in range(300):
        mutated = bytearray(plain)
        for _ in range(3):
            mutated[RNG.integers(len(mutated))] = RNG.integers(256)
        try:
            _npz.lists_of(bytes(mutated))
        except ValueError:
            continue


def test_millions_of_integers_take_seconds() -> None:
    found = np.empty(2, object)
    found[0] = found[1] = list(range(1_000_000))
    data = pickle.dumps(found, protocol=2)
    before = time.process_time()
    assert _npz.lists_of(data)[0][-1] == 999_999
    assert time.process_time() - before < 8

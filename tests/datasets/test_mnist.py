"""MNIST and Fashion-MNIST: the idx layout, and files that are not it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import Server, idx

from anabranch._errors import FileFormatError
from anabranch.datasets import downloaded, fashion_mnist, mnist
from anabranch.datasets._fetch import Remote
from anabranch.datasets.sources import FASHION_MNIST, MNIST


def serve(server: Server, official: tuple[Remote, ...]) -> tuple[list[Remote], list[np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 28, 28), (6,), (2, 28, 28), (2,))]
    pairs = zip(official, arrays, strict=True)
    return [server.add(remote.name, idx(array), remote.folder) for remote, array in pairs], arrays


@pytest.mark.parametrize(("module", "official"), [(mnist, MNIST), (fashion_mnist, FASHION_MNIST)])
def test_files_are_read(server: Server, folder: Path, module: Any, official: tuple[Remote, ...]) -> None:
    source, arrays = serve(server, official)
    (x, y), (x_test, y_test) = module.load_data(source=source)
    for found, expected in zip((x, y, x_test, y_test), arrays, strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    name = module.__name__.rpartition(".")[2]
    assert {path.parent.name for path in folder.rglob("*.gz")} == {name}
    assert {other for other, there in downloaded().items() if there} == {name}


def test_the_two_do_not_mix() -> None:
    assert not {remote.md5 for remote in MNIST} & {remote.md5 for remote in FASHION_MNIST}
    assert len({(remote.folder, remote.name) for remote in MNIST + FASHION_MNIST}) == 8


@pytest.mark.parametrize("path", ["digits.npz", "digits"])
def test_the_path_of_keras_names_the_folder(server: Server, folder: Path, path: str) -> None:
    source, arrays = serve(server, MNIST)
    np.testing.assert_array_equal(mnist.load_data(path, source=source)[0][0], arrays[0])
    assert (folder / "digits/t10k-labels-idx1-ubyte.gz").exists()


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    for content in (b"", b"\0\0\x08\x01\0\0\0\x09abc", b"\0\0\x0d\x01\0\0\0\x01abcd", b"\0\0\x08\x03\0\0", b"\0\0\x08\xff"):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(FileFormatError, match=r"x.gz is no idx file[\s\S]*delete it and run again"):
            mnist.read_idx(path)
    whole = idx(np.arange(200, dtype=np.uint8))
    for damaged in (b"no gzip", whole[: len(whole) // 2], whole[:30] + bytes(9) + whole[39:]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"x.gz is no whole gzip file"):
            mnist.read_idx(path)

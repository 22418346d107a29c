"""Official files through a real server: resumed, checked, unpacked safely, read; and every way in which that can fail."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anabranch._errors import DownloadError, FileFormatError, UnknownNameError
from anabranch.datasets import at_hand, cifar10, cifar100, fashion_mnist, mnist
from anabranch.datasets._fetch import Archive, Remote, file_at_hand
from anabranch.datasets.sources import CIFAR10


class Server(ThreadingHTTPServer):
    """Serves files from memory; cuts a connection after ``cut`` bytes where told to."""

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.ranges: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        data = self.server.files.get(self.path.lstrip("/"))
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if data is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start and start >= len(data):
            self.send_error(416)
            return
        body = data[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANABRANCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def small_cifar(server: Server, extra: dict[str, bytes] | None = None) -> Archive:
    """Ten records a batch, in the official layout."""
    rng = np.random.default_rng(0)
    names = [name for name in CIFAR10.members if name]
    files = {name: rng.integers(0, 256, 10 * 3073, dtype=np.uint8).tobytes() for name in names}
    data = packed(files | (extra or {}))
    server.files["cifar-10-binary.tar.gz"] = data
    remote = Remote(server.url + "cifar-10-binary.tar.gz", md5(data))
    return Archive(remote, {name: md5(content) for name, content in files.items()})


def test_cifar10_is_fetched_once_and_read(server: Server, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = small_cifar(server)
    (x, y), (x_test, y_test) = cifar10.load_data(source)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((50, 32, 32, 3), np.uint8, (50, 1), np.uint8)
    assert (x_test.shape, y_test.shape) == ((10, 32, 32, 3), (10, 1))
    record = np.frombuffer((folder / "cifar-10-batches-bin/data_batch_1.bin").read_bytes()[:3073], np.uint8)
    assert y[0, 0] == record[0]
    assert x[0, 0, 1].tolist() == [record[2], record[2 + 1024], record[2 + 2048]]  # red, green, blue of the second pixel
    assert capfd.readouterr().err.count("Fetching") == 1
    cifar10.load_data(source)
    assert len(server.ranges) == 1


def test_a_cut_connection_is_resumed(server: Server) -> None:
    source = small_cifar(server)
    size = len(server.files["cifar-10-binary.tar.gz"])
    server.cut = size // 3
    cifar10.load_data(source)
    assert server.ranges == [None, f"bytes={size // 3}-"]


def test_a_part_of_an_earlier_process_is_continued(server: Server, folder: Path) -> None:
    source = small_cifar(server)
    data = server.files["cifar-10-binary.tar.gz"]
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz.part").write_bytes(data[:1000])
    cifar10.load_data(source)
    assert server.ranges == ["bytes=1000-"]
    assert not list(folder.glob("*.part"))


def test_an_unpacked_folder_serves_without_the_archive(server: Server, folder: Path) -> None:
    source = small_cifar(server)
    cifar10.load_data(source)
    (folder / "cifar-10-binary.tar.gz").unlink()
    server.files.clear()
    cifar10.load_data(source)
    assert at_hand()["cifar10"]


def test_wrong_bytes_are_refused_and_not_kept(server: Server, folder: Path) -> None:
    source = small_cifar(server)
    wrong = source._replace(remote=source.remote._replace(md5="0" * 32))
    with pytest.raises(FileFormatError, match="is damaged"):
        cifar10.load_data(wrong)
    assert not list(folder.rglob("*.bin"))
    assert not list(folder.rglob("*.gz"))


def test_a_damaged_batch_is_named(server: Server, folder: Path) -> None:
    source = small_cifar(server)
    cifar10.load_data(source)
    path = folder / "cifar-10-batches-bin/data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r"data_batch_3.bin is damaged[\s\S]*delete it"):
        cifar10.load_data(source)


def test_a_cut_archive_that_somebody_put_there_is_named(server: Server, folder: Path) -> None:
    source = small_cifar(server)
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(server.files["cifar-10-binary.tar.gz"][:2000])
    with pytest.raises(FileFormatError, match=r"cifar-10-binary.tar.gz is damaged"):
        cifar10.load_data(source)


def test_members_that_do_not_belong_are_left_in_the_archive(server: Server, folder: Path) -> None:
    source = small_cifar(server, {"../escaped.bin": b"x", "/absolute.bin": b"x", "cifar-10-batches-bin/extra.bin": b"x"})
    cifar10.load_data(source)
    assert not (folder.parent / "escaped.bin").exists()
    assert not (folder / "cifar-10-batches-bin/extra.bin").exists()


def test_no_network_says_how_to_get_it(folder: Path) -> None:
    source = Archive(Remote("http://127.0.0.1:9/cifar-10-binary.tar.gz", "0" * 32), CIFAR10.members)
    with pytest.raises(DownloadError) as caught:
        cifar10.load_data(source)
    message = str(caught.value)
    for part in ("http://127.0.0.1:9/cifar-10-binary.tar.gz", str(folder), "ANABRANCH_DATA"):
        assert part in message


def test_a_missing_file_on_the_server(server: Server) -> None:
    with pytest.raises(DownloadError, match="could not be fetched"):
        file_at_hand(Remote(server.url + "absent.gz", "0" * 32))


def test_cifar100(server: Server) -> None:
    rng = np.random.default_rng(0)
    parts = {
        f"cifar-100-binary/{n}.bin": rng.integers(0, 256, k * 3074, dtype=np.uint8) for n, k in (("train", 5), ("test", 2))
    }
    data = packed({name: array.tobytes() for name, array in parts.items()})
    server.files["cifar-100-binary.tar.gz"] = data
    source = Remote(server.url + "cifar-100-binary.tar.gz", md5(data))
    raw = parts["cifar-100-binary/train.bin"].reshape(5, 3074)
    for column, mode in enumerate(("coarse", "fine")):
        (x, y), (x_test, _) = cifar100.load_data(mode, source)
        assert x.shape == (5, 32, 32, 3)
        assert x_test.shape == (2, 32, 32, 3)
        assert y[:, 0].tolist() == raw[:, column].tolist()
        assert x[1, 0, 0].tolist() == raw[1, [2, 1026, 2050]].tolist()
    with pytest.raises(UnknownNameError, match="did you mean 'fine'"):
        cifar100.load_data("fin", source)


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_mnist(server: Server, module: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 10, shape, dtype=np.uint8) for shape in ((6, 28, 28), (6,), (2, 28, 28), (2,))]
    sources = []
    for number, array in enumerate(arrays):
        data = idx(array)
        server.files[f"{number}.gz"] = data
        sources.append(Remote(f"{server.url}{number}.gz", md5(data), "mnist"))
    (x, y), (x_test, y_test) = module.load_data(sources)
    for found, expected in zip((x, y, x_test, y_test), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_an_idx_file_that_is_none(folder: Path) -> None:
    folder.mkdir()
    path = folder / "x.gz"
    for content in (b"", b"\0\0\x08\x01\0\0\0\x09abc", b"\0\0\x0d\x01\0\0\0\x01abcd"):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(FileFormatError, match="no idx file"):
            mnist.read_idx(path)


def test_the_real_cifar10(cifar10_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATA", str(cifar10_folder))
    (x, y), (x_test, y_test) = cifar10.load_data()
    assert x.shape == (50000, 32, 32, 3)
    assert x_test.shape == (10000, 32, 32, 3)
    # Krizhevsky 2009's set: figures known to the field
    np.testing.assert_allclose(x.mean((0, 1, 2)) / 255, [0.49139968, 0.48215841, 0.44653091], atol=1e-7)
    np.testing.assert_allclose(x.std((0, 1, 2)) / 255, [0.24703223, 0.24348513, 0.26158784], atol=1e-7)
    assert np.bincount(y[:, 0]).tolist() == [5000] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [1000] * 10

"""A real server on 127.0.0.1 that can cut, stall and refuse; and small archives in the official layouts."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from anabranch.datasets._fetch import Archive, Remote
from anabranch.datasets.sources import CIFAR10


class Server(ThreadingHTTPServer):
    """Serves ``files`` from memory, and remembers the Range header of each request and how many bytes it answered with."""

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []  # each of the next answers ends after so many bytes
        self.takes_ranges = True
        self.shift = 0  # how far beside the range asked for the answer begins
        self.chunked = False
        self.hold = threading.Event()  # an answer that was cut waits for this before the connection closes
        self.hold.set()
        self.ranges: list[str | None] = []
        self.sent: list[int] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def add(self, name: str, data: bytes, folder: str = "") -> Remote:
        """Serve these bytes, and return where."""
        self.files[name] = data
        return Remote(self.url + name, md5(data), folder)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        data = self.server.files.get(self.path.lstrip("/"))
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if data is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.takes_ranges else 0
        if start and start >= len(data):
            self.send_error(416)
            return
        partial = start > 0
        start += self.server.shift if partial else 0
        body = data[start:]
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
        self.server.sent.append(len(body[:cut]))  # before the bytes go: who has read the last of them may look here at once
        self.wfile.write(body[:cut])
        if self.server.chunked and cut is None:
            self.wfile.write(b"\r\n0\r\n\r\n")
        self.wfile.flush()
        if cut is not None:
            self.server.hold.wait(30)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve in a thread until the end of the block."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.hold.set()
        made.shutdown()
        made.server_close()
        thread.join()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def packed(files: dict[str, bytes]) -> bytes:
    """Return a gzipped tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def idx(array: np.ndarray[Any, Any]) -> bytes:
    """Return a gzipped idx file of bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def batches(records: int = 10) -> dict[str, bytes]:
    """Return CIFAR-10's six batch files with so many records of noise in each."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, records * 3073, dtype=np.uint8).tobytes() for name in CIFAR10.members}


def small_cifar10(server: Server) -> Archive:
    """Serve a CIFAR-10 of sixty records."""
    files = batches()
    remote = server.add("cifar-10-binary.tar.gz", packed(files))
    return Archive(remote, {name: md5(data) for name, data in files.items()})

"""What RemoteMonitor sends, to a real server; beside Keras's, which sends by the package requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from small_model import data

from anabranch import callbacks


class Server(ThreadingHTTPServer):
    """A server that notes what it receives, and answers with ``status``."""

    status = 200

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: Any) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_form(model: Any, server: Server) -> None:
    history = model.fit(*data(), epochs=2, verbose=0, callbacks=[callbacks.RemoteMonitor(server.root)])
    assert [path for path, _, _ in server.received] == ["/publish/epoch/end/"] * 2
    sent = [json.loads(parse_qs(body)["data"][0]) for _, _, body in server.received]
    assert sent == history.records()


def test_json_with_headers(model: Any, server: Server) -> None:
    monitor = callbacks.RemoteMonitor(server.root, path="/here", headers={"X-Key": "a"}, send_as_json=True)
    history = model.fit(*data(), verbose=0, callbacks=[monitor])
    ((path, headers, body),) = server.received
    assert path == "/here"
    assert headers["X-Key"] == "a"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == history.records()[0]


@pytest.mark.parametrize("options", [{}, {"field": "f", "path": "/x"}, {"send_as_json": True}], ids=str)
def test_keras_sends_the_same(keras: Any, server: Server, options: dict[str, Any]) -> None:
    pytest.importorskip("requests")
    logs = {"loss": np.float32(0.5), "per class": np.array([1.0]), "count": 3}
    for kind in (keras.callbacks.RemoteMonitor, callbacks.RemoteMonitor):
        kind(server.root, **options).on_epoch_end(4, logs)
    (path, headers, body), (our_path, our_headers, our_body) = server.received
    assert path == our_path
    assert headers["Content-Type"] == our_headers["Content-Type"]
    read = (
        json.loads if options.get("send_as_json") else lambda text: json.loads(parse_qs(text)[options.get("field", "data")][0])
    )
    found = read(our_body)
    assert found.pop("per class") == [1.0]  # Keras sends arrays of one value as numbers, and fails at larger ones
    theirs = read(body)
    theirs.pop("per class")
    assert found == theirs


def test_training_goes_on_with_one_warning(model: Any, server: Server) -> None:
    server.status = 404
    with pytest.warns(UserWarning, match="could not send epoch 1 to http.*Not Found") as caught:
        history = model.fit(*data(), epochs=3, verbose=0, callbacks=[callbacks.RemoteMonitor(server.root)])
    assert len(caught) == 1
    assert len(history.epoch) == 3
    assert len(server.received) == 3


def test_nobody_listens(model: Any, server: Server) -> None:
    server.shutdown()  # or it still holds the port while it waits
    server.server_close()
    with pytest.warns(UserWarning, match="refused"):
        model.fit(*data(), epochs=2, verbose=0, callbacks=[callbacks.RemoteMonitor(server.root)])


@pytest.mark.parametrize(
    "options", [{"root": "file:///etc"}, {"root": 3}, {"headers": {"a": 1}}, {"send_as_json": "a"}], ids=str
)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        callbacks.RemoteMonitor(**options)


def test_an_address_that_is_none(model: Any) -> None:
    with pytest.warns(UserWarning, match="could not send epoch 1"):
        model.fit(*data(), verbose=0, callbacks=[callbacks.RemoteMonitor("http://localhost:9000", "a b")])

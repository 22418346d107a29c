"""The callback that sends what was measured to a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from anabranch._asked import answers, method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Field, boolean, field as declared, text
from anabranch.callbacks.callback import Configured, Logs
from anabranch.graph.call_site import warn

PATIENCE = 10  # seconds that a server may take to answer


def _root(value: object, owner: object, name: str) -> str:
    if not isinstance(value, str):
        raise ArgumentTypeError("root of RemoteMonitor must be a string.", got=shown(value))
    if not value.startswith(("http://", "https://")):
        raise ArgumentError("root of RemoteMonitor must be the address of a server.", expected="http://… or https://…",
                            got=shown(value))  # fmt: skip
    return value


def _headers(value: object, owner: object, name: str) -> dict[str, str] | None:
    if value is None or (isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)):
        return None if value is None else dict(value)
    raise ArgumentTypeError("headers of RemoteMonitor must be a dict of strings, or None.", got=shown(value))


class RemoteMonitor(Configured):
    """Send each epoch's logs to a server by HTTP POST, as a form with one field or as JSON.

    Where the server cannot be reached, or answers with an error, training goes on with one warning.

    Example:
        >>> RemoteMonitor(root="https://example.org", send_as_json=True).path
        '/publish/epoch/end/'
    """

    root: Field[str, str] = declared(default="http://localhost:9000", convert=_root, doc="the address of the server.")
    path: Field[str, str] = text(default="/publish/epoch/end/", doc="the path there.")
    field: Field[str, str] = text(default="data", doc="the form's field, which has the logs as JSON.")
    headers: Field[Any, dict[str, str] | None] = declared(
        default=None, convert=_headers, doc='further headers of HTTP, such as ``{"Authorization": …}``.'
    )
    send_as_json: Field[bool, bool] = boolean(default=False, doc="whether the logs are sent as JSON instead of a form.")

    def _check_(self) -> None:
        super()._check_()
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the epoch's index and logs."""
        from http.client import HTTPException
        from urllib import error, parse, request

        content = json.dumps({"epoch": epoch, **{name: _plain(value) for name, value in (logs or {}).items()}})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = content if self.send_as_json else parse.urlencode({self.field: content})
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            with request.urlopen(request.Request(self.root + self.path, body.encode(), headers), timeout=PATIENCE):
                pass
        except (OSError, ValueError, HTTPException) as failure:  # the last two: an address that is none
            if not self._warned:
                self._warned = True
                reason = failure.reason if isinstance(failure, error.URLError) else failure
                warn(f"RemoteMonitor could not send epoch {epoch + 1} to {self.root}: {reason}. Training goes on.")


def _plain(value: object) -> object:
    """Return a value as JSON has it: arrays as numbers or lists."""
    as_list = method(value, "tolist") if answers(value, "dtype") else None
    return as_list() if as_list is not None else value

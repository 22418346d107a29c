"""Official files: fetched once, resumed when cut off, checked by md5, stored in the data folder."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from anabranch import config
from anabranch._asked import module_of
from anabranch._docstrings import cleaned, described
from anabranch._errors import DownloadError, FileFormatError
from anabranch._notebooks import Output, View, in_notebook

CHUNK = 1 << 18  # bytes read at once
LARGEST = 1 << 30  # bytes; no file or member of an archive is as large
RAISES = """Raises:
    DownloadError: neither data nor network; the message says where to put the file.
    FileFormatError: a file is damaged."""
TIMEOUT = 30  # seconds without a byte
PATIENCE = 5  # tries in a row that bring nothing new

F = TypeVar("F", bound=Callable[..., Any])
Show = Callable[[int, "int | None"], None]  # gets the bytes received, and the total where that is known


class Remote(NamedTuple):
    """A file on a server: where, what its md5 is, and under which folder of the data folder it is stored.

    In the place of the md5 there may be a sha256, or "" where none is published.
    """

    url: str
    md5: str
    folder: str = ""
    largest: int = 0  # LARGEST unless given

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


class Archive(NamedTuple):
    """A tar archive whose members are stored unpacked: the md5 of each by its name."""

    remote: Remote
    members: Mapping[str, str]


def loader(shape: tuple[int, ...]) -> Callable[[F], F]:
    """Return a decorator that completes the docstring of a ``load_data``: what it raises, and an example."""

    def complete(function: F) -> F:
        name = module_of(function).rpartition(".")[2]
        function.__doc__ = "\n    ".join([
            f"{cleaned(function.__doc__ or '')}\n\nExample:",
            f">>> from anabranch.datasets import {name}",
            f">>> (x_train, y_train), (x_test, y_test) = {name}.load_data()  # doctest: +SKIP",
            ">>> x_train.shape  # doctest: +SKIP",
            str(shape),
        ])  # fmt: skip
        return described({}, RAISES)(function)

    return complete


def file_stored(remote: Remote) -> Path:
    """Return the checked file, fetching it first where it is not there."""
    path = config.data_folder() / remote.folder / remote.name
    if not os.path.exists(path):
        with alone(path):
            if not path.exists():
                fetch(remote, path)
                return path
    check(path, remote.md5)
    return path


def folder_stored(archive: Archive) -> Path:
    """Return the folder that holds the archive's members, each checked; an unpacked folder serves without the archive."""
    root = config.data_folder()
    paths = [root / name for name in archive.members]
    packed = root / archive.remote.name
    if not all(map(os.path.exists, paths)):
        with alone(packed):
            if not all(path.exists() for path in paths):
                if packed.exists():
                    check(packed, archive.remote.md5)
                else:
                    fetch(archive.remote, packed, f" (or {paths[0].parent.name}/, unpacked from it)")
                for name, data in members(packed, archive.members):
                    _write_whole(root / name, data)
    for path, md5 in zip(paths, archive.members.values(), strict=True):
        check(path, md5)
    return paths[0].parent


def check(path: Path, md5: str) -> None:
    """Raise unless the file's md5 is the published one, where one is."""
    found = digest(path, md5)
    if found != md5:
        name = algorithm(md5)
        raise FileFormatError(
            f"{path} is damaged.",
            expected=f"{name} {md5}",
            got=f"{name} {found}, {path.stat().st_size:,} bytes",
            repair="delete it and run again",
        )


def members(packed: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted members of a tar archive; every other, whatever its name, is passed over.

    Raises:
        FileFormatError: the archive is cut, is none, or lacks one of them.
    """
    import tarfile
    import zlib

    left = set(wanted)
    try:
        with tarfile.open(packed) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                source = tar.extractfile(member) if name in left and member.isreg() and member.size <= LARGEST else None
                if source is not None:
                    yield name, source.read()
                    left.remove(name)
                if not left:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise FileFormatError(
            f"{packed} is no whole archive.", got=str(error) or repr(error), repair="delete it and run again"
        ) from error
    raise FileFormatError(
        f"{packed} lacks what belongs in it.", expected=", ".join(sorted(left)), repair="delete it and run again"
    )


def algorithm(published: str) -> str:
    """Return which checksum this is, by its length."""
    return "sha256" if len(published) == 64 else "md5"


def digest(path: Path, published: str) -> str:
    """Return the file's checksum of the kind that is published; "" where none is."""
    import hashlib

    if not published:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm(published), usedforsecurity=False)).hexdigest()


def fetch(remote: Remote, path: Path, or_else: str = "") -> None:
    """Fetch to a ``.part`` beside ``path``, going on where an earlier try was cut off; give it its name once it is whole."""
    part = path.with_name(path.name + ".part")
    if not remote.md5:  # nothing would show that the rest is of another file
        part.unlink(missing_ok=True)
    resumed = part.exists()
    while True:
        try:
            _fill(part, remote)
        except DownloadError as error:
            if error.repair is None:  # the network's fault, not the disk's
                error.expected = remote.url + (f" ({algorithm(remote.md5)} {remote.md5})" if remote.md5 else "")
                error.repair = (
                    f"run again with a network, or put that file{or_else} into {path.parent}; "
                    f"the environment variable ANABRANCH_DATA moves the data folder, now {config.data_folder()}"
                )
            raise
        found, size = digest(part, remote.md5), part.stat().st_size
        with _writing(path):
            if found == remote.md5:
                part.replace(path)
                return
            part.unlink()
        if not resumed:
            raise FileFormatError(
                f"What came from {remote.url} is not the published file; it was not saved.",
                expected=f"{algorithm(remote.md5)} {remote.md5}",
                got=f"{algorithm(remote.md5)} {found}, {size:,} bytes",
                repair=f"run again, or put the right file{or_else} into {path.parent}",
            )
        resumed = False  # what the earlier try left may have been damaged: once more, from the start


def _fill(part: Path, remote: Remote) -> None:
    """Ask the server until it has sent everything; give up where nothing comes at all, or nothing more."""
    with _writing(part), part.open("ab") as file, progress(f"Fetching {remote.name}") as show:
        start = furthest = file.seek(0, os.SEEK_END)
        stalled = 0
        while (trouble := _receive(remote, file, show)) is not None:
            have = file.seek(0, os.SEEK_END)
            stalled = 0 if have > furthest else stalled + 1
            furthest = max(furthest, have)
            if furthest == start or stalled == PATIENCE:
                # some network errors have a reason
                reason = getattr(trouble, "reason", None) or str(trouble) or type(trouble).__name__
                raise DownloadError(f"{remote.name} could not be fetched: {reason}.") from trouble
            time.sleep(stalled)


def _receive(remote: Remote, file: IO[bytes], show: Show) -> Exception | None:
    """Append what the server sends in one connection; return what ended it too early, or None."""
    import http.client
    import urllib.error
    import urllib.request

    have = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        return None if have and error.code == 416 else error  # 416: there is nothing behind what we have
    except (OSError, http.client.HTTPException) as error:
        return error
    with answer:
        if have and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            file.truncate(0)
            have = 0
            if answer.status == 206:
                return ConnectionError("the server sent another range than the one asked for")
        announced = answer.headers.get("Content-Length")
        total = have + int(announced) if announced else None
        while True:
            show(have, total)
            try:
                block = answer.read1(CHUNK)  # what has come is saved, whatever happens next
            except (OSError, http.client.HTTPException) as error:
                return error
            if not block:
                break
            file.write(block)
            have += len(block)
            if have > (remote.largest or LARGEST):
                file.truncate(0)
                raise DownloadError(f"{remote.url} sends more than {remote.largest or LARGEST:,} bytes.")
    return None if total is None or have >= total else ConnectionError(f"cut off after {have:,} of {total:,} bytes")


def _write_whole(path: Path, data: bytes) -> None:
    """Write under another name first, so that the file is complete or absent."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a full or forbidden disk into an error that says so; our own errors carry no errno and pass."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise DownloadError(
            f"{path} could not be written: {error.strerror}.",
            repair="make room or give leave and run again, or let the environment variable ANABRANCH_DATA name another folder",
        ) from error


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process and thread at a time fetch ``path``; where nothing can be locked, the md5 still guards."""
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("ab")
    with lock:
        if sys.platform == "win32":
            import msvcrt

            with contextlib.suppress(OSError):
                msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def progress(title: str) -> Iterator[Show]:
    """Yield a function that takes how many bytes have come: a bar in terminals, one output in notebooks, one line in a log."""
    if in_notebook():
        with _in_cell(title) as show:
            yield show
        return
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    said: list[str] = []

    def say_once(done: int, total: int | None) -> None:
        if sys.stderr is not None and not said:
            said.append(f"{title} ({total:,} bytes) …" if total else f"{title} …")
            print(said[0], file=sys.stderr, flush=True)  # noqa: T201 - the one line of a long wait

    yield say_once


@contextlib.contextmanager
def _in_cell(title: str) -> Iterator[Show]:
    """Yield a function that shows in one output of a notebook how many bytes have come."""
    output, lines = Output(), [title]

    def view() -> View:
        return View(f"<div>{escape(lines[-1])}</div>", lines[-1])

    def show(done: int, total: int | None) -> None:
        lines.append(f"{title}  {done / 1e6:.1f}{f' of {total / 1e6:.1f}' if total else ''} MB")
        output.show(view)

    try:
        yield show
    finally:
        output.show(view, now=True)

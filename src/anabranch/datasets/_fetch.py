"""Official files: fetched once, resumed when cut off, checked by md5, kept in the data folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from anabranch import config
from anabranch._errors import DownloadError, FileFormatError

CHUNK = 1 << 18


class Remote(NamedTuple):
    """A file on a server: where, what its md5 is, and under which folder of the data folder it is kept."""

    url: str
    md5: str
    folder: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


class Archive(NamedTuple):
    """A tar archive whose members are kept unpacked, each checked by its own md5."""

    remote: Remote
    members: Mapping[str, str]
    largest: int = 1 << 28


def file_at_hand(remote: Remote) -> Path:
    """Return the checked file, fetching it first where it is not there."""
    path = config.data_folder() / remote.folder / remote.name
    if not path.exists():
        _download(remote, path)
    check(path, remote.md5)
    return path


def folder_at_hand(archive: Archive) -> Path:
    """Return the folder that holds the archive's members, each checked; an unpacked folder serves without the archive."""
    root = config.data_folder()
    paths = [root / name for name in archive.members]
    if not all(path.exists() for path in paths):
        packed = root / archive.remote.name
        if not packed.exists():
            _download(archive.remote, packed)
        check(packed, archive.remote.md5)
        _unpack(packed, archive, root)
    for path, md5 in zip(paths, archive.members.values(), strict=True):
        check(path, md5)
    return paths[0].parent


def check(path: Path, md5: str) -> None:
    """Raise unless the file's md5 is the published one."""
    found = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            found.update(block)
    if found.hexdigest() != md5:
        raise FileFormatError(
            f"{path} is damaged.",
            expected=f"md5 {md5}",
            got=f"md5 {found.hexdigest()}, {path.stat().st_size:,} bytes",
            repair="delete it and run again",
        )


def _download(remote: Remote, path: Path) -> None:
    """Fetch to a ``.part`` beside ``path``, going on where an earlier try was cut off; then give it its name."""
    import urllib.error
    import urllib.request

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        for _ in range(5):
            with _locked(part) as file:
                have = file.seek(0, os.SEEK_END)
                request = urllib.request.Request(remote.url, headers={"Range": f"bytes={have}-"} if have else {})
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        if have and answer.status != 206:  # the server sends all of it
                            file.truncate(0)
                            have = file.seek(0)
                        if _take(answer, file, have, remote.name):
                            break
                except urllib.error.HTTPError as error:
                    if error.code == 416:  # nothing is left to send
                        break
                    raise
        check(part, remote.md5)
        part.replace(path)
    except FileFormatError:
        part.unlink(missing_ok=True)
        raise
    except (urllib.error.URLError, OSError) as error:
        raise DownloadError(
            f"{remote.name} could not be fetched: {getattr(error, 'reason', error)}.",
            expected=f"{remote.url} (md5 {remote.md5})",
            repair=f"put the file, or the folder unpacked from it, into {path.parent}; $ANABRANCH_DATA moves that folder",
        ) from error


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """Open for appending, one process at a time where the system can lock files."""
    with part.open("ab") as file:
        try:
            import fcntl
        except ImportError:  # not on Windows
            yield file
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _take(answer: Any, file: IO[bytes], have: int, name: str) -> bool:
    """Append what the server sends; return whether it sent all it had announced."""
    announced = answer.headers.get("Content-Length")
    total = have + int(announced) if announced else None
    with progress(f"Fetching {name}", total) as show:
        show(have)
        while True:
            try:
                block = answer.read(CHUNK)
            except OSError:
                return False
            if not block:
                break
            file.write(block)
            have += len(block)
            show(have)
    file.flush()
    return total is None or have >= total


@contextlib.contextmanager
def progress(title: str, total: int | None) -> Iterator[Any]:
    """Yield a function that is told how many bytes have come: a bar in a terminal, one line in a log."""
    if not sys.stderr.isatty():
        print(f"{title} ({total or 0:,} bytes) …", file=sys.stderr)  # noqa: T201 - the one line of a long wait
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _unpack(packed: Path, archive: Archive, root: Path) -> None:
    """Take the expected members and no others out of the archive, none larger than it can be."""
    import tarfile

    try:
        with tarfile.open(packed) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name not in archive.members or not member.isfile() or member.size > archive.largest:
                    continue
                source = tar.extractfile(member)
                if source is not None:
                    _write_whole(source, root / name)
    except (tarfile.TarError, EOFError) as error:
        raise FileFormatError(f"{packed} is no whole archive.", got=str(error), repair="delete it and run again") from error
    lost = [name for name in archive.members if not (root / name).exists()]
    if lost:
        raise FileFormatError(f"{packed} lacks what belongs in it.", expected=", ".join(lost))


def _write_whole(source: IO[bytes], path: Path) -> None:
    """Write under another name first, so that the file is complete or absent."""
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(source, file)
        part.replace(path)
    except OSError as error:
        raise DownloadError(f"{path} could not be written: {error.strerror}.", repair="make room and run again") from error
    finally:
        part.unlink(missing_ok=True)

"""One way to write files for every format: they are the old ones or the new ones, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from anabranch._errors import ArgumentError
from anabranch._files import reached

Data: TypeAlias = bytes | Iterable[bytes]
"""A file's content, whole or in parts."""


def write(path: Path, data: Data) -> None:
    """Replace a file by ``data``: written beside it, flushed to the disk, renamed. A symbolic link stays one.

    Raises:
        FileError: of the class and number of what went wrong; what was there before is untouched.
    """
    with Replacement() as files:
        files.add(path, data)
        files.commit()


class Replacement:
    """Files that replace others together: all are written beside these and flushed to the disk before the first is renamed.

    A process that ends between the first renaming and the last leaves new files beside old ones: the last one added is what
    distinguishes them.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Path, Path, Path]] = []  # the name that was given, the part, what the part replaces

    def __enter__(self) -> Replacement:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for _, part, _ in self._parts:
            with contextlib.suppress(OSError, ValueError):
                part.unlink()

    def add(self, path: Path, data: Data) -> None:
        """Write what will be at a path."""
        with _writing(path):
            target, parts = Path(os.path.realpath(path)), (data,) if isinstance(data, bytes) else data
            mode = _mode(target)
            if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a device or a pipe has no older content
                with target.open("wb") as device:
                    device.writelines(parts)
                return
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            self._parts.append((path, part, target))
            with part.open("wb") as file:
                if mode is not None:
                    part.chmod(stat.S_IMODE(mode))
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())

    def commit(self) -> None:
        """Rename everything, in the order in which it was added."""
        for path, part, target in self._parts:
            with _writing(path):
                part.replace(target)
        for folder in dict.fromkeys(target.parent for _, _, target in self._parts):
            _flush_folder(folder)
        self._parts.clear()


def _writing(path: Path) -> contextlib.AbstractContextManager[None]:
    return reached("write", path, "; what was there before is untouched")


def check_free(path: Path, overwrite: bool) -> None:
    """Raise where a file may not be replaced."""
    with reached("write", path):
        taken = path.exists()
    if taken and not overwrite:
        raise ArgumentError("The file is there already.", got=str(path), repair="overwrite=True, or another name")


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _flush_folder(folder: Path) -> None:
    """Let the new name survive a loss of power, where the system can flush a folder."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

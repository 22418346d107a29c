"""One way to write a file for every format: it is the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from anabranch._errors import ArgumentError
from anabranch._files import reached


def write(path: Path, data: bytes) -> None:
    """Replace a file by ``data``: written beside it, flushed to the disk, renamed. A symbolic link stays one.

    Raises:
        FileError: of the class and number of what went wrong; what was there before is untouched.
    """
    with reached("write", path, "; what was there before is untouched"):
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a device or a pipe has no older content
            target.write_bytes(data)
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                if mode is not None:
                    part.chmod(stat.S_IMODE(mode))
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            with contextlib.suppress(OSError, ValueError):
                part.unlink()
        _flush_folder(target.parent)


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

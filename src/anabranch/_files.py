"""Files that cannot be read or written: the system's errors as sentences, of the class that people catch."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from anabranch._errors import AnabranchError, FileError

_REPAIRS = {
    errno.ENOENT: "check the name; a relative one is looked for in the working directory, {here}",
    errno.EISDIR: "give the name of a file in it",
    errno.EEXIST: "give another name, or move what has it",
    errno.ENOTDIR: "give another folder: a part of the name before the last is a file",
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EFBIG: "write where files may be larger: `ulimit -f` shows a limit",
    errno.EROFS: "write elsewhere: nothing can be written there",
    errno.EACCES: "give a place that you may use, or change its permissions",
    errno.ENAMETOOLONG: "give a shorter name",
}
_LONGEST = 200  # letters of a name in a message


@contextlib.contextmanager
def reached(doing: str, path: str | os.PathLike[str], note: str = "") -> Iterator[None]:
    """Let the system's errors inside say what could not be done with a file; ``note`` is added.

    >>> with reached("read", "missing.txt"):  # doctest: +ELLIPSIS
    ...     open("missing.txt")
    Traceback (most recent call last):
    anabranch._errors.FileError: Could not read 'missing.txt': No such file or directory.
      repair: ...
    """
    try:
        yield
    except AnabranchError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        name = str(path)
        shown = repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…")
        number = error.errno if isinstance(error, OSError) else None
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        repair = _REPAIRS.get(number or 0, "").format(here=_here())
        raise FileError.of(error, f"Could not {doing} {shown}: {reason}{note}.", repair=repair or None) from error


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "which is gone"

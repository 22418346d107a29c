"""The device of weights and batches, when freed memory is held, and the folder of data sets."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

from anabranch import _process
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bounded

if TYPE_CHECKING:
    from pathlib import Path

KeepMemory = Literal["fit", "always", "never"]

_DEVICES = ("cpu", "cuda", "gpu", "hpu", "ipu", "meta", "mps", "mtia", "npu", "privateuseone", "vulkan", "xla", "xpu")
_device: str | None = None
_keep_memory: KeepMemory = "fit"


def device() -> str | None:
    """Return the device that was set; None where the engine chooses (the accelerator where there is one, else the CPU).

    Example:
        >>> set_device("cpu")
        >>> device()
        'cpu'
        >>> set_device(None)
    """
    return _device


@bounded
def set_device(name: str | None) -> None:
    """Set the device of weights and batches; weights that have values are moved when they are next used.

    Args:
        name: e.g. ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None lets the engine choose.

    Raises:
        ArgumentTypeError: no string.
        ArgumentError: no kind of device that torch has.

    Example:
        >>> set_device("cpu")
        >>> set_device(None)
    """
    global _device
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError("A device's name must be a string.", expected="e.g. 'cpu' or 'cuda'", got=repr(name))
    if name is not None and not re.fullmatch(rf"({'|'.join(_DEVICES)})(:\d+)?", name):
        raise ArgumentError("Unknown device.", expected=f"one of {', '.join(_DEVICES)}, or e.g. 'cuda:1'", got=repr(name))
    _device = name
    _process.note_change()


def keep_memory() -> KeepMemory:
    """Return when freed memory is held for the next step: ``fit`` unless set.

    Example:
        >>> keep_memory()
        'fit'
    """
    return _keep_memory


@bounded
def set_keep_memory(when: KeepMemory) -> None:
    """Set when the C library holds freed memory for the next step instead of returning it to the system.

    Concerns the CPU under glibc (most of Linux); elsewhere, and where the environment chooses an allocator or its settings
    (``MALLOC_…``, ``GLIBC_TUNABLES``, ``LD_PRELOAD``), nothing happens.

    Args:
        when: ``"fit"``: while ``fit``, and ``evaluate`` and ``predict`` of several batches, run; up to a sixteenth of the
            memory, 1 GiB at most, stays for the next one. ``"always"``: from the first of them to the end of the process;
            ``"never"``: the C library's own settings stay.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_keep_memory("never")
        >>> keep_memory()
        'never'
        >>> set_keep_memory("fit")
    """
    global _keep_memory
    if not isinstance(when, str) or when not in ("fit", "always", "never"):
        raise ArgumentError(f"keep_memory must be 'fit', 'always' or 'never'; got {shown(when)}.")
    _keep_memory = when


def data_folder() -> Path:
    """Return the folder of downloaded data sets: ``$ANABRANCH_DATA``, or ``~/.cache/anabranch``.

    Example:
        >>> import os
        >>> os.environ["ANABRANCH_DATA"] = "/data/sets"
        >>> print(data_folder())
        /data/sets
        >>> del os.environ["ANABRANCH_DATA"]
    """
    from pathlib import Path

    chosen = os.environ.get("ANABRANCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "anabranch"

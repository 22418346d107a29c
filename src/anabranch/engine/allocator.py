"""The C library's allocator on the CPU: it keeps freed memory while a model runs, so that each step finds it again.

Every step frees and allocates the same activations. glibc gives blocks above a threshold back to the system as they are freed,
and the system hands out zeroed pages again, one fault for each 4 KiB. Other C libraries, other devices and allocators that a
user chose are left alone.

A first step makes small things that stay, such as oneDNN's kernels. In retained memory they would fragment it, so large blocks
are outside the heap until that step is done: a ResNet-50 then takes 2.4 GB instead of 2.8.

Later steps fragment it too, more slowly. torch asks for aligned blocks: glibc looks for one some bytes larger and cuts it to
size, and where a small object took the rest, the freed block is too small for the next such request. Where blocks are large and
of one size, the heap would double within some ten steps, so it is trimmed when it has grown.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Iterator

from anabranch import config, runtime

# names and numbers of malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KIB = 1 << 10
MIB = 1 << 20
# glibc before 2.35 refuses more than 32 MiB
RETAINED = 1024 * MIB, 32 * MIB
# The heap grows by as much at once: a first step has a fraction of the page faults, since the system can give larger pages.
PAD, USUAL_PAD = 64 * MIB, 128 * KIB
# Blocks above this lie outside the heap during a first step.
FIRST = 4 * MIB
# Free memory that stays behind a fit or a prediction, so that the next one of its size finds it without page faults, which take
# a quarter of a fit of four steps: a part of the memory that the process may have, within these bounds.
LASTING, LEAST_LASTING, MOST_LASTING = 1 / 16, 128 * MIB, 1024 * MIB
# Where glibc's own moving threshold ends. It cannot be asked where it stood.
UNDONE = 32 * MIB
# The process's memory is compared every so many steps with what it was after a few, and may grow to as many times that.
AFTER, EVERY, GROWTH = 4, 8, 1.25

# What a container may have, in control groups of the second version and the first.
LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"

_lock = threading.Lock()
_under_way = 0  # fits and predictions, also in other threads and one inside another
_steps = 0  # of the fits under way
_usual = 0  # bytes in memory once these steps had what they need


@contextlib.contextmanager
def keeping_memory(first: bool = False) -> Iterator[None]:
    """Let glibc keep freed memory inside the block, as ``config.keep_memory`` says; the outermost gives back what is much.

    ``first``: a first step comes; large blocks are retained from ``first_step_done()`` on.

    ``mallopt`` ends glibc's habit of raising its thresholds when a large block is freed, for good, and cannot say where they
    stood. So the first is left where that habit leads: blocks above 32 MiB are mapped singly.
    """
    if config.keep_memory() == "never" or runtime.device().type != "cpu" or unfit():
        yield
        return
    _begin(first)
    try:
        yield
    finally:
        _end()


def unfit() -> str:
    """Return why the allocator is left alone in this process, or ""."""
    if not sys.platform.startswith("linux"):
        return f"the allocator of {sys.platform} has no such setting"
    if not _glibc_version():
        return "the C library is not glibc"
    chosen = [name for name in os.environ if name.startswith("MALLOC_")]
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        chosen.append("GLIBC_TUNABLES")
    if chosen:
        return f"{', '.join(sorted(chosen))} is set"
    if "malloc" in os.environ.get("LD_PRELOAD", ""):  # jemalloc, tcmalloc, mimalloc
        return f"LD_PRELOAD={os.environ['LD_PRELOAD']}"
    return ""


def _glibc_version() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # musl does not know the name
        return ""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def first_step_done() -> None:
    """Keep large blocks too, inside ``keeping_memory(first=True)``."""
    with _lock:
        if _under_way:
            _keep(RETAINED)


def step_done() -> None:
    """Give memory back where the heap has grown, inside ``keeping_memory()``; the next step then finds what it needs anew."""
    global _steps, _usual
    _steps += 1
    if _steps % EVERY != AFTER or not _under_way:
        return
    with _lock:
        resident = _resident()
        if not _usual:
            _usual = resident
        elif resident > GROWTH * _usual:
            _libc().malloc_trim(0)
            _usual = 0  # more may be needed than before: larger batches, say


def _resident() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _begin(first: bool) -> None:
    global _under_way, _steps, _usual
    with _lock:
        _under_way += 1
        if _under_way == 1:
            _steps = _usual = 0
            _keep((FIRST,) if first else RETAINED)
            _libc().mallopt(M_TRIM_THRESHOLD, -1)  # never
            _libc().mallopt(M_TOP_PAD, PAD)


def _keep(sizes: tuple[int, ...]) -> None:
    """Let blocks up to the first of these sizes that glibc takes lie in the heap."""
    any(_libc().mallopt(M_MMAP_THRESHOLD, size) for size in sizes)


def _end() -> None:
    global _under_way
    with _lock:
        _under_way -= 1
        if _under_way == 0 and config.keep_memory() != "always":
            libc, lasting = _libc(), _lasting()
            libc.mallopt(M_MMAP_THRESHOLD, UNDONE)
            libc.mallopt(M_TRIM_THRESHOLD, lasting)
            libc.mallopt(M_TOP_PAD, USUAL_PAD)
            if _free() > lasting:
                libc.malloc_trim(0)


@functools.cache
def _lasting() -> int:
    """Return the free bytes that may stay."""
    return int(min(max(LASTING * _memory(), LEAST_LASTING), MOST_LASTING))


def _memory() -> int:
    """Return the bytes that this process may have: the machine's, or as many as its control group is allowed."""
    allowed = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError), open(limit, encoding="ascii") as file:  # "max": no limit
            allowed.append(int(file.read()))
    return min(allowed)


_COUNTS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Counts(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in _COUNTS]


def _free() -> int:
    """Return the bytes of the heap that nobody uses; before glibc 2.33, which counts them in 32 bits, more than may last."""
    found = getattr(_libc(), "mallinfo2", None)
    if found is None:
        return MOST_LASTING + 1
    found.restype = _Counts
    return int(found().fordblks)

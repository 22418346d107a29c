"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

# what decides which kernels torch, XLA and the rest choose
FLAGS = ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")


def _fields(path: str) -> dict[str, str]:
    """Return the value of each ``name : value`` of a file of Linux, where it first occurs."""
    found: dict[str, str] = {}
    try:
        for line in Path(path).read_text().splitlines():
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return found


def describe(threads: int) -> dict[str, object]:
    """Return processor, flags, cores, memory, system and how busy it is."""
    processor, memory = _fields("/proc/cpuinfo"), _fields("/proc/meminfo")
    names = (processor.get("flags") or processor.get("Features") or "").split()
    return {
        "processor": processor.get("model name") or platform.processor() or platform.machine(),
        "family, model": f"{processor.get('cpu family', '')}, {processor.get('model', '')}",
        "flags": [flag for flag in FLAGS if flag in names],
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(int(memory.get("MemTotal", "0").split()[0]) / (1 << 20), 1),
        "system": platform.platform(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> float | None:
    """Return how many processes wanted a core over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

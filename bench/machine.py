"""What the figures were taken on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import subprocess
from importlib import metadata
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


def has(name: str) -> bool:
    """Return whether a module is installed."""
    return importlib.util.find_spec(name) is not None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Return the free memory of the host."""
    memory = _fields("/proc/meminfo")
    return int(memory.get("MemAvailable", str(8 << 20)).split()[0]) / (1 << 20)


def device_memory_gb() -> float:
    """Return the free memory of the GPU, asked of the driver, so that this process takes none."""
    free = _asked("memory.free").get("memory.free", "")
    return float(free.split()[0]) / 1024 if free[:1].isdigit() else 8.0


def _asked(*fields: str) -> dict[str, str]:
    """Return what nvidia-smi says of the first GPU; nothing where there is none."""
    words = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(fields, (text.strip() for text in done.stdout.splitlines()[0].split(",")), strict=False))


def clocks() -> dict[str, str]:
    """Return the GPU's clocks, temperature and power as they are now."""
    return _asked("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "clocks_throttle_reasons.active")


def device(name: str) -> dict[str, object]:
    """Return what a GPU is: its name, memory, driver, limits, and the libraries of torch that run on it."""
    if name != "cuda":
        return {}
    import torch

    facts = torch.cuda.get_device_properties(0)
    return {
        "gpu": facts.name,
        "gpu_memory_gb": round(facts.total_memory / (1 << 30), 1),
        "multiprocessors": facts.multi_processor_count,
        "capability": f"{facts.major}.{facts.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        **_asked("driver_version", "clocks.max.sm", "clocks.max.mem", "power.limit"),
    }


PACKAGES = ("torch", "numpy", "triton", "keras", "jax", "flax", "optax", "pytest", "pytest-xdist", "hypothesis")


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


WANTED = {
    "pytest": "no tests",
    "xdist": "tests one after the other",
    "hypothesis": "tests with drawn cases fail to import",
    "keras": "tests beside the oracle fail, no Keras in the tables",
    "jax": "no JAX in the tables",
    "flax": "no Flax in the tables",
    "resvg_py": "tests of drawings as PNG files fail",
}


def missing() -> dict[str, str]:
    """Return what is not installed, and what that leaves out."""
    return {name: what for name, what in WANTED.items() if not has(name)}


def commit() -> str:
    """Return the commit of this checkout, marked where files have changed; "" where git does not know it."""
    root = Path(__file__).parents[1]
    words = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""

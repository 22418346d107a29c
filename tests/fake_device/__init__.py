"""An accelerator that is none, compiled by the C++ compiler for the torch that is installed: ``pytest --device fake``."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import types
from pathlib import Path

NAME = "fake"
_SOURCE = Path(__file__).parent / "device.cpp"
_BUILD = Path(__file__).parents[2] / "build" / "fake_device"


def missing() -> str:
    """Return why there is no fake device here, or ""."""
    return "" if shutil.which("c++") else "the fake device needs a C++ compiler, and there is no c++ on PATH"


def install() -> None:
    """Make torch find the fake device as the accelerator of this machine."""
    import torch

    torch.ops.load_library(str(_compiled()))
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _module())


def _module() -> types.ModuleType:
    """What torch and users ask an accelerator for, as ``torch.cuda`` answers it."""
    import torch

    done = torch.ops.anabranch_fake
    module = types.ModuleType(f"torch.{NAME}")
    answers = {
        "is_available": lambda: True, "is_initialized": lambda: True, "_initialized": True, "device": contextlib.nullcontext,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: 1, "current_device": lambda: 0, "set_device": lambda device: None,
        "get_device_name": lambda device=None: "a fake device", "synchronize": lambda device=None: None,
        "mem_get_info": lambda device=None: (1 << 34, 1 << 34), "empty_cache": lambda: None,
        "manual_seed": lambda seed: done.manual_seed(seed), "manual_seed_all": lambda seed: done.manual_seed(seed),
        "get_rng_state": lambda device=None: done.get_state(),
        "set_rng_state": lambda state, device=None: done.set_state(state),
        "Stream": lambda device=None: torch.Stream(device=device or NAME), "stream": lambda stream: stream,
        "current_stream": lambda device=None: torch.accelerator.current_stream(device),
        "get_amp_supported_dtype": lambda: [torch.float16, torch.bfloat16],
    }  # fmt: skip
    vars(module).update(answers)
    return module


def _compiled() -> Path:
    import torch
    from torch.utils.cpp_extension import include_paths

    text = _SOURCE.read_bytes() + torch.__version__.encode()
    library = _BUILD / f"{hashlib.sha256(text).hexdigest()[:12]}.so"
    _BUILD.mkdir(parents=True, exist_ok=True)
    with (_BUILD / "lock").open("w") as lock:  # the workers of one run share it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            places = [f"-I{folder}" for folder in include_paths()]
            libraries = Path(torch.__file__).parent / "lib"
            abi = int(torch.compiled_with_cxx11_abi())
            standard = "c++20" if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 12) else "c++17"
            # torch's headers take most of a minute
            subprocess.run(
                ["c++", "-O1", "-w", "-shared", "-fPIC", f"-std={standard}", f"-D_GLIBCXX_USE_CXX11_ABI={abi}", *places,
                 str(_SOURCE), "-o", str(library) + ".part", f"-L{libraries}", "-ltorch", "-ltorch_cpu", "-lc10"],
                check=True,
            )  # fmt: skip
            Path(str(library) + ".part").rename(library)
    return library

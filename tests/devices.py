"""On which device tests run: ``pytest --device cpu|cuda|xpu|mps|all|fake``; without it, on the one that a user gets.

A test computes on the run's device, and the run's end says how many ran where. What is true of the CPU alone (the output of
an example, an allocator) says so by ``@pytest.mark.on_cpu``, what needs CUDA by ``@pytest.mark.gpu``. The oracle, Keras,
computes on the CPU everywhere.
"""

from __future__ import annotations

import collections
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import fake_device
import pytest

OPTION = ("cpu", "cuda", "xpu", "mps", "all", fake_device.NAME)
_HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def add_option(parser: pytest.Parser) -> None:
    """Add ``--device``."""
    text = (
        "where tests run: the device, all (each test on the accelerator and on the CPU), or fake (an accelerator that is none)"
    )
    parser.addoption("--device", choices=OPTION, default=None, help=text)
    parser.addoption("--record", metavar="FILE", help="write what ran on which device, and what failed, as JSON")


TOLERANCE = {"cpu": 1.0, fake_device.NAME: 1.0, "cuda": 10.0, "xpu": 10.0, "mps": 20.0}
"""By how much errors beside Keras on the CPU may exceed those that our CPU is allowed: sums are taken in other orders.

TF32 is off, so float32 has its 24 bits on every device.
"""


def tolerated(error: float) -> float:
    """Return the error that is allowed on the device in use, where so much is on the CPU."""
    return error * TOLERANCE.get(here().type, 1.0)


def here() -> Any:
    """Return the device that this test computes on."""
    from anabranch import runtime

    return runtime.device()


def on_device(values: Any) -> Any:
    """Return an array or a tensor as a tensor on the device that this test computes on."""
    import torch

    return torch.as_tensor(values).to(here())


def equal(one: Any, other: Any) -> bool:
    """Return whether two tensors have the same values, wherever they are."""
    import torch

    return torch.equal(one.cpu(), other.cpu())


def allclose(one: Any, other: Any, **tolerances: float) -> bool:
    """Return whether two tensors have almost the same values, wherever they are."""
    import torch

    return torch.allclose(one.cpu(), other.cpu(), **tolerances)


def _let_numpy_read(torch: Any) -> None:
    """Let NumPy's functions take tensors of an accelerator where a test calls them; the library's own calls stay refused."""
    own = torch.Tensor.__array__

    def as_array(tensor: Any, dtype: Any = None, copy: Any = None) -> Any:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("numpy", "torch"):
            frame = frame.f_back
        from_library = frame.f_globals.get("__name__", "").partition(".")[0] == "anabranch"
        return own(tensor if from_library else tensor.cpu(), dtype)

    torch.Tensor.__array__ = as_array


class Devices:
    """What a run does about devices.

    Args:
        asked: the option's value.
        record: the file that the end of the run is written to.
    """

    def __init__(self, asked: str | None, record: str | None = None) -> None:
        import torch

        if asked == fake_device.NAME:
            if reason := fake_device.missing():
                raise pytest.UsageError(reason)
            fake_device.install()
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self._torch, self._record, self._begun = torch, record, time.time()
        self.kinds = [found.type, "cpu"] if found else ["cpu"]
        if asked not in (None, "all", *self.kinds):
            why = "was built without CUDA" if asked == "cuda" and torch.version.cuda is None else "finds no such device here"
            raise pytest.UsageError(f"--device {asked}: torch {torch.__version__} {why}; torch finds {', '.join(self.kinds)}")
        self.chosen = self.kinds if asked == "all" else [asked or self.kinds[0]]
        self._patch = pytest.MonkeyPatch()
        self._in_use = self.kinds[0]
        if found:
            _let_numpy_read(torch)
            torch.zeros(1, device=found)  # before any test hides the device from the processes that it starts
        for part in (torch.backends.cuda.matmul, torch.backends.cudnn):
            part.allow_tf32 = False
        os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")

    def pytest_report_header(self) -> str:
        """Say where tests run."""
        words = [f"{kind} ({self._name(kind)})" if self._name(kind) else kind for kind in self.chosen]
        return f"device: {', then '.join(words)}; torch {self._torch.__version__}"

    def _name(self, kind: str) -> str:
        named = vars(self._torch.get_device_module(kind)).get("get_device_name")
        return str(named()) if named else ""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let each test run on each device."""
        if len(self.chosen) > 1 and not metafunc.definition.get_closest_marker("on_cpu"):
            metafunc.parametrize("device_of_the_run", self.chosen, indirect=True, scope="session")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Choose the device; leave out what it cannot do."""
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        kind = parameters.get("device_of_the_run", self.chosen[0])
        needs_cuda = item.get_closest_marker("gpu")
        if not needs_cuda and (item.get_closest_marker("on_cpu") or isinstance(item, pytest.DoctestItem)):
            kind = "cpu"
        if needs_cuda and kind != "cuda":
            pytest.skip(f"needs a CUDA device, and this test runs on {kind}")
        if (mark := item.get_closest_marker("not_fake")) and kind == fake_device.NAME:
            pytest.skip(f"not on the fake device: {mark.args[0]}")
        item.user_properties.append(("device", kind))
        self._use(kind)

    def _use(self, kind: str) -> None:
        """Make a device the one that users get, in this process and in those it starts."""
        if kind == self._in_use:
            return
        from anabranch.runtime import devices

        self._in_use = kind
        self._patch.undo()
        if kind != self.kinds[0]:
            self._patch.setattr(devices, "accelerator", lambda: None)
            for name in _HIDING:
                self._patch.setenv(name, "")
        devices._device.cache_clear()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how many tests ran where."""
        kinds = ("passed", "failed", "error", "xfailed", "xpassed")
        ended = [report for name in kinds for report in terminalreporter.getreports(name)]
        properties = [dict(vars(report).get("user_properties", ())) for report in ended]  # none where a file failed to import
        found = collections.Counter((each.get("device", "?"), r.outcome) for each, r in zip(properties, ended, strict=True))
        for kind in sorted({kind for kind, _ in found}):
            counts = ", ".join(f"{count} {outcome}" for (where, outcome), count in sorted(found.items()) if where == kind)
            terminalreporter.write_line(f"ran on {kind}: {counts}")
        if self._record:
            named = {kind: self._name(kind) or platform.machine() for kind in self.chosen}
            skipped = collections.Counter(report.longrepr[2] for report in terminalreporter.getreports("skipped"))
            seen = {
                "date": time.strftime("%Y-%m-%d"), "torch": self._torch.__version__, "python": platform.python_version(),
                "devices": named, "seconds": round(time.time() - self._begun),
                "counts": {f"{outcome} on {kind}": count for (kind, outcome), count in sorted(found.items())},
                "skipped": dict(skipped), "failed": sorted(report.nodeid for report in ended if report.failed),
                "errors": dict(collections.Counter(_reason(report) for report in ended if report.failed).most_common(40)),
            }  # fmt: skip
            Path(self._record).write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")


def _reason(report: Any) -> str:
    """Return the first line of what a test failed with."""
    crash = (
        vars(report.longrepr).get("reprcrash") if report.longrepr is not None and not isinstance(report.longrepr, str) else None
    )
    text = crash.message if crash else str(report.longrepr or "no reason").strip().splitlines()[-1]
    return str(text).splitlines()[0][:160]

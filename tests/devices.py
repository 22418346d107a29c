"""On which device tests run: ``pytest --device cpu|cuda|xpu|mps|all|fake``; without it, on the one that a user gets.

A test computes on the run's device, and the run's end says how many ran where. What is true of the CPU alone (the output of
an example, an allocator) says so by ``@pytest.mark.on_cpu``, what needs CUDA by ``@pytest.mark.gpu``. The oracle, Keras,
computes on the CPU everywhere.
"""

from __future__ import annotations

import collections
import os
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


class Devices:
    """What a run does about devices.

    Args:
        asked: the option's value.
    """

    def __init__(self, asked: str | None) -> None:
        import torch

        if asked == fake_device.NAME:
            if reason := fake_device.missing():
                raise pytest.UsageError(reason)
            fake_device.install()
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self._torch = torch
        self.kinds = [found.type, "cpu"] if found else ["cpu"]
        if asked not in (None, "all", *self.kinds):
            raise pytest.UsageError(f"--device {asked}: torch {torch.__version__} finds no such device here")
        self.chosen = self.kinds if asked == "all" else [asked or self.kinds[0]]
        self._patch = pytest.MonkeyPatch()
        self._in_use = self.kinds[0]
        if found:
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
        if item.get_closest_marker("on_cpu") or isinstance(item, pytest.DoctestItem):
            kind = "cpu"
        if item.get_closest_marker("gpu") and kind != "cuda":
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
        ended = [report for name in ("passed", "failed", "xfailed", "xpassed") for report in terminalreporter.getreports(name)]
        found = collections.Counter((dict(report.user_properties).get("device", "?"), report.outcome) for report in ended)
        for kind in sorted({kind for kind, _ in found}):
            counts = ", ".join(f"{count} {outcome}" for (where, outcome), count in sorted(found.items()) if where == kind)
            terminalreporter.write_line(f"ran on {kind}: {counts}")

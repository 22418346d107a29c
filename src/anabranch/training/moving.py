"""Copies between the host and a device that run beside what the device computes, in queues of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from anabranch import runtime

_LARGE = 1 << 18
"""Bytes of a batch from which its copy runs beside the computation; a smaller one is done before two queues have agreed."""


class Mark(Protocol):
    """A point in a queue of a device, which its work has passed or not."""

    def synchronize(self) -> None:
        """Let the host wait until it is passed."""


class Mover(Protocol):
    """What data and predictions ask of a device's queues: of the one that computes, one in, one out.

    Each call returns at once, where the device can: the copies are queued. Whatever is queued to compute later than ``send``,
    ``fill`` with ``follow``, sees the values; ``fetch`` takes what was queued to be computed before it.
    """

    overlaps: bool
    """Whether copies run beside the computation, so that it pays to let a thread queue them."""

    def free(self) -> int:
        """Return the bytes that are free on the device."""

    def has(self, tensor: torch.Tensor) -> bool:
        """Return whether a tensor is on the device."""

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of the host that the device reads and writes by itself."""

    def staged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor's values in pinned memory: itself where it is there."""

    def room(self, like: torch.Tensor) -> torch.Tensor:
        """Return memory of the device for a tensor's values."""

    def send(self, staged: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy tensors from pinned memory to the device; what is computed from now on waits for them."""

    def fill(self, target: torch.Tensor, staged: torch.Tensor, after: Mark) -> Mark:
        """Copy from pinned memory into ``room``, once the device has passed ``after``; any thread may ask it."""

    def fetch(self, value: torch.Tensor) -> tuple[torch.Tensor, Mark]:
        """Copy what is computed to the host; its memory there is read after the mark."""

    def reached(self) -> Mark:
        """Return a mark behind all that has been queued to compute."""

    def follow(self, mark: Mark) -> None:
        """Let what is computed from now on wait for a mark."""


class _Passed:
    """A point that is passed."""

    def synchronize(self) -> None:
        """Return."""


class InOrder(Mover):
    """Moves on a device with one queue, such as Apple's."""

    overlaps = False

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pins = runtime.pins(device)

    def free(self) -> int:
        """Ask the device."""
        return runtime.free_memory(self.device)

    def has(self, tensor: torch.Tensor) -> bool:
        """Compare devices."""
        return tensor.device == self.device

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Allocate; torch gives such memory to others only when the copies from and to it are done."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=self._pins)

    def staged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Pin what is of the host and not pinned."""
        return tensor.pin_memory() if self._pins and tensor.device.type == "cpu" else tensor

    def room(self, like: torch.Tensor) -> torch.Tensor:
        """Allocate."""
        return torch.empty(like.shape, dtype=like.dtype, device=self.device)

    def send(self, staged: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy in the queue that computes."""
        return [tensor.to(self.device, non_blocking=True) for tensor in staged]

    def fill(self, target: torch.Tensor, staged: torch.Tensor, after: Mark) -> Mark:
        """Copy, and wait for it."""
        target.copy_(staged)
        return _Passed()

    def fetch(self, value: torch.Tensor) -> tuple[torch.Tensor, Mark]:
        """Copy, and wait for it."""
        return value.cpu(), _Passed()

    def reached(self) -> Mark:
        """Return a mark that is passed: all copies wait."""
        return _Passed()

    def follow(self, mark: Mark) -> None:
        """Do nothing: one queue is in order."""


class Beside(InOrder):
    """Moves on streams beside the one that computes.

    In and out have a stream each: a copy out waits for its batch, and would keep the next batch from coming in.
    """

    overlaps = True

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._module: Any = torch.get_device_module(device)  # torch.cuda, torch.xpu: no type says what they share
        self._in, self._out = self._module.Stream(device), self._module.Stream(device)

    def send(self, staged: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy into memory of the stream's own, which returns to it when what is computed with it is done."""
        if sum(tensor.nbytes for tensor in staged) < _LARGE:
            return super().send(staged)
        computing = self._module.current_stream(self.device)
        with self._module.stream(self._in):
            sent = super().send(staged)
        computing.wait_stream(self._in)
        for tensor in sent:
            tensor.record_stream(computing)
        return sent

    def fill(self, target: torch.Tensor, staged: torch.Tensor, after: Mark) -> Mark:
        """Copy on the stream in."""
        with self._module.stream(self._in):
            self._in.wait_event(after)
            target.copy_(staged, non_blocking=True)
            return self._noted(self._in)

    def fetch(self, value: torch.Tensor) -> tuple[torch.Tensor, Mark]:
        """Copy on the stream out; the value's memory is not given to others before that is done."""
        held = self.pinned(value.shape, value.dtype)
        self._out.wait_stream(self._module.current_stream(self.device))
        with self._module.stream(self._out):
            held.copy_(value, non_blocking=True)
            value.record_stream(self._out)
            return held, self._noted(self._out)

    def reached(self) -> Mark:
        """Note where the computation is queued to."""
        return self._noted(self._module.current_stream(self.device))

    def follow(self, mark: Mark) -> None:
        """Let the current stream wait."""
        self._module.current_stream(self.device).wait_event(mark)

    def _noted(self, stream: Any) -> Mark:
        mark: Mark = stream.record_event()
        return mark


@functools.cache
def mover_to(device: torch.device) -> Mover | None:
    """Return what moves data to and from a device; None for the host itself."""
    if device.type in ("cpu", "meta"):
        return None
    has = vars(torch.get_device_module(device))
    return (Beside if all(name in has for name in ("Stream", "stream", "current_stream")) else InOrder)(device)

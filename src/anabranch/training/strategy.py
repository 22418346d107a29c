"""Where a model trains: which device batches go to, how gradients are reduced, which process writes. One device for now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import torch

from anabranch import runtime
from anabranch._errors import NotReadyError
from anabranch.training.moving import Mark, Mover, mover_to

_AHEAD = 4
"""How many batches may be on a device that computes from an earlier one: each holds memory there, and pinned memory here."""


class Strategy(Protocol):
    """What training asks about devices and processes, and of nothing else."""

    @property
    def device(self) -> torch.device:
        """The device that batches of this process go to."""

    @property
    def writes(self) -> bool:
        """Whether this process shows progress and writes files; of several processes one does."""

    @property
    def mover(self) -> Mover | None:
        """What moves batches there; None where they stay on the host."""

    def check(self) -> None:
        """Raise where training in this process would not be what was asked for."""

    def place(self, batch: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Return the part of a batch that this process computes, on its device; what is computed next waits for it there."""

    def reduce_gradients(self) -> None:
        """Combine the gradients of all processes, between the backward pass and the update."""


class SingleDevice:
    """One process on one device.

    Args:
        device: the device that weights and batches are on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.writes = True
        self.mover = mover_to(device)
        self._steps: deque[Mark] = deque()

    def check(self) -> None:
        """Refuse to train one unconnected model in each of several processes."""
        count, reason = runtime.processes()
        if count > 1:
            raise NotReadyError(
                "Training in several connected processes is not supported yet: each process would train a model of its own.",
                expected="one process",
                got=reason,
                repair="start the script with python instead of torchrun; or train model.to_torch() wrapped in "
                "torch.nn.parallel.DistributedDataParallel; or, where the models are meant to be independent, "
                'os.environ.pop("WORLD_SIZE") and no torch.distributed.init_process_group',
            )

    def place(self, batch: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Return tensors on the device; to a GPU through pinned memory, beside the step that it computes.

        The host is at most ``_AHEAD`` steps ahead of the device, else batches that wait for theirs would fill its memory.
        """
        mover = self.mover
        if mover is None:
            return [None if t is None else t.to(self.device) for t in batch]
        away = [i for i, t in enumerate(batch) if t is not None and not mover.has(t)]
        if not away:
            return list(batch)
        self._steps.append(mover.reached())
        if len(self._steps) == _AHEAD:
            self._steps.popleft().synchronize()
        sent = dict(zip(away, mover.send([mover.staged(t) for i in away if (t := batch[i]) is not None]), strict=True))
        return [sent.get(i, t) for i, t in enumerate(batch)]

    def reduce_gradients(self) -> None:
        """Do nothing: gradients of one process are complete."""

"""Where a model trains: which device batches go to, how gradients are reduced, which process writes. One device for now."""

from __future__ import annotations

from typing import Protocol

import torch

from anabranch import runtime
from anabranch._errors import NotReadyError


class Strategy(Protocol):
    """What training asks about devices and processes, and of nothing else."""

    @property
    def device(self) -> torch.device:
        """The device that batches of this process go to."""

    @property
    def writes(self) -> bool:
        """Whether this process shows progress and writes files; of several processes one does."""

    def check(self) -> None:
        """Raise where training in this process would not be what was asked for."""

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the part of a batch that this process computes, on its device."""

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

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor on the device; to a GPU through pinned memory, so that the host does not wait for the copy."""
        if runtime.pins(self.device) and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def reduce_gradients(self) -> None:
        """Do nothing: gradients of one process are complete."""

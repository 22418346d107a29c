"""Lightning's loop over the torch module: batches taken whole, nothing logged, nothing saved."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import lightning
import torch
from runners import torch_loop
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from works import Case


class Learner(lightning.LightningModule):
    """The network and its training, in Lightning's words."""

    def __init__(self, name: str, device: str) -> None:
        super().__init__()
        self.name = name
        self.net = torch_loop.module_of(name, "channels_last", device)
        self.total, self.right = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """Return the loss of a batch."""
        *inputs, labels = batch
        outputs = self.net(*inputs)
        loss = torch_loop.loss_of(self.name, outputs, labels)
        self.total += loss.detach()
        self.right += torch_loop.right_of(self.name, outputs, labels)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the network's optimizer."""
        return torch_loop.optimizer_of(self.name, self.net)


def train(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and one epoch of ``Trainer.fit``."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    case = cases["fit"]
    learner = Learner(name, device)
    x, y = torch_loop.tensors_of(name, case.amount, "channels_last", device)
    rows = TensorDataset(*x, y)
    loader = DataLoader(rows, sampler=BatchSampler(RandomSampler(rows), case.batch, drop_last=False), batch_size=None)
    trainer = lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu", devices=1, max_epochs=0, logger=False, barebones=True
    )

    def epoch() -> None:
        trainer.fit_loop.max_epochs += 1
        trainer.fit(learner, loader)
        torch_loop.finish(device)

    return torch_loop.size(learner), {"fit": epoch}


def table(name: str, variant: str) -> None:
    """Print Lightning's table."""
    from lightning.pytorch.utilities.model_summary import ModelSummary

    print(ModelSummary(Learner(name, "cpu"), max_depth=-1))

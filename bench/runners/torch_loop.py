"""Torch as people write it: a module, a loop over shuffled batches, nothing read from the device within an epoch.

Variants: none is B C H W; ``channels_last`` gives torch's memory format to weights and images; ``compile`` adds
torch.compile to that; ``symbolic`` takes, in that format too, the module that pytorch-symbolic made of its graph. SGD and Adam
are torch's fused ones.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from works import NETS as FED, Case, data

LAST = ("channels_last", "compile", "symbolic")


def module_of(name: str, variant: str, device: str) -> nn.Module:
    """Return the network."""
    nets = importlib.import_module("nets.symbolic" if variant == "symbolic" else "nets.torch_modules")
    module: nn.Module = nets.NETS[name]()
    if variant in LAST and FED[name].images:
        module.to(memory_format=torch.channels_last)
    return module.to(device)


def optimizer_of(name: str, module: nn.Module) -> torch.optim.Optimizer:
    """Return the network's optimizer."""
    net, weights = FED[name], module.parameters()
    if net.optimizer == "sgd":
        return torch.optim.SGD(weights, net.rate, momentum=0.9, fused=True)
    if net.optimizer == "adam":
        return torch.optim.Adam(weights, net.rate, eps=1e-7, fused=True)
    return torch.optim.RMSprop(weights, net.rate, alpha=0.9, eps=1e-7)


def loss_of(name: str, outputs: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss of a batch."""
    return F.binary_cross_entropy_with_logits(outputs, y) if FED[name].loss == "pairs" else F.cross_entropy(outputs, y)


def right_of(name: str, outputs: Tensor, y: Tensor) -> Tensor:
    """Return how many of a batch are right."""
    return ((outputs > 0) == (y > 0.5)).sum() if FED[name].loss == "pairs" else (outputs.argmax(1) == y).sum()


def tensors_of(name: str, count: int, variant: str, device: str) -> tuple[list[Tensor], Tensor]:
    """Return inputs and labels as torch wants them, on the device."""
    return placed(name, *data(name, count), variant, device)


def placed(name: str, arrays: list[np.ndarray], labels: np.ndarray, variant: str, device: str) -> tuple[list[Tensor], Tensor]:
    """Return arrays as torch wants them, on the device, where images are reordered."""
    x = [torch.from_numpy(array).to(device) for array in arrays]
    if FED[name].images:
        layout = torch.channels_last if variant in LAST else torch.contiguous_format
        x = [x[0].permute(0, 3, 1, 2).contiguous(memory_format=layout)]
    return x, torch.from_numpy(labels).to(device)


def size(module: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def finish(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def epoch(
    name: str, module: nn.Module, run: Any, optimizer: torch.optim.Optimizer, x: list[Tensor], y: Tensor, batch: int,
    computing: Callable[[], Any] = contextlib.nullcontext,
) -> None:  # fmt: skip
    """Train one epoch; the forward pass and the loss are within ``computing()``."""
    module.train()
    total, right = torch.zeros((), device=y.device), torch.zeros((), dtype=torch.int64, device=y.device)
    for index in torch.randperm(len(y), device=y.device).split(batch):
        inputs, labels = [tensor[index] for tensor in x], y[index]
        optimizer.zero_grad()
        with computing():
            outputs = run(*inputs)
            loss = loss_of(name, outputs, labels)
        loss.backward()
        optimizer.step()
        total += loss.detach()
        right += right_of(name, outputs, labels)


def train(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and one epoch of the loop."""
    case = cases["fit"]
    module = module_of(name, variant, device)
    optimizer = optimizer_of(name, module)
    x, y = tensors_of(name, case.amount, variant, device)
    run: Any = torch.compile(module) if variant == "compile" else module

    def once() -> None:
        epoch(name, module, run, optimizer, x, y, case.batch)
        finish(device)

    return size(module), {"fit": once}


def infer(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and the passes."""
    module = module_of(name, variant, device).eval()
    x, _ = tensors_of(name, max(case.amount for case in cases.values()), variant, device)
    run: Any = torch.compile(module, dynamic=False) if variant == "compile" else module
    one = [tensor[:1] for tensor in x]

    def call() -> None:
        with torch.inference_mode():
            for _ in range(cases["call 1"].amount):
                run(*one).cpu().numpy()

    def batches(case: Case) -> None:
        with torch.inference_mode():
            parts = zip(*(tensor[: case.amount].split(case.batch) for tensor in x), strict=True)
            torch.cat([run(*part) for part in parts]).cpu().numpy()

    passes: dict[str, Callable[[], Any]] = {"call 1": call}
    passes |= {key: lambda case=case: batches(case) for key, case in cases.items() if case.batch > 1}
    return size(module), passes


def table(name: str, variant: str) -> None:
    """Print the module, or pytorch-symbolic's table."""
    module = module_of(name, variant, "cpu")
    if variant == "symbolic":
        module.summary()
    else:
        print(module)


def build(depth: int, variant: str) -> dict[str, float]:
    """Return the seconds of a residual chain; torch alone makes modules and no graph."""
    start = time.perf_counter()
    if variant == "symbolic":
        from pytorch_symbolic import Input, SymbolicModel

        x = inputs = Input((8,))
        for _ in range(depth // 2):
            x = x(nn.Linear(8, 8)) + x
        SymbolicModel(inputs, x)
    else:
        nn.ModuleList(nn.Linear(8, 8) for _ in range(depth // 2))
    return {"build": time.perf_counter() - start}

"""The airbench94 design by ``fit`` (examples/airbench.py) beside a hand-written torch loop of it: seconds and accuracy.

    python bench/airbench.py [--runs 5] [--out bench/results/DATE-airbench-cuda.json]

Both train 9.9 epochs in turn, after a run each that warms the machine up; from images on the device to trained weights, all
building and capturing included. Meant for one GPU; ``--limit`` and ``--widths`` make it small enough to try on a CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe
from torch import Tensor, nn

import anabranch as ab

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "airbench.py"))
GOAL = 0.94


class Biased(nn.BatchNorm2d):
    """Normalizes and adds a bias; no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


def convolution(before: int, filters: int) -> nn.Conv2d:
    """3x3, the first filters the identity."""
    layer = nn.Conv2d(before, filters, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:before])
    return layer


class Network(nn.Module):
    """The design as a person writes it in torch: images B C H W in channels-last memory."""

    def __init__(self, images: Tensor, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight = nn.Parameter(
            torch.from_numpy(EXAMPLE["whitening"](images)).permute(3, 2, 0, 1), requires_grad=False
        )
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]  # it has one
        parts: list[nn.Module] = []
        before = 24
        for width in widths:
            parts += [convolution(before, width), nn.MaxPool2d(2), Biased(width), nn.GELU()]
            parts += [convolution(width, width), Biased(width), nn.GELU()]
            before = width
        self.body = nn.Sequential(*parts, nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(before, 10, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        x: Tensor = self.head(self.body(F.gelu(self.whiten(images))))
        return x / 9


class Predictor:
    """What EXAMPLE's ``accuracy`` asks of a model."""

    def __init__(self, net: Network) -> None:
        self.net = net

    @torch.no_grad()
    def predict(self, images: Tensor, batch_size: int, verbose: int) -> np.ndarray:
        """Return logits for images B H W C."""
        kind = self.net.head.weight.dtype
        parts = [self.net(part.permute(0, 3, 1, 2).to(kind)).float() for part in images.split(batch_size)]
        found: np.ndarray = torch.cat(parts).cpu().numpy()
        return found


def by_loop(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train by a plain loop, in float16 on a GPU as the authors do, and return what predicts."""
    batches = EXAMPLE["Batches"](images, labels, batch_size)
    steps = math.ceil(epochs * len(batches))
    kind = torch.float16 if images.is_cuda else torch.float32
    net = Network(images[:5000], widths).to(images.device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part in net.modules():
        if isinstance(part, Biased):
            part.float()
    fast = [part.bias for part in net.modules() if isinstance(part, Biased)]
    others = [p for p in net.parameters() if p.requires_grad and all(p is not bias for bias in fast)]
    scale = 1024 * (1 + 1 / (1 - EXAMPLE["MOMENTUM"]))
    rate, decay = 11.5 / scale, 0.0153 * batch_size / scale
    groups = [
        {"params": fast, "lr": rate * 64, "weight_decay": decay / rate / 64},
        {"params": others, "lr": rate, "weight_decay": decay / rate},
    ]
    optimizer = torch.optim.SGD(groups, momentum=EXAMPLE["MOMENTUM"], nesterov=True)
    shape = EXAMPLE["Triangle"](1.0, steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
    slow = [value.clone() for value in net.state_dict().values()]

    def look(share: float) -> None:
        for average, value in zip(slow, net.state_dict().values(), strict=True):
            if value.is_floating_point():
                average.lerp_(value, 1 - share)
                value.copy_(average)

    done = 0
    for epoch in range(math.ceil(epochs)):
        net.whiten.bias.requires_grad = epoch < EXAMPLE["WHITENING_BIAS_EPOCHS"]  # type: ignore[union-attr]  # it has one
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x.permute(0, 3, 1, 2).to(kind)), y, label_smoothing=0.2, reduction="sum")
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % EXAMPLE["LOOKAHEAD_STEPS"] == 0:
                look(0.95**5 * (done / steps) ** 3)
            if done == steps:
                break
    look(1.0)
    return Predictor(net.eval())


def by_fit(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train by ``fit`` and return the model."""
    return EXAMPLE["train"](images, labels, epochs, widths, batch_size)[0]


CONTENDERS: dict[str, Callable[..., Any]] = {"anabranch": by_fit, "torch loop": by_loop}


def timed(train: Callable[..., Any], images: Tensor, *rest: Any) -> tuple[Any, float]:
    """Return what training gives, and the seconds it took with all that the device was asked to do."""
    wait = torch.cuda.synchronize if images.is_cuda else (lambda: None)
    wait()
    begin = time.perf_counter()
    model = train(images, *rest)
    wait()
    return model, time.perf_counter() - begin


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return each contender's seconds and accuracies."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        ab.config.set_dtype_policy("mixed_bfloat16")
    train, test = (
        (EXAMPLE["normalized"](x[: options.limit], device), torch.from_numpy(y[: options.limit, 0]).long().to(device))
        for x, y in ab.datasets.cifar10.load_data()
    )
    found: dict[str, Any] = {name: {"seconds": [], "accuracy": []} for name in CONTENDERS}
    for number in range(options.runs + 1):
        for name in list(CONTENDERS)[:: 1 if number % 2 else -1]:
            ab.utils.set_random_seed(number)
            model, seconds = timed(CONTENDERS[name], *train, options.epochs, tuple(options.widths), options.batch_size)
            accuracy = EXAMPLE["accuracy"](model, *test)
            print(f"{'warm-up' if number == 0 else number} {name}: {seconds:.2f} s, {accuracy:.2%}", flush=True)
            if number:
                found[name]["seconds"].append(seconds)
                found[name]["accuracy"].append(accuracy)
    return {"machine": describe(torch.get_num_threads()), "device": device, "setting": vars(options), "contenders": found}


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return the figures as lines."""
    middle = {name: statistics.median(each["seconds"]) for name, each in found["contenders"].items()}
    lines = [
        f"{name}: {middle[name]:.2f} s (from {min(each['seconds']):.2f} to {max(each['seconds']):.2f}), "
        f"accuracy {statistics.mean(each['accuracy']):.2%}, {sum(a >= GOAL for a in each['accuracy'])} of "
        f"{len(each['accuracy'])} runs at {GOAL:.0%} or above"
        for name, each in found["contenders"].items()
    ]
    return [*lines, f"anabranch takes {middle['anabranch'] / middle['torch loop']:.2f} times as long as the loop"]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=9.9)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--widths", type=int, nargs=3, default=(64, 256, 256))
    parser.add_argument("--out", type=str)
    options = parser.parse_args()
    found = run(options)
    print("\n".join(lines_of(found)))
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

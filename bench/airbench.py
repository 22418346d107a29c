"""The airbench94 designs by ``fit`` (examples/airbench.py, airbench_muon.py) beside torch loops: seconds and accuracy.

    python bench/airbench.py [--design muon] [--runs 5] [--out bench/results/DATE-airbench-cuda.json]

Both train 9.9 epochs (Muon: 8) in turn, after a run each that warms the machine up; from images on the device to trained
weights, all building and capturing included. Meant for one GPU; ``--quick`` is small enough to try on a CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cifar
import numpy as np
import torch
import torch.nn.functional as F
from machine import describe
from torch import Tensor, nn

import anabranch as ab

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import airbench_muon as muon
from airbench_muon import airbench as sgd  # this file has that name, too

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

    def __init__(self, images: Tensor, widths: tuple[int, ...], divisor: float = 9) -> None:
        super().__init__()
        self.divisor = divisor
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight = nn.Parameter(torch.from_numpy(sgd.whitening(images)).permute(3, 2, 0, 1), requires_grad=False)
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
        return x / self.divisor


class Predictor:
    """What the example's ``accuracy`` asks of a model."""

    def __init__(self, net: Network) -> None:
        self.net = net

    @torch.no_grad()
    def predict(self, images: Tensor, batch_size: int, verbose: int) -> np.ndarray:
        """Return logits for images B H W C."""
        kind = self.net.head.weight.dtype
        parts = [self.net(part.permute(0, 3, 1, 2).to(kind)).float() for part in images.split(batch_size)]
        found: np.ndarray = torch.cat(parts).cpu().numpy()
        return found


def placed(net: Network, device: torch.device, kind: torch.dtype) -> tuple[Network, list[Tensor]]:
    """Return the network on the device, in a dtype but for its normalizations, whose biases are returned as well."""
    net = net.to(device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = [part.float() for part in net.modules() if isinstance(part, Biased)]
    return net, [part.bias for part in norms]


def by_loop(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train by a plain loop, in float16 on a GPU as the authors do, and return what predicts."""
    batches = sgd.Batches(images, labels, batch_size)
    steps = math.ceil(epochs * len(batches))
    kind = torch.float16 if images.is_cuda else torch.float32
    net, fast = placed(Network(images[:5000], widths), images.device, kind)
    others = [p for p in net.parameters() if p.requires_grad and all(p is not bias for bias in fast)]
    scale = 1024 * (1 + 1 / (1 - sgd.MOMENTUM))
    rate, decay = 11.5 / scale, 0.0153 * batch_size / scale
    groups = [
        {"params": fast, "lr": rate * 64, "weight_decay": decay / rate / 64},
        {"params": others, "lr": rate, "weight_decay": decay / rate},
    ]
    optimizer = torch.optim.SGD(groups, momentum=sgd.MOMENTUM, nesterov=True)
    shape = sgd.Triangle(1.0, steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
    slow = [value.clone() for value in net.state_dict().values()]

    def look(share: float) -> None:
        for average, value in zip(slow, net.state_dict().values(), strict=True):
            if value.is_floating_point():
                average.lerp_(value, 1 - share)
                value.copy_(average)

    done = 0
    for epoch in range(math.ceil(epochs)):
        net.whiten.bias.requires_grad = epoch < sgd.WHITENING_BIAS_EPOCHS  # type: ignore[union-attr]  # it has one
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x.permute(0, 3, 1, 2).to(kind)), y, label_smoothing=0.2, reduction="sum")
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % sgd.LOOKAHEAD_STEPS == 0:
                look(0.95**5 * (done / steps) ** 3)
            if done == steps:
                break
    look(1.0)
    return Predictor(net.eval())


class Orthogonal:
    """Muon for kernels, in a plain loop: kernels of one shape at once."""

    def __init__(self, kernels: list[Tensor]) -> None:
        self.kernels, self.means = kernels, [torch.zeros_like(kernel) for kernel in kernels]
        shapes: dict[tuple[int, ...], list[int]] = {}
        for place, kernel in enumerate(kernels):
            shapes.setdefault(tuple(kernel.shape), []).append(place)
        self.groups = list(shapes.values())

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update the kernels."""
        gradients = [kernel.grad for kernel in self.kernels]
        torch._foreach_mul_(self.means, muon.MOMENTUM)
        torch._foreach_add_(self.means, gradients)  # type: ignore[arg-type]  # all have one
        ahead = torch._foreach_add(gradients, self.means, alpha=muon.MOMENTUM)  # type: ignore[arg-type]
        for places in self.groups:
            x = torch.stack([ahead[place].flatten(1) for place in places])
            x = x.bfloat16() if x.is_cuda else x
            x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
            wide = x if x.shape[1] <= x.shape[2] else x.mT
            for _ in range(3):
                square = wide @ wide.mT
                wide = 3.4445 * wide + (2.0315 * square @ square - 4.7750 * square) @ wide
            for place, update in zip(places, wide if wide.shape == x.shape else wide.mT, strict=True):
                kernel = self.kernels[place]
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
                kernel.sub_(update.reshape(kernel.shape).to(kernel.dtype), alpha=rate)


def muon_steps(net: Network, biases: list[Tensor], steps: int, batch_size: int) -> Iterator[Callable[[Tensor, Tensor], None]]:
    """Yield, so many times, what trains on a batch."""
    groups = [
        {"params": params, "lr": rate, "weight_decay": muon.DECAY * batch_size / rate}
        for params, rate in (([net.whiten.bias, *biases], muon.BIAS_RATE), ([net.head.weight], muon.HEAD_RATE))
    ]
    optimizer = torch.optim.SGD(groups, momentum=muon.OTHERS_MOMENTUM, nesterov=True)
    own = Orthogonal([parameter for parameter in net.body.parameters() if parameter.dim() == 4])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(1 - step / steps, 0.0))

    def train(x: Tensor, y: Tensor) -> None:
        net.zero_grad()
        outputs = net(x.permute(0, 3, 1, 2).to(net.head.weight.dtype))
        F.cross_entropy(outputs, y, label_smoothing=0.2, reduction="sum").backward()
        optimizer.step()
        own.step(muon.RATE * (1 - schedule.last_epoch / steps))
        schedule.step()

    for _ in range(steps):
        yield train


def by_muon_loop(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train the Muon design by a plain loop and return what predicts."""
    batches = sgd.Batches(images, labels, batch_size)
    steps = math.ceil(epochs * len(batches))
    kind = torch.float16 if images.is_cuda else torch.float32
    net = Network(images[:5000], widths, widths[-1])
    net.head.weight.data /= net.head.weight.data.std()
    net, biases = placed(net, images.device, kind)
    taken = muon_steps(net, biases, steps, batch_size)
    for epoch in range(math.ceil(epochs)):
        net.whiten.bias.requires_grad = epoch < sgd.WHITENING_BIAS_EPOCHS  # type: ignore[union-attr]  # it has one
        for (x, y), step in zip(batches, taken, strict=False):
            step(x, y)
    return Predictor(net.eval())


def by_fit(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train by ``fit`` and return the model."""
    return sgd.train(images, labels, epochs, widths, batch_size)[0]


def muon_by_fit(images: Tensor, labels: Tensor, epochs: float, widths: tuple[int, ...], batch_size: int) -> Any:
    """Train the Muon design by ``fit`` and return the model."""
    return muon.train(images, labels, epochs, widths, batch_size)[0]


CONTENDERS: dict[str, Callable[..., Any]] = {"anabranch": by_fit, "torch loop": by_loop}
DESIGNS: dict[str, tuple[dict[str, Callable[..., Any]], float, int]] = {
    "airbench94": (CONTENDERS, 9.9, sgd.BATCH_SIZE),
    "muon": ({"anabranch": muon_by_fit, "torch loop": by_muon_loop}, muon.EPOCHS, muon.BATCH_SIZE),
}


def timed(train: Callable[..., Any], images: Tensor, *rest: Any) -> tuple[Any, float]:
    """Return what training gives, and the seconds it took with all that the device was asked to do."""
    wait = torch.cuda.synchronize if images.is_cuda else (lambda: None)
    wait()
    begin = time.perf_counter()
    model = train(images, *rest)
    wait()
    return model, time.perf_counter() - begin


def run(options: argparse.Namespace, write: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return each contender's seconds and accuracies, which are written as they come."""
    device, contenders = options.device, DESIGNS[options.design][0]
    ab.config.set_device(device)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        ab.config.set_dtype_policy("mixed_bfloat16")
    parts, data = cifar.loaded(options.quick)
    train, test = (
        (sgd.normalized(x[: options.limit], device), torch.from_numpy(y[: options.limit, 0]).long().to(device))
        for x, y in parts
    )
    found: dict[str, Any] = {
        "design": options.design, "data": data, "machine": describe(torch.get_num_threads()), "device": device,
        "setting": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "contenders": {name: {"seconds": [], "accuracy": []} for name in contenders},
    }  # fmt: skip
    for number in range(options.runs + 1):
        for name in list(contenders)[:: 1 if number % 2 else -1]:
            ab.utils.set_random_seed(number)
            torch.manual_seed(number)
            model, seconds = timed(contenders[name], *train, options.epochs, tuple(options.widths), options.batch_size)
            accuracy = sgd.accuracy(model, *test)
            print(f"{'warm-up' if number == 0 else number} {name}: {seconds:.2f} s, {accuracy:.2%}", flush=True)
            if number:
                found["contenders"][name]["seconds"].append(seconds)
                found["contenders"][name]["accuracy"].append(accuracy)
                write(found)
    return found


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
    parser.add_argument("--design", choices=list(DESIGNS), default="airbench94")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--widths", type=int, nargs=3, default=(64, 256, 256))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="a narrow network, one run, few images")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    _, epochs, batch_size = DESIGNS[options.design]
    options.epochs, options.batch_size = options.epochs or epochs, options.batch_size or batch_size
    if options.quick:
        options.runs, options.epochs, options.batch_size, options.limit, options.widths = 1, 4, 50, 400, (8, 16, 16)

    def write(found: dict[str, Any]) -> None:
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    print("\n".join(lines_of(run(options, write))))


if __name__ == "__main__":
    main()

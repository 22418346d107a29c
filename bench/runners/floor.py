"""What the machine allows: the convolutions of a network alone, forward and backward, channels_last, memory reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nets.torch_modules import convolutions_of
from runners import torch_loop
from works import Case


def train(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters of the whole network and as many steps as an epoch has."""
    case = cases["fit"]
    module = torch_loop.module_of(name, "channels_last", device)
    x, _ = torch_loop.tensors_of(name, case.batch, "channels_last", device)
    parts = []
    for number, (layer, shape) in enumerate(convolutions_of(module, x[0])):
        images = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last).requires_grad_(number > 0)
        with torch.no_grad():
            gradient = torch.rand_like(layer(images))
        wanted = [images, *layer.parameters()] if number else list(layer.parameters())
        parts.append((layer, images, wanted, gradient))

    def steps() -> None:
        for _ in range(-(-case.amount // case.batch)):
            for layer, images, wanted, gradient in parts:
                torch.autograd.grad(layer(images), wanted, gradient)
        torch_loop.finish(device)

    return torch_loop.size(module), {"fit": steps}

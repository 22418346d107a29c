"""The networks in pytorch-symbolic's functional API, over torch's modules."""

from __future__ import annotations

from typing import Any

from nets.torch_modules import convolution, head
from pytorch_symbolic import Input, SymbolicModel
from pytorch_symbolic.useful_layers import LambdaOpLayer
from torch import Tensor, nn


def toy_resnet() -> SymbolicModel:
    """Return the toy ResNet."""
    inputs = Input((3, 32, 32))
    x = inputs(nn.Conv2d(3, 32, 3))(nn.ReLU())(nn.Conv2d(32, 64, 3))(nn.ReLU())(nn.MaxPool2d(3))
    for _ in range(2):
        y = x(nn.Conv2d(64, 64, 3, padding=1))(nn.ReLU())
        x = y(nn.Conv2d(64, 64, 3, padding=1))(nn.ReLU()) + x
    x = x(nn.Conv2d(64, 64, 3))(nn.ReLU())(nn.AdaptiveAvgPool2d(1))(nn.Flatten())
    return SymbolicModel(inputs, x(nn.Linear(64, 256))(nn.ReLU())(nn.Dropout(0.5))(nn.Linear(256, 10)))


def block(x: Any, parts: list[tuple[int, int, int]]) -> Any:
    """Return a residual block; see ``torch_modules.Block``."""
    y = x
    for number, (filters, size, stride) in enumerate(parts):
        y = y(convolution(y.channels, filters, size, stride))
        if number < len(parts) - 1:
            y = y(nn.ReLU(inplace=True))
    if x.shape != y.shape:
        x = x(convolution(x.channels, y.channels, 1, x.H // y.H))
    return (y + x)(nn.ReLU(inplace=True))


def finished(inputs: Any, x: Any, classes: int) -> SymbolicModel:
    """Return the model with pooling and the last dense layer."""
    for layer in head(x.channels, classes):
        x = x(layer)
    return SymbolicModel(inputs, x)


def resnet20() -> SymbolicModel:
    """Return the ResNet-20 for CIFAR, with projections."""
    inputs = Input((3, 32, 32))
    x = inputs(convolution(3, 16, 3))(nn.ReLU(inplace=True))
    for stage, filters in enumerate((16, 32, 64)):
        for number in range(3):
            x = block(x, [(filters, 3, 2 if stage and not number else 1), (filters, 3, 1)])
    return finished(inputs, x, 10)


def resnet50() -> SymbolicModel:
    """Return the ResNet-50."""
    inputs = Input((3, 224, 224))
    x = inputs(convolution(3, 64, 7, 2))(nn.ReLU(inplace=True))(nn.MaxPool2d(3, 2, padding=1))
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for number in range(blocks):
            x = block(x, [(filters, 1, 1), (filters, 3, 2 if stage and not number else 1), (4 * filters, 1, 1)])
    return finished(inputs, x, 1000)


def two_tower() -> SymbolicModel:
    """Return two towers over one embedding."""
    import torch

    def mean(words: Tensor) -> Tensor:
        return words.mean(1)

    def product(left: Tensor, right: Tensor) -> Tensor:
        return (left * right).sum(1, keepdim=True)

    query, document = Input((16,), dtype=torch.int64), Input((64,), dtype=torch.int64)
    embedding = nn.Embedding(10_000, 64)
    ends = [
        words(embedding)(LambdaOpLayer(mean))(nn.Linear(64, 128))(nn.ReLU())(nn.Linear(128, 64)) for words in (query, document)
    ]
    return SymbolicModel([query, document], ends[0](LambdaOpLayer(product), ends[1]))


def mlp250() -> SymbolicModel:
    """Return 250 dense layers."""
    x = inputs = Input((64,))
    for _ in range(249):
        layer = nn.Linear(64, 64)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        x = x(layer)(nn.ReLU())
    return SymbolicModel(inputs, x(nn.Linear(64, 10)))


NETS = {net.__name__: net for net in (toy_resnet, resnet20, resnet50, two_tower, mlp250)}

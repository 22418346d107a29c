"""The networks as plain torch modules, as torch people write them; images are B C H W."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ToyResNet(nn.Module):
    """The toy ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3)
        self.conv3, self.conv4 = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.conv5, self.conv6 = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.conv7 = nn.Conv2d(64, 64, 3)
        self.dense1, self.dropout, self.dense2 = nn.Linear(64, 256), nn.Dropout(0.5), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 3)
        x = F.relu(self.conv4(F.relu(self.conv3(x)))) + x
        x = F.relu(self.conv6(F.relu(self.conv5(x)))) + x
        x = F.relu(self.conv7(x)).mean((2, 3))
        return self.dense2(self.dropout(F.relu(self.dense1(x))))


def convolution(inputs: int, filters: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias and its batch normalization."""
    layer = nn.Conv2d(inputs, filters, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(layer, nn.BatchNorm2d(filters))


class Block(nn.Module):
    """A residual block: convolutions (filters, size, stride) with ReLU between them, a projection where the shape changes."""

    def __init__(self, inputs: int, parts: list[tuple[int, int, int]]) -> None:
        super().__init__()
        stride, outputs, width = max(part[2] for part in parts), parts[-1][0], inputs
        steps: list[nn.Module] = []
        for filters, size, step in parts:
            steps += [convolution(width, filters, size, step), nn.ReLU(inplace=True)]
            width = filters
        self.way = nn.Sequential(*steps[:-1])
        self.skip = convolution(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways, after ReLU."""
        return F.relu(self.way(x) + self.skip(x), inplace=True)


def head(inputs: int, classes: int) -> list[nn.Module]:
    """Return global average pooling and the last dense layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


def resnet20() -> nn.Sequential:
    """Return the ResNet-20 for CIFAR, with projections."""
    steps: list[nn.Module] = [convolution(3, 16, 3), nn.ReLU(inplace=True)]
    width = 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            steps.append(Block(width, [(filters, 3, 2 if stage and not block else 1), (filters, 3, 1)]))
            width = filters
    return nn.Sequential(*steps, *head(64, 10))


def resnet50() -> nn.Sequential:
    """Return the ResNet-50."""
    steps: list[nn.Module] = [convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
    width = 64
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            steps.append(Block(width, [(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]))
            width = 4 * filters
    return nn.Sequential(*steps, *head(2048, 1000))


class TwoTower(nn.Module):
    """Two towers over one embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 64)
        self.query, self.document = (nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64)) for _ in range(2))

    def forward(self, query: Tensor, document: Tensor) -> Tensor:
        """Return the product of both ends, B 1."""
        left = self.query(self.embedding(query).mean(1))
        right = self.document(self.embedding(document).mean(1))
        return (left * right).sum(1, keepdim=True)


def mlp250() -> nn.Sequential:
    """Return 250 dense layers."""
    steps: list[nn.Module] = []
    for _ in range(249):
        layer = nn.Linear(64, 64)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        steps += [layer, nn.ReLU()]
    return nn.Sequential(*steps, nn.Linear(64, 10))


class TextLSTM(nn.Module):
    """A classifier of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(10_000, 128), nn.LSTM(128, 128, batch_first=True)
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)  # one bias, as in Keras
        self.dense = nn.Linear(128, 1)

    def forward(self, words: Tensor) -> Tensor:
        """Return a logit for each text, B 1."""
        return self.dense(self.lstm(self.embedding(words))[0][:, -1])


NETS = {
    "toy_resnet": ToyResNet, "resnet20": resnet20, "resnet50": resnet50, "two_tower": TwoTower, "mlp250": mlp250,
    "lstm": TextLSTM,
}  # fmt: skip


def convolutions_of(module: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, torch.Size]]:
    """Return every convolution with the shape of what it gets, in the order in which they run."""
    found: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: found.append((layer, inputs[0].shape)))
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.no_grad():
        module(images)
    for hook in hooks:
        hook.remove()
    return found

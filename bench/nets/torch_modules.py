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


def convolution(inputs: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution without bias and its batch normalization."""
    layer = nn.Conv2d(inputs, filters, size, stride, padding=size // 2, groups=groups, bias=False)
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


class Augmented(nn.Module):
    """The ResNet-20 behind the paper's augmentation: padded by 4, each image cropped at random and flipped by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.body = resnet20()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        if not self.training:
            return self.body(x)
        count, device = len(x), x.device
        rows, columns = (torch.randint(9, (count, 1), device=device) + torch.arange(32, device=device) for _ in range(2))
        columns = torch.where(torch.rand(count, 1, device=device) < 0.5, columns, columns.flip(1))
        wide = F.pad(x, (4, 4, 4, 4)).permute(0, 2, 3, 1)
        each = torch.arange(count, device=device)[:, None, None]
        return self.body(wide[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2))


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


class Attention(nn.Module):
    """Self-attention whose queries, keys and values are one product, by torch's fused function."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.inner, self.outer = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return B T C for B T C."""
        q, k, v = self.inner(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.outer(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def feed_forward(width: int, between: nn.Module) -> nn.Sequential:
    """Return a block's two dense layers."""
    return nn.Sequential(nn.Linear(width, 4 * width), between, nn.Linear(4 * width, width))


class Transformer(nn.Module):
    """A classifier of texts by one encoder block."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(10_000, 128), nn.Parameter(torch.randn(128, 128) * 0.02)
        self.attention, self.dense = Attention(128, 4), feed_forward(128, nn.ReLU())
        self.norm1, self.norm2, self.dropout = nn.LayerNorm(128, 1e-6), nn.LayerNorm(128, 1e-6), nn.Dropout(0.1)
        self.last = nn.Linear(128, 1)

    def forward(self, words: Tensor) -> Tensor:
        """Return a logit for each text, B 1."""
        x = self.embedding(words) + self.places
        x = self.norm1(x + self.dropout(self.attention(x)))
        x = self.norm2(x + self.dropout(self.dense(x)))
        return self.last(x.mean(1))


class ViTBlock(nn.Module):
    """An encoder block that normalizes first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attention, self.dense = Attention(width, heads), feed_forward(width, nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """Return B T C for B T C."""
        x = x + self.attention(self.norm1(x))
        return x + self.dense(self.norm2(x))


class ViT(nn.Module):
    """The small ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 192, 4, 4), nn.Parameter(torch.randn(64, 192) * 0.02)
        self.blocks, self.norm = nn.Sequential(*(ViTBlock(192, 3) for _ in range(6))), nn.LayerNorm(192, 1e-6)
        self.last = nn.Linear(192, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.last(self.norm(self.blocks(x)).mean(1))


class InvertedResidual(nn.Module):
    """A block of MobileNetV2: widen, a convolution of each channel, narrow; added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int) -> None:
        super().__init__()
        width = inputs * factor
        widen = [convolution(inputs, width, 1), nn.ReLU6(inplace=True)] if factor > 1 else []
        depthwise = [convolution(width, width, 3, stride, groups=width), nn.ReLU6(inplace=True)]
        self.way = nn.Sequential(*widen, *depthwise, convolution(width, outputs, 1))
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return B C' H' W' for B C H W."""
        return x + self.way(x) if self.added else self.way(x)


def mobilenet_v2() -> nn.Sequential:
    """Return the MobileNetV2, as torchvision has it but for the last layer's dropout."""
    steps: list[nn.Module] = [convolution(3, 32, 3, 2), nn.ReLU6(inplace=True)]
    width = 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, filters, blocks, stride in stages:
        for number in range(blocks):
            steps.append(InvertedResidual(width, filters, 1 if number else stride, factor))
            width = filters
    return nn.Sequential(*steps, convolution(320, 1280, 1), nn.ReLU6(inplace=True), *head(1280, 10))


NETS = {
    "toy_resnet": ToyResNet, "resnet20": resnet20, "resnet50": resnet50, "two_tower": TwoTower, "mlp250": mlp250,
    "lstm": TextLSTM, "transformer": Transformer, "vit": ViT, "mobilenet_v2": mobilenet_v2,
    "resnet20_augmented": Augmented,
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

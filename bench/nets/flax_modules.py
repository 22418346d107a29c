"""The networks as flax.linen modules; images are B H W C, as XLA likes them."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax


class ToyResNet(nn.Module):
    """The toy ResNet."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return logits."""
        x = nn.relu(nn.Conv(32, (3, 3), padding="VALID")(x))
        x = nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x))
        x = nn.max_pool(x, (3, 3), strides=(3, 3))
        for _ in range(2):
            y = nn.relu(nn.Conv(64, (3, 3))(x))
            x = nn.relu(nn.Conv(64, (3, 3))(y)) + x
        x = nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x)).mean((1, 2))
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(nn.Dense(256)(x)))
        return nn.Dense(10)(x)


class Block(nn.Module):
    """A residual block: convolutions (filters, size, stride) with ReLU between them, a projection where the shape changes."""

    parts: tuple[tuple[int, int, int], ...]

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return the sum of both ways, after ReLU."""
        y = x
        for number, part in enumerate(self.parts):
            y = nn.relu(y) if number else y
            y = Convolution(*part)(y, train)
        if x.shape != y.shape:
            x = Convolution(y.shape[-1], 1, x.shape[1] // y.shape[1])(x, train)
        return nn.relu(x + y)


class Convolution(nn.Module):
    """A convolution without bias and its batch normalization."""

    filters: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return the normalized convolution."""
        size, padding = (self.size, self.size), self.size // 2
        start = nn.initializers.he_normal()
        x = nn.Conv(self.filters, size, self.stride, padding=padding, use_bias=False, kernel_init=start)(x)
        return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)


class ResNet20(nn.Module):
    """The ResNet-20 for CIFAR, with projections."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return logits."""
        x = nn.relu(Convolution(16, 3)(x, train))
        for stage, filters in enumerate((16, 32, 64)):
            for block in range(3):
                x = Block(((filters, 3, 2 if stage and not block else 1), (filters, 3, 1)))(x, train)
        return nn.Dense(10)(x.mean((1, 2)))


class ResNet50(nn.Module):
    """The ResNet-50."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return logits."""
        x = nn.relu(Convolution(64, 7, 2)(x, train))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                x = Block(((filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)))(x, train)
        return nn.Dense(1000)(x.mean((1, 2)))


class TwoTower(nn.Module):
    """Two towers over one embedding."""

    @nn.compact
    def __call__(self, query: Any, document: Any, train: bool) -> Any:
        """Return the product of both ends, B 1."""
        embedding = nn.Embed(10_000, 64)
        ends = []
        for words in (query, document):
            x = nn.relu(nn.Dense(128)(embedding(words).mean(1)))
            ends.append(nn.Dense(64)(x))
        return (ends[0] * ends[1]).sum(1, keepdims=True)


class MLP250(nn.Module):
    """250 dense layers."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return logits."""
        for _ in range(249):
            x = nn.relu(nn.Dense(64, kernel_init=jax.nn.initializers.he_normal())(x))
        return nn.Dense(10)(x)


NETS = {"toy_resnet": ToyResNet, "resnet20": ResNet20, "resnet50": ResNet50, "two_tower": TwoTower, "mlp250": MLP250}

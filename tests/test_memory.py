"""Training takes no more memory than the same loop in plain torch, counted by every block that torch allocates and frees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import anabranch as keras

BATCH, STEPS, SLACK = 16, 4, 4096  # bytes: the metrics' and the loop's own numbers


def allocations(work: Callable[[], Any]) -> list[int]:
    """Return the bytes that torch allocated (above 0) and freed (below 0) while ``work`` ran, in order."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watched:
        work()
    return [event.nbytes() for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]


def most_at_once(work: Callable[[], Any]) -> int:
    """Return how many bytes more than before torch held at most while ``work`` ran."""
    return int(np.cumsum(allocations(work)).max())


def convolutions(room: Any) -> Any:
    """Return two convolutions with normalization, a residual join, and a head."""
    x = room.Input((32, 32, 3))
    y = room.layers.Conv2D(32, 3, activation="relu")(x)
    a = room.layers.MaxPooling2D(2)(y)
    b = room.layers.Conv2D(32, 3, padding="same", use_bias=False)(a)
    b = room.layers.ReLU()(room.layers.BatchNormalization()(b))
    b = room.layers.Conv2D(32, 3, padding="same", activation="relu")(b)
    y = room.layers.GlobalAveragePooling2D()(room.layers.add([a, b]))
    return room.Model(x, room.layers.Dense(10)(y))


class Convolutions(nn.Module):
    """The same in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3)
        self.second = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.third = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = F.max_pool2d(F.relu(self.first(x)), 2)
        b = F.relu(self.norm(self.second(a)))
        return self.head((a + F.relu(self.third(b))).mean((2, 3)))  # type: ignore[no-any-return]


def dense(room: Any) -> Any:
    """Return a deep stack of dense layers."""
    x = y = room.Input((256,))
    for _ in range(12):
        y = room.layers.Dense(256, activation="relu")(y)
    return room.Model(x, room.layers.Dense(10)(y))


def dense_in_torch() -> nn.Module:
    return nn.Sequential(*[part for _ in range(12) for part in (nn.Linear(256, 256), nn.ReLU())], nn.Linear(256, 10))


@pytest.mark.not_fake("its memory is that of the CPU, which the loop in torch computes on")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("describe", "module", "shape"),
    [(convolutions, Convolutions, (32, 32, 3)), (dense, dense_in_torch, (256,))],
    ids=["convolutions", "dense"],
)
def test_peak_is_not_above_that_of_a_loop_in_torch(
    describe: Any, module: Callable[[], nn.Module], shape: Any, optimizer: str
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, *shape)).astype("float32")
    y = rng.integers(0, 10, BATCH * STEPS)
    model = describe(keras)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, verbose=0)
    ours = most_at_once(lambda: model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0))

    images = torch.from_numpy(x) if len(shape) == 1 else torch.from_numpy(x).permute(0, 3, 1, 2)
    plain = module().to(memory_format=torch.channels_last) if len(shape) == 3 else module()
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](plain.parameters())

    def epochs(count: int) -> None:
        for _ in range(count):
            for picks in torch.randperm(len(y)).split(BATCH):
                rule.zero_grad()
                F.cross_entropy(plain(images[picks]), torch.from_numpy(y)[picks]).backward()
                rule.step()

    epochs(1)
    rule.zero_grad()  # as fit does at its end: what is freed later would lower the count
    theirs = most_at_once(lambda: epochs(2))
    assert ours <= theirs + SLACK, (ours, theirs)


def test_a_smaller_last_batch_takes_no_gradients_of_its_own() -> None:
    model = dense(keras)
    model.compile("sgd", "mse")
    count = BATCH * STEPS
    x, y = np.zeros((count + 1, 256), "float32"), np.zeros((count + 1, 10), "float32")
    model.fit(x[:count], y[:count], batch_size=BATCH, verbose=0)
    peaks = [
        most_at_once(lambda n=n: model.fit(x[:n], y[:n], batch_size=BATCH, epochs=2, verbose=0)) for n in (count, count + 1)
    ]

    assert peaks[1] < 1.15 * peaks[0], peaks  # a few activations and one gradient more


def test_nothing_of_a_step_stays_after_it() -> None:
    model = dense(keras)
    model.compile("adam", "mse")
    x, y = np.zeros((64, 256), "float32"), np.zeros((64, 10), "float32")
    model.fit(x, y, verbose=0)

    # gradients go at the end of fit; what stays is a few numbers, less than one layer's bias
    assert sum(allocations(lambda: model.fit(x, y, verbose=0))) < 1024


def test_a_batch_that_stays_referenced_would_be_seen() -> None:
    alive: list[torch.Tensor] = []

    def step(keep: bool) -> None:
        batch = torch.zeros(BATCH, 256)
        alive.extend([batch] * keep)

    once = most_at_once(lambda: step(False))
    assert most_at_once(lambda: [step(False) for _ in range(3)]) == once
    assert most_at_once(lambda: [step(True) for _ in range(3)]) > once + SLACK

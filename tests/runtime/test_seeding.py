"""Torch's generators follow the global seed; a layer's own seed makes it a generator of its own."""

from __future__ import annotations

import numpy as np
import torch
from devices import equal, here

import anabranch as ab
from anabranch import layers, runtime


def test_the_global_seed_reaches_torch_once() -> None:
    ab.utils.set_random_seed(7)
    runtime.synchronise_seed()
    first = torch.rand(3)
    runtime.synchronise_seed()  # nobody has set a seed since
    second = torch.rand(3)
    assert equal(first, torch.rand(3, generator=torch.Generator().manual_seed(7)))
    ab.utils.set_random_seed(7)
    drawn = torch.rand(3)
    layers.Dense(2)(np.ones((1, 3), "float32"))
    assert not equal(torch.rand(3), drawn), "what runs first does not let a user's numbers come again"
    assert not equal(first, second)
    ab.utils.set_random_seed(7)  # the same number counts as a new setting
    runtime.synchronise_seed()
    assert equal(torch.rand(3), first)


def test_the_state_shows_whether_somebody_drew() -> None:
    before = runtime.random_state()
    assert runtime.random_state() == before
    torch.rand(1)
    assert runtime.random_state() != before


def test_a_generator_of_its_own_goes_on_and_repeats() -> None:
    def draw(generator: torch.Generator) -> torch.Tensor:
        return torch.rand(4, generator=generator, device=here())

    first = runtime.generator(3)
    assert equal(draw(first), draw(torch.Generator(here()).manual_seed(3)))
    assert runtime.generator(3, first) is first  # it goes on
    assert runtime.generator(3) is not first


def test_layers_with_seeds_ignore_the_global_generator() -> None:
    x = np.ones((64, 8), "float32")

    def drawn(seed: int | None) -> np.ndarray:
        layer = layers.Dropout(0.5, seed=seed)
        return np.stack([layer(x, training=True).cpu().numpy() for _ in range(2)])

    ab.utils.set_random_seed(1)
    first = drawn(5)
    torch.rand(10)
    assert np.array_equal(drawn(5), first)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(drawn(6), first)
    before = runtime.random_state()
    drawn(5)
    assert runtime.random_state() == before

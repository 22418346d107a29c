"""Random numbers: their distribution, their seeds, and that a traced call draws anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device

import anabranch as ab
from anabranch import layers, random, utils
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError

DRAWS = {
    "normal": lambda seed: random.normal((20_000,), 1.0, 2.0, seed=seed),
    "uniform": lambda seed: random.uniform((20_000,), -1.0, 3.0, seed=seed),
    "randint": lambda seed: random.randint((20_000,), 0, 3, seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((20_000,), 1.0, 2.0, seed=seed),
    "categorical": lambda seed: random.categorical(on_device(torch.zeros(1, 3)), 20_000, seed=seed),
    "dropout": lambda seed: random.dropout(on_device(torch.ones(20_000)), 0.5, seed=seed),
    "shuffle": lambda seed: random.shuffle(on_device(torch.arange(3.0).repeat(100)), seed=seed),
}
# name -> mean, standard deviation, least, greatest; of a normal within two deviations, the deviation is 0.8796 of the whole
EXPECTED = {
    "normal": (1, 2, -12, 12), "uniform": (1, 4 / 12**0.5, -1, 3), "randint": (1, (2 / 3) ** 0.5, 0, 2),
    "truncated_normal": (1, 0.8796 * 2, -3, 5), "categorical": (1, (2 / 3) ** 0.5, 0, 2), "dropout": (1, 1, 0, 2),
    "shuffle": (1, (2 / 3) ** 0.5, 0, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DRAWS))
def test_distribution_and_seeds(name: str) -> None:
    draw = DRAWS[name]
    utils.set_random_seed(1)
    found = draw(7).to(torch.float64)
    mean, deviation, least, greatest = EXPECTED[name]
    assert abs(found.mean().item() - mean) < 0.06
    assert abs(found.std(correction=0).item() - deviation) < 0.06
    assert found.min() >= least
    assert found.max() <= greatest
    assert equal(draw(7), draw(7)), "an integer means the same values"
    row = random.SeedGenerator(3)
    first = draw(row)
    assert not equal(first, draw(row)), "a generator goes on"
    assert equal(first, draw(random.SeedGenerator(3)))
    assert not equal(draw(None), draw(None))


@pytest.mark.parametrize("seed", [None, 5, "row"])
def test_a_traced_call_draws_by_its_seed(seed: Any) -> None:
    class Noise(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.row = random.SeedGenerator(3) if seed == "row" else seed

        def call(self, x: Any) -> Any:
            return x + random.normal((x.shape[0], 4), seed=self.row)

    x = ab.Input((4,))
    model = ab.Model(x, Noise()(x))
    zeros = np.zeros((3, 4), "float32")
    a, b = model.predict(zeros, verbose=0), model.predict(zeros, verbose=0)
    assert np.array_equal(a, b) == (seed == 5)
    assert "normal_" in model.to_torch().code, "traced, not run whole"


def test_the_seed_of_the_process_repeats_its_numbers() -> None:
    found = []
    for _ in range(2):
        utils.set_random_seed(4)
        found.append(random.normal((3,)))
    assert equal(*found)


def test_mistakes() -> None:
    with pytest.raises(ArgumentTypeError, match="SeedGenerator"):
        random.normal((3,), seed="x")
    with pytest.raises(DtypeError, match="floats"):
        random.uniform((3,), dtype="int32")
    with pytest.raises(ArgumentError, match="sizes that are known"):
        random.normal((None, 3))
    with pytest.raises(ArgumentError, match=r"is in \[0, 1\]"):
        random.dropout(torch.ones(3), 1.5)
    with pytest.raises(ArgumentTypeError, match="integer"):
        random.SeedGenerator(1.5)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_a_seed_of_numpy_is_an_integer(kind: Any) -> None:
    assert random.SeedGenerator(kind(3)).get_config() == {"seed": 3}
    assert equal(random.SeedGenerator(kind(3)).next(), random.SeedGenerator(3).next())
    assert equal(random.normal((3,), seed=kind(3)), random.normal((3,), seed=3))
    x, drop = on_device(torch.ones(2, 9)), [layers.Dropout(0.5, seed=seed) for seed in (kind(3), 3)]
    assert equal(*(layer(x, training=True) for layer in drop))
    parts = [utils.split_dataset(np.arange(9), 0.5, shuffle=True, seed=seed)[0].indices for seed in (kind(3), 3)]
    assert parts[0] == parts[1]
    windows = [utils.timeseries_dataset_from_array(np.arange(9), None, 2, shuffle=True, seed=seed) for seed in (kind(3), 3)]
    assert equal(*(next(iter(each)) for each in windows))
    pairs = [ab.preprocessing.sequence.skipgrams([1, 2, 3], 4, seed=seed, negative_samples=0) for seed in (kind(3), 3)]
    assert pairs[0] == pairs[1]
    images = [
        next(ab.preprocessing.image.ImageDataGenerator().flow(np.arange(32.0).reshape(8, 2, 2, 1), seed=seed))
        for seed in (kind(3), 3)
    ]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_a_seed_of_numpy_orders_files(kind: Any, tmp_path: Any) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(str(number))
    found = [
        [str(text) for batch in utils.text_dataset_from_directory(tmp_path, None, seed=seed, verbose=False) for text in batch]
        for seed in (kind(3), 3)
    ]
    assert found[0] == found[1]

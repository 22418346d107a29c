"""Weights and gradients that lie side by side: updated by one call, and tensors of their own to everybody else."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers, optimizers, runtime
from anabranch.optimizers import update
from anabranch.runtime import neighbors

pytestmark = pytest.mark.on_cpu


def test_tensors_lie_side_by_side_in_their_layouts() -> None:
    given = [torch.randn(3, 4), torch.randn(32), torch.randn(4, 8).t(), torch.randn(3, 4)]
    found = runtime.adjacent(given)
    assert found is not None
    assert all(map(torch.equal, found, given))
    assert [tensor.stride() for tensor in found] == [tensor.stride() for tensor in given]
    one = runtime.as_one(found)
    assert one is not None
    assert one.numel() == 32 + 32 + 16 + 16  # without gaps first; then 12 values in room for 16, twice
    one.add_(1)
    for tensor, before in zip(found, given, strict=True):
        torch.testing.assert_close(tensor, before + 1, rtol=0, atol=0)
    assert runtime.as_one(found[1:3]) is not None
    for other in (found[::-1], found[1:], [given[0]], [found[0].t().contiguous()]):
        assert runtime.as_one(other) is None
    found[1].data = found[1].clone()
    assert runtime.as_one(found) is None


def test_each_has_a_storage_of_its_own() -> None:
    found = runtime.adjacent([torch.randn(16) for _ in range(100)])
    assert found is not None
    assert [tensor.untyped_storage().nbytes() for tensor in found] == [64] * 100
    assert len(pickle.dumps(found[0])) == len(pickle.dumps(torch.randn(16)))
    file = io.BytesIO()
    torch.save(found[0], file)
    assert len(file.getvalue()) < 4_000
    twin = copy.deepcopy(found[0])
    found[0].zero_()
    assert twin.abs().sum() > 0
    found[0].share_memory_()
    found[0].add_(1)
    assert found[0].tolist() == [1.0] * 16


def test_memory_goes_with_the_last_of_them() -> None:
    gc.collect()
    before = len(neighbors._memories)
    found = runtime.adjacent([torch.randn(16) for _ in range(3)])
    assert found is not None
    last = found.pop()
    del found
    assert len(neighbors._memories) == before + 1
    del last
    assert len(neighbors._memories) == before


def test_what_stays_where_it_is() -> None:
    large, half = torch.zeros(runtime.ELEMENTS), torch.zeros(4, dtype=torch.bfloat16)
    for given in ([large], [half], [torch.zeros(0)], [torch.zeros(4), torch.zeros(4).double()], [torch.zeros(4, 4)[:, :2]]):
        assert runtime.adjacent(given) is None


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tensors each update was given."""
    found: list[int] = []
    for kind in (optimizers.Adam, optimizers.SGD, optimizers.RMSprop):
        plain = kind.update_weights

        def counted(self: Any, lists: update.Lists, rate: update.Number, plain: Any = plain) -> None:
            found.append(len(lists.weights))
            plain(self, lists, rate)

        counted.__module__ = plain.__module__
        monkeypatch.setattr(kind, "update_weights", counted)
    return found


def trained(optimizer: Any, **options: Any) -> Any:
    ab.utils.set_random_seed(3)
    inputs = x = ab.Input((16,))
    for _ in range(10):
        x = layers.Dense(16, activation="relu")(x)
    model = ab.Model(inputs, layers.Dense(3)(x))
    model.compile(optimizer, ab.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(40, 16)).astype("float32"), rng.integers(0, 3, 40), batch_size=4, verbose=0)
    return model


@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.SGD, optimizers.RMSprop])
def test_one_call_updates_one_tensor(make: Any, counts: list[int]) -> None:
    flat = trained(make(0.01, clipnorm=0.5))
    assert counts == [22] * 4 + [1 + 1] * 6  # all but the last bias, of 3 values
    plain = trained(make(0.01, clipnorm=0.5), jit_compile=False)
    for one, other in zip(flat.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_derived_rules_see_each_weight() -> None:
    seen = []

    class Derived(optimizers.SGD):
        def update_weights(self, lists: Any, rate: Any) -> None:
            seen.append(len(lists.weights))
            super().update_weights(lists, rate)

    trained(Derived(0.01))
    assert set(seen) == {22}


def test_weights_that_moved_are_updated_one_by_one(counts: list[int]) -> None:
    model = trained("adam")
    kernel = model.layers[2].kernel.value
    kernel.data = kernel.data.clone()
    counts.clear()
    model.fit(np.zeros((40, 16), "float32"), np.zeros(40, int), batch_size=4, verbose=0)
    assert set(counts) == {22}

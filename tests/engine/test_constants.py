"""Knowing from a tensor's memory that a value in it has changed, whoever wrote it, and how often that is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from anabranch import Input, Model, layers
from anabranch.engine.constants import Constants, Memory

pytestmark = pytest.mark.on_cpu


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64, torch.int8], ids=str)
@pytest.mark.parametrize("counts", [(0,), (1,), (7, 64), (5, 0, 300_001, 3), (300_001, 400_000)], ids=str)
def test_every_change_is_noticed_once(counts: tuple[int, ...], kind: torch.dtype) -> None:
    drawn = torch.Generator().manual_seed(0)
    tensors = [(100 * torch.rand(count, generator=drawn)).to(kind) for count in counts]
    memory = Memory(tensors)
    assert memory.note_changes(), "at first"
    assert not memory.note_changes()
    for tensor in tensors:
        count = len(tensor)
        for place in {0, count // 2, count - 1} if count else ():
            tensor[place] = -tensor[place].item() - 1
            assert memory.note_changes()
            assert not memory.note_changes()
        if count > 1:
            tensor.copy_(tensor.flip(0))
            assert memory.note_changes(), "values changed places"
            assert not memory.note_changes()


def test_another_place_is_a_change() -> None:
    weight = torch.nn.Parameter(torch.ones(5))
    memory = Memory([weight])
    memory.note_changes()
    places = memory.places
    weight.data = torch.ones(5)
    assert memory.note_changes()
    assert memory.places != places
    weight.data.zero_()
    assert memory.note_changes(), "what is there now is compared"
    assert not memory.note_changes()


def moved_within(data: torch.Tensor) -> None:
    data.copy_(data.roll(2, 1))


def exchanged(data: torch.Tensor) -> None:
    data.copy_(data.flip(1))


def written_by_numpy(data: torch.Tensor) -> None:
    data.numpy()[...] = 0.5


CHANGES: list[Callable[[torch.Tensor], None]] = [moved_within, exchanged, written_by_numpy, torch.Tensor.zero_]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("count", [1, 3])
def test_predict_never_answers_with_old_weights(change: Callable[[torch.Tensor], None], count: int) -> None:
    """By ``.data`` and by views of NumPy's, which torch counts no change for; checksums of sums miss values that move."""
    inputs = Input((12, 12, 128))
    model = Model(inputs, layers.Conv2D(64, 3, activation="relu")(inputs))
    x = np.random.default_rng(0).normal(size=(count, 12, 12, 128)).astype("float32")
    kernel = next(model.parameters())
    with torch.no_grad():
        kernel.copy_(torch.eye(128).repeat(1, 9)[:64].reshape(64, 128, 3, 3))  # sums of rows and columns that flipping keeps
    before = model.predict(x, verbose=0)
    assert model.explain_execution(single=count == 1).prepared, "the kernel is held in blocks"
    change(kernel.data)
    after = model.predict(x, verbose=0)
    assert not np.allclose(before, after)
    expected = torch.relu(torch.conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), kernel.detach())).permute(0, 2, 3, 1)
    np.testing.assert_allclose(after, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_weights_are_compared_once_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = Input((12, 12, 3))
    model = Model(inputs, layers.Conv2D(8, 3, activation="relu")(inputs))
    x = np.zeros((9, 12, 12, 3), "float32")
    model.predict(x, batch_size=3, verbose=0)
    looks = 0
    look = Memory.note_changes

    def counted(self: Memory) -> bool:
        nonlocal looks
        looks += 1
        return look(self)

    monkeypatch.setattr(Memory, "note_changes", counted)
    model.predict(x, batch_size=3, verbose=0)
    assert looks == 1, "before the first of three batches"
    model.predict(x[:1], verbose=0)
    assert looks == 2, "the first prediction of one sample has a program of its own"
    model.predict(x[:1], verbose=0)
    assert looks == 3


def test_a_thread_waits_for_what_another_prepares() -> None:
    started, released = threading.Event(), threading.Event()

    class Doubled(torch.nn.Module):
        def forward(self) -> list[torch.Tensor]:
            started.set()
            released.wait(60)
            return [weight * 2]

    weight = torch.ones(2)
    constants, found = Constants(Doubled(), [weight]), []
    threads = [threading.Thread(target=lambda: found.append(constants.values())) for _ in range(2)]
    threads[0].start()
    started.wait(60)
    threads[1].start()
    threads[1].join(0.2)  # in which it would take what is not there yet
    released.set()
    for thread in threads:
        thread.join(60)
    assert [values[0].tolist() for values in found] == [[2.0, 2.0]] * 2


def test_several_threads_may_ask_for_the_first_prediction() -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    for _ in range(5):
        inputs = Input((4,))
        hidden = layers.BatchNormalization()(layers.Dense(8)(inputs))
        model = Model(inputs, layers.Dense(1)(hidden))
        ready, found = threading.Barrier(6), []

        def predict(model: Model = model, ready: threading.Barrier = ready, found: list[object] = found) -> None:
            ready.wait(60)
            found.append(model.predict(x, verbose=0))

        threads = [threading.Thread(target=predict) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(found) == 6
        for each in found:
            np.testing.assert_allclose(each, model.predict(x, verbose=0), atol=1e-6)

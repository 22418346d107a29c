"""Batches fetched beside the step: in order, with errors as they were raised, and no thread or process left."""

from __future__ import annotations

import threading
import time
import traceback
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import layers
from anabranch._errors import DataError
from anabranch.training.data import shuffling
from anabranch.training.data.ahead import ahead
from anabranch.training.data.fetching import fetched, needs_thread
from anabranch.utils import PyDataset, prefetch


class Batches(PyDataset):
    """Eight batches of two samples, each fetched slowly; notes which thread fetched it."""

    def __init__(self, *, slow: float = 0.003, fail_at: int | None = None, draws: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.slow, self.fail_at, self.draws = slow, fail_at, draws
        self.threads: list[str] = []
        self.epochs: list[str] = []

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        self.threads.append(threading.current_thread().name)
        time.sleep(self.slow)
        if self.draws:
            torch.rand(1)
        if index == self.fail_at:
            raise KeyError("no such file")
        return np.full((2, 4), index, "float32"), np.full((2, 3), index, "float32")

    def on_epoch_begin(self) -> None:
        self.epochs.append("begin")

    def on_epoch_end(self) -> None:
        self.epochs.append("end")


def helpers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("anabranch-data")]


def linear() -> Any:
    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(3, kernel_initializer="ones")(inputs))
    model.compile("sgd", "mse")
    return model


def indices_of(items: Any, order: list[int]) -> list[int]:
    return [int(np.asarray(x)[0, 0]) for x, _ in fetched(items, order, torch.Generator())]


ORDER = [3, 1, 0, 2, 7, 6, 5, 4]


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": 1}, {"workers": 3}, {"workers": 3, "max_queue_size": 1}], ids=str
)
def test_batches_come_in_order_whoever_fetches_them(options: dict[str, int]) -> None:
    items = Batches(**options)
    assert indices_of(items, ORDER) == ORDER
    beside = [name for name in items.threads if name.startswith("anabranch-data")]
    assert len(beside) == {0: 0, 1: 6, 3: 8}[options["workers"]]
    assert not helpers()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_fetch_in_order() -> None:
    items = Batches(workers=2, use_multiprocessing=True, slow=0.0)
    assert indices_of(items, ORDER) == ORDER
    assert items.threads == []


def test_a_thread_is_used_where_it_pays_and_changes_no_numbers() -> None:
    assert needs_thread(0.01, False)
    assert not needs_thread(0.0001, False)
    assert not needs_thread(0.01, True)
    items = Batches(draws=True)
    assert indices_of(items, ORDER) == ORDER
    assert set(items.threads) == {threading.current_thread().name}


def test_objects_that_are_no_pydataset_are_fetched_one_by_one() -> None:
    class Plain:
        workers = 4

        def __getitem__(self, index: int) -> Any:
            assert threading.current_thread() is threading.main_thread()
            return np.full((1, 1), index), None

    assert indices_of(Plain(), [2, 0, 1]) == [2, 0, 1]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_training_is_the_same_and_leaves_no_thread(workers: int) -> None:
    items, model = Batches(workers=workers), linear()
    losses = model.fit(items, epochs=2, shuffle=False, verbose=0).history["loss"]
    x = np.repeat(np.arange(8, dtype="float32"), 2)
    expected = linear().fit(
        np.tile(x[:, None], 4), np.tile(x[:, None], 3), batch_size=2, epochs=2, shuffle=False, verbose=0
    ).history["loss"]  # fmt: skip
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert items.epochs == ["begin", "end"] * 2
    assert not helpers()


def test_a_shuffled_order_does_not_depend_on_who_fetches() -> None:
    def seen(workers: int) -> list[float]:
        ab.utils.set_random_seed(7)
        return linear().fit(Batches(workers=workers, slow=0.0), epochs=2, verbose=0).history["loss"]

    assert seen(0) == seen(2)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_error_keeps_its_traceback(workers: int) -> None:
    with pytest.raises(DataError, match=r"batch 6(.|\n)*no such file") as caught:
        linear().fit(Batches(workers=workers, fail_at=5), shuffle=False, verbose=0)
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert "in __getitem__" in "".join(traceback.format_tb(cause.__traceback__))
    assert not helpers()


class Stopping(ab.callbacks.Callback):
    """Ends training after the first step, by the word or by Ctrl-C."""

    def __init__(self, how: type[BaseException] | None) -> None:
        super().__init__()
        self.how = how

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.how is not None:
            raise self.how
        self.model.stop_training = True


@pytest.mark.parametrize("how", [None, KeyboardInterrupt, ZeroDivisionError], ids=["word", "Ctrl-C", "error"])
@pytest.mark.parametrize("steps", [None, 4])
def test_no_thread_is_left_when_training_ends_early(how: Any, steps: int | None) -> None:
    model = linear()
    items = Batches(workers=2)
    try:
        model.fit(
            items, epochs=3, steps_per_epoch=steps, validation_data=Batches(workers=2), verbose=0, callbacks=[Stopping(how)]
        )
    except ZeroDivisionError as error:
        caught_error = error  # its traceback holds the loop's frames
        assert caught_error.__traceback__ is not None
    assert not helpers()
    assert len(items.threads) < 8 + 3


def test_evaluate_and_predict_leave_no_thread() -> None:
    model = linear()
    model.evaluate(Batches(workers=2), steps=2, verbose=0)
    assert model.predict(Batches(workers=2), verbose=0).shape == (16, 3)
    assert not helpers()


def test_calls_ahead_are_bounded_and_closing_ends_them() -> None:
    begun: list[int] = []

    def call(number: int) -> Any:
        return lambda: begun.append(number) or number

    results = ahead((call(number) for number in range(100)), workers=1, size=2)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    assert 2 <= len(begun) <= 4
    assert not helpers()


def test_a_generator_may_be_fetched_ahead() -> None:
    threads = set()

    def batches() -> Any:
        for index in range(4):
            threads.add(threading.current_thread().name)
            yield np.full((2, 4), index, "float32"), np.zeros((2, 3), "float32")

    assert [int(x[0, 0]) for x, _ in prefetch(batches())] == [0, 1, 2, 3]
    assert all(name.startswith("anabranch-data") for name in threads)
    linear().fit(prefetch(batches()), verbose=0)
    assert not helpers()


def test_an_epochs_workers_draw_from_the_seed() -> None:
    # what processes draw follows from the epoch's generator, not from torch's global one
    before = torch.get_rng_state()
    indices_of(Batches(workers=2, use_multiprocessing=True, slow=0.0), [0, 1])
    assert equal(torch.get_rng_state(), before)
    assert shuffling.generator(0, 1).initial_seed() != shuffling.generator(0, 2).initial_seed()

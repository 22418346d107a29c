"""Training and predicting where data travel to a device: the numbers are those of the CPU, whatever is copied when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from deferred_moves import DeferredMoves
from devices import here
from torch.utils.data import DataLoader, TensorDataset

import anabranch as ab
from anabranch import callbacks, layers
from anabranch.training import strategy
from anabranch.training.data import arriving

FAKE = pytest.mark.on_cpu  # whose queues are fake

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 6)).astype("float32"), RNG.integers(0, 3, 70)
IMAGES = RNG.integers(0, 255, (70, 6), dtype=np.uint8)
WHOLE = X.nbytes + Y.nbytes


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> DeferredMoves:
    """The queues of a device that the CPU seems to be."""
    found = DeferredMoves()
    monkeypatch.setattr(strategy, "mover_to", lambda device: found)
    monkeypatch.setattr(arriving, "PIECE", 256)
    return found


@pytest.fixture(params=["a copy is made", "nothing fits", "copies are late"])
def anywhere(request: pytest.FixtureRequest, moves: DeferredMoves) -> Iterator[DeferredMoves]:
    if request.param == "nothing fits":
        moves._free = 0
    if request.param == "copies are late":
        moves.gate.clear()
        opening = threading.Timer(0.05, moves.gate.set)
        opening.start()
    yield moves
    moves.gate.set()


def classifier() -> Any:
    ab.utils.set_random_seed(3)
    inputs = ab.Input((6,))
    x = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(inputs))
    model = ab.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.jit_compile = False
    return model


def two_ended() -> Any:
    ab.utils.set_random_seed(3)
    inputs = {"a": ab.Input((6,), name="a"), "b": ab.Input((6,), name="b", dtype="uint8")}
    joined = layers.Concatenate()([inputs["a"], layers.Rescaling(1 / 255)(inputs["b"])])
    model = ab.Model(inputs, {"class": layers.Dense(3)(joined), "size": layers.Dense(1)(joined)})
    loss = {"class": ab.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"}
    model.compile("sgd", loss, weighted_metrics={"size": ["mae"]})
    model.jit_compile = False
    return model


def batches(size: int = 16) -> Iterator[Any]:
    for start in range(0, len(X), size):
        yield X[start : start + size], Y[start : start + size]


class ByIndex(ab.utils.PyDataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return X[index * 14 : index * 14 + 14], Y[index * 14 : index * 14 + 14]


NESTS = {"a": X, "b": IMAGES}, {"class": Y, "size": X[:, :1]}
FITS: dict[str, Any] = {
    "shuffled": lambda: (classifier(), (X, Y), {}),
    "in order": lambda: (classifier(), (X, Y), {"shuffle": False}),
    "batches shuffled": lambda: (classifier(), (X, Y), {"shuffle": "batch"}),
    "bytes": lambda: (classifier(), (IMAGES, Y), {}),
    "weighed": lambda: (classifier(), (X, Y), {"sample_weight": RNG.random(70), "class_weight": {0: 2.0}}),
    "held out": lambda: (classifier(), (X, Y), {"validation_split": 0.25}),
    "validated": lambda: (classifier(), (X, Y), {"validation_data": (X[:30] * 2, Y[:30]), "validation_batch_size": 7}),
    "dicts": lambda: (two_ended(), NESTS, {"sample_weight": {"class": X[:, 0] ** 2, "size": X[:, 1] ** 2}}),
    "one batch": lambda: (classifier(), (X, Y), {"batch_size": 100}),
    "tensors": lambda: (classifier(), (torch.from_numpy(X)[::2], torch.from_numpy(Y)[::2]), {}),
    "loader": lambda: (classifier(), (DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 16),), {}),
    "by index": lambda: (classifier(), (ByIndex(workers=2),), {"shuffle": True}),
    "generator": lambda: (classifier(), (batches(),), {"epochs": 1}),
}  # fmt: skip


def run(case: str) -> tuple[list[Any], Any]:
    global RNG
    RNG = np.random.default_rng(1)
    model, data, options = FITS[case]()
    history = model.fit(*data, verbose=0, **{"epochs": 3, "batch_size": 16 if len(data) > 1 else None} | options).history
    return model.get_weights(), history


@FAKE
@pytest.mark.parametrize("case", FITS)
def test_training_comes_to_the_numbers_of_the_cpu(case: str, anywhere: DeferredMoves, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, history = run(case)
    assert anywhere.sent or anywhere.filled
    if case in ("bytes", "dicts"):
        assert torch.uint8 in anywhere.dtypes
    monkeypatch.undo()
    expected, of_cpu = run(case)
    for got, right in zip(weights, expected, strict=True):
        np.testing.assert_allclose(got, right, atol=1e-6)
    for name, values in of_cpu.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    assert not [thread for thread in threading.enumerate() if thread.name == "anabranch-data"]


@FAKE
def test_a_fit_copies_once_for_all_epochs(moves: DeferredMoves) -> None:
    class Waiting(callbacks.CSVLogger):
        """Lets the copy arrive within the first epoch; it is of the library, as far as a fit can see."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for thread in threading.enumerate():
                if thread.name == "anabranch-data":
                    thread.join(20)

    Waiting.__module__ = "anabranch.callbacks.logs"
    model = classifier()
    for fits in (1, 2):
        sent = moves.sent
        model.fit(X, Y, batch_size=16, epochs=4, verbose=0, callbacks=[Waiting("/dev/null")])
        assert moves.filled == fits * WHOLE
        assert moves.sent - sent in (0, 16 * (X.itemsize * 6 + Y.itemsize)), "the first batch, if it was not there by then"


@FAKE
@pytest.mark.parametrize("where", ["between fits", "between epochs"])
@pytest.mark.parametrize("kind", ["x", "y", "weights", "of the validation", "behind a view of a tensor"])
def test_an_array_changed_in_place_is_seen(
    where: str, kind: str, moves: DeferredMoves, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> tuple[Any, Any]:
        x, y, weights, held = X.copy(), Y.copy(), np.ones(70, "float32"), X[:20].copy()
        model, given = classifier(), torch.from_numpy(x) if kind == "behind a view of a tensor" else x
        changed = {"x": x, "y": y, "weights": weights, "of the validation": held}.get(kind, x)

        def change(epoch: int, logs: Any) -> None:
            changed[:] = changed[::-1].copy()
            changed[0] *= 2 if kind != "y" else 0

        options: Any = {"batch_size": 16, "verbose": 0, "sample_weight": weights, "validation_data": (held, Y[:20])}
        if where == "between epochs":
            found = model.fit(given, y, epochs=3, callbacks=[callbacks.LambdaCallback(on_epoch_end=change)], **options)
        for _ in range(3 if where == "between fits" else 0):
            found = model.fit(given, y, **options)
            change(0, {})
        return model.get_weights(), found.history

    weights, history = trained()
    assert moves.filled
    monkeypatch.undo()
    expected, of_cpu = trained()
    for got, right in zip(weights, expected, strict=True):
        np.testing.assert_allclose(got, right, atol=1e-6)
    np.testing.assert_allclose(history["val_loss"], of_cpu["val_loss"], rtol=1e-5)


@FAKE
def test_an_array_at_the_address_of_one_that_is_gone_is_not_taken_for_it(moves: DeferredMoves) -> None:
    memory = np.empty_like(X)
    losses = []
    for scale in (1.0, 3.0):
        model = classifier()
        memory[:] = X * scale
        losses.append(model.fit(memory[:], Y, batch_size=16, epochs=2, verbose=0).history["loss"])
    expected = [classifier().fit(X * scale, Y, batch_size=16, epochs=2, verbose=0).history["loss"] for scale in (1.0, 3.0)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[0] != losses[1]


class Own(callbacks.Callback):
    """Of the user's."""


class Custom(ab.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


@FAKE
@pytest.mark.parametrize(
    ("expected", "options"),
    [(1, {}), (1, {"callbacks": [callbacks.EarlyStopping("loss"), callbacks.TerminateOnNaN()]}), (1, {"validation_split": 0.1}),
     (4, {"callbacks": [callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]}),
     (4, {"callbacks": [callbacks.LearningRateScheduler(lambda epoch: 0.1)]}), (4, {"callbacks": [Own()]}),
     (4, {"validation_data": ByIndex()})],
    ids=["none", "ours", "held out", "a function", "a schedule", "a subclass", "validation in Python"],
)  # fmt: skip
def test_arrays_are_sent_again_only_where_code_of_the_users_may_change_them(
    expected: int, options: Any, moves: DeferredMoves, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    class Noted(arriving.Arrival):
        def __init__(self, columns: Any, rooms: Any, mover: Any) -> None:
            begun.append(len(columns[0]))
            super().__init__(columns, rooms, mover)

    monkeypatch.setattr("anabranch.training.data.placement.Arrival", Noted)
    classifier().fit(X, Y, batch_size=16, epochs=4, verbose=0, **options)
    assert begun.count(max(begun)) == expected


@FAKE
def test_a_custom_step_gets_what_the_cpu_gives_it(anywhere: DeferredMoves, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> Any:
        plain = classifier()
        model = Custom(plain.inputs, plain.outputs)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model.fit(X.astype("float64"), Y, batch_size=16, epochs=2, verbose=0).history["loss"]

    got = trained()
    assert anywhere.sent or anywhere.filled
    monkeypatch.undo()
    np.testing.assert_allclose(got, trained(), rtol=1e-5)


@FAKE
@pytest.mark.parametrize("data", ["arrays", "loader", "generator"])
def test_the_host_is_a_bounded_number_of_batches_ahead(data: str, moves: DeferredMoves) -> None:
    moves._free = 0
    found = {"arrays": (X, Y), "loader": (DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 2),)}
    classifier().fit(*found.get(data, (batches(2),)), batch_size=2 if data == "arrays" else None, verbose=0)
    assert moves.waits == 35 - strategy._AHEAD + 1


@FAKE
def test_predictions_are_fetched_while_later_batches_are_computed(moves: DeferredMoves) -> None:
    model = two_ended()
    x = {"a": X, "b": IMAGES}
    got = model.predict(x, batch_size=4, verbose=0)
    assert moves.fetched == sum(value.nbytes for value in got.values())
    assert moves.filled == 0, "one pass reads each sample once: batches are sent, and no copy of all"
    assert moves.sent == X.nbytes + IMAGES.nbytes
    assert torch.uint8 in moves.dtypes
    expected = model.predict_on_batch(x)
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


@FAKE
@pytest.mark.parametrize("kind", ["generator", "inputs as outputs", "steps"])
def test_predictions_of_every_kind_of_source(kind: str, moves: DeferredMoves) -> None:
    inputs = ab.Input((6,))
    model = ab.Model(inputs, layers.Identity()(inputs))
    if kind == "generator":
        got = model.predict((X[start : start + 3] for start in range(0, 70, 3)), verbose=0)
    else:
        got = model.predict(X, batch_size=3, verbose=0, steps=10 if kind == "steps" else None)
    np.testing.assert_array_equal(got, X[: len(got)])
    assert len(got) == (30 if kind == "steps" else 70)
    assert not torch.from_numpy(got).is_pinned()


@FAKE
def test_evaluation_sends_each_batch_once(moves: DeferredMoves, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    got = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert (moves.sent, moves.filled) == (WHOLE, 0)
    monkeypatch.undo()
    expected = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert got == pytest.approx(expected)


def wide() -> Any:
    """A model whose batches are large enough to travel beside the computation."""
    ab.utils.set_random_seed(3)
    inputs = ab.Input((4096,), dtype="uint8")
    model = ab.Model(inputs, layers.Dense(3)(layers.Rescaling(1 / 255)(inputs)))
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def many() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (1000, 4096), dtype=np.uint8), rng.integers(0, 3, 1000)


@pytest.mark.parametrize("kind", ["arrays", "streamed", "in order", "loader", "pinned loader", "by index", "changed"])
def test_the_device_of_the_run_trains_on_the_samples_that_a_cpu_trains_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "streamed":
        monkeypatch.setattr("anabranch.training.data.placement.fits", lambda needed, free: False)

    def trained(device: str | None) -> Any:
        ab.config.set_device(device)
        x, y = many()
        model, options = wide(), {"epochs": 3, "verbose": 0}
        if "loader" in kind:
            data = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
            return model.fit(DataLoader(data, 200, pin_memory=kind == "pinned loader" and here().type == "cuda"), **options)
        if kind == "by index":

            class Parts(ab.utils.PyDataset):
                def __len__(self) -> int:
                    return 5

                def __getitem__(self, index: int) -> Any:
                    return x[index * 200 : index * 200 + 200], y[index * 200 : index * 200 + 200]

            return model.fit(Parts(workers=2), **options)

        def change(epoch: int, logs: Any) -> None:
            x[:] = x[::-1].copy()

        options["callbacks"] = [callbacks.LambdaCallback(on_epoch_end=change)] if kind == "changed" else []
        return model.fit(x, y, batch_size=200, shuffle=kind != "in order", **options)

    try:
        found = [trained(device).history["loss"] for device in (None, "cpu")]
    finally:
        ab.config.set_device(None)
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_device_of_the_run_predicts_all_batches_in_order(policy: str) -> None:
    ab.config.set_dtype_policy(policy)
    model, (x, _) = wide(), many()
    expected = np.concatenate([model.predict_on_batch(x[start : start + 128]) for start in range(0, 1000, 128)])
    for _ in range(5):
        np.testing.assert_allclose(model.predict(x, batch_size=128, verbose=0), expected, rtol=1e-2, atol=1e-2)

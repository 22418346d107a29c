"""Our callbacks decide as real Keras's do, epoch by epoch, over many courses of a training."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import data, made

import anabranch
from anabranch import callbacks


def course(seed: int, epochs: int = 14) -> list[dict[str, float]]:
    """Return logs that fall, rise and rest."""
    rng = np.random.default_rng(seed)
    values = np.round(1 + np.cumsum(rng.choice([-0.2, -0.05, 0.0, 0.05, 0.1], size=epochs)), 3)
    return [{"loss": float(v), "val_loss": float(v) + 0.1, "val_mae": float(v) / 2} for v in values]


def watched(room: Any, callback: Any, logs: list[dict[str, float]], seen: Any) -> list[Any]:
    """Drive a callback by its hooks, with a model whose only weight is the epoch's number; return what it did."""
    model = made(room)
    model.predict(np.zeros((1, 1), "float32"), verbose=0)
    model.stop_training = False
    callback.set_model(model)
    callback.set_params({"epochs": len(logs), "steps": 1})
    callback.on_train_begin({})
    did = []
    for epoch, entry in enumerate(logs):
        callback.on_epoch_begin(epoch, {})
        model.set_weights([np.full((1, 1), epoch, "float32")])
        noted = dict(entry)
        callback.on_epoch_end(epoch, noted)
        did.append((seen(callback), pytest.approx(float(model.optimizer.learning_rate)), noted == entry))
        if model.stop_training:
            break
    callback.on_train_end({})
    return [*did, float(model.get_weights()[0][0, 0])]


EARLY = [
    {}, {"patience": 2}, {"patience": 3, "min_delta": 0.1}, {"monitor": "loss", "patience": 2, "restore_best_weights": True},
    {"patience": 2, "baseline": 1.0}, {"patience": 2, "start_from_epoch": 4, "restore_best_weights": True},
    {"monitor": "val_mae", "patience": 2, "mode": "max", "restore_best_weights": True},
    {"patience": 4, "baseline": 0.5, "restore_best_weights": True},
]  # fmt: skip


@pytest.mark.parametrize("options", EARLY, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_early_stopping(keras: Any, options: dict[str, Any], seed: int) -> None:
    def seen(c: Any) -> Any:
        return c.wait, c.stopped_epoch, c.best, c.best_epoch

    logs = course(seed)
    theirs = watched(keras, keras.callbacks.EarlyStopping(**options), logs, seen)
    assert theirs == watched(anabranch, callbacks.EarlyStopping(**options), logs, seen)


PLATEAU = [
    {"patience": 1}, {"patience": 2, "factor": 0.5, "cooldown": 2}, {"patience": 1, "min_delta": 0.1, "min_lr": 0.02},
    {"patience": 2, "monitor": "val_mae", "mode": "max"}, {"patience": 0, "factor": 0.9},
]  # fmt: skip


@pytest.mark.parametrize("options", PLATEAU, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_reducing_the_learning_rate(keras: Any, options: dict[str, Any], seed: int) -> None:
    def seen(c: Any) -> Any:
        return c.wait, c.cooldown_counter, c.best

    logs = course(seed)
    theirs = watched(keras, keras.callbacks.ReduceLROnPlateau(**options), logs, seen)
    assert theirs == watched(anabranch, callbacks.ReduceLROnPlateau(**options), logs, seen)


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate * 0.5, lambda epoch: 0.1 / (epoch + 1)], ids=["two", "one"])
def test_scheduled_learning_rates(keras: Any, schedule: Any) -> None:
    logs = course(0, 5)
    theirs = watched(keras, keras.callbacks.LearningRateScheduler(schedule), logs, lambda c: None)
    assert theirs == watched(anabranch, callbacks.LearningRateScheduler(schedule), logs, lambda c: None)


@pytest.mark.parametrize("options", [{}, {"separator": ";"}, {"append": True}], ids=str)
@pytest.mark.parametrize("validated", ["always", "later", "never"])
def test_csv_files_are_the_same(keras: Any, tmp_path: Path, options: dict[str, Any], validated: str) -> None:
    is_logged = {
        "always": lambda e, k: True,
        "later": lambda e, k: e == 2 or "val" not in k,
        "never": lambda e, k: "val" not in k,
    }[validated]
    logs = [{k: v for k, v in log.items() if is_logged(e, k)} for e, log in enumerate(course(1, 4))]
    for name, room in (("theirs", keras), ("ours", anabranch)):
        for _ in range(2):  # the second run appends or begins anew
            watched(room, room.callbacks.CSVLogger(tmp_path / name, **options), logs, lambda c: None)
    ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
    assert ours.read_bytes() == theirs.read_bytes()


class Listening:
    """What every hook was given, in order: names, numbers, and the keys of the logs."""

    def tell(self, room: Any, given: list[Any]) -> Any:
        def hook(name: str) -> Any:
            def call(self: Any, *numbers: int, logs: Any = None) -> None:
                if numbers and not isinstance(numbers[-1], int):
                    *numbers, logs = numbers  # type: ignore[assignment]  # Keras gives logs by name at some hooks
                keys = sorted(logs) if "batch" in name or "predict" in name else sorted(set(logs) - {"compile_metrics"})
                given.append((name, *numbers, [] if "begin" in name or "predict" in name else keys))

            return call

        names = [n for n in callbacks.callback.HOOKS if not n.startswith("on_batch")]
        return type("Given", (room.callbacks.Callback,), {name: hook(name) for name in names})()


def test_hooks_are_called_in_the_same_order_with_the_same_logs(keras: Any) -> None:
    found = []
    x, y = data(6)
    for room in (keras, anabranch):
        given: list[Any] = []
        model, hooks = made(room), Listening().tell(room, given)
        model.fit(x, y, batch_size=3, epochs=2, validation_data=(x, y), verbose=0, callbacks=[hooks], shuffle=False)
        model.evaluate(x, y, batch_size=3, verbose=0, callbacks=[hooks])
        model.predict(x, batch_size=3, verbose=0, callbacks=[hooks])
        found.append(given)
    assert found[0] == found[1]


def test_what_a_callback_adds_to_the_logs_is_in_the_history(keras: Any) -> None:
    x, y = data()
    for room in (keras, anabranch):

        class Adds(room.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                logs["mine"] = epoch * 10

        history = made(room).fit(
            x, y, epochs=2, verbose=0,
            callbacks=[Adds(), room.callbacks.LearningRateScheduler(lambda e, r: 0.5 ** e)],
        )  # fmt: skip
        assert history.history["mine"] == [0, 10]
        assert history.history["learning_rate"] == pytest.approx([1.0, 0.5])


OWN = {"ModelCheckpoint": ["max_to_keep"]}  # what Keras's lacks


def test_constructors_are_those_of_keras(keras: Any) -> None:
    names = (
        "BackupAndRestore", "Callback", "CSVLogger", "EarlyStopping", "History",
            "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint",
        "ReduceLROnPlateau", "TerminateOnNaN",
    )  # fmt: skip
    for name in names:
        theirs, ours = (
            {
                p.name: p.default
                for p in inspect.signature(getattr(room.callbacks, name)).parameters.values()
                if p.kind is not p.VAR_KEYWORD
            }
            for room in (keras, anabranch)
        )
        assert list(theirs.items()) == [item for item in ours.items() if item[0] not in OWN.get(name, ())], name
    missing = [n for n in vars(keras.callbacks.Callback) if n.startswith("on_") and not hasattr(callbacks.Callback, n)]
    assert not missing

"""Callbacks in real trainings: stopping, checkpoints, logs, and what their mistakes say."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import data, made

import anabranch
from anabranch import callbacks
from anabranch._errors import ArgumentError, ArgumentTypeError, UnknownNameError


def test_the_best_weights_come_back(model: Any) -> None:
    x, y = data()
    seen: list[Any] = []
    stopping = callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    # the learning rate is too high from the fourth epoch on
    spoil = callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 if epoch < 3 else 30.0)
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((logs["loss"], model.get_weights()[0].copy())))
    history = model.fit(x, y, epochs=20, batch_size=8, verbose=0, callbacks=[note, spoil, stopping])
    assert len(history.epoch) < 20
    best = min(seen, key=lambda entry: entry[0])
    np.testing.assert_array_equal(model.get_weights()[0], best[1])
    assert stopping.best == best[0]


def test_nan_is_never_the_best(model: Any) -> None:
    stopping = callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, value in enumerate([float("nan"), 2.0, float("nan"), 1.0, float("nan")]):
        model.set_weights([np.full((1, 1), epoch, "float32")])
        stopping.on_epoch_end(epoch, {"loss": value})
    stopping.on_train_end()
    assert (stopping.best, model.get_weights()[0][0, 0]) == (1.0, 3.0)


def test_checkpoints_hold_the_weights_of_their_epoch(model: Any, tmp_path: Path) -> None:
    x, y = data()
    weights_seen: list[Any] = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights_seen.append(model.get_weights()[0]))
    path = tmp_path / "runs" / "{epoch:02d}-{val_loss:.3f}.safetensors"
    history = model.fit(x, y, epochs=3, validation_data=(x, y), verbose=0, callbacks=[note, callbacks.ModelCheckpoint(path)])
    files = sorted((tmp_path / "runs").iterdir())
    wanted = [f"{e + 1:02d}-{v:.3f}.safetensors" for e, v in enumerate(history.history["val_loss"])]
    assert [f.name for f in files] == wanted
    for file, weights in zip(files, weights_seen, strict=True):
        model.load_weights(file)
        np.testing.assert_array_equal(model.get_weights()[0], weights)


def test_only_better_epochs_are_written(model: Any, tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    checkpoint = callbacks.ModelCheckpoint(file, "val_acc", save_best_only=True, initial_value_threshold=0.5)
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    held = []
    for epoch, value in enumerate([0.4, 0.6, 0.55, 0.7]):
        model.set_weights([np.full((1, 1), epoch, "float32")])
        checkpoint.on_epoch_end(epoch, {"val_acc": value})
        held.append(_first_number(file) if file.exists() else None)
    assert held == [None, 1.0, 1.0, 3.0]


def _first_number(file: Path) -> float:
    from safetensors.numpy import load_file

    return float(next(iter(load_file(file).values())).ravel()[0])


def test_checkpoints_every_few_batches(model: Any, tmp_path: Path) -> None:
    x, y = data(32)
    path = tmp_path / "{epoch}-{batch}-{loss:.1f}.safetensors"
    model.fit(x, y, epochs=2, batch_size=8, verbose=0, callbacks=[callbacks.ModelCheckpoint(path, save_freq=3)])
    assert sorted(f.name.rsplit("-", 1)[0] for f in tmp_path.iterdir()) == ["1-3", "2-2"]


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".safetensors"])
def test_the_name_says_what_is_saved_and_the_last_files_stay(model: Any, tmp_path: Path, ending: str) -> None:
    x, y = data()
    path = tmp_path / ("{epoch}" + ending)
    checkpoint = callbacks.ModelCheckpoint(path, save_weights_only=ending != ".keras", max_to_keep=2)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[checkpoint])
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"3{ending}", f"4{ending}"]
    last = model.get_weights()[0]
    if ending == ".keras":
        whole = anabranch.saving.load_model(tmp_path / "4.keras")
        assert int(whole.optimizer.iterations) == 4
        np.testing.assert_array_equal(whole.get_weights()[0], last)
    model.load_weights(tmp_path / f"3{ending}")
    assert (model.get_weights()[0] != last).all()
    model.load_weights(tmp_path / f"4{ending}")
    np.testing.assert_array_equal(model.get_weights()[0], last)


def test_a_file_that_somebody_deleted_does_not_stop_training(model: Any, tmp_path: Path) -> None:
    x, y = data()
    cleaner = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: [f.unlink() for f in tmp_path.iterdir()])
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors", max_to_keep=1)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[cleaner, checkpoint])
    assert [file.name for file in tmp_path.iterdir()] == ["3.safetensors"]


def test_values_that_come_only_with_some_epochs_are_waited_for(model: Any, tmp_path: Path) -> None:
    x, y = data()
    stopping = callbacks.EarlyStopping("val_loss", patience=50)
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=True)
    reducing = callbacks.ReduceLROnPlateau("val_loss", patience=1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        history = model.fit(
            x, y, epochs=6, verbose=0, validation_data=(x, y), validation_freq=3, callbacks=[stopping, checkpoint, reducing]
        )
    assert len(history.epoch) == 6
    assert len(warned) == 3  # one of each callback, not one of each epoch
    assert all("'val_loss' is not measured in this epoch" in str(w.message) and w.filename == __file__ for w in warned)
    assert stopping.best == min(history.history["val_loss"])
    # before anything was measured everything is written; afterwards only what was measured and better
    assert sorted(f.name for f in tmp_path.iterdir()) == ["1.safetensors", "2.safetensors", "3.safetensors", "6.safetensors"]


def test_what_is_not_measured_is_said_with_what_is() -> None:
    model, (x, y) = made(anabranch, metrics=["mae"]), data()
    stopping = callbacks.EarlyStopping(monitor="val_mea", mode="min")
    with pytest.raises(ArgumentError) as caught:
        model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y), callbacks=[stopping])
    text = str(caught.value)
    assert text.startswith("Nothing called 'val_mea' is measured.\n  expected: one of: loss, mae, val_loss, val_mae\n")
    assert text.endswith("  repair:   did you mean monitor='val_mae'?")


NAMES = {
    "val_loss": False, "loss": False, "out_loss": False, "val_mae": False, "mean_squared_error": False, "kl": False,
    "sparse_categorical_crossentropy": False, "ce": False, "hinge": False, "dice_loss": False,
    "acc": True, "val_accuracy": True, "out_acc": True, "auc": True, "precision_1": True, "val_recall": True,
    "f1_score": True, "mean_io_u": True, "r2_score": True, "cosine_similarity": True, "top_k_categorical_accuracy": True,
}  # fmt: skip


@pytest.mark.parametrize(("name", "grows"), NAMES.items())
def test_which_way_is_better_is_known_by_name(model: Any, name: str, grows: bool) -> None:
    watch = callbacks.monitor.Monitor(name)
    watch.settle(model)
    watch.best = 1.0
    assert (watch.improves(2.0), watch.improves(0.5)) == (grows, not grows)


def test_which_way_is_better_is_known_by_the_metric() -> None:
    model, (x, y) = made(anabranch, metrics=[anabranch.metrics.AUC(name="area", from_logits=True)]), data()
    stopping = callbacks.EarlyStopping("val_area", patience=5)
    labels = (y > 0).astype("float32")
    model.fit(np.abs(x) / 2, labels, verbose=0, validation_data=(np.abs(x) / 2, labels), callbacks=[stopping])
    assert stopping.watch.improves(2.0)


def test_a_direction_nobody_knows_is_asked_for_before_training(model: Any) -> None:
    x, y = data()
    before = model.get_weights()[0]
    with pytest.raises(ArgumentError, match="grow or fall"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.EarlyStopping("val_beauty")])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_training_ends_where_the_loss_is_no_number(capsys: Any) -> None:
    x, y = data()
    model = made(anabranch, learning_rate=1e30)
    done: list[int] = []
    count = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: done.append(batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=[callbacks.TerminateOnNaN(), count])
    assert 0 < len(done) < 16
    assert f"Step {len(done)}: the loss is" in capsys.readouterr().out
    model = made(anabranch, learning_rate=1e30)
    with pytest.raises(RuntimeError, match="The loss is"):
        model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_an_error_in_a_callback_comes_out_and_everyone_gives_back_what_they_hold(model: Any, tmp_path: Path) -> None:
    x, y = data()
    log = callbacks.CSVLogger(tmp_path / "log.csv")

    class Breaks(callbacks.Callback):
        closed = False

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise LookupError("mine")

        def on_close(self) -> None:
            type(self).closed = True

    with pytest.raises(LookupError, match="mine"):
        model.fit(x, y, epochs=3, verbose=0, callbacks=[log, Breaks()])
    assert Breaks.closed
    assert log._file is None
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


def test_a_file_that_is_appended_to_keeps_its_columns(model: Any, tmp_path: Path) -> None:
    x, y = data()
    file = tmp_path / "log.csv"
    model.fit(x, y, verbose=0, callbacks=[callbacks.CSVLogger(file)])
    other = made(anabranch, metrics=["mse"])
    other.fit(x, y, verbose=0, initial_epoch=1, epochs=2, callbacks=[callbacks.CSVLogger(file, append=True)])
    header, first, second = (row.split(",") for row in file.read_text().splitlines())
    assert header == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert (first[0], second[0], second[2:]) == ("0", "1", ["NA"] * 3)


def test_logs_of_a_batch_are_made_only_for_callbacks_that_read_them(model: Any) -> None:
    quiet = callbacks.CallbackList([callbacks.EarlyStopping(), callbacks.ModelCheckpoint("a.safetensors")], model, {}, 2)
    assert not quiet.wants_batch_logs
    for loud in (
        callbacks.LambdaCallback(on_train_batch_end=print),
        callbacks.LambdaCallback(on_batch_end=print),
        callbacks.ModelCheckpoint("a.safetensors", save_freq=2),
        callbacks.TerminateOnNaN(),
    ):
        assert callbacks.CallbackList([loud], model, {}, 0).wants_batch_logs


def test_callbacks_come_in_any_nest_and_histories_are_used(model: Any) -> None:
    x, y = data()
    mine, count = callbacks.History(), []
    other = callbacks.LambdaCallback(on_batch_end=lambda batch, logs: count.append(logs["loss"]))
    assert model.fit(x, y, verbose=0, callbacks=[[mine], (other,)]) is mine
    assert len(count) == 1
    assert model.fit(x, y, epochs=2, verbose=0, callbacks=mine) is mine
    assert mine.epoch == [0, 1]
    assert len(mine.history["loss"]) == 3


def test_mistakes(model: Any, tmp_path: Path) -> None:
    x, y = data()
    with pytest.raises(ArgumentTypeError, match=r"History\(\)"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.History])
    with pytest.raises(UnknownNameError, match="did you mean 'on_epoch_end'"):
        callbacks.LambdaCallback(on_epochend=print)
    with pytest.raises(ArgumentError, match="one of: auto, max, min"):
        callbacks.EarlyStopping(mode="up")
    with pytest.raises(ArgumentError, match=r"repair:   filepath='best\.keras'"):
        callbacks.ModelCheckpoint("best.ckpt")
    with pytest.raises(ArgumentError, match=r"repair:   filepath='best\.weights\.h5'"):
        callbacks.ModelCheckpoint("best.keras", save_weights_only=True)
    with pytest.raises(ArgumentTypeError, match="save_freq"):
        callbacks.ModelCheckpoint("best.safetensors", save_freq="batch")
    with pytest.raises(ArgumentError, match="asks for 'val_acc', which is not measured"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.ModelCheckpoint(tmp_path / "{val_acc}.safetensors")])
    with pytest.raises(ArgumentError, match="factor"):
        callbacks.ReduceLROnPlateau(factor=1.0)
    with pytest.raises(ArgumentTypeError, match="must return a number"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: "fast")])
    with pytest.raises(TypeError, match="mine"):  # not hidden by a second try with one argument
        model.fit(x, y, verbose=0, callbacks=[callbacks.LearningRateScheduler(_raises)])


def _raises(epoch: int, rate: float) -> float:
    raise TypeError("mine")

"""Evaluation with averaged weights, beside Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import data

import anabranch
from anabranch import callbacks
from anabranch._errors import ArgumentError


def averaged(room: Any) -> Any:
    x = room.Input((1,))
    model = room.Model(x, room.layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile(room.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), "mse")
    return model


def weight(model: Any) -> float:
    return float(np.asarray(model.get_weights()[0])[0, 0])


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_as_in_keras(keras: Any, swap_on_epoch: bool) -> None:
    x, y = data()
    found = []
    for room in (keras, anabranch):
        model, seen = averaged(room), []
        note = room.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, model=model, seen=seen: seen.append(weight(model)),
            on_epoch_end=lambda epoch, logs, model=model, seen=seen: seen.append(weight(model)),
        )
        swap = room.callbacks.SwapEMAWeights(swap_on_epoch)
        history = model.fit(
            x, y, epochs=4, batch_size=8, shuffle=False, validation_data=(x, y), verbose=0, callbacks=[swap, note]
        )
        found.append([*seen, *history.history["loss"], *history.history["val_loss"], weight(model)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


def test_validation_is_of_the_averages_and_training_goes_on_without(model: Any) -> None:
    x, y = data()
    plain, swapped = averaged(anabranch), averaged(anabranch)
    options: dict[str, Any] = {"epochs": 3, "batch_size": 8, "shuffle": False, "validation_data": (x, y), "verbose": 0}
    without = plain.fit(x, y, **options).history
    found = swapped.fit(x, y, callbacks=[callbacks.SwapEMAWeights()], **options).history
    assert found["loss"] == without["loss"]
    assert found["val_loss"] != without["val_loss"]
    assert weight(plain) == weight(swapped)
    assert swapped.evaluate(x, y, verbose=0) == pytest.approx(found["val_loss"][-1])


def test_predict_gives_the_weights_back() -> None:
    x, y = data()
    model = averaged(anabranch)
    model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    average = weight(model)
    model.set_weights([np.full((1, 1), 7.0)])
    found = model.predict(x, batch_size=8, verbose=0, callbacks=[callbacks.SwapEMAWeights()])
    np.testing.assert_allclose(found, x * average, rtol=1e-5)
    assert weight(model) == 7.0


def test_a_run_that_stops_early_ends_with_the_averages() -> None:
    """Keras ends with the weights without averages then."""
    x, y = data()
    ends = []
    for more in ([], [callbacks.SwapEMAWeights(swap_on_epoch=True)]):
        model = averaged(anabranch)
        stop = callbacks.LambdaCallback(on_epoch_end=lambda e, logs, model=model: setattr(model, "stop_training", e == 1))
        model.fit(x, y, epochs=9, batch_size=8, shuffle=False, verbose=0, callbacks=[*more, stop])
        ends.append(weight(model))
    assert ends[0] == ends[1]


def test_a_checkpoint_behind_it_has_the_averages(tmp_path: Path) -> None:
    x, y = data()
    model = averaged(anabranch)
    seen: list[float] = []
    before = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(weight(model)))
    save = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors")
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[before, callbacks.SwapEMAWeights(swap_on_epoch=True), save])
    end = weight(model)
    model.load_weights(tmp_path / "1.safetensors")
    assert weight(model) == end != seen[0]


def test_a_failed_evaluation_gives_the_weights_back() -> None:
    x, y = data()
    model = averaged(anabranch)
    model.fit(x, y, batch_size=8, verbose=0)
    model.set_weights([np.full((1, 1), 7.0)])

    def fails(batch: int, logs: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        model.evaluate(
            x, y, verbose=0, callbacks=[callbacks.SwapEMAWeights(), callbacks.LambdaCallback(on_test_batch_end=fails)]
        )
    assert weight(model) == 7.0


def test_an_optimizer_without_averages_is_refused(model: Any) -> None:
    with pytest.raises(ArgumentError, match="use_ema=True"):
        model.evaluate(*data(), verbose=0, callbacks=[callbacks.SwapEMAWeights()])


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 2)])
def test_the_progress_logger_follows_verbose(model: Any, capsys: Any, verbose: int, lines: int) -> None:
    model.fit(*data(), epochs=2, verbose=verbose, callbacks=[callbacks.ProgbarLogger()])
    assert len(capsys.readouterr().out.splitlines()) == lines

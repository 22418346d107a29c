"""Callbacks' settings: checked when given and when set, read when they matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anabranch import callbacks
from anabranch._errors import ArgumentError


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: callbacks.EarlyStopping(patience="a"), "patience of EarlyStopping must be an integer ≥ 0"),
        (lambda: callbacks.EarlyStopping(patience=-1), "patience of EarlyStopping must be an integer ≥ 0"),
        (lambda: callbacks.EarlyStopping(mode="mix"), "did you mean 'min'"),
        (lambda: callbacks.EarlyStopping(monitor=3), "monitor of EarlyStopping must be a string"),
        (lambda: callbacks.EarlyStopping(patients=3), "did you mean 'patience'"),
        (lambda: callbacks.EarlyStopping(verbose="a"), "verbose of EarlyStopping must be 0 or 1"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.5), "factor of ReduceLROnPlateau must be"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=0.5), "cooldown of ReduceLROnPlateau must be an integer"),
        (lambda: callbacks.ModelCheckpoint("a.safetensors", save_freq=0), "save_freq must be 'epoch' or a number of batches"),
        (lambda: callbacks.ModelCheckpoint("a.safetensors", save_best_only="a"), "save_best_only of ModelCheckpoint must be"),
        (lambda: callbacks.CSVLogger(3), "filename must be a path"),
        (lambda: callbacks.TerminateOnNaN(raise_error="a"), "raise_error of TerminateOnNaN must be True or False"),
    ],
)
def test_nonsense_is_refused(make: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert words in str(caught.value)


def test_settings_may_change_later() -> None:
    stopping = callbacks.EarlyStopping()
    stopping.patience, stopping.monitor, stopping.verbose = 2, "loss", True
    assert (stopping.patience, stopping.monitor, stopping.verbose) == (2, "loss", 1)
    with pytest.raises(ArgumentError, match="patience of EarlyStopping"):
        stopping.patience = "b"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    logger = callbacks.CSVLogger(tmp_path / "nope" / "log.csv")
    with pytest.raises(ArgumentError, match="its folder does not exist"):
        logger.on_train_begin()


def test_subclasses_with_an_init_of_their_own() -> None:
    class Patient(callbacks.EarlyStopping):
        def __init__(self, extra: int) -> None:
            super().__init__("loss", patience=extra + 1)
            self.extra = extra

    class Bare(callbacks.Callback):
        def __init__(self) -> None:
            self.seen = 0

    assert (Patient(2).patience, Patient(2).extra) == (3, 2)
    bare = Bare()
    bare.set_params({"epochs": 1})
    assert bare.params == {"epochs": 1}

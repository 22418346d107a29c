"""``config`` limits the epochs and steps of runs, and answers what Keras asks of its engines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from anabranch import Sequential, callbacks, config, layers


@pytest.fixture(autouse=True)
def without_limits() -> Iterator[None]:
    yield
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


class Counted(callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.trained = self.tested = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.trained += 1

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        self.tested += 1


def compiled() -> Sequential:
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


X, Y = np.ones((32, 2), "float32"), np.ones((32, 1), "float32")


def test_fit_trains_fewer_epochs() -> None:
    config.set_max_epochs(2)
    with pytest.warns(UserWarning, match="Only 2 of 5 epochs"):
        assert compiled().fit(X, Y, epochs=5, verbose=0).epoch == [0, 1]
    assert compiled().fit(X, Y, epochs=1, verbose=0).epoch == [0]
    config.set_max_epochs(None)
    assert compiled().fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


def test_epochs_have_fewer_steps() -> None:
    model, counted = compiled(), Counted()
    config.set_max_steps_per_epoch(3)
    with pytest.warns(UserWarning, match="Only 3 of 8 steps"):
        model.fit(X, Y, 4, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[counted])
    assert (counted.trained, counted.tested) == (6, 6)
    with pytest.warns(UserWarning, match="Only 3 of 4 steps"):
        model.evaluate(X, Y, 8, verbose=0)
    with pytest.warns(UserWarning, match="Only 3 of 4 steps"):
        assert model.predict(X, 8, verbose=0).shape == (24, 1)
    assert model.predict(X[:8], 8, verbose=0).shape == (8, 1)


def test_data_that_end_earlier_are_no_mistake() -> None:
    config.set_max_steps_per_epoch(5)
    counted = Counted()
    with pytest.warns(UserWarning, match="Only 5 of all steps") as found:
        compiled().fit(((X, Y) for _ in range(2)), verbose=0, callbacks=[counted])
    assert (counted.trained, len(found)) == (2, 1)


def test_the_environment_sets_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "2")
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "7")
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (2, 7)
    config.set_max_epochs(4)
    assert config.max_epochs() == 4
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "few")
    with pytest.raises(ValueError, match="KERAS_MAX_STEPS_PER_EPOCH must be a positive integer"):
        config.max_steps_per_epoch()


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_limits_are_positive_integers(value: object) -> None:
    with pytest.raises(ValueError, match="max_epochs must be a positive integer"):
        config.set_max_epochs(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_steps_per_epoch must be a positive integer"):
        config.set_max_steps_per_epoch(value)  # type: ignore[arg-type]


def test_there_is_one_engine() -> None:
    config.set_backend("torch")
    with pytest.raises(ValueError, match="one engine"):
        config.set_backend("jax")
    assert config.backend() == "torch"
    assert not config.is_nnx_enabled()


def test_code_in_files_stays_unread() -> None:
    with pytest.warns(UserWarning, match="no effect") as found:
        config.enable_unsafe_deserialization()
    assert found[0].filename == __file__

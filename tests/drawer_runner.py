"""A script of examples/drawer run twice, unmodified, with real Keras and with anabranch, and its losses compared.

Both runs see the same numbers: data sets are small ones of the same shapes, and a model gets, at each ``fit``, the weights that
it had there in the run with Keras. Compared is the loss of the first batch, as ``test_on_batch`` gives it before training,
and, where no layer draws random numbers, all that ``fit`` reports, in the order of the data.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from drawer_data import SETS
from guides_runner import standing_in

FOLDER = Path(__file__).parents[1] / "examples" / "drawer"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
BATCH = 16
CHANCE = "Dropout", "Random", "Noise", "Sampling"
RATES = "dropout", "recurrent_dropout"
STEPS = "train_step", "test_step"


class Fitted(NamedTuple):
    """What one ``fit`` showed: the weights before it, the loss of the first batch, the history."""

    weights: list[np.ndarray[Any, Any]]
    first: dict[str, float]
    history: dict[str, list[float]]


def compare(script: str) -> None:
    """Hold what a script's models report with anabranch to what they report with Keras."""
    theirs = run(script, [])
    with standing_in():
        ours = run(script, theirs)
    assert ours, "a script fits a model"
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.first == _close(other.first)
        assert mine.history == {name: _close(values) for name, values in other.history.items()}
        assert mine.first or mine.history, "something is compared"


def _close(value: Any) -> Any:
    import pytest

    return pytest.approx(value, rel=2e-3, abs=2e-4, nan_ok=False)


def run(script: str, theirs: list[Fitted]) -> list[Fitted]:
    """Run a script with the Keras that is imported now; return what each ``fit`` in it showed."""
    import keras

    found: list[Fitted] = []
    original = keras.Model.fit

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(inspect.signature(original).bind(self, *args, **kwargs).arguments)
        given = {name: value for name, value in given.items() if name != "self"} | {"shuffle": False, "verbose": 0}
        batch = _first_batch(given.get("x"), given.get("y"))
        if not self.built:
            self(batch[0])
        if theirs:
            self.set_weights(theirs[len(found)].weights)
        weights = [np.array(weight) for weight in self.get_weights()]
        own = any(getattr(type(self), step) is not getattr(keras.Model, step) for step in STEPS)
        first = {} if own else _numbers(self.test_on_batch(*batch, return_dict=True))
        history = original(self, **given)
        certain = not any(map(_draws, _layers(self)))
        shown = {name: [float(each) for each in values] for name, values in history.history.items()} if certain else {}
        found.append(Fitted(weights, first, shown))
        return history

    path = FOLDER / f"{script}.py"
    module = ModuleType("__main__")
    module.__file__ = str(path)
    with warnings.catch_warnings(), _small_data(keras), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        keras.utils.set_random_seed(0)
        keras.Model.fit = fit
        try:
            exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), module.__dict__)
        finally:
            keras.Model.fit = original
            keras.backend.clear_session()
    return found


@contextlib.contextmanager
def _small_data(keras: Any) -> Iterator[None]:
    modules = [(getattr(keras.datasets, name), load) for name, load in SETS.items()]
    loaders = [module.load_data for module, _ in modules]
    for module, load in modules:
        module.load_data = load
    try:
        yield
    finally:
        for (module, _), loader in zip(modules, loaders, strict=True):
            module.load_data = loader


def _first_batch(x: Any, y: Any) -> tuple[Any, ...]:
    """Return the first samples of arrays, or the first batch of what yields batches and can be read again."""
    if y is None and not isinstance(x, (np.ndarray, dict, list)):
        batch = x[0] if hasattr(x, "__getitem__") else next(iter(x))
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    return (_cut(x),) if y is None else (_cut(x), _cut(y))


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    return type(value)(map(_cut, value)) if isinstance(value, (list, tuple)) else value[:BATCH]


def _numbers(logs: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


def _draws(layer: Any) -> bool:
    """Return whether a layer draws random numbers in training."""
    return any(word in type(layer).__name__ for word in CHANCE) or any(getattr(layer, name, 0) for name in RATES)


def _layers(model: Any) -> list[Any]:
    return [model, *(inner for layer in getattr(model, "layers", ()) for inner in _layers(layer))]

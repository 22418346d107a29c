"""The same program gives the same numbers: in two processes, beside other layers, by deterministic algorithms only."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import _process, config, layers, runtime, utils
from anabranch._errors import EngineError
from anabranch._loading import when_loaded

TRAINING = """
import hashlib
import numpy as np
import anabranch as ab
from anabranch import layers

ab.utils.set_random_seed(5)
x, y = np.random.rand(40, 6, 6, 1).astype("float32"), np.arange(40) % 3
inputs = ab.Input((6, 6, 1))
h = layers.RandomRotation(0.2)(layers.RandomFlip()(inputs))
h = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(layers.Flatten()(layers.Conv2D(4, 3)(h))))
model = ab.Model(inputs, layers.Dense(3)(h))
model.compile("adam", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
losses = model.fit(x, y, batch_size=7, epochs=3, verbose=0).history["loss"]
weights = b"".join(weight.tobytes() for weight in model.get_weights())
print(losses, hashlib.sha256(weights + model.predict(x, verbose=0).tobytes()).hexdigest())
"""

LOADED_LATER = """
import importlib.util
import sys
import anabranch as ab

ab.utils.set_random_seed(3)
ab.utils.set_random_seed(4)
ab.config.enable_op_determinism()
assert not {"torch", "numpy", "numpy.random"} & set(sys.modules)
found = importlib.util.find_spec("torch")
assert found.loader.is_package("torch") and "torch" not in sys.modules
import numpy as np
drawn = np.random.rand()
assert drawn == np.random.RandomState(4).rand(), "seeded when it was loaded"
import torch
drawn = torch.rand(1)
assert torch.equal(drawn, torch.rand(1, generator=torch.Generator().manual_seed(4)))
assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
assert torch.__loader__ is torch.__spec__.loader and type(torch.__loader__).__name__ == "SourceFileLoader"
import os
assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
assert not any("anabranch" in type(finder).__module__ for finder in sys.meta_path), "nobody waits any more"
"""


def _start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_train_the_same_bits() -> None:
    found = [process.communicate(timeout=300) for process in (_start(TRAINING), _start(TRAINING))]
    (first, error), (second, _) = found
    assert "[" in first, error
    assert first == second


def test_what_is_loaded_later_follows() -> None:
    process = _start(LOADED_LATER)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def test_a_failed_import_is_tried_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "loaded_later_by_test.py"
    module.write_text("raise ImportError('not yet')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seen: list[str] = []
    when_loaded("loaded_later_by_test", lambda module: seen.append(module.__name__))
    with pytest.raises(ImportError, match="not yet"):
        __import__("loaded_later_by_test")
    assert not seen
    module.write_text("value = 1")
    __import__("loaded_later_by_test")
    assert seen == ["loaded_later_by_test"]
    del sys.modules["loaded_later_by_test"]


def _initial(added: bool) -> list[np.ndarray[Any, Any]]:
    utils.set_random_seed(1)
    inputs = ab.Input((6,))
    h = layers.Dense(5, name="first")(inputs)
    h = layers.Dense(5, name="between")(layers.LayerNormalization()(h)) if added else h
    model = ab.Model(inputs, layers.Dense(2, name="last")(h))
    return [np.array(weight) for name in ("first", "last") for weight in model.get_layer(name).get_weights()]


@pytest.mark.parametrize("kind", ["model", "sequential", "without input", "layer"])
def test_initial_values_follow_the_seed_that_layers_were_made_under(kind: str) -> None:
    """They are made when they are first read, and until then other seeds may have been set."""

    def made(seed: int) -> Any:
        utils.set_random_seed(seed)
        x = ab.Input((3,))
        dense = layers.Dense(2, name="dense")
        if kind == "model":
            return ab.Model(x, dense(x))
        return {"sequential": ab.Sequential([x, dense]), "without input": ab.Sequential([dense])}.get(kind, dense)

    def kernel(of: Any) -> Any:
        of(np.ones((1, 3), "float32"))
        return of.get_weights()[0]

    one, two = kernel(made(1)), kernel(made(2))
    assert not np.array_equal(one, two)
    first, second, again = made(1), made(2), made(1)
    np.testing.assert_array_equal(kernel(again), one)
    np.testing.assert_array_equal(kernel(second), two)
    np.testing.assert_array_equal(kernel(first), one)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), lambda model: model.edit()])
def test_a_copy_has_values_that_nobody_has_read_yet(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_seeding", _process.Seeding())  # no seed was set
    x = ab.Input((3,))
    model = ab.Model(x, layers.Dense(2)(x))
    twin = copied(model)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])


def test_another_layer_leaves_initial_values() -> None:
    for alone, beside in zip(_initial(False), _initial(True), strict=True):
        np.testing.assert_array_equal(alone, beside)


def _layer(kind: str, **options: Any) -> layers.Layer:
    made: layers.Layer = getattr(layers, kind)(0.4, name="mine", **options)
    return made


def _model(first: layers.Layer, others: bool) -> ab.Model:
    inputs = ab.Input((4, 4, 2))
    h = layers.SpatialDropout2D(0.5)(layers.RandomFlip()(inputs)) if others else inputs
    return ab.Model(inputs, [layers.GlobalAveragePooling2D()(h), first(inputs)])


IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 4, 4, 2)).astype("float32")
KINDS = ["Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "RandomRotation", "RandomBrightness"]


def _drawn(model: ab.Model) -> list[np.ndarray[Any, Any]]:
    """Return what the last output is in two steps."""
    return [model(IMAGES, training=True)[1].detach().cpu().numpy() for _ in range(2)]


@pytest.mark.parametrize("options", [{}, {"seed": 3}], ids=["by path", "by seed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_draws_the_same_beside_others(kind: str, options: dict[str, int]) -> None:
    config.enable_op_determinism()  # for streams by path on a GPU
    try:
        found = []
        for others in (False, True, True):
            utils.set_random_seed(1)
            found.append(_drawn(_model(_layer(kind, **options), others)))
    finally:
        config.disable_op_determinism()
    alone, beside, again = found
    assert not np.array_equal(alone[0], alone[1]), "each step draws"
    for step in range(2):
        np.testing.assert_array_equal(alone[step], beside[step])
        np.testing.assert_array_equal(again[step], beside[step])


def test_streams_differ() -> None:
    """Layers of one model, two models, a copy of a layer, and two seeds draw different numbers; one model draws again."""
    utils.set_random_seed(1)
    inputs = ab.Input((64,))
    first, second = layers.Dropout(0.5), layers.Dropout(0.5)
    model, other = (ab.Model(inputs, [a(inputs), b(inputs)]) for a, b in ((first, second), (layers.Dropout(0.5), second)))
    ones = np.ones((1, 64), "float32")
    draws = [*model(ones, training=True), other(ones, training=True)[0], copy.deepcopy(first)(ones, training=True)]
    assert len({each.detach().cpu().numpy().tobytes() for each in draws}) == 4
    utils.set_random_seed(1)
    assert torch.equal(model(ones, training=True)[0], draws[0])
    utils.set_random_seed(2)
    assert not torch.equal(model(ones, training=True)[0], draws[0])


@pytest.mark.on_cpu
def test_other_draws_leave_streams_alone() -> None:
    """What else draws from torch's generator, such as data, changes no dropout."""
    ones = np.ones((1, 64), "float32")
    inputs = ab.Input((64,))
    found = []
    for draws in (False, True):
        utils.set_random_seed(1)
        model = ab.Model(inputs, layers.Dropout(0.5)(inputs))
        if draws:
            torch.rand(5)
        found.append(model(ones, training=True))
    assert torch.equal(*found)


@pytest.mark.on_cpu
def test_what_is_recomputed_draws_the_same() -> None:
    """Activation checkpointing repeats a layer with the numbers of its first run, whatever it draws from."""
    losses = []
    for remat in (None, "drop*"):
        utils.set_random_seed(1)
        h = inputs = ab.Input((8,))
        for index in range(3):
            h = layers.Activation("gelu", name=f"drop_act{index}")(layers.Dropout(0.5, name=f"drop{index}")(layers.Dense(8)(h)))
        model = ab.Model(inputs, layers.Dense(1)(h))
        model.compile("sgd", "mse", remat=remat)
        losses.append(model.fit(np.ones((16, 8)), np.ones((16, 1)), batch_size=4, epochs=2, verbose=0).history["loss"])
        assert "recomputed" in str(model.explain_execution(training=True)) or remat is None
    assert losses[0] == losses[1]


def test_a_state_of_random_numbers_is_set_before_a_stream_is_asked_for() -> None:
    utils.set_random_seed(1)
    model = _model(_layer("Dropout"), others=True)
    _drawn(model)
    states = runtime.random_states()
    expected = _drawn(model)
    del model
    utils.set_random_seed(1)
    again = _model(_layer("Dropout"), others=True)
    runtime.set_random_states(states)
    for one, other in zip(expected, _drawn(again), strict=True):
        np.testing.assert_array_equal(one, other)


class Putting(layers.Layer):
    """Run what torch has no deterministic algorithm for, on the CPU either."""

    def call(self, inputs: Any) -> Any:
        return inputs * torch.zeros(3).put_(torch.zeros(2, dtype=torch.int64), torch.ones(2)).sum().to(inputs.device)


def test_what_has_no_deterministic_algorithm_is_refused() -> None:
    ones = np.ones((2, 3), "float32")
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(Putting()(inputs)))
    model.compile("sgd", "mse")
    benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    config.enable_op_determinism()
    try:
        assert config.is_op_determinism_enabled()
        assert not torch.backends.cudnn.benchmark
        for run in (
            lambda: Putting()(ones), lambda: model.predict(ones, verbose=0),
            lambda: model.fit(ones, ones[:, :1], verbose=0),
        ):  # fmt: skip
            with pytest.raises(EngineError, match=r"could not run: put_ has no deterministic algorithm on this") as error:
                run()
            assert "Putting" in error.value.fact
            assert "disable_op_determinism()" in (error.value.repair or "")
            assert isinstance(error.value.__cause__, RuntimeError)
    finally:
        config.disable_op_determinism()
        restored, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, benchmark
    assert restored
    assert not torch.are_deterministic_algorithms_enabled()
    model.fit(ones, ones[:, :1], verbose=0)

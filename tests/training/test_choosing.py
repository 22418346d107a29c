"""With ``jit_compile=True`` compiled and plain steps are timed in a training, and the faster ones stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch.training.choosing import TIMED, WARM, Choice, device_time
from anabranch.training.data.batch import Batch

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(4 * (WARM + TIMED + 1), 8, 8, 3)).astype("float32"), RNG.integers(0, 3, 4 * (WARM + TIMED + 1))
STEPS = WARM + TIMED


class Clock:
    """Says that compiled and plain steps take so long."""

    def __init__(self, compiled: float, plain: float) -> None:
        self.now, self.takes = 0.0, {False: compiled, True: plain}
        self.choice = Choice(self)
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        self.now += self.takes[self.choice.plain] * (self.asked % 2 == 0)
        return self.now


def batch(size: int = 4) -> Batch:
    return Batch([torch.zeros(size, 2)], [None], [None], size)


def ways(clock: Clock, steps: int, size: Callable[[int], int] = lambda number: 4) -> list[bool]:
    found = []
    for number in range(steps):
        found.append(clock.choice.plain)
        clock.choice.take(lambda batch: None, batch(size(number)))
    return found


@pytest.mark.parametrize(("compiled", "plain", "stays"), [(2.0, 1.0, True), (1.0, 2.0, False), (1.0, 0.99, False)])
def test_the_faster_way_stays(compiled: float, plain: float, stays: bool) -> None:
    clock = Clock(compiled, plain)
    assert ways(clock, 2 * STEPS + 3) == [False] * STEPS + [True] * STEPS + [stays] * 3
    assert clock.asked == 4 * TIMED
    assert f"torch.compile took {compiled * 1e3:.3g} ms, plain ones {plain * 1e3:.3g} ms" in clock.choice.line
    assert clock.choice.line.endswith("plain ones were measured faster and stay" if stays else "these stay")


def test_batches_of_other_sizes_are_not_timed() -> None:
    clock = Clock(2.0, 1.0)
    epoch = WARM + 2
    found = ways(clock, 20 * epoch, lambda number: 3 if number % epoch == epoch - 1 else 4)
    assert clock.choice.line
    assert clock.asked == 4 * TIMED
    assert found[-1] is True


def test_one_slow_step_decides_nothing() -> None:
    clock = Clock(1.0, 1.1)
    ways(clock, WARM + 1)
    clock.takes[False] = 100.0  # an epoch ended
    ways(clock, 1)
    clock.takes[False] = 1.0
    ways(clock, 2 * STEPS)
    assert clock.choice.plain is False


def test_the_clock_goes_on() -> None:
    assert device_time() <= device_time()


def model_of(jit: Any) -> Any:
    ab.utils.set_random_seed(3)
    inputs = ab.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs)))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    model = ab.Model(inputs, layers.Dense(3)(x))
    loss = ab.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(ab.optimizers.SGD(0.05), loss, jit_compile=jit)
    return model


def fitted(model: Any, epochs: int = 3, **options: Any) -> list[float]:
    found = model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, **{"verbose": 0, **options}).history["loss"]
    return [float(value) for value in found]


@pytest.mark.parametrize("plain", [0.5, 2.0])
def test_a_training_measures_both_and_says_so(
    plain: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def compiled(module: Any) -> Any:
        return lambda *args: (calls.append(1), module(*args))[1]

    monkeypatch.setattr(torch, "compile", compiled)
    expected = fitted(model_of(False))
    model = model_of(True)
    model._compiled_.choice = (clock := Clock(1.0, plain)).choice
    np.testing.assert_allclose(fitted(model, verbose=2), expected, rtol=1e-4)
    assert capsys.readouterr().out.count("steps by torch.compile took") == 1
    total = 3 * len(X) // 4
    first = STEPS + 1  # a CPU's very first step is not timed
    assert len(calls) == first if plain < 1 else first < total - STEPS - 1 <= len(calls) <= total - STEPS
    why = model.explain_execution(training=True).replay
    assert why.startswith("steps by torch.compile took 1e+03 ms, plain ones")
    assert ("steps are replayed" in why) is (plain < 1)
    seen = clock.asked
    fitted(model, 1)
    assert clock.asked == seen, "what was measured holds for the next fit"
    model.jit_compile = "auto"
    assert "torch.compile" not in model.explain_execution(training=True).replay


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.not_fake("torch's compiler has no code for it")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns about itself
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_bfloat16_and_compiled_code_go_together(policy: str) -> None:
    ab.config.set_dtype_policy(policy)
    plain, compiled = model_of(False), model_of(True)
    expected = fitted(plain, 1)
    found = fitted(compiled, 1)
    assert not compiled._compiled_.choice.line
    np.testing.assert_allclose(found, expected, rtol=2e-2)
    for one, other in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(np.asarray(one, "float32"), np.asarray(other, "float32"), atol=3e-2)

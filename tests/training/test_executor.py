"""How steps are taken: layer by layer, compiled, several between two calls of callbacks; the results are the same."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, Model, callbacks, layers
from anabranch._errors import ArgumentError, EngineError
from anabranch.engine.jit import refusal


def model_of() -> Model:
    ab.utils.set_random_seed(3)
    inputs = Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="relu", activity_regularizer="l2")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.add([x, layers.Conv2D(4, 1)(x)])
    return Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def data(count: int = 23) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 6, 6, 2)).astype("float32"), rng.integers(0, 3, (count, 1))


def trained(**options: Any) -> tuple[dict[str, list[float]], list[np.ndarray], np.ndarray, list[float]]:
    model = model_of()
    model.compile("adam", ab.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"], **options)
    x, y = data()
    history = model.fit(x, y, batch_size=5, epochs=2, verbose=0, validation_split=0.2, shuffle=False).history
    return (
        history,
        model.get_weights(),
        model.predict(x, batch_size=5, verbose=0),
        model.evaluate(x, y, batch_size=5, verbose=0),
    )


def same(found: Any, expected: Any) -> None:
    for name, values in expected[0].items():
        np.testing.assert_allclose(found[0][name], values, rtol=2e-4, atol=1e-5, err_msg=name)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[3], expected[3], rtol=1e-3, atol=1e-3)


def test_layer_by_layer_gives_the_same_numbers() -> None:
    same(trained(run_eagerly=True), trained())


def test_layer_by_layer_reaches_the_users_own_lines() -> None:
    seen: list[type] = []

    class Looking(layers.Layer):
        def call(self, x: Any) -> Any:
            seen.append(type(x))
            return x * 2

    inputs = Input((2,))
    model = Model(inputs, layers.Dense(1)(Looking()(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    seen.clear()
    model.fit(np.ones((6, 2)), np.ones((6, 1)), batch_size=2, verbose=0)
    assert len([kind for kind in seen if issubclass(kind, torch.Tensor)]) >= 3
    model.run_eagerly = False
    seen.clear()
    model.fit(np.ones((6, 2)), np.ones((6, 1)), batch_size=2, verbose=0)
    assert not any(issubclass(kind, torch.Tensor) for kind in seen)


def test_a_step_walks_the_layers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the trained weights, which a subclass may choose, once for all else that training asks of layers."""
    model, walks = model_of(), 0
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
    x, y = data(4)
    model.train_on_batch(x, y)
    model.predict_on_batch(x)
    walk = Model._inner_layers_

    def counted(self: Model) -> Any:
        nonlocal walks
        walks += 1
        return walk(self)

    monkeypatch.setattr(Model, "_inner_layers_", counted)
    model.train_on_batch(x, y)
    assert walks == 2
    model.predict_on_batch(x)
    assert walks == 2, "a prediction walks none"


@pytest.mark.parametrize("size", [1, 3, 50])
def test_groups_of_steps_give_the_same_numbers(size: int) -> None:
    same(trained(steps_per_execution=size), trained())


def test_callbacks_look_once_in_so_many_steps() -> None:
    """The numbers are Keras's on JAX, but for the end of the last, smaller group, which is that of its last step."""
    heard: list[tuple[str, int]] = []

    class Ear(callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            heard.append(("begin", batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append(("end", batch))

        on_test_batch_begin = on_predict_batch_begin = on_train_batch_begin
        on_test_batch_end = on_predict_batch_end = on_train_batch_end

    inputs = Input((2,))
    model = Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", steps_per_execution=3)
    x, y = np.ones((40, 2), "float32"), np.ones((40, 1), "float32")
    expected = [("begin", 0), ("end", 2), ("begin", 3), ("end", 5), ("begin", 6), ("end", 7)]
    for run in (
        lambda: model.fit(x, y, batch_size=5, verbose=0, callbacks=[Ear()]),
        lambda: model.evaluate(x, y, batch_size=5, verbose=0, callbacks=[Ear()]),
        lambda: model.predict(x, batch_size=5, verbose=0, callbacks=[Ear()]),
    ):
        heard.clear()
        run()
        assert heard == expected
    assert model.optimizer.iterations == 8


def test_what_was_asked_for_can_be_read() -> None:
    model = model_of()
    assert (model.run_eagerly, model.jit_compile, model.steps_per_execution) == (False, "auto", 1)
    model.compile("sgd", "mse", jit_compile=False, steps_per_execution=4)
    assert (model.run_eagerly, model.jit_compile, model.steps_per_execution) == (False, False, 4)


@pytest.mark.parametrize(
    "options", [{"jit_compile": "yes"}, {"jit_compile": True, "run_eagerly": True}, {"steps_per_execution": 0}], ids=str
)
def test_mistakes(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        model_of().compile("sgd", "mse", **options)


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


@needs_compiler
@pytest.mark.not_fake("torch's compiler has no code for it")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns about itself
def test_compiled_code_gives_the_same_numbers_and_is_made_once(capsys: pytest.CaptureFixture[str]) -> None:
    from torch._dynamo.utils import counters

    plain = trained()
    torch._dynamo.reset()
    counters.clear()
    model = model_of()
    model.compile("adam", ab.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"], jit_compile=True)
    x, y = data()
    history = model.fit(x, y, batch_size=5, epochs=2, verbose=2, validation_split=0.2, shuffle=False).history
    graphs = counters["stats"]["unique_graphs"]
    assert graphs == 2, "one for training, one for validation: the smaller last batches made none"
    same((history, model.get_weights(), model.predict(x, batch_size=5), model.evaluate(x, y, batch_size=5, verbose=0)), plain)
    model.fit(x[:9], y[:9], batch_size=4, verbose=0)  # a last batch of one
    assert counters["stats"]["unique_graphs"] == graphs
    said = capsys.readouterr().out
    assert "torch.compile compiles the model" in said
    assert "torch.compile took" in said


def test_a_compiler_that_fails_is_reported() -> None:
    from torch._inductor.exc import InvalidCxxCompiler

    found = refusal(InvalidCxxCompiler())
    assert isinstance(found, EngineError)
    assert "jit_compile=False" in str(found)
    assert refusal(ValueError("another's")) is None

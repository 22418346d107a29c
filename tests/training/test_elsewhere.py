"""predict and evaluate on ONNX Runtime and OpenVINO: the same results, weights followed, torch where that cannot be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting import calls

import anabranch as ab
from anabranch import Input, Model, config, layers
from anabranch._errors import ArgumentError, MissingExtraError
from anabranch.training import elsewhere

pytestmark = [pytest.mark.on_cpu, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def installed(name: str) -> Any:
    missing = importlib.util.find_spec(name) is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed (180 MB for OpenVINO)"))


ENGINES = [installed("onnxruntime"), installed("openvino")]


@pytest.fixture(autouse=True)
def after() -> Iterator[None]:
    yield
    config.set_inference_engine(None)


def model_of() -> Model:
    ab.utils.set_random_seed(3)
    inputs = Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.add([x, layers.Conv2D(6, 1)(x)])
    return Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x)))


def images(count: int = 11) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype("float32")


def session(model: Model) -> elsewhere.Session:
    from anabranch import engine

    found = engine.program(model, False).elsewhere
    assert isinstance(found, elsewhere.Session)
    return found


def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of each batch that another engine computes."""
    sizes: list[int] = []
    outputs = elsewhere.Session._outputs

    def counted(self: elsewhere.Session, inputs: Any) -> Any:
        sizes.append(len(inputs[0]))
        return outputs(self, inputs)

    monkeypatch.setattr(elsewhere.Session, "_outputs", counted)
    return sizes


@pytest.mark.parametrize("name", ENGINES)
def test_predictions_and_losses_are_those_of_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = model_of(), images(), np.arange(11) % 4
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    expected, losses = model.predict(x, batch_size=4, verbose=0), model.evaluate(x, y, batch_size=4, verbose=0)
    config.set_inference_engine(name)
    sizes = runs(monkeypatch)
    np.testing.assert_allclose(model.predict(x, batch_size=4, verbose=0), expected, rtol=1e-4, atol=1e-5)
    assert sizes == [4, 4, 3], "batches of any size"
    np.testing.assert_allclose(model.evaluate(x, y, batch_size=4, verbose=0), losses, rtol=1e-4)
    np.testing.assert_allclose(model.predict(x[:1], verbose=0), expected[:1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-4, atol=1e-5)
    assert sizes == [4, 4, 3, 4, 4, 3, 1, 11]
    assert session(model).sessions == 1
    model(x)
    assert len(sizes) == 8, "a call is differentiable, so it runs on torch"
    assert f"run on {name}" in str(model.explain_execution())
    config.set_inference_engine(None)
    model.predict(x, verbose=0)
    assert len(sizes) == 8
    assert name not in str(model.explain_execution())


def assigned(model: Model, folder: Path) -> None:
    model.get_layer("head").kernel.assign(np.full((6, 4), 0.3, "float32"))


def in_place(model: Model, folder: Path) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(2)


def by_data(model: Model, folder: Path) -> None:
    kernel = next(model.parameters())
    kernel.data.copy_(kernel.data.roll(2, 1))


def by_numpy(model: Model, folder: Path) -> None:
    next(model.parameters()).detach().numpy()[...] += 0.1


def replaced(model: Model, folder: Path) -> None:
    kernel = next(model.parameters())
    kernel.data = kernel.data * 3


def set_whole(model: Model, folder: Path) -> None:
    model.set_weights([2 * value for value in model.get_weights()])


def loaded(model: Model, folder: Path) -> None:
    other = model_of()
    other.set_weights([value + 0.1 for value in other.get_weights()])
    other.save_weights(folder / "w.weights.h5")
    model.load_weights(folder / "w.weights.h5")


def fitted(model: Model, folder: Path) -> None:
    model.compile("sgd", "mse")
    model.fit(images(), np.ones((11, 4)), epochs=2, verbose=0)


CHANGES: list[Callable[[Model, Path], None]] = [assigned, in_place, by_data, by_numpy, replaced, set_whole, loaded, fitted]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ENGINES)
def test_weights_are_followed(name: str, change: Callable[[Model, Path], None], tmp_path: Path) -> None:
    model, x = model_of(), images()
    config.set_inference_engine(name)
    before = model.predict(x, verbose=0)
    change(model, tmp_path)
    after = model.predict(x, verbose=0)
    assert not session(model).refusal
    assert not np.allclose(before, after, rtol=1e-3)
    with torch.no_grad():
        np.testing.assert_allclose(after, model(x).numpy(), rtol=1e-4, atol=1e-5)
    count = session(model).sessions
    model.predict(x, verbose=0)
    assert session(model).sessions == count, "nothing has changed"


def test_other_results_than_torchs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine with a mistake in it: the first batch shows it, and torch computes from then on."""
    made = elsewhere.MAKERS["onnxruntime"]

    def wrong(model: bytes, threads: int) -> elsewhere.Run:
        run = made(model, threads)
        return lambda arrays: [array + np.float32(0.5) for array in run(arrays)]

    model, x = model_of(), images()
    expected = model.predict(x, verbose=0)
    monkeypatch.setitem(elsewhere.MAKERS, "onnxruntime", wrong)
    config.set_inference_engine("onnxruntime")
    with pytest.warns(UserWarning, match=r"runs on torch, not on onnxruntime: output 0 .* differs from torch's by up to 0\.5"):
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)  # and it is said once
    assert "by up to 0.5" in str(model.explain_execution())


def test_what_cannot_be_exported_runs_on_torch_and_says_why() -> None:
    class Branching(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x

    inputs = Input((3,))
    model = Model(inputs, layers.Dense(1)(Branching()(inputs)))
    x = np.ones((4, 3), "float32")
    expected = model.predict(x, verbose=0)
    config.set_inference_engine("onnxruntime")
    with pytest.warns(UserWarning, match="runs on torch, not on onnxruntime: layers .* cannot be traced"):
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_losses_of_layers_are_counted_so_torch_runs() -> None:
    inputs = Input((3,))
    model = Model(inputs, layers.Dense(1, activity_regularizer="l2")(inputs))
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
    expected = model.evaluate(x, y, verbose=0)
    config.set_inference_engine("onnxruntime")
    with pytest.warns(UserWarning, match="layers add losses"):
        assert model.evaluate(x, y, verbose=0) == expected


def test_several_inputs_and_outputs_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"ids": Input((5,), dtype="int32", name="ids"), "more": Input((2,), name="more")}
    words = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(inputs["ids"]))
    joined = layers.Concatenate()([words, inputs["more"]])
    model = Model(inputs, {"a": layers.Dense(2)(joined), "b": layers.Dense(1, activation="sigmoid")(joined)})
    x = {"more": np.ones((3, 2), "float32"), "ids": np.arange(15, dtype="int32").reshape(3, 5) % 9}
    expected = model.predict(x, verbose=0)
    config.set_inference_engine("onnxruntime")
    sizes = runs(monkeypatch)
    found = model.predict(x, verbose=0)
    assert sizes == [3]
    assert list(found) == ["a", "b"]
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_it_has_as_many_threads_as_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    made = elsewhere.MAKERS["onnxruntime"]
    monkeypatch.setitem(elsewhere.MAKERS, "onnxruntime", lambda model, threads: given.append(threads) or made(model, threads))
    model, x, before = model_of(), images(), torch.get_num_threads()
    config.set_inference_engine("onnxruntime")
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            model.predict(x, verbose=0)
    finally:
        torch.set_num_threads(before)
    assert given == [1, 2]


def test_a_second_image_of_the_same_size_asks_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = model_of(), images(1)
    expected = model.predict(x, verbose=0)
    config.set_inference_engine("onnxruntime")
    sizes = runs(monkeypatch)
    counts = [calls(lambda: model.predict(x, verbose=0)) for _ in range(3)]
    assert sizes == [1, 1, 1]
    assert counts[1] == counts[2] < 90, "functions of Python"
    next(model.parameters()).data.mul_(2)
    assert not np.allclose(model.predict(x, verbose=0), expected, rtol=1e-3)
    config.set_inference_engine(None)
    model.predict(x, verbose=0)
    assert len(sizes) == 4


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="onnxruntime, openvino"):
        config.set_inference_engine("tensorrt")  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[openvino\]"):
        config.set_inference_engine("openvino")
    assert config.inference_engine() is None

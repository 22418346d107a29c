"""predict of one batch: the same results as of many, in memory of their own, and little around the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from counting import calls
from devices import here

from anabranch import Input, Model, callbacks, layers
from anabranch._errors import ArgumentError, DataError, ShapeError
from anabranch.training import at_once


def two_ended() -> Model:
    inputs = {"a": Input((3,), name="a"), "b": Input((2,), name="b")}
    joined = layers.Concatenate()([inputs["a"], inputs["b"]])
    return Model(inputs, {"sum": layers.Dense(2)(joined), "same": layers.Identity()(inputs["a"])})


def data(count: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(count, 3)).astype("float32"), "b": rng.normal(size=(count, 2)).astype("float32")}


def test_one_batch_gives_what_many_give() -> None:
    model, x = two_ended(), data(7)
    at_once, in_parts = model.predict(x), model.predict(x, batch_size=3, verbose=0)
    assert list(at_once) == list(in_parts) == ["sum", "same"]
    for name, value in at_once.items():
        assert isinstance(value, np.ndarray)
        np.testing.assert_allclose(value, in_parts[name], atol=1e-6)


def test_results_do_not_share_the_users_memory() -> None:
    model, x = two_ended(), data(4)
    before = x["a"].copy()
    model.predict(x)["same"][:] = 0
    assert np.array_equal(x["a"], before)


def test_nothing_is_shown_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    model, x = two_ended(), data(4)
    model.predict(x)
    assert capsys.readouterr().out == ""
    model.predict(x, verbose=1)
    assert capsys.readouterr().out != ""


def test_callbacks_hear_of_one_batch_too() -> None:
    heard: list[int] = []
    model = two_ended()
    model.predict(data(4), callbacks=[callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: heard.append(batch))])
    assert heard == [0]


@pytest.mark.parametrize(
    "x", [[[1.0, 2.0], [3.0, 4.0]], torch.ones(2, 2), np.ones((2, 2), "uint8")], ids=["list", "tensor", "bytes"]
)
def test_all_kinds_of_arrays(x: Any) -> None:
    inputs = Input((2,))
    assert Model(inputs, layers.Dense(3)(inputs)).predict(x).shape == (2, 3)


def test_numbers_and_halves() -> None:
    inputs = Input((2,))
    model = Model(inputs, [layers.Lambda(torch.sum)(inputs), layers.Lambda(lambda x: x.to(torch.bfloat16))(inputs)])
    total, halves = model.predict(np.ones((3, 2), "float32"))
    assert total.shape == (1,)
    assert halves.dtype == np.float32


def test_mistakes_are_explained() -> None:
    model = two_ended()
    with pytest.raises(DataError):
        model.predict(data(0))
    with pytest.raises(ShapeError):
        model.predict({"a": np.ones((2, 5)), "b": np.ones((2, 2))})


def test_calls_do_not_grow_with_the_number_of_layers() -> None:
    """A prediction walks the fx graph, and neither layers nor weights besides."""

    def calls_of(depth: int) -> int:
        x = inputs = Input((2,))
        for _ in range(depth):
            x = layers.Dense(2)(x)
        model, ones = Model(inputs, x), np.ones((1, 2), "float32")
        model.predict(ones)
        return calls(lambda: model.predict(ones))

    assert calls_of(40) == calls_of(10) < (60 if here().type == "cpu" else 200)  # an accelerator takes a few


def known_of(model: Model) -> object:
    return at_once._known.get(model)


@pytest.mark.on_cpu
def test_a_second_array_of_the_same_kind_asks_for_little() -> None:
    inputs = Input((3,))
    model, x = Model(inputs, {"a": layers.Dense(2)(inputs)}), np.ones((4, 3), "float32")
    first = model.predict(x, verbose=0)
    assert known_of(model) is not None
    others = [x[:1], x.astype("float64"), x.tolist(), torch.from_numpy(x), x[::2], np.asfortranarray(x), x.astype(">f4")]
    readonly = x.copy()
    readonly.flags.writeable = False
    for other in (*others, readonly):
        np.testing.assert_allclose(model.predict(other, verbose=0)["a"], first["a"][: len(other)], rtol=1e-6)
    assert model.predict(np.ones((40, 3), "float32"), verbose=0)["a"].shape == (40, 2), "more than a batch"
    assert model.predict(x, batch_size=3, verbose=0)["a"].shape == (4, 2)
    for wrong in (np.ones((2, 4), "float32"), np.ones((0, 3), "float32"), np.ones(3, "float32")):
        with pytest.raises(DataError if wrong.size == 0 else ShapeError):
            model.predict(wrong, verbose=0)
    with pytest.raises(ArgumentError):
        model.predict(x, batch_size=0, verbose=0)


@pytest.mark.on_cpu
def test_what_changes_between_two_predictions_counts() -> None:
    seen: list[bool] = []

    class Looking(layers.Layer):
        def call(self, x: Any) -> Any:
            seen.append(isinstance(x, torch.Tensor) and type(x) is torch.Tensor)
            return x * 1

    inputs = Input((3,))
    model, x = Model(inputs, layers.Dense(2, kernel_initializer="ones")(Looking()(inputs))), np.ones((4, 3), "float32")
    plain = Model(inputs, layers.Dense(2, kernel_initializer="ones", name="head")(inputs))
    for each in (model, plain):
        each.predict(x, verbose=0)
    plain.get_layer("head").kernel.assign(np.full((3, 2), 2.0))
    assert plain.predict(x, verbose=0)[0, 0] == 6.0
    next(plain.parameters()).data.fill_(3.0)
    assert plain.predict(x, verbose=0)[0, 0] == 9.0
    plain.predict_step = lambda data: torch.zeros(4, 1)  # type: ignore[method-assign,assignment]
    assert plain.predict(x, verbose=0).shape == (4, 1)
    del plain.predict_step
    assert plain.predict(x, verbose=0).shape == (4, 2)
    seen.clear()
    model.compile("sgd", "mse", run_eagerly=True)
    model.predict(x, verbose=0)
    assert any(seen), "layer by layer"
    plain.get_layer("head").activation = "relu"
    next(plain.parameters()).data.fill_(-3.0)
    assert plain.predict(x, verbose=0)[0, 0] == 0.0

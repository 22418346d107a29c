"""Settings, progress, symbolic tensors, dtypes, and data in two parts."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, Model, layers, utils
from anabranch._errors import AnabranchError, ArgumentError
from anabranch.callbacks import progress

X, Y = np.arange(20, dtype="float32").reshape(10, 2), np.arange(10)


@pytest.mark.parametrize("sizes", [{"left_size": 0.8}, {"right_size": 3}, {"left_size": 2, "right_size": 0.5}])
def test_a_data_set_in_two_parts(sizes: dict[str, Any], keras: Any) -> None:
    left, right = utils.split_dataset((X, Y), **sizes)
    if len(sizes) == 1:  # Keras on torch leaves nothing out
        assert (len(left), len(right)) == tuple(map(len, keras.utils.split_dataset((X, Y), **sizes)))
    assert [int(y) for _, y in left] == list(range(len(left)))
    assert [int(y) for _, y in right] == list(range(10 - len(right), 10))
    assert left[0][0].tolist() == [0, 1]


def test_shuffled_parts_follow_from_the_seed() -> None:
    first, second, other = ([int(x) for (x,) in utils.split_dataset(Y, 0.5, shuffle=True, seed=seed)[0]] for seed in (1, 1, 2))
    assert first == second != other
    left, right = utils.split_dataset(Y, 0.5, shuffle=True)
    assert sorted(int(x) for part in (left, right) for (x,) in part) == list(range(10))


def test_fit_takes_the_parts() -> None:
    left, right = utils.split_dataset([X, Y.astype("float32")], 0.8)
    model = ab.Sequential([Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 1e-5
    history = model.fit(left, validation_data=right, batch_size=4, epochs=2, verbose=0).history
    assert history["val_loss"][1] < history["val_loss"][0]
    dataset = torch.utils.data.TensorDataset(torch.ones(4, 2))
    assert len(utils.split_dataset(dataset, 1)[1]) == 3


@pytest.mark.parametrize("wrong", [
    {}, {"left_size": 0}, {"left_size": 1.0}, {"left_size": 11}, {"left_size": 6, "right_size": 6}, {"left_size": -0.5},
    {"left_size": 0.01}, {"left_size": 2, "preferred_backend": "jax"},
])  # fmt: skip
def test_sizes_that_do_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        utils.split_dataset(Y, **wrong)
    with pytest.raises(AnabranchError):
        utils.split_dataset([X, Y[:3]], 0.5)


@pytest.mark.parametrize("dtype", [None, int, float, bool, str, "int8", "bfloat16", np.float16, np.dtype("uint8"), torch.int64])
def test_dtypes_by_keras_s_names(dtype: Any, keras: Any) -> None:
    assert utils.standardize_dtype(dtype) == keras.utils.standardize_dtype(dtype)


def test_an_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="did you mean 'float32'"):
        utils.standardize_dtype("flot32")


def test_source_inputs(keras: Any) -> None:
    built = {}
    for lib in (ab, keras):
        a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
        y = lib.layers.Dense(4)(b)
        out = lib.layers.add([lib.layers.concatenate([y, a]), lib.layers.concatenate([y, y])])
        built[lib.__name__] = [source.name for source in lib.utils.get_source_inputs(out)]
        assert lib.utils.is_keras_tensor(out)
        assert not lib.utils.is_keras_tensor(np.ones(2))
    assert built["anabranch"] == ["b", "a"]
    assert sorted(built["keras"]) == ["a", "b"]
    x = Input((2,))
    for _ in range(3000):
        x = x + 1.0
    assert len(utils.get_source_inputs(x)) == 1
    with pytest.raises(TypeError):
        utils.get_source_inputs(1.0)  # type: ignore[arg-type]


def test_config(keras: Any) -> None:
    for lib in (utils, keras.utils):
        settings = lib.Config(a=1, b="x")
        settings.c = [2]
        settings["d"] = 3
        settings.update({"a": 5})
        assert (settings.a, settings["b"], settings.get("zz", 7), settings.pop("d")) == (5, "x", 7, 3)
        assert (list(settings), len(settings), "c" in settings, settings.as_dict()["c"]) == (["a", "b", "c"], 3, True, [2])
        assert settings.to_json() == '{"a": 5, "b": "x", "c": [2]}'
        settings.freeze()
        assert settings.frozen
        for change in (lambda s: setattr(s, "a", 1), lambda s: s.pop("a"), lambda s: s.update(a=1)):
            with pytest.raises(ValueError, match="frozen"):
                change(settings)
        settings.unfreeze()
        del settings["a"]
        with pytest.raises(AttributeError):
            settings.a
    with pytest.raises(AttributeError, match="did you mean 'rate'"):
        utils.Config(rate=1).rat


def test_progbar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**options: Any) -> str:
        bar = utils.Progbar(4, stateful_metrics=["rate"], **options)
        for step in range(4):
            bar.add(1, [("loss", float(step)), ("rate", 0.5 - step)])
        assert bar.values == {"loss": 1.5, "rate": -2.5}
        return capsys.readouterr().out

    assert run(verbose=0) == ""
    quiet = run(verbose=2)
    assert quiet.startswith("4/4  ")
    assert quiet.endswith("loss: 1.5000  rate: -2.5000\n")
    assert quiet.count("\n") == 1
    monkeypatch.setattr("anabranch.utils.progress.alive", lambda: True)
    moving = run(interval=0, width=8, unit_name="sample")
    assert "2/4  ━━━━╌╌╌╌" in moving
    assert moving.count("\r") == 4
    assert "/sample" in moving
    assert "━" not in run(verbose=1, interval=100, width=0)
    with pytest.raises(ArgumentError):
        utils.Progbar(2, stateful_metrics=[], stateless_metrics=[])
    bar = utils.Progbar(2, verbose=0, stateless_metrics=["a"])
    bar.update(1, [("a", 1.0), ("b", 1.0)])
    bar.update(2, [("a", 2.0), ("b", 2.0)])
    assert bar.values == {"a": 1.5, "b": 2.0}


def test_without_interactive_logging_progress_is_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = Input((2,))
    model = Model(x, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    caplog.set_level(logging.INFO, "anabranch")
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    utils.disable_interactive_logging()
    try:
        assert not ab.config.is_interactive_logging_enabled()
        model.fit(X, Y, epochs=2, verbose=1)
        utils.Progbar(1).update(1)
    finally:
        utils.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert [record.getMessage()[:9] for record in caplog.records][:2] == ["Epoch 1/2", "Epoch 2/2"]
    assert len(caplog.records) == 3

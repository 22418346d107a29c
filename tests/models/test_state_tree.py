"""A model's state as a nest of values by name, beside Keras's; what is built by a config of the author's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers, optimizers
from anabranch._errors import ArgumentError, ShapeError, UnknownNameError


def _model(k: Any) -> Any:
    x = k.Input((3,))
    inner = k.Sequential(
        [k.layers.Input((3,)), k.layers.Dense(2, name="dense"), k.layers.BatchNormalization(name="norm")], name="inner"
    )
    model = k.Model(x, k.layers.Dense(1, name="dense_out")(inner(x)))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def _paths(nest: Any, prefix: str = "") -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for key, value in nest.items():
        found |= _paths(value, f"{prefix}{key}/") if isinstance(value, dict) else {f"{prefix}{key}": tuple(value.shape)}
    return found


def _fit(model: Any) -> Any:
    return model.fit(np.arange(12.0).reshape(4, 3) / 12, np.ones((4, 1)), shuffle=False, verbose=0)


def test_the_nest_is_that_of_keras(keras: Any) -> None:
    mine, theirs = (_fit(model) and model.get_state_tree("numpy_array") for model in (_model(ab), _model(keras)))
    for kind in ("trainable_variables", "non_trainable_variables"):
        assert _paths(mine[kind]) == _paths(theirs[kind])
    assert set(_paths(mine["metrics_variables"])) == {"mae/total", "mae/count"}
    assert mine["optimizer_variables"]["adam"].keys() >= {"iteration", "learning_rate", "dense_out_kernel_momentum"}


def test_a_state_of_one_model_is_set_on_another() -> None:
    first, second = _model(ab), _model(ab)
    assert first.compiled
    assert not ab.Sequential([layers.Dense(1)]).compiled
    _fit(first)
    second.set_state_tree(first.get_state_tree("numpy_array"))
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert _fit(first).history == _fit(second).history
    shared = first.get_state_tree()["trainable_variables"]["dense_out"]["bias"]
    shared.data.fill_(5.0)
    assert first.get_layer("dense_out").bias.numpy().tolist() == [5.0], "tensors share memory"


@pytest.mark.parametrize(
    ("part", "kind", "words"),
    [
        ({"trainable_variables": {"dense_out": {"kernl": np.ones((2, 1))}}}, UnknownNameError, "kernl"),
        ({"trainable_variables": {"dense_out": {"kernel": np.ones((1, 1))}}}, ShapeError, "another shape"),
        ({"trainables": {}}, UnknownNameError, "trainable_variables"),
    ],
)
def test_nothing_changes_unless_all_fits(part: Any, kind: type[Exception], words: str) -> None:
    model = _model(ab)
    before = model.get_weights()
    with pytest.raises(kind, match=words):
        model.set_state_tree({"non_trainable_variables": {"inner": {"norm": {"moving_mean": np.full(2, 9.0)}}}} | part)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ArgumentError, match="value_format"):
        model.get_state_tree("tensors")


def test_an_optimizers_variables_go_to_another() -> None:
    first, second = _model(ab), _model(ab)
    _fit(first)
    store: dict[str, Any] = {}
    first.optimizer.save_own_variables(store)
    with pytest.raises(ArgumentError, match="build"):
        second.optimizer.load_own_variables(store)
    second.optimizer.build(second.trainable_weights)
    second.optimizer.load_own_variables(store)
    assert second.optimizer.iterations == 1
    np.testing.assert_array_equal(second.optimizer.variables[2].numpy(), first.optimizer.variables[2].numpy())
    with pytest.raises(ShapeError):
        optimizers.SGD().set_weights([1, np.ones(2)])


def _table(k: Any) -> type:
    class Table(k.layers.Layer):  # type: ignore[misc]
        """Has weights whose shape follows from data that only its build config knows."""

        def adapt(self, words: list[str]) -> None:
            self.words = list(words)
            self.embeddings = self.add_weight(shape=(len(self.words), 2), initializer="ones", name="embeddings")
            self.built = True

        def call(self, x: Any) -> Any:
            return x * self.embeddings[0]

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def get_build_config(self) -> dict[str, Any]:
            return {"words": self.words}

        def build_from_config(self, config: dict[str, Any]) -> None:
            self.adapt(config["words"])

    return Table


@pytest.mark.parametrize("order", ["ours", "to keras", "from keras"])
def test_a_build_config_of_ones_own(keras: Any, tmp_path: Path, order: str) -> None:
    first, second = {"ours": (ab, ab), "to keras": (ab, keras), "from keras": (keras, ab)}[order]
    layer = _table(first)(name="table")
    layer.adapt(["a", "b", "c"])
    x = first.Input((2,))
    model = first.Model(x, layer(x))
    layer.embeddings.assign(np.full((3, 2), 4.0, "float32"))
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras", custom_objects={"Table": _table(second)})
    assert again.get_layer("table").words == ["a", "b", "c"]
    assert np.asarray(again.predict(np.ones((1, 2), "float32"), verbose=0)).tolist() == [[4.0, 4.0]]


def _pairing(k: Any) -> Any:
    class Pairing(k.layers.Layer):  # type: ignore[misc]
        def build(self, query_shape: Any, value_shape: Any) -> None:
            self.kernel = self.add_weight(shape=(query_shape[-1], value_shape[-1]), name="kernel")

        def call(self, query: Any, value: Any) -> Any:
            return query + value

    return Pairing()


def test_layers_say_what_they_were_built_for(keras: Any) -> None:
    def found(k: Any) -> list[Any]:
        dense, pairing = k.layers.Dense(2), _pairing(k)
        dense.build((None, 3))
        pairing(k.Input((5, 4)), k.Input((5, 4)))
        return [dense.get_build_config(), pairing.get_build_config(), k.layers.Dense(2).get_build_config()]

    assert found(ab) == found(keras)
    config, pairs, nothing = found(ab)
    assert (config, nothing) == ({"input_shape": (None, 3)}, None)
    assert set(pairs["shapes_dict"]) == {"query_shape", "value_shape"}
    for layer, given, size in ((layers.Dense(2), {"input_shape": [None, 3]}, 8), (_pairing(ab), pairs, 16)):
        layer.build_from_config(given)
        assert layer.count_params() == size
    layers.Dense(2).build_from_config(None)


def test_every_optimizer_has_a_nest() -> None:
    for name in sorted(vars(ab.optimizers).get("__all__", dir(ab.optimizers))):
        kind = getattr(ab.optimizers, name)
        if not isinstance(kind, type) or name in (
            "Optimizer",
            "LossScaleOptimizer",
            "MultiOptimizer",
            "OptimizerMap",
            "TorchOptimizer",
        ):
            continue
        first, second = (ab.Sequential([ab.Input((3,)), layers.Dense(2), layers.Dense(2)]) for _ in range(2))
        for model in (first, second):
            model.compile(kind(), "mse")
        first.fit(np.ones((4, 3)), np.zeros((4, 2)), verbose=0)
        second.set_state_tree(first.get_state_tree("numpy_array"))
        for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

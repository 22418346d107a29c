"""Variables that scripts make themselves, and what scripts ask ``isinstance`` of; beside real Keras."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch._errors import ArgumentError, ArgumentTypeError


def test_values_dtypes_and_arithmetic_are_those_of_keras(keras: Any) -> None:
    for value, dtype in ((2.0, None), ([1, 2], "float32"), (np.ones((2, 3)), None), (np.ones(2, "float16"), None)):
        theirs, ours = (k.Variable(value, dtype=dtype, name="v") for k in (keras, ab))
        assert (ours.path, tuple(ours.shape), ours.dtype) == (theirs.path, tuple(theirs.shape), theirs.dtype)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    integers = [k.Variable(3, trainable=False) for k in (keras, ab)]
    assert [(v.dtype, int(v)) for v in integers] == [("int32", 3)] * 2
    made = [k.Variable("ones", shape=(2,), trainable=False) for k in (keras, ab)]
    assert [(v.trainable, v.dtype, v.numpy().tolist()) for v in made] == [(False, "float32", [1.0, 1.0])] * 2
    variable = ab.Variable([1.0, 2.0])
    assert (variable + 1).tolist() == [2.0, 3.0]
    assert variable.assign_sub([1.0, 1.0]).numpy().tolist() == [0.0, 1.0]
    assert (float(ab.Variable(2.5)), int(ab.Variable(3))) == (2.5, 3)


def test_gradients_reach_it_and_optimizers_update_it() -> None:
    variable = ab.Variable([1.0, 2.0])
    (variable * variable).sum().backward()
    assert variable.value.grad.tolist() == [2.0, 4.0]
    ab.optimizers.SGD(0.5).apply([variable.value.grad], [variable])
    assert variable.numpy().tolist() == [0.0, 0.0]
    assert torch.autograd.grad((variable * 3).sum(), [variable.value])[0].tolist() == [3.0, 3.0]


def scaled(k: Any) -> Any:
    class Scaled(k.layers.Layer):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scale = k.Variable(np.float32(2.0), name="scale")
            self.steps = k.Variable(1, dtype="int32", trainable=False, name="steps")

        def call(self, x: Any) -> Any:
            return x * self.scale

    x = k.Input((3,))
    return k.Model(x, Scaled(name="scaled")(x))


def test_a_layer_has_the_variables_that_it_is_given(keras: Any) -> None:
    models = [scaled(k) for k in (keras, ab)]
    for model in models:
        assert [w.path.rpartition("/")[2] for w in model.weights] == ["scale", "steps"]
        assert len(model.trainable_weights) == 1
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 3), "float32"), np.zeros((4, 3), "float32"), verbose=0)
    theirs, ours = ([np.asarray(w) for w in model.get_weights()] for model in models)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    twin = ab.models.clone_model(models[1], weights="copied")
    assert len(twin.weights) == 2


def test_it_is_copied_and_pickled() -> None:
    variable = ab.Variable([1.0, 2.0], name="v")
    for twin in (copy.deepcopy(variable), pickle.loads(pickle.dumps(variable))):
        assert isinstance(twin, ab.Variable)
        assert (twin.path, twin.numpy().tolist()) == ("v", [1.0, 2.0])


def test_what_is_asked() -> None:
    x = ab.Input((3,))
    layer = ab.layers.Dense(2)
    model = ab.Model(x, layer(x))
    assert all(isinstance(w, ab.Variable) for w in model.weights)
    assert not isinstance(3, ab.Variable)
    assert isinstance(x, ab.KerasTensor)
    assert not isinstance(np.ones(2), ab.KerasTensor)
    assert isinstance(layer, ab.Operation)
    assert not isinstance(x, ab.Operation)
    assert isinstance(model, ab.Function)
    assert isinstance(ab.Function(x, layer(x)), ab.Model)
    assert ab.KerasTensor((None, 3), "int32").dtype == "int32"


def test_blocks() -> None:
    with ab.name_scope("a"), ab.name_scope("b"):
        assert ab.Variable(1.0, name="v").path == "a/b/v"
    before = ab.config.device()
    with ab.device("/device:CPU:0"):
        assert ab.config.device() == "cpu"
    assert ab.config.device() == before


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="needs shape"):
        ab.Variable("zeros")
    with pytest.raises(ArgumentError, match="without '/'"):
        ab.Variable(1.0, name="a/b")
    with pytest.raises(ArgumentError, match="synchronization"):
        ab.Variable(1.0, synchronization="never")
    with pytest.raises(ArgumentError, match="without '/'"):
        ab.name_scope("a/b")
    with pytest.raises(ArgumentTypeError, match="not made as such"):
        ab.Operation()
    with pytest.raises(ArgumentTypeError, match="cannot be subclassed"):
        type("Mine", (ab.Operation,), {})
    with pytest.raises(ArgumentTypeError, match="dense"):
        ab.KerasTensor((3,), sparse=True)
    with pytest.raises(AttributeError, match="left out"):
        _ = ab.SymbolicScope


class Listed(ab.layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = ab.Variable([1.0, 2.0]), ab.Variable([1.0, 2.0])
        self.several = [ab.Variable([1.0, 2.0])]
        self.several.append(ab.Variable([1.0, 2.0], name="later"))
        self.named = {"a": {"b": (ab.Variable([1.0, 2.0]),)}}

    def call(self, inputs: Any) -> Any:
        return inputs * self.first * self.second * self.several[0] * self.several[1] * self.named["a"]["b"][0]


def test_variables_in_lists_and_dicts_are_weights_of_the_layer(tmp_path: Path) -> None:
    layer, x = Listed(), ab.Input((2,))
    model = ab.Model(x, layer(x))
    names = ["variable", "variable_1", "variable_2", "later", "variable_3"]
    assert [weight.path for weight in model.weights] == [f"listed/{name}" for name in names]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(np.ones((4, 2)), np.zeros((4, 2)), verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.save_weights(tmp_path / "a.safetensors")
    twin = ab.Model(x, Listed()(x))
    twin.load_weights(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(twin.get_weights(), model.get_weights())
    layer.several.append(ab.Variable([3.0, 3.0]))
    assert len(model.weights) == 6

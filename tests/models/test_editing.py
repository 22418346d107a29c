"""Paths, taps, cuts, edits and diffs: what changes, what stays, and what is refused."""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import Input, Model, Sequential, edit, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, GraphError, UnknownNameError
from anabranch.models import clone_model

X = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def backbone() -> Model:
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.ReLU(name="act")(layers.BatchNormalization(name="norm")(y))
    return Model(x, layers.MaxPooling2D(name="pool")(y), name="backbone")


def network() -> Model:
    """Return input -> backbone -> gap -> shared (three times) -> head."""
    x = Input((8, 8, 3), name="image")
    y = layers.GlobalAveragePooling2D(name="gap")(backbone()(x))
    shared = layers.Dense(4, name="shared")
    model = Model(x, layers.Dense(2, name="head")(shared(shared(shared(y)))), name="network")
    model.compile("adam", "mse", metrics=["mae"])
    return model


def run(model: Model) -> Any:
    return model.predict(X, verbose=0)


# Paths


def test_layers_are_found_by_path_and_selector() -> None:
    model = network()
    inner = model.get_layer("backbone")
    assert model["backbone/conv"] is inner["conv"] is inner.get_layer("conv")
    assert model["head"] is model.layers[-1]
    assert list(model.select(layers.Dense)) == ["shared", "head"]
    assert list(model.select("backbone/*")) == [
        "backbone/input_layer",
        *(f"backbone/{n}" for n in ("conv", "norm", "act", "pool")),
    ]
    assert list(model.select("norm")) == ["backbone/norm"]
    assert list(model.select(lambda layer: getattr(layer, "units", 0) == 2)) == ["head"]
    assert list(model.select([layers.ReLU, "gap"])) == ["backbone/act", "gap"]
    assert model.select("none*") == {}


def test_paths_reach_into_layers_that_hold_layers() -> None:
    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(3, name="inner")

        def call(self, x: Any) -> Any:
            return self.inner(x)

    x = Input((3,))
    model = Model(x, Block()(x))
    assert model["block/inner"] is model.layers[1].inner


def test_unknown_paths_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'backbone/conv'"):
        network()["backbone/cov"]
    with pytest.raises(GraphError, match=r"shared@0 .*shared@1 .*shared@2"):
        network().tensor("shared")
    with pytest.raises(ArgumentError, match="no call 3"):
        network().tensor("shared@3")
    with pytest.raises(ArgumentTypeError, match="A path is a string"):
        network()[0]


def test_tensors_of_several_outputs_have_numbers() -> None:
    x = Input((6,))
    model = Model(x, torch.split(x, 2, dim=-1)[2])
    assert model.tensor("split:1").shape == (None, 2)
    with pytest.raises(GraphError, match="ambiguous"):
        model.tensor("split")
    a = np.arange(6, dtype="float32")[None]
    assert model.tap("split:1").predict(a, verbose=0).tolist() == [[2, 3]]


# Taps and cuts


def test_taps_give_inner_tensors_in_the_nest_asked_for() -> None:
    model = network()
    inner = model["backbone"].tap("conv").predict(X, verbose=0)
    assert np.array_equal(model.tap("backbone/conv").predict(X, verbose=0), inner)
    found = model.tap({"a": "backbone/conv", "b": ["shared@1", "head"]}).predict(X, verbose=0)
    assert np.array_equal(found["a"], inner)
    assert np.array_equal(found["b"][1], run(model))
    assert list(model.tap(layers.Dense).predict(X, verbose=0)) == ["shared@0", "shared@1", "shared@2", "head"]
    assert model.tap("backbone/conv")["backbone/conv"] is model["backbone/conv"], "the same layers"


def test_inner_outputs_of_nested_models_can_be_outputs() -> None:
    model = network()
    nested = [*model["backbone"].layers[1:], *(layer for layer in model.layers if layer.name != "shared")]
    features = Model(model.input, [layer.output for layer in nested])
    found = features.predict(X, verbose=0)
    assert np.array_equal(found[-1], run(model))
    assert np.array_equal(found[0], model.tap("backbone/conv").predict(X, verbose=0))
    assert len(found) == len(nested)


def test_two_levels_of_nesting() -> None:
    x = Input((8, 8, 3))
    outer = Model(x, layers.Flatten()(backbone()(x)), name="outer")
    y = Input((8, 8, 3))
    model = Model(y, layers.Dense(2)(outer(y)))
    found = Model(model.input, model["outer/backbone/norm"].output).predict(X, verbose=0)
    assert np.array_equal(found, model.tap("outer/backbone/norm").predict(X, verbose=0))
    assert found.shape == (4, 8, 8, 4)


def test_the_inner_tensor_of_a_model_called_twice_is_ambiguous() -> None:
    inner = backbone()
    a, b = Input((8, 8, 3)), Input((8, 8, 3))
    model = Model([a, b], layers.add([inner(a), inner(b)]))
    with pytest.raises(GraphError, match="called 2 times"):
        Model(model.input, inner["conv"].output)
    second = model.tap("backbone@1/conv").predict([X, 2 * X], verbose=0)
    assert np.array_equal(second, inner.tap("conv").predict(2 * X, verbose=0))


def test_a_part_between_two_tensors() -> None:
    model = network()
    part = model.between("gap", "head")
    assert [layer.name for layer in part.layers][-2:] == ["shared", "head"]
    pooled = model.tap("gap").predict(X, verbose=0)
    assert np.array_equal(part.predict(pooled, verbose=0), run(model))
    with pytest.raises(GraphError, match="one graph"):
        model.between("backbone/conv", "head")
    inner = model["backbone"].between("conv", "act")
    assert inner.input_shape == (None, 8, 8, 4)


# Edits


def test_untouched_layers_share_their_weights_and_the_old_model_stays() -> None:
    model = network()
    before, table = run(model), model.diff(model)
    new = model.edit(edit.insert_after("gap", layers.Dropout(0.5, name="drop")))
    assert np.array_equal(run(new), before)
    assert not table
    for path, layer in model.select(layers.Dense).items():
        assert new[path].kernel is layer.kernel
        assert new[path] is not layer
    assert len(new["shared"]._calls_) == len(model["shared"]._calls_) == 3
    assert model.diff(new).of("added") == ["drop"]
    new["backbone"].trainable = False
    assert model["backbone"].trainable
    assert new.optimizer is not model.optimizer
    new.fit(X, np.zeros((4, 2)), verbose=0)
    assert not np.array_equal(run(model), before), "shared weights learn together"


def test_copied_weights_learn_alone() -> None:
    model = network()
    before = run(model)
    for new in (model.edit(weights="copied"), copy.deepcopy(model), clone_model(model, weights="copied")):
        assert np.array_equal(run(new), before)
        assert not model.diff(new)
        new.compile("sgd", "mse")
        new.fit(X, np.ones((4, 2)), verbose=0)
        assert not np.array_equal(run(new), before)
        assert np.array_equal(run(model), before)


def test_weights_that_were_never_drawn_are_drawn_alike() -> None:
    model = network()
    assert np.array_equal(run(model.edit(weights="copied")), run(model))


def test_frozen_twins_do_not_freeze_their_models() -> None:
    model = network()
    new = model.edit()
    new.trainable = False
    run(new)
    new(X, training=True)
    kernel = model["head"].kernel.numpy()
    model.fit(X, np.ones((4, 2)), verbose=0)
    assert not np.array_equal(model["head"].kernel.numpy(), kernel)


def test_many_edits_in_one_transaction() -> None:
    model = network()
    new = model.edit(
        edit.swap_activation("relu", "gelu"),
        edit.remove("shared@1"),
        edit.rename("head", "top"),
        edit.add_output("gap", lambda x: layers.Dense(3, name="aux")(x)),
        edit.wrap("shared@0", lambda layer, x: x + layer(x)),
    )
    diff = model.diff(new)
    assert new["backbone/conv"].get_config()["activation"] == "gelu"
    assert type(new["backbone/act"]).__name__ == "Activation"
    assert set(diff.of("added")) == {"add", "aux"}
    assert diff.of("renamed") == ["top"]
    assert not diff.of("removed")
    assert [value.shape for value in run(new)] == [(4, 2), (4, 3)]
    assert new.loss == {"top": "mse", "aux": None}
    assert new["backbone/conv"].kernel is model["backbone/conv"].kernel


def test_shapes_may_disagree_between_edits() -> None:
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", name="a")(x)
    z = layers.Conv2D(4, 3, padding="same", name="b")(x)
    model = Model(x, layers.add([y, z]))
    halved = [edit.replace(name, layers.Conv2D(4, 3, strides=2, padding="same")) for name in "ab"]
    assert model.edit(*halved).output_shape == (None, 4, 4, 4)
    with pytest.raises(ValueError, match=r"height [48] and [48]"):
        model.edit(halved[0])


def test_weights_that_do_not_fit_any_more_are_named() -> None:
    model = network()
    with pytest.warns(UserWarning, match=r"head: kernel \(4, 2\) became \(7, 2\), drawn again"):
        new = model.edit(edit.replace("shared@2", layers.Dense(7)))
    assert new["head"].bias is model["head"].bias
    assert new["head"].kernel.shape == (7, 2)
    assert run(new).shape == (4, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.edit(edit.insert_before("head", layers.Dropout(0.1)))


def test_a_whole_stage_is_removed_with_its_join() -> None:
    x = Input((8, 8, 4))
    y = layers.ReLU(name="one_out")(layers.Conv2D(4, 3, padding="same", name="one_conv")(x))
    z = layers.Conv2D(4, 3, padding="same", name="two_conv")(y)
    z = layers.add([z, layers.Conv2D(4, 1, name="two_skip")(y)], name="two_add")
    model = Model(x, layers.GlobalAveragePooling2D(name="gap")(layers.ReLU(name="two_out")(z)))
    new = model.edit(edit.remove("two_*"))
    assert [layer.name for layer in new.layers] == ["input_layer", "one_conv", "one_out", "gap"]
    with pytest.raises(GraphError, match="'two_add' cannot be removed: it has 2 inputs"):
        model.edit(edit.remove("two_add"))


def test_rewiring_and_undoing_it() -> None:
    model = network()
    new = model.edit(edit.rewire("head", "gap"))
    assert "shared" not in [layer.name for layer in new.layers]
    x = Input((4,))
    a, b = layers.Dense(4, name="a")(x), layers.Dense(4, name="b")(x)
    both = Model(x, [layers.Dense(2, name="end")(a), a, b])
    there = both.edit(edit.rewire("end", "b"))
    assert both.diff(there).of("inputs") == ["end"]
    assert not both.diff(there.edit(edit.rewire("end", "a")))
    with pytest.raises(GraphError, match=r"circle.*\n.*gap.*head"):
        model.edit(edit.rewire("gap", "head"))


def test_edit_and_undo_gives_an_equal_graph() -> None:
    model = network()
    there = model.edit(edit.insert_after("backbone/conv", layers.Dropout(0.2, name="extra")))
    assert there["backbone/extra"].rate == 0.2
    back = there.edit(edit.remove("backbone/extra"))
    assert not model.diff(back)
    assert str(model.diff(back)) == "The models are alike: 10 layers."
    assert np.array_equal(run(back), run(model))


def test_splicing_two_models() -> None:
    model = network()
    x = Input((4,))
    head = Model(x, layers.Dense(5, name="new_head")(x), name="second")
    new = model.edit(edit.splice("gap", head))
    assert run(new).shape == (4, 5)
    assert [layer.name for layer in new.layers] == ["image", "backbone", "gap", "second"]
    assert new["second/new_head"].kernel is head["new_head"].kernel


def test_outputs_can_be_chosen_anew() -> None:
    new = network().edit(edit.set_outputs({"features": "backbone", "answer": "head"}))
    assert {key: value.shape for key, value in run(new).items()} == {"features": (4, 4, 4, 4), "answer": (4, 2)}


def test_a_second_head_of_a_dict_needs_a_name() -> None:
    model = network().edit(edit.set_outputs({"answer": "head"}))
    assert model.edit(edit.add_output("gap", name="pooled")).output_names == ["answer", "pooled"]
    with pytest.raises(ArgumentError, match="under a name of its own"):
        model.edit(edit.add_output("gap"))


def test_sequentials_and_subclasses_can_be_edited() -> None:
    row = Sequential([Input((4,)), layers.Dense(3, name="a"), layers.ReLU(), layers.Dense(2, name="b")])
    assert row.edit(edit.swap_activation("relu", "tanh")).predict(np.ones((1, 4)), verbose=0).shape == (1, 2)

    class Mine(Model):
        def greeting(self) -> str:
            return "hello"

    x = Input((4,))
    mine = Mine(x, layers.Dense(2, name="out")(x))
    assert mine.edit(edit.rename("out", "end")).greeting() == "hello"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        pytest.param(lambda: edit.remove("hed"), UnknownNameError, "did you mean 'head'", id="unknown"),
        pytest.param(lambda: edit.remove(layers.Conv3D), ArgumentError, "selected by Conv3D", id="none of a type"),
        pytest.param(lambda: edit.remove("image"), GraphError, "cannot be removed", id="input"),
        pytest.param(lambda: edit.rename("head", "gap"), GraphError, "named 'gap'", id="name taken"),
        pytest.param(lambda: edit.rename(layers.Dense, "x"), ArgumentError, "cannot name 2 layers", id="one name for two"),
        pytest.param(lambda: edit.replace("head", lambda old: 3), ArgumentTypeError, "is no layer", id="no layer"),
        pytest.param(lambda: edit.insert_before("image", layers.ReLU()), ArgumentError, "is an Input", id="before an input"),
        pytest.param(lambda: edit.insert_after("gap", 3), ArgumentTypeError, "must be a Layer or a function", id="no function"),
        pytest.param(lambda: "gap", ArgumentTypeError, "takes edits", id="no edit"),
        pytest.param(lambda: edit.rewire("head", "shared"), GraphError, "several tensors", id="ambiguous source"),
        pytest.param(lambda: edit.remove("shared@7"), ArgumentError, "no call 7", id="no such call"),
    ],
)
def test_mistakes(change: Any, error: type[Exception], text: str) -> None:
    model = network()
    with pytest.raises(error, match=text):
        model.edit(change())
    assert run(model).shape == (4, 2)


def test_weights_of_an_edit_are_shared_or_copied() -> None:
    with pytest.raises(ArgumentError, match="'shared' or 'copied'"):
        network().edit(weights="both")


def test_nothing_keeps_an_edited_model_alive() -> None:
    model = network()
    new = model.edit(edit.insert_after("gap", layers.Dropout(0.5)))
    run(new)
    model.tap("backbone/conv").predict(X, verbose=0)
    gone = weakref.ref(new)
    del new
    gc.collect()
    assert gone() is None
    assert len(model["backbone"]._calls_) == len(model["gap"]._calls_) == 1


# clone_model


def test_clone_model_draws_anew_and_takes_keras_arguments() -> None:
    model = network()
    fresh = clone_model(model)
    assert not model.diff(fresh)
    assert not np.array_equal(run(fresh), run(model))
    assert np.array_equal(run(clone_model(model, weights="shared")), run(model))

    def frozen(layer: Any) -> Any:
        made = type(layer).from_config(layer.get_config())
        made.trainable = False
        return made

    once = clone_model(model, clone_function=frozen)
    assert not any(once[name].trainable for name in ("gap", "shared", "head"))
    assert not once["backbone"].trainable, "a nested model is one of the layers that are cloned"
    assert not clone_model(model, clone_function=frozen, recursive=True)["backbone/conv"].trainable
    calls: list[str] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(layer.name)
        return layer(*args, **kwargs)

    clone_model(model, call_function=call)
    assert calls.count("shared") == 3
    y = Input((8, 8, 3), name="other")
    assert clone_model(model, input_tensors=y).input_names == ["other"]


# What random graphs found


def test_a_whole_path_means_nothing_besides() -> None:
    inner_input = Input((3,), name="x")
    inner = Model(inner_input, layers.Dense(3, name="dense")(inner_input), name="inner")
    x = Input((3,), name="x")
    model = Model(x, layers.Dense(3, name="dense")(inner(x)))
    assert list(model.select("dense")) == ["dense"]
    renamed = model.edit(edit.rename("dense", "head"))
    assert renamed["inner/dense"].name == "dense"
    assert renamed["head"].units == 3
    assert model.edit(edit.rewire("dense", "x")).graph.outputs[0].node.inputs[0].name == "x"


def test_edits_inside_a_lambda_hold() -> None:
    x = Input((3,))
    model = Model(x, layers.Lambda(lambda x: 2 * x + 1, name="lines")(x))
    changed = model.edit(edit.insert_after("lines/multiply", layers.ReLU(name="act")))
    assert model.diff(changed).of("added") == ["lines/act"]
    data = torch.tensor([[-1.0, 0.0, 2.0]])
    expected = torch.tensor([[1.0, 1.0, 5.0]])
    assert equal(changed(data), expected)
    assert equal(changed["lines"](data), expected), "called directly too"
    assert equal(clone_model(changed)(data), expected)


def test_a_row_stays_a_sequential() -> None:
    row = Sequential([Input((3,)), layers.Dense(4, name="body"), layers.ReLU(name="act"), layers.Dense(2, name="head")])
    x = Input((3,))
    assert type(Model(x, row(x)).edit().layers[1]) is Sequential
    shorter = row.edit(edit.remove("act"))
    assert type(shorter) is Sequential
    assert [layer.name for layer in shorter.layers] == ["body", "head"]
    shorter.pop()
    assert shorter.output_shape == (None, 4)
    assert type(row.edit(edit.wrap("act", lambda layer, x: x + layer(x)))) is Model
    assert type(row.edit(edit.add_output("body"))) is Model


@pytest.mark.parametrize("recursive", [False, True])
def test_functions_of_clone_model_are_asked_as_in_keras(recursive: bool, keras: Any) -> None:
    def asked(library: Any) -> tuple[list[str], list[str], list[str]]:
        made, called = [], []
        x, y = (library.Input((3,)) for _ in range(2))
        inner = library.Model(x, library.layers.Dense(3, name="a")(x), name="inner")
        model = library.Model(y, library.layers.Dense(2, name="b")(inner(y)))

        def clone(layer: Any) -> Any:
            made.append(layer.name)
            return type(layer).from_config(layer.get_config())

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            called.append(layer.name)
            return layer(*args, **{name: value for name, value in kwargs.items() if name != "mask"})

        found = library.models.clone_model(model, clone_function=clone, call_function=call, recursive=recursive)
        return made, called, [layer.name for layer in found.layers[1:]]

    assert asked(ab) == asked(keras)


def test_clone_function_may_replace_a_nested_model() -> None:
    model = network()
    clone = clone_model(
        model, clone_function=lambda layer: layers.Conv2D(4, 1, name="flat") if layer.name == "backbone" else layer
    )
    assert "flat" in [layer.name for layer in clone.layers]


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_clone_function_is_not_asked_for_inputs(kind: str) -> None:
    x = Input((4,))
    model = Model(x, layers.Dense(2)(x)) if kind == "functional" else Sequential([Input((4,)), layers.Dense(2)])
    clone = clone_model(model, clone_function=lambda layer: layers.Dense(3, name="q"))
    assert [layer.name for layer in clone.layers][-1] == "q"
    assert clone.output_shape == (None, 3)


def test_a_shared_parameter_of_torch_has_the_same_owner_in_a_clone() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return x * self.scale

    module, x = Scaled(), Input((3,))
    first, second = module(x), module(x)
    model = Model(x, [layers.Dense(2)(second), layers.Activation("gelu")(first)])  # the second call is first in the graph
    twin = clone_model(model)
    assert [weight.path for weight in twin.weights] == [weight.path for weight in model.weights]
    assert not model.diff(twin)


@pytest.mark.parametrize("made", [None, "a", 3])
def test_a_clone_function_returns_a_layer(made: object) -> None:
    model = Sequential([Input((4,)), layers.Dense(1, name="head")])
    with pytest.raises(ArgumentTypeError, match="clone_function must return a layer; of 'head'"):
        clone_model(model, clone_function=lambda layer: made)

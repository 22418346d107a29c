"""compile binds losses, weights and metrics to outputs, and names what is reported."""

from __future__ import annotations

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, NotReadyError, UnknownNameError


def compiled(model, **options):
    model.compile("sgd", **options)
    return model._compiled_


@pytest.mark.parametrize(
    "loss", ["mse", ["mse", "mse"], {"small": "mse", "big": "mse"}], ids=["one for all", "by position", "by key"]
)
def test_losses_are_bound_in_each_form(forked, loss):
    found = compiled(forked(), loss=loss, loss_weights={"small": 2, "big": 1})
    assert [one is not None for one in found.losses] == [True, True]
    assert found.weights == [1.0, 2.0]
    assert found.metrics_names == ["loss", "big_loss", "small_loss"]


def test_dict_outputs_are_bound_by_their_own_keys(forked):
    found = compiled(forked(keyed=True), loss={"first": "mse", "second": None}, metrics={"first": ["mae"]})
    assert [one is None for one in found.losses] == [True, False]
    assert found.metrics_names == ["loss", "first_mae"]
    assert [target.needed for target in found.targets] == [False, True]


def test_one_output_takes_metrics_in_each_form(classifier):
    for metrics in (["acc"], [["acc"]], {"classes": ["acc"]}, {"classes": "acc"}, "acc"):
        model = classifier()
        assert compiled(model, loss="sparse_categorical_crossentropy", metrics=metrics).metrics_names == ["loss", "acc"]


def test_doubled_metrics_get_names_of_their_own(classifier):
    found = compiled(
        classifier(), loss="sparse_categorical_crossentropy", metrics=["acc", "acc"], weighted_metrics=["acc", "acc"]
    )
    assert found.metrics_names == ["loss", "acc", "acc_1", "weighted_acc", "weighted_acc_1"]


@pytest.mark.parametrize("options", [{"metrics": ["mae"], "weighted_metrics": ["mae"]}, {"metrics": ["mae", "mae"]}], ids=str)
def test_doubled_metrics_are_there_once(keras, options):
    # Keras's lists have the value of the first twice (docs/differences.md); its logs have the same names as ours
    x, y, w = np.eye(4, dtype="float32"), np.ones((4, 1), "float32"), np.array([0.5, 1, 2, 4], "float32")
    found = {}
    for package in (ab, keras):
        inputs = package.Input((4,))
        model = package.Model(inputs, package.layers.Dense(1, kernel_initializer="ones")(inputs))
        model.compile(package.optimizers.SGD(0.1), "mse", **options)
        logs = model.fit(x, y * 3, sample_weight=w, validation_data=(x, y, w), verbose=0).history
        given = {"x": x, "y": y, "sample_weight": w, "verbose": 0}
        found[package] = logs, model.evaluate(**given, return_dict=True), model.evaluate(**given), model.train_on_batch(x, y, w)
    (our_logs, ours, listed, on_batch), (logs, theirs, their_list, their_batch) = found[ab], found[keras]
    assert our_logs.keys() == logs.keys()
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert listed == pytest.approx(list(ours.values()))
    names = list(ours)  # the loss, the first metric, the second
    assert their_list == pytest.approx([ours[name] for name in (names[0], names[1], names[1], names[2])], rel=1e-5)
    assert len(on_batch) == 3 < len(their_batch)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"loss": {"bg": "mse", "small": "mse"}}, UnknownNameError, "did you mean 'big'"),
        ({"loss": ["mse"]}, ArgumentError, "loss has 1 value for 2 outputs"),
        ({"loss": "mse", "loss_weights": {"big": 1.0}}, ArgumentError, "no value for output 'small'"),
        ({"loss": "mse", "loss_weights": [0.5]}, ArgumentError, "loss_weights has 1 value for 2 outputs"),
        ({"loss": "mse", "metrics": ["mae"]}, ArgumentError, "which metric belongs to which output"),
        ({"loss": "mse", "metrics": {"smal": "mae"}}, UnknownNameError, "did you mean 'small'"),
    ],
)
def test_what_belongs_to_no_output_is_refused(forked, options, error, text):
    with pytest.raises(error, match=text):
        compiled(forked(), **options)


def test_an_output_that_a_dict_of_losses_leaves_out_is_not_trained(forked, numbers):
    model = forked()
    assert [loss is None for loss in compiled(model, loss={"small": "mse"}).losses] == [True, False]
    big, small = model.get_layer("big"), model.get_layer("small")
    before = big.get_weights()[0], small.get_weights()[0]
    model.fit([numbers(8, 2), numbers(8, 3)], {"small": numbers(8, 1)}, verbose=0)
    assert (before[0] == big.get_weights()[0]).all()
    assert (before[1] != small.get_weights()[0]).any()


def test_a_model_without_a_shape_is_bound_when_it_has_one():
    model = ab.Sequential([layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    assert model._compiled_.losses == []
    model.build((None, 3))
    assert model._compiled_.bind(model).metrics_names == ["loss", "mae"]


def test_training_without_any_loss_says_so(classifier):
    model = classifier(loss=None, metrics=())
    with pytest.raises(NotReadyError, match="no loss to train with"):
        model.train_on_batch([[1.0, 2, 3, 4]])


NESTED = {  # outputs nested in each way, and the names under which Keras reports their losses and metrics
    "lists in a dict": (lambda a, b: {"p": [a], "q": [b]}, ["p/a_loss", "q/b_loss"], ["p_mae", "q_mse"]),
    "a list in a dict": (lambda a, b: {"p": [a, b]}, ["p/a_loss", "p/b_loss"], ["a_mae", "b_mse"]),
    "dicts in a list": (lambda a, b: [{"x": a}, {"y": b}], ["0/x_loss", "1/y_loss"], ["a_mae", "b_mse"]),
    "dicts in a dict": (lambda a, b: {"p": {"x": a}, "q": {"y": b}}, ["p/x_loss", "q/y_loss"], ["p_mae", "q_mse"]),
    "lists in a list": (lambda a, b: [[a], (b,)], ["0/a_loss", "1/b_loss"], ["a_mae", "b_mse"]),
    "a tensor and a dict": (lambda a, b: (a, {"y": b}), ["a_loss", "1/y_loss"], ["a_mae", "b_mse"]),
}


@pytest.fixture
def nested():
    def make(form):
        x = ab.Input((2,))
        return ab.Model(x, form(*(layers.Dense(1, name=name, kernel_initializer="ones")(x) for name in "ab")))

    return make


@pytest.mark.parametrize("form", NESTED)
def test_losses_and_metrics_may_be_nested_as_the_outputs_are(nested, form):
    arrange, losses, metrics = NESTED[form]
    model, x = nested(arrange), np.float32([[1, 1], [2, 0]])
    found = compiled(
        model, loss=arrange("mse", "mae"), loss_weights=arrange(1.0, 10.0), metrics=arrange(["mae"], "mse"),
        weighted_metrics=arrange(None, None),
    )  # fmt: skip
    assert found.metrics_names == ["loss", *losses, *metrics]
    y = arrange(np.ones((2, 1), "float32"), np.zeros((2, 1), "float32"))
    assert model.evaluate(x, y, verbose=0) == [21.0, 1.0, 2.0, 1.0, 4.0]


def test_a_nested_dict_of_losses_may_leave_outputs_out(nested):
    found = compiled(nested(NESTED["dicts in a dict"][0]), loss={"q": {"y": "mse"}}, loss_weights={"q": {"y": 2.0}})
    assert [loss is None for loss in found.losses] == [True, False]
    assert found.weights == [None, 2.0]


def test_weights_are_needed_only_for_outputs_with_a_loss(forked):
    assert compiled(forked(), loss={"small": "mse"}, loss_weights={"small": 2.0}).weights == [None, 2.0]


def test_one_loss_weight_is_for_all(forked):
    assert compiled(forked(), loss="mse", loss_weights=0.5).weights == [0.5, 0.5]


def test_losses_and_metrics_may_be_given_as_json(classifier):
    loss, metric = ab.losses.SparseCategoricalCrossentropy(), ab.metrics.SparseCategoricalAccuracy(name="right")
    found = compiled(classifier(), loss=ab.losses.serialize(loss), metrics=[ab.metrics.serialize(metric)])
    assert found.metrics_names == ["loss", "right"]


def test_options_may_be_set_after_compile():
    x = ab.Input((3,))
    model = ab.Model(x, layers.Dense(1)(x))
    with pytest.raises(NotReadyError, match="Setting jit_compile needs a compiled model"):
        model.jit_compile = True
    model.compile("sgd", "mse")
    model.steps_per_execution, model.jit_compile = 3, False
    seen = []
    noting = ab.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(np.ones((5, 3)), np.ones(5), batch_size=1, verbose=0, callbacks=[noting])
    assert seen == [2, 4]
    with pytest.raises(ArgumentError, match="steps_per_execution must be a positive integer"):
        model.steps_per_execution = 0
    model.run_eagerly = True
    with pytest.raises(ArgumentError, match="run eagerly and be compiled"):
        model.jit_compile = True
    assert (model.run_eagerly, model.jit_compile, model.steps_per_execution) == (True, False, 3)

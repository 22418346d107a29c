"""fit, evaluate and predict beside real Keras on the same weights, and what they promise by themselves."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, GraphError

ORACLE = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, under NumPy 2


def twins(keras, build):
    """The same model in both libraries with the same weights."""
    theirs = build(keras, keras.layers)
    ours = build(ab, layers)
    copy_weights(theirs, ours)
    return ours, theirs


def copy_weights(source, target):
    for layer in source.layers:
        if layer.weights:
            target.get_layer(layer.name).set_weights(layer.get_weights())


def one_output(k, kl):
    i = k.Input((4,), name="features")
    x = kl.Dense(8, activation="relu", name="hidden", kernel_regularizer=k.regularizers.L2(0.01))(i)
    return k.Model(i, kl.Dense(3, activation="softmax", name="classes")(x))


def two_outputs(k, kl):
    i = k.Input((4,), name="features")
    x = kl.Dense(8, activation="relu", name="hidden")(i)
    return k.Model(i, {"zeta": kl.Dense(3, activation="softmax", name="zeta")(x), "alpha": kl.Dense(1, name="alpha")(x)})


def listed_outputs(k, kl):
    i = k.Input((4,), name="features")
    x = kl.Dense(8, activation="relu", name="hidden")(i)
    return k.Model(i, [kl.Dense(3, activation="softmax", name="zeta")(x), kl.Dense(1, name="alpha")(x)])


def assert_same_logs(ours, theirs):
    assert set(ours) == set(theirs)
    for key, values in theirs.items():
        np.testing.assert_allclose(ours[key], values, rtol=2e-4, atol=1e-5, err_msg=key)


def assert_same_weights(ours, theirs):
    for layer in theirs.layers:
        for a, b in zip(ours.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


@ORACLE
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"validation_split": 0.3, "batch_size": 7},
        {"class_weight": {0: 1.0, 2: 3.0}},
        {"sample_weight": np.linspace(0, 2, 50).astype("float32"), "validation_split": 0.2},
        {"validation_freq": 2, "validation_split": 0.2, "epochs": 4},
        {"initial_epoch": 1, "steps_per_epoch": 2, "batch_size": 10, "epochs": 2},
        {"steps_per_epoch": 5},
    ],
    ids=lambda options: ",".join(options) or "plain",
)
def test_fit_equals_keras(keras, numbers, options):
    ours, theirs = twins(keras, one_output)
    x, y = numbers(50, 4), (numbers(50)[:, None] > 0).astype("int64") * 2
    options = {"epochs": 3, "shuffle": False, "verbose": 0} | options
    ours.compile(ab.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["acc"], weighted_metrics=["acc"])
    theirs.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["acc"], weighted_metrics=["acc"])
    a, b = ours.fit(x, y, **options), theirs.fit(x, y, **options)
    assert a.epoch == b.epoch
    assert_same_logs(a.history, b.history)
    assert_same_weights(ours, theirs)
    assert_same_logs(ours.evaluate(x, y, verbose=0, return_dict=True), theirs.evaluate(x, y, verbose=0, return_dict=True))
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


@ORACLE
@pytest.mark.parametrize("build", [two_outputs, listed_outputs])
def test_several_outputs_equal_keras(keras, numbers, build):
    ours, theirs = twins(keras, build)
    x = numbers(40, 4)
    y = {"zeta": (numbers(40, seed=1) > 0).astype("int64"), "alpha": numbers(40, 1, seed=2)}
    for model, k in ((ours, ab), (theirs, keras)):
        model.compile(
            k.optimizers.SGD(0.05),
            {"zeta": "sparse_categorical_crossentropy", "alpha": "mse"},
            loss_weights={"zeta": 0.5, "alpha": 2.0},
            metrics={"zeta": ["acc"], "alpha": ["mae", "mse"]},
        )
    if build is listed_outputs:
        y = [y["zeta"], y["alpha"]]
    options = {"epochs": 2, "shuffle": False, "verbose": 0, "validation_split": 0.25, "batch_size": 8}
    assert_same_logs(ours.fit(x, y, **options).history, theirs.fit(x, y, **options).history)
    assert_same_weights(ours, theirs)
    if build is listed_outputs:
        np.testing.assert_allclose(ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), rtol=2e-4)
        np.testing.assert_allclose(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), rtol=2e-4)
    found, expected = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    assert type(found) is type(expected)
    for key in expected if isinstance(expected, dict) else range(2):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5)


@ORACLE
def test_on_batch_methods_equal_keras(keras, numbers):
    ours, theirs = twins(keras, one_output)
    x, y = numbers(10, 4), np.arange(10) % 3
    for model, k in ((ours, ab), (theirs, keras)):
        model.compile(k.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["acc"])
    weights = np.arange(10, dtype="float32")
    np.testing.assert_allclose(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), rtol=2e-4)
    np.testing.assert_allclose(
        ours.train_on_batch(x, y, sample_weight=weights), theirs.train_on_batch(x, y, sample_weight=weights), rtol=2e-4
    )
    np.testing.assert_allclose(
        ours.train_on_batch(x, y, class_weight={1: 3.0}), theirs.train_on_batch(x, y, class_weight={1: 3.0}), rtol=2e-4
    )
    assert_same_logs(ours.test_on_batch(x, y, return_dict=True), theirs.test_on_batch(x, y, return_dict=True))
    np.testing.assert_allclose(ours.predict_on_batch(x), theirs.predict_on_batch(x), atol=1e-5)


def test_a_loss_alone_is_returned_as_a_number(classifier, numbers):
    model = classifier(metrics=())
    x, y = numbers(6, 4), np.zeros(6, int)
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    assert isinstance(model.train_on_batch(x, y), float)
    assert set(model.test_on_batch(x, y, return_dict=True)) == {"loss"}


def test_a_small_last_batch_counts_by_its_size(classifier, numbers):
    model = classifier()
    x, y = numbers(33, 4), np.arange(33) % 3
    whole = model.evaluate(x, y, batch_size=33, verbose=0)
    np.testing.assert_allclose(model.evaluate(x, y, batch_size=32, verbose=0), whole, rtol=1e-5)


def seeded_run(classifier, numbers, **options):
    ab.utils.set_random_seed(3)
    model = classifier()
    x, y = numbers(64, 4), np.arange(64) % 3
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, **options).history
    return model.get_weights(), history


def test_one_seed_gives_bitwise_equal_runs_with_and_without_validation(classifier, numbers):
    weights, history = seeded_run(classifier, numbers)
    again, same = seeded_run(classifier, numbers)
    held = (numbers(8, 4, seed=9), np.zeros(8, int))
    validated, _ = seeded_run(classifier, numbers, validation_data=held)
    assert history == same
    for a, b, c in zip(weights, again, validated, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_a_resumed_run_repeats_the_uninterrupted_one(classifier, numbers):
    weights, _ = seeded_run(classifier, numbers)
    ab.utils.set_random_seed(3)
    model = classifier()
    x, y = numbers(64, 4), np.arange(64) % 3
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    saved = model.get_weights()
    ab.utils.set_random_seed(3)
    fresh = classifier()
    fresh.set_weights(saved)
    fresh.fit(x, y, batch_size=8, epochs=2, initial_epoch=1, verbose=0)
    for a, b in zip(weights, fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_fit_goes_through_the_data_in_another_order(classifier, numbers):
    seen = []

    class Noting(torch.utils.data.Dataset):
        def __len__(self):
            return 16

        def __getitem__(self, index):
            seen.append(index)
            return np.zeros(4, "float32"), 0

    model = classifier()
    model.fit(Noting(), batch_size=4, epochs=2, verbose=0)
    model.fit(Noting(), batch_size=4, verbose=0)
    orders = [tuple(seen[i : i + 16]) for i in range(0, 48, 16)]
    assert len(set(orders)) == 3
    assert all(sorted(order) == list(range(16)) for order in orders)


def test_validation_does_not_train_and_its_data_are_the_last_ones(classifier, numbers):
    model = classifier()
    x, y = numbers(20, 4), np.arange(20) % 3
    before = model.get_weights()
    model.fit(x, y, epochs=0, verbose=0)
    model.evaluate(x, y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    history = model.fit(x, y, validation_split=0.25, verbose=0).history
    np.testing.assert_allclose(history["val_loss"][0], model.evaluate(x[15:], y[15:], verbose=0)[0], rtol=1e-6)


def test_callbacks_see_each_epoch_and_batch_and_can_stop(classifier, numbers):
    events = []

    class Stop(ab.callbacks.Callback):
        def on_train_begin(self, logs=None):
            events.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            events.append((batch, sorted(logs)))
            if batch == 1:
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            events.append(("epoch", epoch, type(logs["loss"])))

        def on_train_end(self, logs=None):
            events.append("end")

    model = classifier()
    model.fit(numbers(40, 4), np.zeros(40, int), batch_size=8, epochs=5, verbose=0, callbacks=[Stop()])
    assert events == ["begin", (0, ["acc", "loss"]), (1, ["acc", "loss"]), ("epoch", 0, float), "end"]


def test_a_nan_loss_is_warned_of_once_with_its_step(classifier, numbers):
    model = classifier(lambda y, p: p.sum(-1) * (float("nan") if next(step) >= 3 else 1.0), metrics=())
    step = iter(range(100))
    with pytest.warns(UserWarning, match="NaN at epoch 2, step 2") as caught:
        model.fit(numbers(8, 4), np.zeros(8, int), batch_size=4, epochs=4, verbose=0)
    assert len(caught) == 1


def test_frozen_layers_keep_their_weights(classifier, numbers):
    model = classifier()
    frozen = model.layers[1]
    frozen.trainable = False
    before, other = frozen.get_weights()[0], model.layers[2].get_weights()[0]
    model.fit(numbers(8, 4), np.zeros(8, int), verbose=0)
    np.testing.assert_array_equal(before, frozen.get_weights()[0])
    assert not np.array_equal(other, model.layers[2].get_weights()[0])


def test_a_model_with_nothing_to_train_says_so(classifier, numbers):
    model = classifier()
    model.trainable = False
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.fit(numbers(8, 4), np.zeros(8, int), verbose=0)


def test_a_loss_cut_off_from_the_weights_is_an_error(classifier, numbers):
    model = classifier(lambda y, p: p.detach().sum(-1), metrics=())
    with pytest.raises(GraphError, match="does not depend"):
        model.fit(numbers(8, 4), np.zeros(8, int), verbose=0)


def test_nothing_keeps_the_last_batch_or_the_data_alive(classifier, numbers):
    def batches():
        return [o for o in gc.get_objects() if type(o) is torch.Tensor and o.shape == (4, 4)]

    others = batches()  # of tests before it in this process
    model = classifier()
    x = torch.from_numpy(numbers(16, 4))
    saved = weakref.ref(x)
    model.fit(x, torch.zeros(16, dtype=torch.long), batch_size=4, verbose=0)
    model.predict(x, verbose=0)
    del x
    gc.collect()
    assert saved() is None
    if model._compiled_.replays:  # as on a CPU and on CUDA
        model._compiled_.replays.forget()  # a captured step has a batch of its own, into which each one is copied
    assert not [found for found in batches() if not any(found is other for other in others)]


def test_a_sequential_learns_its_shape_from_the_data(numbers):
    for data in (
        (numbers(8, 4), np.zeros(8, int)),
        (torch.utils.data.TensorDataset(torch.zeros(8, 4), torch.zeros(8, dtype=torch.long)),),
        (((np.zeros((4, 4), "float32"), np.zeros(4, int)) for _ in range(2)),),
    ):
        model = ab.Sequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(*data, verbose=0)
        assert model.input_shape == (None, 4)


def test_predict_gives_the_outputs_own_structure(forked, numbers):
    model = forked(keyed=True)
    found = model.predict({"a": numbers(5, 3), "z": numbers(5, 2)}, batch_size=2, verbose=0)
    assert list(found) == ["second", "first"]
    assert found["second"].shape == (5, 3)
    model = forked()
    one, two = model.predict([numbers(5, 2), numbers(5, 3)], verbose=0)
    assert (one.shape, two.shape) == ((5, 3), (5, 1))
    assert isinstance(one, np.ndarray)


def test_steps_limit_evaluation_and_prediction(classifier, numbers):
    model = classifier()
    x, y = numbers(20, 4), np.zeros(20, int)
    assert model.predict(x, batch_size=4, steps=2, verbose=0).shape == (8, 3)
    np.testing.assert_allclose(
        model.evaluate(x, y, batch_size=4, steps=2, verbose=0), model.evaluate(x[:8], y[:8], verbose=0), rtol=1e-6
    )


def test_steps_go_on_through_the_data_in_the_next_epoch(classifier, numbers):
    model = classifier()
    history = model.fit(numbers(20, 4), np.zeros(20, int), batch_size=4, steps_per_epoch=2, epochs=6, verbose=0)
    assert len(history.epoch) == 6


def test_steps_beyond_the_data_end_the_epoch_with_a_warning(classifier, numbers):
    model = classifier()
    with pytest.warns(UserWarning, match="ran out after 5 of 9 steps"):
        model.fit(numbers(20, 4), np.zeros(20, int), batch_size=4, steps_per_epoch=9, verbose=0)


@pytest.mark.parametrize("freq", [0, "often", True])
def test_an_impossible_validation_freq_is_refused(classifier, numbers, freq):
    x, y = numbers(8, 4), np.zeros(8, int)
    with pytest.raises(ArgumentError, match="validation_freq"):
        classifier().fit(x, y, validation_data=(x, y), validation_freq=freq, verbose=0)


def test_validation_from_a_generator_that_is_used_up_is_warned_of(classifier, numbers):
    x, y = numbers(8, 4), np.zeros(8, int)
    with pytest.warns(UserWarning, match="validation data ran out before epoch 2"):
        classifier().fit(x, y, validation_data=iter([(x, y)]), epochs=2, verbose=0)


def test_validation_steps_see_the_same_batches_each_time(classifier, numbers):
    model = classifier()
    model.compile(ab.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    x, y = numbers(20, 4), np.arange(20) % 3
    options = {"batch_size": 4, "validation_data": (x, y), "validation_steps": 2, "epochs": 3, "verbose": 0}
    found = model.fit(x, y, **options).history["val_loss"]
    np.testing.assert_allclose(found, [model.evaluate(x[:8], y[:8], verbose=0)] * 3, rtol=1e-6)


def test_warnings_point_at_the_users_line(classifier, numbers):
    with pytest.warns(UserWarning, match="ran out") as caught:
        classifier().fit(numbers(8, 4), np.zeros(8, int), batch_size=4, steps_per_epoch=9, verbose=0)
    assert caught[0].filename == __file__


@ORACLE
def test_averaged_weights_are_in_place_when_training_ends(keras, numbers):
    ours, theirs = twins(keras, one_output)
    x, y = numbers(40, 4), np.arange(40) % 3
    for model, k in ((ours, ab), (theirs, keras)):
        model.compile(k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(ours, theirs)

"""Bad input: each mistake with its whole message, saved in a golden file."""

from __future__ import annotations

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import AnabranchError, DataError

X = np.zeros((20, 8, 8, 3), "float32")
Y = np.arange(20) % 10


@pytest.fixture
def images():
    inputs = ab.Input((8, 8, 3), name="img")
    outputs = layers.Dense(10, activation="softmax", name="label")(layers.Flatten()(inputs))
    model = ab.Model(inputs, outputs, name="toy")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
    return model


def with_nan():
    x = X.copy()
    x[3, 1, 4, 2] = np.nan
    return x


def dying():
    yield X[:4], Y[:4]
    yield X[:4], Y[:4]
    raise OSError("the disk is gone")


def wrong_later():
    yield X[:4], Y[:4]
    yield X[:4, :, :, 0], Y[:4]


MISTAKES = {
    "fit_wrong_rank": lambda m: m.fit(X[..., 0], Y),
    "fit_one_sample": lambda m: m.fit(X[0], Y[:1]),
    "fit_wrong_channels": lambda m: m.fit(X[..., :1], Y),
    "fit_channels_first": lambda m: m.fit(np.moveaxis(X, -1, 1), Y),
    "fit_strings": lambda m: m.fit(np.full((20, 8, 8, 3), "a"), Y),
    "fit_objects": lambda m: m.fit(np.array([X[0], None], dtype=object), Y[:2]),
    "fit_labels_out_of_range": lambda m: m.fit(X, Y + 1),
    "fit_one_hot_for_sparse": lambda m: m.fit(X, np.eye(10)[Y]),
    "fit_lengths_differ": lambda m: m.fit(X, Y[:-1]),
    "fit_empty": lambda m: m.fit(X[:0], Y[:0]),
    "fit_batch_size": lambda m: m.fit(X, Y, batch_size=0),
    "fit_no_x": lambda m: m.fit(),
    "fit_no_y": lambda m: m.fit(X),
    "fit_two_arrays_for_one_input": lambda m: m.fit([X, X], Y),
    "fit_unknown_input": lambda m: m.fit({"image": X}, Y),
    "fit_unknown_output": lambda m: m.fit(X, {"labels": Y}),
    "fit_dying_generator": lambda m: m.fit(dying()),
    "fit_generator_of_another_shape": lambda m: m.fit(wrong_later()),
    "fit_split_of_generator": lambda m: m.fit(dying(), validation_split=0.1),
    "fit_split_leaves_nothing": lambda m: m.fit(X[:2], Y[:2], validation_split=0.9),
    "fit_no_source": lambda m: m.fit(dying),
    "fit_weights_of_another_length": lambda m: m.fit(X, Y, sample_weight=np.ones(3)),
    "fit_empty_generator": lambda m: m.fit(iter(())),
    "evaluate_wrong_rank": lambda m: m.evaluate(X[..., 0], Y),
    "predict_wrong_rank": lambda m: m.predict(X[..., 0]),
    "train_on_batch_wrong_rank": lambda m: m.train_on_batch(X[..., 0], Y),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained(images, golden, name):
    before = [weights.copy() for weights in images.get_weights()]
    with pytest.raises(AnabranchError) as caught:
        MISTAKES[name](images)
    golden(f"errors/{name}", f"{type(caught.value).__name__}: {caught.value}\n")
    if "generator" not in name:
        for a, b in zip(before, images.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_before_compile(golden):
    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(1)(inputs), name="toy")
    with pytest.raises(RuntimeError) as caught:
        model.fit(np.zeros((2, 4)), np.zeros(2))
    golden("errors/fit_before_compile", f"{type(caught.value).__name__}: {caught.value}\n")


def test_class_indices_for_a_dense_loss(images, golden):
    images.compile("sgd", "categorical_crossentropy")
    with pytest.raises(AnabranchError) as caught:
        images.fit(X, Y)
    golden("errors/fit_class_indices_for_dense", f"{type(caught.value).__name__}: {caught.value}\n")


def test_the_users_own_exception_is_the_cause(images):
    with pytest.raises(DataError, match="batch 3") as caught:
        images.fit(dying(), verbose=0)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_generator_that_runs_out_ends_the_epoch_with_a_warning(images):
    batches = ((X[:4], Y[:4]) for _ in range(3))
    with pytest.warns(UserWarning, match="ran out after 3 of 5 steps"):
        history = images.fit(batches, steps_per_epoch=5, verbose=0)
    assert len(history.history["loss"]) == 1


def test_a_generator_without_an_end_in_the_second_epoch_ends_training(images):
    batches = ((X[:4], Y[:4]) for _ in range(3))
    with pytest.warns(UserWarning, match="before epoch 2"):
        history = images.fit(batches, epochs=4, verbose=0)
    assert history.epoch == [0]


def test_an_error_of_torch_is_the_cause(golden):
    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(3)(inputs), name="toy")
    model.compile("sgd", lambda y, p: p @ p)
    with pytest.raises(AnabranchError) as caught:
        model.fit(np.zeros((5, 4)), np.zeros(5), verbose=0)
    assert type(caught.value.__cause__) is RuntimeError
    text = str(caught.value).replace(" mm: ", " ")  # as torch 2.15 begins its message
    golden("errors/fit_engine_refuses", f"{type(caught.value).__name__}: {text}\n")


def test_a_model_that_cleans_its_input_is_warned_of_and_trained(images):
    inputs = ab.Input((4,))
    cleaned = layers.Lambda(lambda x: x.nan_to_num())(inputs)
    model = ab.Model(inputs, layers.Dense(2)(cleaned))
    model.compile("sgd", "mse")
    x = np.ones((6, 4), "float32")
    x[3, 1] = np.nan
    with pytest.warns(UserWarning, match=r"x holds nan at index \[3, 1\]"):
        history = model.fit(x, np.zeros((6, 2)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_warned_of_and_the_loss_that_follows(value):
    x, y = np.ones((6, 4), "float32"), np.zeros((6, 2), "float32")
    x[3, 1] = value
    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(2)(inputs))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="holds|became") as caught:
        model.fit({"input_layer": x}, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
    first, second = (str(each.message) for each in caught)
    assert first.startswith(f"x holds {value} at index [3, 1]. Unless the model removes it")
    assert second.startswith("The loss became NaN at epoch ")


def test_a_train_step_of_the_user_s_may_clean_its_data():
    class Cleaning(ab.Model):
        def train_step(self, data):
            x, y = data
            return super().train_step((x.nan_to_num(), y))

    inputs = ab.Input((4,))
    model = Cleaning(inputs, layers.Dense(2)(inputs))
    model.compile("sgd", "mse")
    x = np.full((6, 4), np.nan, "float32")
    with pytest.warns(UserWarning, match=r"x holds nan at index \[0, 0\]"):
        history = model.fit(x, np.zeros((6, 2), "float32"), verbose=0)
    assert history.history["loss"] == [0.0]


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "train_on_batch"])
def test_complex_data_are_refused(images, use):
    arguments = (X.astype("complex64"),) if use == "predict" else (X.astype("complex64"), Y)
    with pytest.raises(TypeError, match="complex"):
        getattr(images, use)(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m(X, foo=1),
        lambda m: m(X, X),
        lambda m: m(X, True, None, 1),
        lambda m: m(X, True, training=True),
        lambda m: m(ab.Input((8, 8, 3)), foo=1),
    ],
)
def test_arguments_that_a_model_does_not_take_are_refused(images, call):
    with pytest.raises(TypeError, match="does not take"):
        call(images)
    assert images(X, False).shape == images(X, training=False).shape == (20, 10)


@pytest.mark.parametrize("keys", [(0.0, 1.0), (np.int64(0), np.float32(1))])
def test_class_weights_may_have_the_dtype_of_labels(images, keys):
    assert images.fit(X, Y, class_weight=dict.fromkeys(keys, 2.0), verbose=0).history["loss"]


@pytest.fixture
def forks():
    x = ab.Input((4,))
    model = ab.Model(x, {name: layers.Dense(2, kernel_initializer="zeros", name=name)(x) for name in "ab"})
    model.compile(ab.optimizers.SGD(0.0), ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(("weights", "expected"), [({"a": {0: 2.0}, "b": {1: 4.0}}, (1.5, 2.5)), ({"b": {1.0: 4.0}}, (1, 2.5))])
def test_each_of_several_outputs_has_class_weights(forks, weights, expected):
    x, y = np.ones((4, 4), "float32"), np.array([0, 1, 0, 1])
    history = forks.fit(x, {"a": y, "b": y}, class_weight=weights, verbose=0).history
    found = [history[name][0] / np.log(2) for name in ("a_loss", "b_loss")]
    assert found == pytest.approx(expected, rel=1e-5)
    logs = forks.train_on_batch(x, {"a": y, "b": y}, class_weight=weights, return_dict=True)
    assert logs["b_loss"] == pytest.approx(history["b_loss"][0])


def test_class_weights_without_an_output_are_refused_with_the_way_out(forks):
    x, y = np.ones((4, 4), "float32"), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"class_weight=\{'a': \{0: 2.0\}\}"):
        forks.fit(x, {"a": y, "b": y}, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="Unknown key 'c' in class_weight"):
        forks.fit(x, {"a": y, "b": y}, class_weight={"c": {0: 2.0}}, verbose=0)


def test_class_weights_of_one_output_may_be_by_its_name(images):
    assert images.fit(X, Y, class_weight={"label": {0: 2.0}}, verbose=0).history["loss"]


def test_a_generator_of_validation_data_that_ends_leaves_training_without_validation(images):
    with pytest.warns(UserWarning, match="validation data ran out before epoch 2: .* goes on without validation"):
        history = images.fit(X, Y, epochs=3, verbose=0, validation_data=((X[:4], Y[:4]) for _ in range(2))).history
    assert (len(history["loss"]), len(history["val_loss"])) == (3, 1)
    with pytest.raises(DataError, match="The validation data gave no batch"):
        images.fit(X, Y, verbose=0, validation_data=iter(()))


@pytest.mark.parametrize("x", ["abc", 3.0, b"x", object()])
def test_what_is_no_data_is_refused_before_its_targets(images, x):
    with pytest.raises(TypeError, match="x cannot be used as data"):
        images.fit(x, Y, verbose=0)
    with pytest.raises(TypeError, match="x cannot be used as data"):
        images.fit(X, Y, validation_data=x, verbose=0)


def test_a_split_may_be_any_fraction_or_none(images):
    assert "val_loss" in images.fit(X, Y, validation_split=np.float32(0.5), verbose=0).history
    assert "val_loss" not in images.fit(X, Y, validation_split=None, verbose=0).history


def test_the_layer_that_cannot_run_is_named_with_its_line() -> None:
    inputs = ab.Input((None,))
    model = ab.Model(inputs, ab.ops.reshape(inputs, (-1, 4)))
    with pytest.raises(ValueError, match=r"(?s)5 numbers do not fill.*'reshape', called at test_mistakes.py:"):
        model.predict(np.ones((1, 5), "float32"), verbose=0)


def test_no_statistics_move_while_the_layer_is_looked_for() -> None:
    inputs = ab.Input((4,))
    normalized = layers.BatchNormalization()
    model = ab.Model(inputs, ab.ops.reshape(normalized(inputs), (-1, 3)))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="reshape"):
        model.fit(np.ones((2, 4), "float32"), np.ones((2, 3), "float32"), verbose=0)
    assert float(abs(normalized.moving_mean.numpy()).max()) <= 0.0101  # one step at most

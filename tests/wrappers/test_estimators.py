"""Estimators of scikit-learn: its own checks, pipelines, searches, pickles, and real Keras beside it."""

from __future__ import annotations

import pickle
import unittest
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from anabranch import Input, Model, Sequential, layers, optimizers, utils
from anabranch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

QUIET = {"verbose": 0}


def dynamic(X: Any, y: Any, loss: str, last: str | None = None, width: int = 10, rate: float = 0.01) -> Model:
    inputs = Input((X.shape[1],))
    hidden = layers.Dense(width, "relu")(inputs)
    model = Model(inputs, layers.Dense(y.shape[1], last)(hidden))
    model.compile(optimizers.Adam(rate), loss)
    return model


def classifier(**given: Any) -> SKLearnClassifier:
    settings = {"loss": "categorical_crossentropy", "last": "softmax"}
    return SKLearnClassifier(dynamic, model_kwargs=settings, **{"fit_kwargs": QUIET, **given})


def regressor(**given: Any) -> SKLearnRegressor:
    return SKLearnRegressor(dynamic, model_kwargs={"loss": "mse"}, **{"fit_kwargs": QUIET, **given})


CHANCE = "each fit draws its own initial values"
EXPECTED = {  # what Keras's estimators do not pass, either, but for several outputs, which they refuse
    "SKLearnClassifier": {
        "check_classifiers_classes": "after a moment of training some classes are not predicted",
        "check_classifiers_train": "decision_function returns a column for each class, of two classes too",
        **dict.fromkeys(("check_classifier_data_not_an_array", "check_supervised_y_2d", "check_fit_idempotent"), CHANCE),
    },
    "SKLearnRegressor": {
        "check_regressor_multioutput": "predictions are float32",
        **dict.fromkeys(
            ("check_regressor_data_not_an_array", "check_supervised_y_2d", "check_regressors_int", "check_fit_idempotent"),
            CHANCE,
        ),
    },
    "SKLearnTransformer": {"check_fit_idempotent": CHANCE},
}


@pytest.mark.slow
@parametrize_with_checks(
    [
        classifier(fit_kwargs={"verbose": 0, "epochs": 5}),
        regressor(),
        SKLearnTransformer(dynamic, False, {"loss": "mse"}, QUIET),
    ],
    expected_failed_checks=lambda estimator: EXPECTED[type(estimator).__name__],
)
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the checks give data that are warned of
            check(estimator)
    except unittest.SkipTest as skipped:
        pytest.skip(str(skipped))


CLASSES = make_classification(120, 6, n_informative=4, class_sep=2.0, random_state=0)
NUMBERS = make_regression(80, 4, random_state=0)


def test_a_classifier_predicts_labels() -> None:
    x, y = CLASSES
    names = np.array(["no", "yes"])[y]
    utils.set_random_seed(0)
    found = classifier().fit(x, names, epochs=40)
    assert found.classes_.tolist() == ["no", "yes"]
    assert found.score(x, names) > 0.85
    assert (found.classes_[found.decision_function(x).argmax(-1)] == found.predict(x)).all()
    assert found.epoch_ == 40 == len(found.history_.epoch)
    assert found.fit_kwargs == QUIET, "arguments of fit change no setting"


def test_a_regressor_predicts_in_the_form_of_the_targets() -> None:
    x, y = NUMBERS
    assert regressor().fit(x, y).predict(x).shape == (80,)
    assert regressor().fit(x, np.stack([y, -y], 1)).predict(x).shape == (80, 2)


def test_images_are_samples_too() -> None:
    model = Sequential([Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    x = np.random.default_rng(0).random((8, 4, 4, 1))
    assert SKLearnClassifier(model, fit_kwargs=QUIET).fit(x, [0, 1] * 4).predict(x).shape == (8,)


def test_a_transformer_in_a_pipeline() -> None:
    x, y = NUMBERS
    embedding = SKLearnTransformer(dynamic, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET)
    assert embedding.fit_transform(x, np.stack([y, y], 1)).shape == (80, 2)
    pipeline = make_pipeline(StandardScaler(), embedding, regressor())
    assert pipeline.fit(x, y).predict(x).shape == (80,)


def test_search_and_cross_validation() -> None:
    x, y = CLASSES
    utils.set_random_seed(0)
    assert (
        cross_val_score(make_pipeline(StandardScaler(), classifier(fit_kwargs={"epochs": 40, "verbose": 0})), x, y, cv=2).mean()
        > 0.8
    )
    base = classifier().model_kwargs
    search = GridSearchCV(classifier(), {"model_kwargs": [{**base, "rate": 1e-6}, {**base, "rate": 0.05}]}, cv=2)
    search.fit(x, y, epochs=20)
    assert search.best_params_["model_kwargs"]["rate"] == 0.05


def compiled() -> Model:
    model = Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_fit_trains_a_clone_of_the_model() -> None:
    model = compiled()
    before = [weight.numpy() for weight in model.weights]
    found = SKLearnRegressor(model, fit_kwargs=QUIET).fit(*NUMBERS)
    assert found.model is model
    assert found.model_ is not model
    assert all((weight.numpy() == value).all() for weight, value in zip(model.weights, before, strict=True))
    assert found.fit(*NUMBERS).model_.optimizer.iterations == 3


def test_warm_start_goes_on_with_the_weights() -> None:
    model = compiled()
    found = SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET).fit(*NUMBERS)
    assert found.model_ is model
    assert found.fit(*NUMBERS).model_ is model
    assert model.optimizer.iterations == 6
    made = regressor(warm_start=True).fit(*NUMBERS)
    first = made.model_
    assert made.fit(*NUMBERS).model_ is first


def test_a_clone_has_every_setting() -> None:
    model = compiled()
    found = SKLearnRegressor(model, True, {"a": 1}, {"epochs": 3}).fit
    estimator = found.__self__
    twin = clone(estimator)
    assert (twin.warm_start, twin.model_kwargs, twin.fit_kwargs) == (True, {"a": 1}, {"epochs": 3})
    assert twin.model is not model
    assert twin.model.loss == "mse"
    assert clone(regressor()).model is dynamic


@pytest.mark.parametrize("fitted", [False, True])
def test_pickles(fitted: bool) -> None:
    x, y = NUMBERS
    estimator = SKLearnRegressor(compiled(), fit_kwargs=QUIET)
    if fitted:
        estimator.fit(x, y)
    twin = pickle.loads(pickle.dumps(estimator))
    assert twin.fit_kwargs == QUIET
    if fitted:
        np.testing.assert_array_equal(twin.predict(x), estimator.predict(x))
        assert twin.history_.history == estimator.history_.history
    twin.fit(x, y)


def test_sample_weights_are_routed() -> None:
    x, y = NUMBERS
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), regressor().set_fit_request(sample_weight=True)
        )
        heavy = pipeline.fit(x, y, sample_weight=np.zeros(len(y)))
        assert heavy[-1].history_.history["loss"] == [0.0]
    with pytest.raises(RuntimeError, match="metadata routing is off"):
        regressor().set_fit_request(sample_weight=True)


def test_what_is_no_compiled_model_is_refused() -> None:
    with pytest.raises(RuntimeError, match="must be compiled"):
        SKLearnRegressor(Sequential([layers.Dense(1)])).fit(*NUMBERS)
    with pytest.raises(TypeError, match="must be a Model, or return one"):
        SKLearnRegressor(lambda X, y: None).fit(*NUMBERS)
    with pytest.raises(ValueError, match="only one class"):
        classifier().fit([[1.0], [2.0]], [1, 1])
    with pytest.raises(ValueError, match="binary and multiclass"):
        classifier().fit([[1.0], [2.0]], [1.5, 2.5])


def test_predictions_are_those_of_keras(keras: Any) -> None:
    x, y = CLASSES

    def made(library: Any) -> Any:
        start = np.linspace(-1, 1, 12).reshape(6, 2)
        model = library.Sequential([library.Input((6,)), library.layers.Dense(2, "softmax")])
        model.set_weights([start, np.zeros(2)])
        model.compile(library.optimizers.SGD(0.1), "categorical_crossentropy")
        return model

    import anabranch

    settings = {"epochs": 3, "shuffle": False, "verbose": 0}
    ours = SKLearnClassifier(lambda X, y: made(anabranch), fit_kwargs=settings).fit(x, y)
    theirs = keras.wrappers.SKLearnClassifier(lambda X, y: made(keras), fit_kwargs=settings).fit(x, y)
    np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x), atol=1e-5)
    assert ours.predict(x).tolist() == theirs.predict(x).reshape(-1).tolist()
    assert ours.predict(x).shape == y.shape

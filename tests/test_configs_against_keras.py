"""Configs of what is written as data beside real Keras's: equal, JSON, and each loads what the other wrote."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

import anabranch as ab
from anabranch import registry
from anabranch._fields import Configurable

ROOMS = ("constraints", "initializers", "regularizers", "losses", "metrics")
NEEDED: dict[str, dict[str, Any]] = {
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "STFT": {"window": None},  # Keras needs SciPy for the names of windows
    **{kind: {"num_classes": 3, "target_class_ids": [0, 1]} for kind in ("IoU", "OneHotIoU")},
    **{kind: {"num_classes": 3} for kind in ("MeanIoU", "OneHotMeanIoU")},
}
ALSO = {  # settings that Keras's get_config leaves out, though its constructor takes them: theirs come back with the default
    ("initializers", "Identity"): {"gain"},
    ("losses", "Huber"): {"delta"},
    ("losses", "CosineSimilarity"): {"axis"},
    ("losses", "SparseCategoricalCrossentropy"): {"axis"},
    ("metrics", "CosineSimilarity"): {"axis"},
    ("metrics", "SparseTopKCategoricalAccuracy"): {"from_sorted_ids"},
}
WRAPPERS = {"LossFunctionWrapper", "MeanMetricWrapper"}  # of a function, which each package finds by a module of its own


def classes(room: str) -> list[tuple[str, str]]:
    names = sorted(name for name in dir(getattr(ab, room)) if isinstance(getattr(getattr(ab, room), name), type))
    bases = {"Constraint", "Initializer", "Regularizer", "Loss", "Metric"} | WRAPPERS
    return [(room, n) for n in names if n not in bases and getattr(getattr(ab, room), n).__name__ == n]


CLASSES = [pair for room in ROOMS for pair in classes(room)]


def pair_of(keras: Any, room: str, name: str) -> tuple[Any, Any]:
    given = NEEDED.get(name, {})
    keras.utils.clear_session(free_memory=False)  # or it numbers the names of metrics that have none
    return getattr(getattr(ab, room), name)(**given), getattr(getattr(keras, room), name)(**given)


def close(value: Any) -> Any:
    """Round floats, as Keras holds some settings in single precision."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: close(item) for key, item in value.items()}
    return [close(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(("room", "name"), CLASSES)
def test_data_equal_keras(keras: Any, room: str, name: str) -> None:
    ours, theirs = pair_of(keras, room, name)
    mine = getattr(ab, room).serialize(ours)
    other = keras.saving.serialize_keras_object(theirs)
    also = {key: mine["config"].pop(key) for key in ALSO.get((room, name), ())}
    assert close(mine) == close(other)
    assert not also.keys() & other["config"].keys()


@pytest.mark.parametrize(("room", "name"), CLASSES)
def test_data_come_back(room: str, name: str) -> None:
    ours = getattr(getattr(ab, room), name)(**NEEDED.get(name, {}))
    config = ours.get_config()
    assert json.loads(json.dumps(config)) == config
    assert type(ours).from_config(config).get_config() == config
    for again in (registry.deserialize(registry.serialize(ours)), getattr(ab, room).deserialize(registry.serialize(ours))):
        assert type(again) is type(ours)
        assert again.get_config() == config


@pytest.mark.parametrize(("room", "name"), CLASSES)
def test_what_keras_wrote_loads(keras: Any, room: str, name: str) -> None:
    ours, theirs = pair_of(keras, room, name)
    data = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    assert close(getattr(ab, room).deserialize(data).get_config()) == close(ours.get_config())


@pytest.mark.parametrize(("room", "name"), CLASSES)
def test_keras_loads_what_we_wrote(keras: Any, room: str, name: str) -> None:
    ours, theirs = pair_of(keras, room, name)
    data = json.loads(json.dumps(getattr(ab, room).serialize(ours)))
    assert close(keras.saving.deserialize_keras_object(data).get_config()) == close(theirs.get_config())


CALLBACKS: dict[str, dict[str, Any]] = {  # what each needs to be made
    "BackupAndRestore": {"backup_dir": "run"},
    "CSVLogger": {"filename": "log.csv"},
    "EarlyStopping": {},
    "LearningRateScheduler": {"schedule": ab.activations.relu},
    "ModelCheckpoint": {"filepath": "best.safetensors"},
    "ReduceLROnPlateau": {},
    "RemoteMonitor": {},
    "SwapEMAWeights": {},
    "TensorBoard": {"log_dir": "logs"},
    "TerminateOnNaN": {},
}
NOT_KERAS = "MLflowLogger", "WandbLogger"  # tests/callbacks/test_trackers.py
OWN: dict[str, dict[str, Any]] = {"ModelCheckpoint": {"max_to_keep": None}}  # settings that Keras's lacks


def test_every_callback_with_settings_is_listed() -> None:
    names = {n for n in dir(ab.callbacks) if isinstance(getattr(ab.callbacks, n), type)}
    assert {n for n in names if issubclass(getattr(ab.callbacks, n), Configurable)} == {*CALLBACKS, *NOT_KERAS}


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callbacks_config_has_keras_arguments_and_comes_back(keras: Any, name: str) -> None:
    # Keras's callbacks have no config; its constructor says what theirs would hold
    kind, given = getattr(ab.callbacks, name), CALLBACKS[name]
    config = kind(**given).get_config()
    assert json.loads(json.dumps(config)) == config
    assert kind.from_config(config).get_config() == config
    theirs = inspect.signature(getattr(keras.callbacks, name)).parameters.values()
    defaults = {each.name: each.default for each in theirs if each.kind is not each.VAR_KEYWORD} | OWN.get(name, {})
    assert list(config) == list(defaults)
    assert {key: value for key, value in config.items() if key not in given} == {
        key: value for key, value in defaults.items() if key not in given
    }


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [("EarlyStopping", "patience", 3), ("ReduceLROnPlateau", "factor", 0.5), ("CSVLogger", "append", True)],
)
def test_a_callbacks_config_has_what_was_set_later(name: str, setting: str, value: Any) -> None:
    callback = getattr(ab.callbacks, name)(**CALLBACKS[name])
    setattr(callback, setting, value)
    assert type(callback).from_config(callback.get_config()).get_config()[setting] == value


def test_functions_are_named_and_come_back(keras: Any) -> None:
    loss = ab.losses.LossFunctionWrapper(ab.losses.huber, delta=2.0)
    metric = ab.metrics.MeanMetricWrapper(ab.metrics.binary_accuracy, threshold=0.25)
    for room, ours in ((ab.losses, loss), (ab.metrics, metric)):
        config = ours.get_config()
        assert json.loads(json.dumps(config)) == config
        again = room.deserialize(room.serialize(ours))
        assert (again.fn, again.fn_kwargs, again.name) == (ours.fn, ours.fn_kwargs, ours.name)
    written = keras.saving.serialize_keras_object(keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error, name="m"))
    assert ab.metrics.deserialize(written).fn is ab.losses.mean_squared_error
    assert ab.losses.deserialize(keras.losses.serialize(keras.losses.huber)) is ab.losses.huber


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (ab.initializers.HeNormal(), ab.initializers.HeNormal(seed=None), ab.initializers.HeNormal(seed=1)),
        (ab.initializers.Constant([1, 2]), ab.initializers.Constant([1, 2]), ab.initializers.Constant([1, 3])),
        (ab.regularizers.L2(0.5), ab.regularizers.L2(l2=0.5), ab.regularizers.L1(0.5)),
    ],
)
def test_values_are_equal_by_class_and_settings(one: Any, same: Any, other: Any) -> None:
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


def test_settings_may_change_later() -> None:
    import numpy as np

    drawn = ab.initializers.RandomNormal()
    drawn.seed = 5
    assert np.array_equal(drawn((3,)), ab.initializers.RandomNormal(seed=5)((3,)))
    assert drawn.get_config()["seed"] == 5
    assert ab.initializers.get("random_normal").seed is None  # no object is shared behind a name
    penalty = ab.regularizers.L2(1.0)
    penalty.l2 = 0.5
    assert penalty(np.float32([2.0])) == 2.0
    assert repr(penalty) == "L2(l2=0.5)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ab.regularizers.L2(-1), "l2 of L2 must be a finite number ≥ 0"),
        (lambda: ab.regularizers.L1("a"), "l1 of L1 must be a finite number ≥ 0"),
        (lambda: ab.initializers.RandomNormal(stddev=-1), "stddev of RandomNormal must be"),
        (lambda: ab.initializers.HeNormal(seed="a"), "seed of HeNormal must be an integer or None"),
        (lambda: ab.initializers.HeNormal(scale=2), "HeNormal takes no argument 'scale'"),
        (lambda: ab.regularizers.OrthogonalRegularizer(mode="row"), "did you mean 'rows'"),
        (lambda: ab.losses.Huber(delta=-1), "delta of Huber must be a finite number > 0"),
        (lambda: ab.losses.BinaryCrossentropy(label_smoothing=2), "label_smoothing of BinaryCrossentropy must be"),
        (lambda: ab.losses.CategoricalCrossentropy(label_smoothing=-0.1), "label_smoothing of CategoricalCrossentropy must"),
        (lambda: ab.losses.MeanSquaredError(reduction="average"), "Unknown reduction 'average'"),
        (lambda: ab.losses.MeanSquaredError(dtype="float3"), "Unknown dtype"),
        (lambda: ab.losses.CategoricalFocalCrossentropy(alpha="a"), "alpha must be a number, or a list"),
        (lambda: ab.metrics.BinaryCrossentropy(label_smoothing=2), "label_smoothing of BinaryCrossentropy must be"),
        (lambda: ab.metrics.TopKCategoricalAccuracy(k=0), "k of TopKCategoricalAccuracy must be an integer ≥ 1"),
        (lambda: ab.metrics.Precision(top_k=0), "top_k of Precision must be an integer ≥ 1 or None"),
        (lambda: ab.metrics.Precision(thresholds=["a"]), "A threshold must be between 0 and 1"),
        (lambda: ab.metrics.FBetaScore(beta=0), "beta of FBetaScore must be a finite number > 0"),
    ],
)
def test_nonsense_is_refused(make: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert words in str(caught.value)


def test_subclasses_with_an_init_of_their_own() -> None:
    class Ramp(ab.initializers.Initializer):
        def __init__(self, step: float, start: float = 0.0) -> None:
            self.step, self.start = step, start

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            raise NotImplementedError

    class Power(ab.regularizers.L2):
        def __init__(self, power: int = 3) -> None:
            super().__init__(0.5)
            self.power = power

    assert Ramp(2.0).get_config() == {"step": 2.0, "start": 0.0}
    assert Ramp.from_config(Ramp(2.0).get_config()) == Ramp(2.0)
    assert Power(4).get_config() == {"l2": 0.5, "power": 4}
    changed = Power(4)
    changed.l2 = 0.25
    assert Power.from_config(changed.get_config()) == changed


def test_settings_of_losses_and_metrics_may_change_later() -> None:
    loss = ab.losses.Huber()
    loss.delta = 2.0
    true, pred = [[0.0]], [[3.0]]
    assert loss(true, pred) == ab.losses.Huber(2.0)(true, pred) == 4.0
    loss.reduction = "none"
    assert loss(true, pred).shape == (1,)
    assert loss.get_config() == ab.losses.Huber(2.0, "none").get_config()
    with pytest.raises(ValueError, match="delta of Huber"):
        loss.delta = -1
    metric = ab.metrics.BinaryAccuracy()
    metric.threshold = 0.7
    assert metric([[1.0]], [[0.6]]) == 0.0
    assert metric.get_config()["threshold"] == 0.7
    at = ab.metrics.PrecisionAtRecall(0.9)
    at.update_state([0, 1, 1], [0.3, 0.2, 0.8])
    before = at.result()
    at.recall = 0.4
    assert before < at.result() == 1.0


@pytest.mark.parametrize(
    ("metric", "name", "value"),
    [
        (ab.metrics.Precision(), "thresholds", [0.1, 0.2]),
        (ab.metrics.AUC(), "num_thresholds", 10),
        (ab.metrics.Mean(), "dtype", "float64"),
        (ab.metrics.F1Score(), "average", "micro"),
    ],
)
def test_what_the_state_was_made_by_cannot_change(metric: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} of .* cannot change, since its state was made by it"):
        setattr(metric, name, value)


def test_a_change_after_compile_is_seen_by_training() -> None:
    import numpy as np

    x = ab.Input((1,))
    model = ab.Model(x, ab.layers.Dense(1, kernel_initializer="zeros")(x))
    loss, metric = ab.losses.Huber(), ab.metrics.BinaryAccuracy(name="acc")
    model.compile("sgd", loss, metrics=[metric])
    data = np.ones((2, 1), "float32"), np.full((2, 1), 3.0, "float32")
    assert model.evaluate(*data, verbose=0) == [2.5, 0.0]
    loss.delta = 2.0
    assert model.evaluate(*data, verbose=0)[0] == 4.0


def test_losses_and_metrics_with_an_init_of_their_own() -> None:
    class Scaled(ab.losses.Loss):
        def __init__(self, factor: float = 2.0) -> None:
            super().__init__(name="scaled", reduction="sum")
            self.factor = factor

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return self.factor * (y_pred - y_true).abs().mean(-1)

    class Explicit(Scaled):
        def __init__(self, factor: float = 2.0, name: str = "explicit", **kwargs: Any) -> None:
            super(Scaled, self).__init__(name=name, **kwargs)
            self.factor = factor

        def get_config(self) -> Any:
            return {**super().get_config(), "factor": self.factor}

    class Last(ab.metrics.Metric):
        def __init__(self, power: int = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.power = power
            self.value = self.add_weight(name="value")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.value.assign(y_pred.mean() ** self.power)

        def result(self) -> Any:
            return self.value.value

    for kind in (Scaled, Explicit):
        loss = kind(3.0)
        again = kind.from_config(loss.get_config())
        assert again.get_config() == loss.get_config()
        assert again([[1.0]], [[2.0]]) == loss([[1.0]], [[2.0]]) == 3.0
        assert ab.losses.deserialize(ab.losses.serialize(loss), {kind.__name__: kind}).factor == 3.0
    last = Last.from_config(Last(2, name="mine").get_config())
    assert (last.power, last.name, last([0.0], [2.0])) == (2, "mine", 4.0)


def test_an_area_under_logits_is_keras_s_with_a_warning(keras: Any) -> None:
    theirs = keras.metrics.AUC()
    theirs.update_state([0, 0, 1, 1], [-0.5, -0.1, 0.4, 0.9])
    ours = ab.metrics.AUC()
    with pytest.warns(UserWarning, match="from_logits=True"):
        ours.update_state([0, 0, 1, 1], [-0.5, -0.1, 0.4, 0.9])
    assert ours.result() == float(theirs.result()) == 1.0

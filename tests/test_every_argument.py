"""Every argument of every class has an effect: another value changes a result, the weights or the loss, or is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from every_layer import CASES, CELLS, Case
from other_values import FOR, NO_EFFECT, OTHERS, REFUSED, With
from test_every_layer import draw, draw_weights, symbolic

import anabranch as ab
from anabranch import Model, _tree, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from anabranch._errors import AnabranchError
from anabranch.optimizers import schedules
from anabranch.runtime import mask_of

Seen = Iterator[Any]  # what is seen of an object, the cheapest first
RNG = np.random.default_rng(0)


def classes(room: Any, base: type) -> list[type]:
    found = {getattr(room, name) for name in dir(room) if isinstance(getattr(room, name), type)}
    return sorted((each for each in found if issubclass(each, base) and each is not base), key=lambda each: each.__name__)


def others(kind: type, setting: str) -> tuple[Any, ...]:
    found = FOR.get((kind.__name__, setting), OTHERS.get(setting))
    assert found is not None, f"{setting} of {kind.__name__} needs a row in tests/other_values.py"
    return found


def plain(value: Any) -> Any:
    """Return what is seen as nests of arrays and words."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return value.copy() if isinstance(value, np.ndarray) else repr(value)


def alike(a: Any, b: Any) -> bool:
    """Return whether two nests are equal but for rounding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape) == (b.dtype, b.shape) and np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
    return type(a) is type(b) and not isinstance(a, np.ndarray) and bool(a == b)


class Watched:
    """The stages of what is seen, computed as far as they are asked for and cached."""

    def __init__(self, stages: Seen) -> None:
        self._stages = stages
        self._found: list[Any] = []

    def __getitem__(self, number: int) -> Any:
        while len(self._found) <= number:
            self._found.append(plain(next(self._stages, "the end")))
        return self._found[number]

    def differs(self, other: Watched) -> bool:
        for number in itertools.count():
            if not alike(self[number], other[number]):
                return True
            if alike(self[number], plain("the end")):
                return False
        raise RuntimeError("unreachable")


WAYS: TypeAlias = list[tuple[dict[str, Any], Callable[[dict[str, Any]], Watched]]]


def effect(kind: type, setting: str, ways: WAYS) -> str:
    """Return "seen" where another value shows in one of the ways of using a class, else "refused" or "nothing".

    Refused means by the constructor; what it takes and a call then refuses has an effect.
    """
    refused = tried = 0
    for config, seen in ways:
        for other in others(kind, setting):
            value, more = (other.value, other.others) if isinstance(other, With) else (other, {})
            base = {**config, **more}
            tried += 1
            try:
                first = seen(base)
                first[0]
            except AnabranchError:
                continue  # no way of using it
            changed = {**base, setting: value}
            try:
                kind(**changed)
            except AnabranchError:
                refused += 1
                continue
            try:
                if seen(changed).differs(first):
                    return "seen"
            except AnabranchError:
                return "seen"
    return "refused" if refused and refused == tried else "nothing"


def hold(kind: type, setting: str, ways: Any) -> None:
    key = (kind.__name__, setting)
    wanted = "nothing" if key in NO_EFFECT else "refused" if key in REFUSED else "seen"
    assert effect(kind, setting, ways) == wanted, f"{setting} of {kind.__name__}: another value should be {wanted}"


# Layers


def of_layer(case: Case, config: dict[str, Any]) -> Seen:
    ab.utils.set_random_seed(3)
    layer = getattr(layers, case.make)(**config)
    if case.prepare is not None and not {"mean", "variance"} & config.keys():
        case.prepare(layer)
    x = symbolic(case)
    y = case.call(layer, x)
    model = Model(x, y, name="alone")
    yield [layer.name, layer.trainable, [(tensor.shape, tensor.dtype, tensor.masked) for tensor in _tree.leaves(y)]]
    yield [(weight.name, weight.shape, weight.trainable) for weight in layer.weights]
    yield layer.get_weights()
    draw_weights(layer, 0)
    for training in (False, True):
        ab.utils.set_random_seed(3)
        data = draw(case)
        yield (results := case.call(layer, data, **{"training": training} if "training" in layer_arguments(layer) else {}))
        yield [mask_of(leaf) for leaf in _tree.leaves(results)]
        yield layer.losses
    yield model.losses
    yield layer.get_weights()
    yield [weight.constraint(torch.from_numpy(weight.numpy())) for weight in layer.weights if weight.constraint is not None]


def layer_arguments(layer: Any) -> tuple[str, ...]:
    code = type(layer).call.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


MASK = np.arange(15).reshape(3, 5) % 3 > 0
MORE = [  # what shows in no row of the table of all layers
    *(Case(f"{name} of unequal shapes", name, {"broadcast": True}, [(None, 4, 3), (None, 1, 3)])
      for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    Case("Masking of zeros", "Masking", {}, [(None, 5, 3)], dtype="int32", int_input_max=1),
    *(Case(f"{name} masked", name, {"units": 4, "return_sequences": True}, [(None, 5, 3)], extra={"mask": MASK})
      for name in ("SimpleRNN", "GRU", "LSTM")),
    *(Case(f"ConvLSTM{rank}D masked", f"ConvLSTM{rank}D", {"filters": 2, "kernel_size": 2, "return_sequences": True},
           [(None, 5, *[3] * rank, 2)], extra={"mask": MASK}) for rank in (1, 2, 3)),
    Case("RNN masked", "RNN", {"cell": CELLS[0], "return_sequences": True}, [(None, 5, 3)], extra={"mask": MASK}),
    Case("Dot over either axis", "Dot", {"axes": 1}, [(None, 4, 4), (None, 4, 4)]),
]  # fmt: skip
BASE = ("name", "trainable", "dtype", "activity_regularizer")  # what every layer takes
CLASSES = {case.make: getattr(layers, case.make) for case in CASES if case.inputs}
SETTINGS = [(name, setting) for name, kind in CLASSES.items() for setting in dict.fromkeys([*kind._fields_, *BASE])]


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_layers(name: str, setting: str) -> None:
    def way(case: Case) -> Any:
        return case.config, lambda config: Watched(of_layer(case, config))

    hold(CLASSES[name], setting, [way(case) for case in [*CASES, *MORE] if case.make == name])


# Losses and metrics

LABELS = RNG.integers(0, 3, (4, 3))
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
raw = RNG.uniform(0.05, 0.95, (4, 3, 3)) + 0.3 * ONE_HOT
SHARES = (raw / raw.sum(-1, keepdims=True)).astype("float32")
SPARSE = {"SparseCategoricalCrossentropy", "SparseCategoricalAccuracy", "CategoricalGeneralizedCrossEntropy"}
FEW = {"Precision", "Recall", "F1Score", "FBetaScore", "AUC", "PrecisionAtRecall", "RecallAtPrecision"}
NEEDED = {
    "SensitivityAtSpecificity": {"specificity": 0.2}, "SpecificityAtSensitivity": {"sensitivity": 0.2},
    "PrecisionAtRecall": {"recall": 0.2}, "RecallAtPrecision": {"precision": 0.2},
    **{kind: {"num_classes": 3, "target_class_ids": [0, 1]} for kind in ("IoU", "OneHotIoU")},
    **{kind: {"num_classes": 3} for kind in ("MeanIoU", "OneHotMeanIoU")},
    "LossFunctionWrapper": {"fn": losses.mean_absolute_error}, "MeanMetricWrapper": {"fn": losses.mean_absolute_error},
}  # fmt: skip


def data_of(name: str) -> tuple[Any, Any]:
    if name.startswith("SparseTopK"):
        return LABELS, np.float32([[[0, 2, 1]] * 3] * 4) / 2
    if name in ("CTC", "ctc"):
        return LABELS[:, :2], np.tile(SHARES, (1, 2, 1))
    if name in ("Circle", "circle"):
        return LABELS.reshape(-1), SHARES.reshape(-1, 3)
    if name in ("IoU", "MeanIoU"):
        return LABELS, SHARES.argmax(-1)
    if name == "R2Score":
        return ONE_HOT.reshape(-1, 3), SHARES.reshape(-1, 3)
    if name in SPARSE:
        return LABELS, SHARES
    if name in FEW or "At" in name or name.endswith(("tives",)):
        return ONE_HOT.reshape(-1, 3), SHARES.reshape(-1, 3)
    return ONE_HOT, SHARES


def of_loss(kind: Any, config: dict[str, Any]) -> Seen:
    loss = kind(**config)
    yield loss.name
    yield loss(*data_of(kind.__name__))


def of_metric(kind: Any, config: dict[str, Any]) -> Seen:
    metric = kind(**config)
    yield [metric.name, len(metric.variables)]
    if kind.__name__ in ("Mean", "Sum"):
        metric.update_state(SHARES)
    else:
        metric.update_state(*data_of(kind.__name__))
    yield metric.result()
    yield [np.asarray(each).dtype for each in metric.get_weights()] if hasattr(metric, "get_weights") else []
    yield metric.variables


def settings_of(kinds: list[Any]) -> list[tuple[Any, str]]:
    return [pytest.param(kind, setting, id=f"{kind.__name__}-{setting}") for kind in kinds for setting in kind._fields_]


@pytest.mark.parametrize(("kind", "setting"), settings_of(classes(losses, losses.Loss)))
def test_losses(kind: Any, setting: str) -> None:
    ways = [{"axis": 1}] if kind.__name__ in ("Dice", "Tversky") else []  # without, they reduce everything by themselves
    hold(
        kind,
        setting,
        [(config, lambda given: Watched(of_loss(kind, given))) for config in [NEEDED.get(kind.__name__, {}), *ways]],
    )


@pytest.mark.parametrize(("kind", "setting"), settings_of(classes(metrics, metrics.Metric)))
def test_metrics(kind: Any, setting: str) -> None:
    hold(kind, setting, [(NEEDED.get(kind.__name__, {}), lambda config: Watched(of_metric(kind, config)))])


# Optimizers and schedules

X, Y = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 2)).astype("float32")


def of_optimizer(kind: Any, config: dict[str, Any]) -> Seen:
    optimizer = kind(**config)
    yield optimizer.name
    ab.utils.set_random_seed(2)
    x = ab.Input((4,))
    model = Model(x, layers.Dense(2)(layers.Dense(3, activation="tanh")(x)))
    model.compile(optimizer, "mse")
    for _ in range(2):
        model.fit(X, Y, batch_size=2, shuffle=False, verbose=0)
        yield model.get_weights()
    yield optimizer.dynamic_scale if isinstance(optimizer, optimizers.LossScaleOptimizer) else None
    yield optimizer.variables


OPTIMIZERS = {
    "LossScaleOptimizer": {"inner_optimizer": optimizers.serialize(optimizers.SGD())},
    "TorchOptimizer": {"factory": torch.optim.SGD},
    "MultiOptimizer": optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD())).get_config(),
    "Adadelta": {"learning_rate": 1.0},  # whose first steps are small
}


@pytest.mark.parametrize(("kind", "setting"), settings_of(classes(optimizers, optimizers.Optimizer)))
def test_optimizers(kind: Any, setting: str) -> None:
    hold(kind, setting, [(OPTIMIZERS.get(kind.__name__, {}), lambda config: Watched(of_optimizer(kind, config)))])


SCHEDULES: dict[str, dict[str, Any]] = {
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [5, 10], "values": [1.0, 0.5, 0.1]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 5},
}


def of_schedule(kind: Any, config: dict[str, Any]) -> Seen:
    schedule = kind(**config)
    yield [float(schedule(step)) for step in range(30)]
    yield schedule.name


@pytest.mark.parametrize(("kind", "setting"), settings_of(classes(schedules, schedules.LearningRateSchedule)))
def test_schedules(kind: Any, setting: str) -> None:
    hold(kind, setting, [(SCHEDULES[kind.__name__], lambda config: Watched(of_schedule(kind, config)))])


# Initializers, regularizers, constraints


def of_function(kind: Any, config: dict[str, Any]) -> Seen:
    made = kind(**config)
    if isinstance(made, initializers.Initializer):
        ab.utils.set_random_seed(1)
        square = kind.__name__ == "Identity"
        yield made((3, 3) if square else (3, 4, 5), "float32", rng=np.random.default_rng(4))
    else:
        yield made(torch.arange(12.0).reshape(3, 4) / 5 - 1)


FUNCTIONS = [
    *classes(initializers, initializers.Initializer), *classes(regularizers, regularizers.Regularizer),
    *classes(constraints, constraints.Constraint),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "setting"), settings_of(FUNCTIONS))
def test_functions_of_weights(kind: Any, setting: str) -> None:
    ways: list[dict[str, Any]] = [{}]
    if setting in ("input_axes", "output_axes"):
        ways = [{"input_axes": (1,), "output_axes": (2,)}, {"input_axes": (2,), "output_axes": (1,)}]
    hold(kind, setting, [(config, lambda given: Watched(of_function(kind, given))) for config in ways])


# The table itself


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_seen_of_a_layer_is_the_same_twice(name: str) -> None:
    """Or every value would seem to have an effect."""
    case = next(case for case in CASES if case.make == name)
    assert not Watched(of_layer(case, case.config)).differs(Watched(of_layer(case, case.config)))


def test_what_is_seen_of_the_others_is_the_same_twice() -> None:
    for kind in classes(losses, losses.Loss):
        given = NEEDED.get(kind.__name__, {})
        assert not Watched(of_loss(kind, given)).differs(Watched(of_loss(kind, given)))
    for kind in classes(metrics, metrics.Metric):
        given = NEEDED.get(kind.__name__, {})
        assert not Watched(of_metric(kind, given)).differs(Watched(of_metric(kind, given)))
    for kind in classes(optimizers, optimizers.Optimizer):
        given = OPTIMIZERS.get(kind.__name__, {})
        assert not Watched(of_optimizer(kind, given)).differs(Watched(of_optimizer(kind, given)))
    for kind in FUNCTIONS:
        assert not Watched(of_function(kind, {})).differs(Watched(of_function(kind, {})))


def test_no_row_is_left_over() -> None:
    kinds = [
        *CLASSES.values(), *classes(losses, losses.Loss), *classes(metrics, metrics.Metric),
        *classes(optimizers, optimizers.Optimizer), *classes(schedules, schedules.LearningRateSchedule), *FUNCTIONS,
    ]  # fmt: skip
    known = {(kind.__name__, setting) for kind in kinds for setting in [*kind._fields_, *BASE]}
    assert (FOR.keys() | NO_EFFECT.keys() | REFUSED.keys()) - known == set()
    assert OTHERS.keys() - {setting for _, setting in known} == set()

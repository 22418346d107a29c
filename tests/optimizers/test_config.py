"""Configs of optimizers and schedules: complete, JSON, and Keras's own."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch

import anabranch as ab
from anabranch import optimizers
from anabranch._errors import ArgumentTypeError, UnknownNameError

SCHEDULES: dict[str, tuple[Any, ...]] = {
    "ExponentialDecay": (0.1, 10, 0.5),
    "PiecewiseConstantDecay": ([5, 20], [1.0, 0.5, 0.1]),
    "PolynomialDecay": (0.1, 10),
    "InverseTimeDecay": (0.1, 10, 0.5),
    "CosineDecay": (0.1, 10),
    "CosineDecayRestarts": (0.1, 10),
}
NAMES = (
    "SGD",
    "RMSprop",
    "Adam",
    "AdamW",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "Lion",
    "Ftrl",
    "Nadam",
    "Lamb",
    "Adafactor",
    "Muon",
    "ScheduleFreeAdamW",
)


def compared(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare configs. Keras's names count (``sgd_3``), and its learning rate went through float32: ours do not."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if key == "name":
            assert value.rstrip("_0123456789") == ours[key].rstrip("_0123456789")
        elif key == "learning_rate" and isinstance(value, float):
            assert ours[key] == pytest.approx(value, rel=1e-6)
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizers_config_is_that_of_keras_and_both_are_read(keras: Any, name: str) -> None:
    for options in ({}, {"weight_decay": 0.1, "clipnorm": 1.0, "use_ema": True, "gradient_accumulation_steps": 3}):
        theirs, ours = getattr(keras.optimizers, name)(**options), getattr(optimizers, name)(**options)
        compared(ours.get_config(), theirs.get_config())
        read = optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(theirs))))
        assert type(read) is type(ours)
        compared(read.get_config(), theirs.get_config())
        compared(getattr(keras.optimizers, name).from_config(ours.get_config()).get_config(), ours.get_config())


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedules_config_is_that_of_keras_and_is_read(keras: Any, name: str) -> None:
    theirs = getattr(keras.optimizers.schedules, name)(*SCHEDULES[name])
    ours = getattr(optimizers.schedules, name)(*SCHEDULES[name])
    assert ours.get_config() == theirs.get_config()
    assert optimizers.schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    read = optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(keras.optimizers.Adam(theirs)))))
    assert read.learning_rate == pytest.approx(ours(0))
    assert read.get_config()["learning_rate"] == keras.optimizers.schedules.serialize(theirs)
    again = ab.saving.deserialize_keras_object(optimizers.serialize(optimizers.SGD(ours)))
    assert again.get_config() == optimizers.SGD(ours).get_config()


def test_a_loss_scale_optimizer_and_its_inner_one(keras: Any) -> None:
    theirs = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5, momentum=0.9), initial_scale=8.0)
    read = optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(theirs))))
    assert (read.inner_optimizer.momentum, read.learning_rate, read.dynamic_scale) == (0.9, 0.5, 8.0)
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(read))))
    assert again.get_config() == read.get_config()
    assert read.get_config().keys() == theirs.get_config().keys()


def slower() -> float:
    return 0.25


def made(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.3)


def test_functions_come_back_where_the_caller_names_them() -> None:
    config = json.loads(json.dumps(optimizers.serialize(optimizers.SGD(slower))))
    assert optimizers.deserialize(config, custom_objects={"slower": slower}).learning_rate == 0.25
    config = json.loads(json.dumps(optimizers.serialize(optimizers.get(made))))
    assert optimizers.deserialize(config, custom_objects={"made": made}).learning_rate == pytest.approx(0.3)
    with pytest.raises(ArgumentTypeError, match="lambda has no name"):
        optimizers.get(lambda parameters: made(parameters)).get_config()


def test_classes_of_torch_are_named() -> None:
    config = json.loads(json.dumps(optimizers.serialize(optimizers.TorchOptimizer(torch.optim.Adagrad, clipnorm=1.0))))
    again = optimizers.deserialize(config)
    assert (again.factory, again.clipnorm, again.name) == (torch.optim.Adagrad, 1.0, "Adagrad")
    with pytest.raises(UnknownNameError, match=r"torch\.optim\.Adam"):
        optimizers.TorchOptimizer("torch.optim.Adm")


def test_a_renewed_optimizer_has_the_settings_and_no_state() -> None:
    for optimizer in (
        optimizers.Adam(lambda: 0.5, beta_1=0.8),
        optimizers.get(functools.partial(torch.optim.SGD, lr=0.5)),
        optimizers.LossScaleOptimizer(optimizers.SGD(0.5, gradient_accumulation_steps=2)),
    ):
        model = ab.Sequential([ab.Input((2,)), ab.layers.Dense(1)])
        model.compile(optimizer, "mse")
        model.fit([[1.0, 2.0]] * 4, [[1.0]] * 4, batch_size=1, verbose=0)
        new = optimizer._renewed_()
        assert optimizer.iterations > 0 == new.iterations
        assert (new.learning_rate, len(new.weights)) == (0.5, 0)
        assert len(optimizer.weights) == 2

"""The user's own functions and classes that return, or yield, something wrong where the library uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from nonsense.target import Target
from small_model import data, made

import anabranch as ab
from anabranch import layers, losses, metrics, utils

USUAL = object()  # returned where no value is wrong


def _or(returned: Any, usual: Any) -> Any:
    return usual if returned is USUAL else returned


class Batches(utils.PyDataset):
    """A source of which one part is wrong."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given

    def __len__(self) -> int:
        return self.given.get("__len__", 2)

    def __getitem__(self, index: int) -> Any:
        return self.given.get("__getitem__", data(4))


def _fitted(loss: Any = "mse", metric: Any = "mae", **more: Any) -> None:
    model = made(ab)
    model.compile("sgd", loss, metrics=[metric])
    model.fit(*data(8), verbose=0, **more)


def _own_loss(returned: Any) -> None:
    class Own(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return _or(returned, (y_true - y_pred) ** 2)

    _fitted(Own())


def _own_metric(returned: Any) -> None:
    class Own(metrics.Metric):
        def update_state(self, *args: Any, **kwargs: Any) -> None:
            return None

        def result(self) -> Any:
            return returned

        def reset_state(self) -> None:
            return None

    _fitted(metric=Own())


def _own_layer(returned: Any) -> None:
    class Own(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return returned

    x = ab.Input((4,))
    ab.Model(x, Own()(x)).predict(np.ones((2, 4)), verbose=0)


class Passing(layers.Layer):
    """A layer that gives what it takes."""

    def call(self, inputs: Any) -> Any:
        return inputs


def _own_shape(returned: Any) -> None:
    class Own(Passing):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return returned

    x = ab.Input((4,))
    ab.Model(x, Own()(x)).predict(np.ones((2, 4)), verbose=0)


def _own_config(returned: Any) -> None:
    class Own(Passing):
        def get_config(self) -> Any:
            return returned

    x = ab.Input((4,))
    ab.models.clone_model(ab.Model(x, Own()(x)))


def _own_step(word: str) -> Callable[..., None]:
    def call(returned: Any) -> None:
        def own_or_usual(self: Any, args: Any, kwargs: Any) -> Any:
            return getattr(ab.Model, word)(self, *args, **kwargs) if returned is USUAL else returned

        own = type("Own", (ab.Model,), {word: lambda self, *args, **kwargs: own_or_usual(self, args, kwargs)})
        x = ab.Input((1,))
        model = own(x, layers.Dense(1)(x))
        model.compile("sgd", "mse")
        model.fit(*data(8), verbose=0)
        model.evaluate(*data(8), verbose=0)
        model.predict(data(8)[0], verbose=0)

    return call


def _dense(name: str) -> Callable[..., None]:
    def call(returned: Any) -> None:
        model = ab.Sequential([ab.Input((1,)), layers.Dense(2, **{name: lambda *args, **kwargs: returned}), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(*data(8), verbose=0)

    return call


def _generated(returned: Any) -> None:
    made(ab).fit((returned for _ in range(2)), verbose=0)


def _scheduled(returned: Any) -> None:
    made(ab).fit(*data(8), verbose=0, callbacks=[ab.callbacks.LearningRateScheduler(lambda epoch: returned)])


def _schedule(returned: Any) -> None:
    class Own(ab.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return returned

    made(ab, Own()).fit(*data(8), verbose=0)


def _lambda(returned: Any) -> None:
    x = ab.Input((4,))
    ab.Model(x, layers.Lambda(lambda x: returned)(x)).predict(np.ones((2, 4)), verbose=0)


def _wrapped(returned: Any) -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2, name="body")(x))
    model.edit(ab.edit.wrap("body", lambda layer, x: _or(returned, x)))


def returned() -> Iterator[Target]:
    """Yield functions and methods of the user's, each of which returns a wrong value."""
    made_here: dict[str, tuple[Callable[..., None], Callable[[], Any]]] = {
        "a loss function": (lambda returned: _fitted(lambda t, p: _or(returned, (t - p) ** 2)), lambda: USUAL),
        "a metric function": (lambda returned: _fitted(metric=lambda t, p: returned), lambda: torch.zeros(8)),
        "Loss.call": (_own_loss, lambda: USUAL),
        "Metric.result": (_own_metric, lambda: 0.5),
        "Layer.call": (_own_layer, lambda: torch.zeros(2, 3)),
        "Layer.compute_output_shape": (_own_shape, lambda: (None, 4)),
        "Layer.get_config": (_own_config, dict),
        "Model.train_step": (_own_step("train_step"), lambda: USUAL),
        "Model.test_step": (_own_step("test_step"), lambda: USUAL),
        "Model.predict_step": (_own_step("predict_step"), lambda: USUAL),
        "Model.compute_loss": (_own_step("compute_loss"), lambda: USUAL),
        "Model.compute_metrics": (_own_step("compute_metrics"), lambda: USUAL),
        "a kernel_initializer": (_dense("kernel_initializer"), lambda: np.ones((1, 2), "float32")),
        "a kernel_regularizer": (_dense("kernel_regularizer"), lambda: torch.zeros(())),
        "a kernel_constraint": (_dense("kernel_constraint"), lambda: torch.zeros(1, 2)),
        "an activation": (_dense("activation"), lambda: torch.zeros(8, 2)),
        "a generator": (_generated, lambda: data(4)),
        "LearningRateScheduler(schedule)": (_scheduled, lambda: 0.1),
        "LearningRateSchedule.__call__": (_schedule, lambda: 0.1),
        "Lambda(function)": (_lambda, lambda: torch.zeros(2, 3)),
        "edit.wrap(function)": (_wrapped, lambda: USUAL),
    }
    for name, (call, right) in made_here.items():
        yield Target(f"the user's {name}", call, lambda right=right: {"returned": right()}, ("returned",))
    for word in ("train_step", "test_step", "compute_metrics"):
        call = _own_step(word)
        yield Target(f"the user's Model.{word}", lambda call=call, **given: call({"loss": given["returned"]}),
                     lambda: {"returned": torch.zeros(())}, ("returned",))  # fmt: skip
    for word in ("__len__", "__getitem__"):
        yield Target("the user's PyDataset", lambda **given: made(ab).fit(Batches(given), verbose=0), dict, (word,))

"""Classes that take former arguments and answer to former methods while the stand-in is installed, and as before after it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anabranch
from anabranch._errors import ArgumentError
from anabranch._fields import Configurable
from anabranch.stand_in.former import words
from anabranch.stand_in.former.arguments import constructed, renamed, renaming
from anabranch.stand_in.former.saying import say

if TYPE_CHECKING:
    from anabranch import Model
    from anabranch.callbacks.callback import Logs
    from anabranch.callbacks.monitor import Monitor
    from anabranch.optimizers import Optimizer
    from anabranch.optimizers.rate import RateLike

Method = Callable[..., Any]
_GENERATOR_ORDER = {
    "fit_generator": (
        "generator", "steps_per_epoch", "epochs", "verbose", "callbacks", "validation_data", "validation_steps", "class_weight",
    ),
    "evaluate_generator": ("generator", "steps"), "predict_generator": ("generator", "steps"),
}  # fmt: skip
_ABSENT = object()

_before: list[tuple[type, str, object]] = []


def begin() -> None:
    """Let constructors take former arguments."""
    take = Configurable._take_

    def _take(self: Configurable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs:
            args, kwargs = constructed(type(self), args, kwargs)
        return take(self, args, kwargs)

    _set(Configurable, "_take_", _take)


def teach_models() -> None:
    """Let models answer to former methods and arguments, the first time that a script imports Keras."""
    model = anabranch.Model
    if any(cls is model for cls, _, _ in _before):
        return
    for name, today in words.METHODS.items():
        _set(model, name, _method(name, today))
    for name in ("evaluate", "predict"):
        _set(model, name, renaming(f"Model.{name}", getattr(model, name)))
    _set(model, "fit", _with_other_names(renaming("Model.fit", model.fit)))
    _set(model, "compile", _with_rates(renaming("Model.compile", model.compile)))
    _set(model, "__init__", _taking_inputs(model.__init__))
    from anabranch.callbacks.monitor import Monitor  # which nothing needs before

    _set(Monitor, "read", _by_either_name(Monitor.read))


def end() -> None:
    """Let all classes be as they were."""
    while _before:
        cls, name, value = _before.pop()
        if value is _ABSENT:
            delattr(cls, name)
        else:
            setattr(cls, name, value)


def _set(cls: type, name: str, value: object) -> None:
    _before.append((cls, name, vars(cls).get(name, _ABSENT)))
    setattr(cls, name, value)


# Methods of models


def _method(name: str, today: str) -> Method:
    order = _GENERATOR_ORDER.get(name, ())

    def former(self: Any, *args: object, **given: object) -> object:
        if name == "predict_classes":
            say(f"model.{name}(x)", "model.predict(x).argmax(-1), or model.predict(x) > 0.5 of one unit")
            found = self.predict(*args, **given)
            return found.argmax(-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")
        say(f"model.{name}(…)", f"model.{today}(…)")
        if not order:
            return getattr(self, today)(*args, **given)
        if "samples_per_epoch" in given or "nb_val_samples" in given or "val_samples" in given:
            raise ArgumentError(
                f"{name} of Keras 1 counts samples.", repair=f"model.{today}(generator, steps_per_epoch=samples // batch_size)"
            )
        given = dict(zip(order, args, strict=False)) | given
        given["x"] = given.pop("generator")
        return getattr(self, today)(**renamed(f"model.{today}", words.GENERATORS, given))

    former.__name__ = name
    return former


def _taking_inputs(init: Method) -> Method:
    table = words.ARGUMENTS["Model"]

    @functools.wraps(init)
    def taking(self: Model, *args: object, **given: object) -> None:
        init(self, *args, **(given if table.keys().isdisjoint(given) else renamed("Model", table, given)))

    return taking


def _with_other_names(fit: Method) -> Method:
    """Let the history that ``fit`` returns find metrics under their other names."""

    @functools.wraps(fit)
    def taking(self: Model, *args: object, **given: object) -> Any:
        history = fit(self, *args, **given)
        if type(history.history) is dict:
            history.history = _Histories(history.history)
        return history

    return taking


class _Histories(dict[str, Any]):
    """Values by name, which are also found under the metrics' other names."""

    def __missing__(self, name: str) -> object:
        other = _other(name, self)
        if other is None:
            raise KeyError(name)
        say(f"history[{name!r}]", f"history[{other!r}]")
        return self[other]


def _other(name: object, known: Mapping[str, Any]) -> str | None:
    """Return the other name of a metric, where that is known."""
    prefix = "val_" if str(name).startswith("val_") else ""
    other = words.METRICS.get(str(name).removeprefix("val_"))
    return prefix + other if other is not None and prefix + other in known else None


def _by_either_name(read: Method) -> Method:
    @functools.wraps(read)
    def reading(self: Monitor, logs: Logs | None) -> float | None:
        if logs and self.name not in logs and (other := _other(self.name, logs)) is not None:
            say(f"monitor={self.name!r}", f"monitor={other!r}")
            self.name = other
        found: float | None = read(self, logs)
        return found

    return reading


def _with_rates(compile_: Method) -> Method:
    """Let optimizers answer to ``lr``; they are loaded when the first model is compiled."""

    @functools.wraps(compile_)
    def taking(self: Model, *args: object, **given: object) -> Any:
        optimizer = anabranch.optimizers.Optimizer
        if "lr" not in vars(optimizer):
            _set(optimizer, "lr", property(_rate, _set_rate, doc="``learning_rate``, under its former name."))
        return compile_(self, *args, **given)

    return taking


def _rate(optimizer: Optimizer) -> object:
    say("optimizer.lr", "optimizer.learning_rate")
    return optimizer.learning_rate


def _set_rate(optimizer: Optimizer, value: RateLike) -> None:
    say("optimizer.lr", "optimizer.learning_rate")
    optimizer.learning_rate = value

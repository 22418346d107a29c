"""Losses by name, as plain data, and from whatever a user passes to ``compile``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, overload

import torch

from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, unknown
from anabranch.losses import margin, overlap, probabilistic, regression
from anabranch.losses._agreement import tensors
from anabranch.losses.loss import FunctionLoss, Loss, LossFunctionWrapper, TorchLoss, snake_case

CLASSES: dict[str, type[FunctionLoss]] = {
    found.__name__: found
    for room in (probabilistic, regression, margin, overlap)
    for found in vars(room).values()
    if isinstance(found, type) and issubclass(found, FunctionLoss) and found is not FunctionLoss
}
_BY_FUNCTION: dict[Callable[..., Any], type[FunctionLoss]] = {found.function: found for found in CLASSES.values()}

_SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
}
_OLD = {"logcosh": "log_cosh", "kullback_leibler_divergence": "kl_divergence", "huber_loss": "huber"}

NAMES: dict[str, type[FunctionLoss]] = {
    **CLASSES,
    **{function.__name__: found for function, found in _BY_FUNCTION.items()},
}
NAMES.update({short: NAMES[name] for short, name in (_SHORT | _OLD).items()})
NAMES.update({short.upper(): NAMES[name] for short, name in _SHORT.items()})


class Crossentropy(Loss):
    """The cross-entropy that fits the shapes it meets: what ``loss="crossentropy"`` (or ``"ce"``) means.

    One value in the last axis of y_pred is binary; class numbers for y_true are sparse; the rest is categorical.
    """

    def __init__(self, name: str = "crossentropy", from_logits: bool = False) -> None:
        super().__init__(name=name)
        self.from_logits = from_logits

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss."""
        return self._fitting(y_true, y_pred)(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value for each sample."""
        return self._fitting(y_true, y_pred).call(y_true, y_pred)

    def _fitting(self, y_true: Any, y_pred: Any) -> Loss:
        true, pred = tensors(y_true, y_pred)
        found = by_shapes(tuple(true.shape), tuple(pred.shape), _CROSSENTROPIES)
        loss: Loss = found(from_logits=self.from_logits, name=self.name)
        return loss

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "from_logits": self.from_logits}


_CROSSENTROPIES = (
    probabilistic.BinaryCrossentropy,
    probabilistic.SparseCategoricalCrossentropy,
    probabilistic.CategoricalCrossentropy,
)
_RESOLVED = ("crossentropy", "ce")


def by_shapes(true: tuple[int, ...], pred: tuple[int, ...], choices: tuple[Any, Any, Any]) -> Any:
    """Return the binary, the sparse or the categorical choice for shapes of y_true and y_pred, by Keras's rule."""
    binary, sparse, categorical = choices
    if not pred or pred[-1] == 1 or len(pred) == 1:
        return binary
    return sparse if len(true) < len(pred) or true[-1] == 1 else categorical


@overload
def get(identifier: None) -> None: ...


@overload
def get(identifier: Any) -> Loss: ...


def get(identifier: Any) -> Loss | None:
    """Return a Loss from a name, a class, a function, a ``{"class_name", "config"}`` dict or a Loss; None stays None.

    Names are Keras's: of functions, of classes, and short (``"mse"``, ``"kld"`` ...); ``"crossentropy"`` picks binary, sparse
    or categorical by the shapes. A function ``f(y_true, y_pred)`` is averaged over samples; a loss of ``torch.nn`` is called
    in torch's order. Unlike Keras's, the result is always a Loss.

    >>> get("mse")
    MeanSquaredError(name='mse', reduction='sum_over_batch_size')
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        return _by_name(identifier)
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return _made(identifier, {})
    if isinstance(identifier, type) and issubclass(identifier, torch.nn.Module):
        return get(identifier())
    if isinstance(identifier, torch.nn.Module) and "torch.nn.modules.loss" in {
        base.__module__ for base in type(identifier).__mro__
    }:
        return TorchLoss(identifier)
    if callable(identifier):
        found = _BY_FUNCTION.get(identifier) if getattr(identifier, "__hash__", None) else None
        name = getattr(identifier, "__name__", None) or snake_case(type(identifier).__name__)
        return _made(found, {"name": name}) if found else LossFunctionWrapper(identifier, name=name)
    raise ArgumentTypeError(
        "That is no loss.", expected="a name, a Loss or a function of y_true and y_pred", got=repr(identifier)
    )


def _by_name(name: str) -> Loss:
    if name.lower() in _RESOLVED:
        return Crossentropy(name=name)
    if name not in NAMES:
        raise unknown("loss", name, {*NAMES, *_RESOLVED})
    return _made(NAMES[name], {} if name in CLASSES else {"name": name})


def _made(found: Any, config: Mapping[str, Any]) -> Loss:
    """Make one from its arguments, naming it where they do not fit."""
    try:
        made: Loss = found.from_config(dict(config))
        return made
    except AnabranchError:
        raise
    except TypeError as error:
        raise ArgumentError(
            f"{found.__name__} cannot be made of these arguments.", got=f"{dict(config)!r} ({error})"
        ) from error


def serialize(loss: Any) -> dict[str, Any] | str:
    """Return a loss as plain data: ``{"class_name", "config"}``, or the name of a function.

    >>> serialize(get("huber"))
    {'class_name': 'Huber', 'config': {'name': 'huber', 'reduction': 'sum_over_batch_size', 'delta': 1.0}}
    """
    if isinstance(loss, Loss):
        return {"class_name": type(loss).__name__, "config": loss.get_config()}
    if callable(loss) and hasattr(loss, "__name__"):
        return str(loss.__name__)
    raise ArgumentTypeError("That is no loss.", expected="a Loss or a function", got=repr(loss))


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Loss:
    """Return the loss that ``serialize`` described; the caller's own classes and functions come from ``custom_objects``."""
    own = custom_objects or {}
    if isinstance(name, str):
        return get(own[name]) if name in own else _by_name(name)
    if not isinstance(name, Mapping) or not isinstance(name.get("class_name"), str):
        raise ArgumentError("That describes no loss.", expected='{"class_name": ..., "config": {...}}', got=repr(name))
    kind, config = name["class_name"], dict(name.get("config") or {})
    if kind == LossFunctionWrapper.__name__:
        function = config.pop("fn", "")
        if function not in own:
            raise unknown("loss function", str(function), own)
        return LossFunctionWrapper(own[function], **config)
    known = {**NAMES, Crossentropy.__name__: Crossentropy, **own}
    if kind not in known:
        raise unknown("loss", kind, known)
    return _made(known[kind], config)

"""Losses by name, as JSON, and from whatever a user passes to ``compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import torch

from anabranch._asked import method
from anabranch._fields import Field, boolean
from anabranch.losses import margin, overlap, probabilistic, regression, sequences, similarity
from anabranch.losses._agreement import Values, takes_symbols, tensors
from anabranch.losses.loss import FunctionLoss, Loss, LossFunctionWrapper, TorchLoss, name_of
from anabranch.registry import Json, Registry, finder, made, writer

C = TypeVar("C")
LossLike: TypeAlias = "str | Loss | type[Loss] | Callable[..., Any] | torch.nn.Module | dict[str, Any] | None"

CLASSES: dict[str, type[FunctionLoss]] = {
    found.__name__: found
    for part in (probabilistic, regression, margin, overlap, sequences, similarity)
    for found in vars(part).values()
    if isinstance(found, type) and issubclass(found, FunctionLoss) and found is not FunctionLoss
}
CLASS_OF: dict[Callable[..., Any], type[FunctionLoss]] = {found.function: found for found in CLASSES.values()}
FUNCTIONS = {function.__name__: function for function in CLASS_OF}

SHORT = {  # the short names of losses and metrics, which may be written in capitals
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
}
_OLD = {"logcosh": "log_cosh", "kullback_leibler_divergence": "kl_divergence", "huber_loss": "huber"}
FUNCTIONS_BY_NAME = (
    FUNCTIONS
    | {name: FUNCTIONS[long] for name, long in (SHORT | _OLD).items()}
    | {short.upper(): FUNCTIONS[long] for short, long in SHORT.items()}
)


class Crossentropy(Loss):
    """Compute the cross-entropy that fits the shapes: what ``loss="crossentropy"`` (or ``"ce"``) means.

    One value in the last axis of y_pred is binary; class indices for y_true are sparse; the rest is categorical.
    """

    from_logits: Field[bool, bool] = boolean(
        default=False, doc="whether y_pred holds logits rather than probabilities.", kw_only=True
    )

    @takes_symbols
    def __call__(self, y_true: Any, y_pred: Values, sample_weight: Values | None = None) -> torch.Tensor:
        """Return the reduced loss."""
        return self._fitting(y_true, y_pred)(y_true, y_pred, sample_weight)

    def call(self, y_true: Values, y_pred: Values) -> torch.Tensor:
        """Return one value for each sample."""
        return self._fitting(y_true, y_pred).call(y_true, y_pred)

    def _fitting(self, y_true: Values, y_pred: Values) -> FunctionLoss:
        true, pred = tensors(y_true, y_pred)
        found = by_shapes(tuple(true.shape), tuple(pred.shape), _CROSSENTROPIES)
        loss: FunctionLoss = found(from_logits=self.from_logits, name=self.name, reduction=self.reduction, dtype=self.dtype)
        return loss


_CROSSENTROPIES = (
    probabilistic.BinaryCrossentropy,
    probabilistic.SparseCategoricalCrossentropy,
    probabilistic.CategoricalCrossentropy,
)
_BY_SHAPES = ("crossentropy", "ce")


def by_shapes(true: tuple[int, ...], pred: tuple[int, ...], choices: tuple[C, C, C]) -> C:
    """Return the binary, the sparse or the categorical choice for shapes of y_true and y_pred, by Keras's rule."""
    binary, sparse, categorical = choices
    if not pred or pred[-1] == 1 or len(pred) == 1:
        return binary
    return sparse if len(true) < len(pred) or true[-1] == 1 else categorical


def _names() -> dict[str, Any]:
    more = {"LossFunctionWrapper": LossFunctionWrapper, "Crossentropy": Crossentropy}
    return CLASSES | FUNCTIONS_BY_NAME | more | dict.fromkeys(_BY_SHAPES, Crossentropy)


_registry: Registry[Loss] = Registry("loss", "keras.losses", Loss, _names)


@finder
def get(identifier: LossLike) -> Any:
    """Return what a name, a class, a config, a function or a loss of ``torch.nn`` means; None stays None.

    As in Keras, the name of a function (``"mse"``, ``"kld"``, ``"huber"``, …) gives the function and the name of a class its
    object. ``"crossentropy"`` gives a loss that chooses binary, sparse or categorical by the shapes.

    Args:
        identifier: what means a loss.

    Raises:
        UnknownNameError: there is no such name.

    Example:
        >>> get("mse").__name__, get("MeanSquaredError")
        ('mean_squared_error', MeanSquaredError())
    """
    if isinstance(identifier, str) and identifier.lower() in _BY_SHAPES:
        return Crossentropy(name=identifier)
    if isinstance(identifier, type) and issubclass(identifier, torch.nn.Module):
        identifier = identifier()
    if isinstance(identifier, torch.nn.modules.loss._Loss):
        return TorchLoss(identifier)
    return _registry.get(identifier)


def reducing(identifier: LossLike) -> Loss | None:
    """Return a Loss, which weights and reduces, for whatever ``compile`` takes as one; None stays None.

    Its name is the one that was written.
    """
    found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else name_of(found)
    kind = CLASS_OF.get(found) if method(found, "__hash__") else None
    loss: Loss = made(kind, {"name": name}) if kind else LossFunctionWrapper(found, name=name)
    return loss


@writer
def serialize(loss: Loss | Callable[..., Any]) -> Json:
    """Return a loss as JSON, in Keras's form.

    Example:
        >>> serialize(get("Huber"))["config"]
        {'delta': 1.0, 'reduction': 'sum_over_batch_size', 'name': 'huber_loss'}
    """
    return _registry.serialize(loss)


@finder
def deserialize(name: Json, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that ``serialize`` described.

    Args:
        name: its JSON, or a name.

    Example:
        >>> deserialize(serialize(get("Huber"))).delta
        1.0
    """
    return _registry.deserialize(name, custom_objects)

"""Metrics by name, as plain data, and from whatever a user passes to ``compile``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, overload

from anabranch import losses
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, unknown
from anabranch.losses.loss import FunctionLoss, Loss, snake_case
from anabranch.losses.registry import NAMES as LOSS_NAMES, by_shapes
from anabranch.metrics import accuracy, auc, confusion, f_score, reduction, wrapped
from anabranch.metrics.metric import Metric
from anabranch.metrics.reduction import MeanMetricWrapper
from anabranch.metrics.torchmetrics_adapter import TorchMetric, is_torchmetrics

_BASES = ("Metric", "FunctionMetric", "MeanMetricWrapper", "Counting", "OneCount")
CLASSES: dict[str, type[Metric]] = {
    name: found
    for room in (reduction, accuracy, wrapped, confusion, auc, f_score)
    for name, found in vars(room).items()
    if isinstance(found, type) and issubclass(found, Metric) and name not in _BASES and not name.startswith("_")
}
_SHORT = {
    "bce": "BinaryCrossentropy",
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
    "kld": "KLDivergence",
}
NAMES: dict[str, type[Metric]] = {**CLASSES, **{snake_case(name): found for name, found in CLASSES.items()}}
NAMES.update({short: CLASSES[name] for short, name in _SHORT.items()})
NAMES.update({short.upper(): CLASSES[name] for short, name in _SHORT.items()})
NAMES["rmse"] = NAMES["RMSE"] = wrapped.RootMeanSquaredError

_ACCURACIES = (accuracy.BinaryAccuracy, accuracy.SparseCategoricalAccuracy, accuracy.CategoricalAccuracy)
_CROSSENTROPIES = (
    wrapped.BinaryCrossentropy,
    wrapped.SparseCategoricalCrossentropy,
    wrapped.CategoricalCrossentropy,
)
_FAMILIES = {"accuracy": _ACCURACIES, "acc": _ACCURACIES, "crossentropy": _CROSSENTROPIES, "ce": _CROSSENTROPIES}
_SPARSE = (losses.SparseCategoricalCrossentropy, losses.CategoricalGeneralizedCrossEntropy)
_CATEGORICAL = (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy, losses.CategoricalHinge)


class Resolved(Metric):
    """What ``"accuracy"`` or ``"crossentropy"`` means, chosen by Keras's rule from the shapes of the first batch."""

    def __init__(self, family: str, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name=name)
        self._family, self._config = family, dict(config)
        self.metric: Metric | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Choose, at the first batch, and add it."""
        if self.metric is None:
            found = by_shapes(tuple(y_true.shape), tuple(y_pred.shape), _FAMILIES[self._family])
            self.metric = found(name=self.name, **self._config)
        self.metric.update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """Return the chosen metric's result; 0 before the first batch."""
        return reduction.Mean().result() if self.metric is None else self.metric.result()

    def get_config(self) -> dict[str, Any]:
        """Return the chosen metric's arguments."""
        return {"name": self.name} if self.metric is None else self.metric.get_config()


@overload
def get(identifier: None, loss: Loss | None = None, output_shape: tuple[int | None, ...] | None = None) -> None: ...


@overload
def get(identifier: Any, loss: Loss | None = None, output_shape: tuple[int | None, ...] | None = None) -> Metric: ...


def get(identifier: Any, loss: Loss | None = None, output_shape: tuple[int | None, ...] | None = None) -> Metric | None:
    """Return a Metric from a name, class, function, Loss, dict, torchmetrics object or Metric; None stays None.

    ``"accuracy"`` and ``"acc"``, ``"crossentropy"`` and ``"ce"`` mean the binary, sparse or categorical form: what ``loss``
    and ``output_shape`` say, else what the first batch's shapes say. A name is kept as it was written. A function
    ``f(y_true, y_pred)`` is averaged over samples.

    >>> get("acc", losses.SparseCategoricalCrossentropy(), (None, 10))
    <SparseCategoricalAccuracy name=acc>
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        return _by_name(identifier, loss, output_shape)
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if is_torchmetrics(identifier):
        return TorchMetric(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return _made(identifier, {})
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        identifier = identifier()
    if isinstance(identifier, Loss):
        return MeanMetricWrapper(identifier.call, name=identifier.name)
    if callable(identifier):
        return MeanMetricWrapper(identifier, name=_name_of(identifier))
    raise ArgumentTypeError(
        "That is no metric.",
        expected="a name, a Metric, a torchmetrics object or a function of y_true and y_pred",
        got=repr(identifier),
    )


def _name_of(function: Callable[..., Any]) -> str:
    return snake_case(str(getattr(function, "__name__", type(function).__name__)).strip("<>"))


def _by_name(name: str, loss: Loss | None, output_shape: tuple[int | None, ...] | None) -> Metric:
    if name.lower() in _FAMILIES:
        family = name.lower()
        logits = bool(getattr(loss, "from_logits", False)) and _FAMILIES[family] is _CROSSENTROPIES
        config: dict[str, Any] = {"from_logits": True} if logits else {}
        found = _told(loss, output_shape, _FAMILIES[family])
        return found(name=name, **config) if found else Resolved(family, name, config)
    if name in NAMES:
        return _made(NAMES[name], {"name": name})
    if name in LOSS_NAMES:
        return MeanMetricWrapper(LOSS_NAMES[name].function, name=name)
    raise unknown("metric", name, {*NAMES, *_FAMILIES, *LOSS_NAMES})


def _told(loss: Loss | None, output_shape: tuple[int | None, ...] | None, family: Any) -> Any:
    """Return the member of a family that loss and output shape leave no doubt about, else None."""
    binary, sparse, categorical = family
    if output_shape is None or len(output_shape) < 2 or output_shape[-1] is None:
        return None
    if output_shape[-1] == 1:
        return binary
    if isinstance(loss, FunctionLoss) and getattr(loss, "axis", -1) not in (-1, len(output_shape) - 1):
        return None
    return sparse if isinstance(loss, _SPARSE) else categorical if isinstance(loss, _CATEGORICAL) else None


def _made(found: Any, config: Mapping[str, Any]) -> Metric:
    try:
        made: Metric = found.from_config(dict(config))
        return made
    except AnabranchError:
        raise
    except TypeError as error:
        raise ArgumentError(
            f"{found.__name__} cannot be made of these arguments.", got=f"{dict(config)!r} ({error})"
        ) from error


def serialize(metric: Any) -> dict[str, Any] | str:
    """Return a metric as plain data: ``{"class_name", "config"}``, or the name of a function."""
    if isinstance(metric, Resolved):
        return serialize(metric.metric) if metric.metric is not None else metric.name
    if isinstance(metric, Metric):
        return {"class_name": type(metric).__name__, "config": metric.get_config()}
    if callable(metric) and hasattr(metric, "__name__"):
        return str(metric.__name__)
    raise ArgumentTypeError("That is no metric.", expected="a Metric or a function", got=repr(metric))


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Metric:
    """Return the metric that ``serialize`` described; the caller's own come from ``custom_objects``."""
    own = custom_objects or {}
    if isinstance(config, str):
        return get(own[config]) if config in own else _by_name(config, None, None)
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise ArgumentError("That describes no metric.", expected='{"class_name": ..., "config": {...}}', got=repr(config))
    kind, arguments = config["class_name"], dict(config.get("config") or {})
    if kind == MeanMetricWrapper.__name__:
        name = str(arguments.pop("fn", ""))
        functions = {**{key: found.function for key, found in LOSS_NAMES.items()}, **own}
        if name not in functions:
            raise unknown("metric function", name, functions)
        return MeanMetricWrapper(functions[name], **arguments)
    known = {**NAMES, **own}
    if kind not in known:
        raise unknown("metric", kind, known)
    return _made(known[kind], arguments)

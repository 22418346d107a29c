"""Metrics by name, as JSON, and from whatever a user passes to ``compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, overload

from anabranch import losses
from anabranch._asked import module_of, name_of
from anabranch._fields import Field, field, state
from anabranch.graph import snake_case
from anabranch.losses.loss import FunctionLoss, Loss
from anabranch.losses.registry import FUNCTIONS_BY_NAME, SHORT, LossLike, by_shapes, reducing
from anabranch.metrics import accuracy, auc, confusion, f_score, iou, reduction, regression, wrapped
from anabranch.metrics.metric import Metric, Tensor
from anabranch.metrics.reduction import FunctionMetric, MeanMetricWrapper
from anabranch.metrics.torchmetrics_adapter import TorchMetric, is_torchmetrics
from anabranch.registry import Json, Registry, finder, writer

Shape: TypeAlias = "tuple[int | None, ...] | None"
MetricLike: TypeAlias = "str | Metric | type[Metric] | Loss | type[Loss] | Callable[..., Any] | dict[str, Any]"

CLASSES: dict[str, type[Metric]] = {
    found.__name__: found
    for part in (reduction, accuracy, wrapped, confusion, auc, f_score, iou, regression)
    for found in vars(part).values()
    if isinstance(found, type) and module_of(found) == part.__name__ and issubclass(found, Metric)
    if found not in (FunctionMetric, MeanMetricWrapper) and not found.__name__.startswith("_")
}
_ACCURACIES = (accuracy.BinaryAccuracy, accuracy.SparseCategoricalAccuracy, accuracy.CategoricalAccuracy)
_CROSSENTROPIES = (
    wrapped.BinaryCrossentropy,
    wrapped.SparseCategoricalCrossentropy,
    wrapped.CategoricalCrossentropy,
)
_FAMILIES: dict[str, tuple[type[FunctionMetric], type[FunctionMetric], type[FunctionMetric]]] = {
    "accuracy": _ACCURACIES, "acc": _ACCURACIES, "crossentropy": _CROSSENTROPIES, "ce": _CROSSENTROPIES,
}  # fmt: skip
_SPARSE = (losses.SparseCategoricalCrossentropy, losses.CategoricalGeneralizedCrossEntropy)
_CATEGORICAL = (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy, losses.CategoricalHinge)


class Resolved(Metric):
    """Measure what ``"accuracy"`` or ``"crossentropy"`` means, chosen by Keras's rule from the shapes of the first batch."""

    family: Field[str, str] = field(doc="'accuracy' or 'crossentropy'.", kw_only=True)
    arguments: Field[dict[str, Any], dict[str, Any]] = field(doc="settings of the metric to choose.", kw_only=True)
    metric: Metric | None = state(init=False)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Choose, at the first batch, and add it."""
        if self.metric is None:
            found = by_shapes(tuple(y_true.shape), tuple(y_pred.shape), _FAMILIES[self.family])
            self.metric = found(name=self.name, **self.arguments)
        self.metric.update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """Return the chosen metric's result; 0 before the first batch."""
        return reduction.Mean().result() if self.metric is None else self.metric.result()


def _names() -> dict[str, Any]:
    """Return every name: a class's wherever there is one, else a loss function's."""
    snake = {snake_case(name): found for name, found in CLASSES.items()}
    short = {name: snake[long] for name, long in SHORT.items()} | {"rmse": wrapped.RootMeanSquaredError}
    capitals = {name.upper(): found for name, found in short.items()}
    return FUNCTIONS_BY_NAME | CLASSES | snake | short | capitals | {"MeanMetricWrapper": MeanMetricWrapper}


def _functions() -> dict[str, Callable[..., Any]]:
    parts = (accuracy, "accuracy"), (regression, "correlation")
    return {name: found for part, end in parts for name, found in vars(part).items() if name.endswith(end)}


_registry: Registry[Metric] = Registry("metric", "keras.metrics", Metric, _names, functions=_functions)


@overload
def get(identifier: None, loss: LossLike = None, output_shape: Shape = None) -> None: ...


@overload
def get(identifier: MetricLike, loss: LossLike = None, output_shape: Shape = None) -> Metric: ...


@finder
def get(identifier: MetricLike | None, loss: LossLike = None, output_shape: Shape = None) -> Metric | None:
    """Return a Metric from a name, class, function, Loss, config, torchmetrics object or Metric; None stays None.

    ``"accuracy"`` and ``"acc"``, ``"crossentropy"`` and ``"ce"`` mean the binary, sparse or categorical form: by ``loss`` and
    ``output_shape``, else by the first batch's shapes. A name is used as it is written.

    Args:
        identifier: what means a metric. A function ``f(y_true, y_pred)`` is averaged over samples.
        loss: the loss of the output that is measured, by which sparse and categorical labels differ.
        output_shape: the output's shape, batch included.

    Raises:
        UnknownNameError: there is no such name.

    Example:
        >>> get("acc", losses.SparseCategoricalCrossentropy(), (None, 10))
        <SparseCategoricalAccuracy name=acc>
    """
    if isinstance(identifier, str):
        return _by_name(identifier, reducing(loss), output_shape)
    if is_torchmetrics(identifier):
        return TorchMetric(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        identifier = identifier()
    if isinstance(identifier, Loss):
        return MeanMetricWrapper(identifier.call, name=identifier.name)
    found = _registry.get(identifier)
    return found if found is None or isinstance(found, Metric) else MeanMetricWrapper(found, name=_name_of(found))


def _name_of(function: Callable[..., Any]) -> str:
    return snake_case(name_of(function, type(function).__name__).strip("<>"))


def _by_name(name: str, loss: Loss | None, output_shape: Shape) -> Metric:
    family = name.lower()
    if family in _FAMILIES:
        # only some losses have logits
        logits = isinstance(loss, Loss) and _FAMILIES[family] is _CROSSENTROPIES and getattr(loss, "from_logits", False)
        arguments: dict[str, Any] = {"from_logits": True} if logits else {}
        found = _known(loss, output_shape, _FAMILIES[family])
        return found(name=name, **arguments) if found else Resolved(family=family, name=name, arguments=arguments)
    thing = _registry.named(name)
    if isinstance(thing, type) and issubclass(thing, Metric):
        return thing.from_config({"name": name})
    return MeanMetricWrapper(thing, name=name)


def _known(loss: Loss | None, output_shape: Shape, family: Any) -> type[FunctionMetric] | None:
    """Return the member of a family that loss and output shape determine, else None."""
    binary, sparse, categorical = family
    if output_shape is None or len(output_shape) < 2 or output_shape[-1] is None:
        return None
    found = sparse if isinstance(loss, _SPARSE) else categorical if isinstance(loss, _CATEGORICAL) else None
    if output_shape[-1] == 1:
        found = binary
    # only some losses have an axis
    elif isinstance(loss, FunctionLoss) and getattr(loss, "axis", -1) not in (-1, len(output_shape) - 1):
        found = None
    kind: type[FunctionMetric] | None = found
    return kind


@writer
def serialize(metric: Metric | Callable[..., Any]) -> Json:
    """Return a metric as JSON, in Keras's form.

    Example:
        >>> serialize(get("AUC"))["class_name"]
        'AUC'
    """
    if isinstance(metric, Resolved):
        return metric.name if metric.metric is None else serialize(metric.metric)
    return _registry.serialize(metric)


@finder
def deserialize(config: Json, custom_objects: dict[str, Any] | None = None) -> Metric:
    """Return the metric that ``serialize`` described.

    Example:
        >>> deserialize(serialize(get("AUC")))
        <AUC name=AUC>
    """
    if isinstance(config, str) and config not in (custom_objects or {}):
        return get(config)
    metric: Metric = get(_registry.deserialize(config, custom_objects))
    return metric

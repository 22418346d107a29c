"""What ``model.metrics`` holds: the running loss, the metrics of ``compile`` as one, those of layers; and their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from anabranch import runtime
from anabranch._asked import method
from anabranch.graph.binding import Rule, bind
from anabranch.graph.names import free_name
from anabranch.metrics import Metric
from anabranch.training.compiled import Compiled, detached
from anabranch.training.data.arrays import is_array
from anabranch.training.logs import Logs
from anabranch.training.loss_record import LossRecord
from anabranch.training.trainable import Trainable


class LossTracker(Metric):
    """The mean of a loss over samples: of what a custom step updates it with, else of what training recorded."""

    def __init__(self, name: str, record: LossRecord) -> None:
        super().__init__(name=name)
        self._record = record
        self._total: torch.Tensor | None = None
        self.count: float = 0

    def update_state(self, values: torch.Tensor | float, sample_weight: float | None = None) -> None:
        """Add the loss of one batch, which counts ``sample_weight`` times."""
        size = 1.0 if sample_weight is None else sample_weight
        value = torch.as_tensor(values).mean().double() * size
        self._total = value if self._total is None else self._total + value
        self.count += size

    def result(self) -> torch.Tensor:
        """Return the mean so far, a scalar."""
        if self._total is None:
            return torch.tensor(self._record.mean())
        return (self._total / self.count).float()

    def _saved_state_(self) -> Any:
        """Return the sum and the count; the record is not this metric's alone."""
        return self._total, self.count

    def _load_saved_state_(self, state: Any) -> None:
        """Set what ``_saved_state_`` returned."""
        total, self.count = state
        self._total = None if total is None else total.to(runtime.device())

    def reset_state(self) -> None:
        """Drop all batches."""
        self._record.reset()
        self._total, self.count = None, 0


class CompileMetrics(Metric):
    """The metrics of ``compile`` as one: updated with targets and outputs in the model's structure, a result for each."""

    def __init__(self, model: Trainable, compiled: Compiled) -> None:
        super().__init__(name="compile_metrics")
        self._model, self._compiled = model, compiled

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of all outputs."""
        return self._compiled.metrics

    @property
    def variables(self) -> list[Any]:
        """The state of all."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def update_state(self, y_true: object, y_pred: object, sample_weight: object = None) -> None:
        """Update each metric with its output of one batch."""
        compiled = self._compiled
        outputs = compiled.outputs_of(self._model, y_pred)
        compiled.update(detached(outputs), *by_output(compiled, y_true, sample_weight))

    def result(self) -> Logs:
        """Return the results by name."""
        return {name: metric.result() for name, metric in self._compiled.metrics_by_name.items()}

    def reset_state(self) -> None:
        """Drop all batches."""
        for metric in self.metrics:
            metric.reset_state()


def by_output(compiled: Compiled, y: object, sample_weight: object) -> tuple[list[Any], list[Any]]:
    """Return targets and sample weights of one batch for each output, None where it has none."""
    slots = compiled.bound_slots()
    everywhere = range(len(slots.names))
    if y is None:
        return [None for _ in everywhere], [None for _ in everywhere]
    single = len(slots.names) == 1
    ys = bind(y, slots, Rule("y", is_array if single else _is_tensor, optional=everywhere))
    if sample_weight is None:
        return ys, [None for _ in everywhere]
    return ys, bind(sample_weight, slots, Rule("sample_weight", is_array, spread=True, optional=everywhere))


def _is_tensor(value: object) -> bool:
    return is_array(value) and not isinstance(value, (list, tuple))


def metrics_of(model: Trainable) -> list[Metric]:
    """Return the metrics in use, in Keras's order: loss, those of ``compile``, losses of outputs, the model's, its layers'."""
    compiled = model._compiled_
    if compiled is None:
        return own_metrics(model)
    found = compiled.trackers
    loss_tracker(compiled)
    if compiled.has_metrics and "compile_metrics" not in found:
        found["compile_metrics"] = CompileMetrics(model, compiled)
    for part in compiled.loss_parts:
        if part is not None and part.name not in found:
            found[part.name] = LossTracker(*part)
    return [*found.values(), *own_metrics(model)]


def leaf_metrics(model: Trainable) -> list[Metric]:
    """Return the metrics in use, those of ``compile`` each by itself."""
    return [
        each
        for metric in metrics_of(model)
        for each in (metric.metrics if isinstance(metric, CompileMetrics) else [metric])
    ]  # fmt: skip


def loss_tracker(compiled: Compiled) -> LossTracker:
    """Return the tracker of the whole loss."""
    found = compiled.trackers.get("loss")
    if not isinstance(found, LossTracker):
        found = compiled.trackers["loss"] = LossTracker("loss", compiled.loss_record)
    return found


def own_metrics(model: Trainable) -> list[Metric]:
    """Return the metrics that a model and its layers hold; as in Keras, not those of models inside it."""
    return metrics_in(model._inner_layers_(), model)


def metrics_in(layers: Iterable[Any], model: Trainable) -> list[Metric]:
    """Return the metrics that ``layers``, those of a model, hold; without those of other models."""
    inside = (layer for layer in layers if layer is model or method(layer, "train_step") is None)
    return list({id(metric): metric for layer in inside for metric in layer._held_metrics_()}.values())


def results_of(metrics: Sequence[Metric]) -> Logs:
    """Return results by name, numbered where names repeat; results that are dicts are merged into the others."""
    found: Logs = {}
    for metric in metrics:
        result = metric.result()
        for name, value in (result if isinstance(result, dict) else {metric.name: result}).items():
            found[free_name(name, found)] = value
    return found


def metrics_names(model: Trainable) -> list[str]:
    """Return the names of what ``evaluate`` returns, as far as they are known."""
    compiled = model._compiled_
    if compiled is None or model._overrides_:
        by_name = list(compiled.metrics_by_name) if compiled is not None else []
        early, late = ([], sorted(by_name)) if compiled is not None and compiled.prefixed else (by_name, [])
        names = [early if isinstance(metric, CompileMetrics) else [metric.name] for metric in model.metrics]
        return [*(name for some in names for name in some), *late]
    compiled.report_metrics(own_metrics(model))
    return compiled.metrics_names

"""What ``model.metrics`` holds: the running loss, the metrics of ``compile`` as one, those of layers; and their results."""

from __future__ import annotations

from typing import Any

import torch

from anabranch.graph.binding import Rule, bind
from anabranch.metrics import Metric
from anabranch.training._arrays import is_array
from anabranch.training._record import Record
from anabranch.training.compiling import Compiled, detached, free


class LossTracker(Metric):
    """The mean of a loss over samples: of what a step gives it, or of what training noted where no step gave it anything."""

    def __init__(self, name: str, record: Record) -> None:
        super().__init__(name=name)
        self._record = record
        self._total: Any = None
        self.count = 0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the loss of one batch, which counts ``sample_weight`` times."""
        size = 1 if sample_weight is None else sample_weight
        value = torch.as_tensor(values).mean().double() * size
        self._total = value if self._total is None else self._total + value
        self.count += size

    def result(self) -> torch.Tensor:
        """Return the mean so far, a scalar."""
        if self._total is None:
            return torch.tensor(self._record.mean())
        mean: torch.Tensor = (self._total / self.count).float()
        return mean

    def reset_state(self) -> None:
        """Forget what was seen."""
        self._record.reset()
        self._total, self.count = None, 0


class CompileMetrics(Metric):
    """The metrics of ``compile`` as one: fed with targets and outputs in the model's structure, a result for each."""

    def __init__(self, model: Any, compiled: Compiled) -> None:
        super().__init__(name="compile_metrics")
        self._model, self._compiled = model, compiled

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs."""
        return self._compiled.metrics

    @property
    def variables(self) -> list[Any]:
        """The state of all."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Let each metric see its output of one batch."""
        compiled = self._compiled
        outputs = compiled.outputs_of(self._model, y_pred)
        compiled.update(detached(outputs), *by_output(compiled, y_true, sample_weight))

    def result(self) -> dict[str, Any]:
        """Return the results by name."""
        return {name: metric.result() for name, metric in self._compiled.keyed_metrics.items()}

    def reset_state(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset_state()


def by_output(compiled: Compiled, y: Any, sample_weight: Any) -> tuple[list[Any], list[Any]]:
    """Return targets and sample weights of one batch for each output, None where it has none."""
    slots = compiled.need_slots()
    everywhere = range(len(slots.names))
    if y is None:
        return [None for _ in everywhere], [None for _ in everywhere]
    single = len(slots.names) == 1
    ys = bind(y, slots, Rule("y", is_array if single else _is_tensor, optional=everywhere))
    if sample_weight is None:
        return ys, [None for _ in everywhere]
    return ys, bind(sample_weight, slots, Rule("sample_weight", is_array, spread=True, optional=everywhere))


def _is_tensor(value: Any) -> bool:
    return is_array(value) and not isinstance(value, (list, tuple))


def metrics_of(model: Any) -> list[Any]:
    """Return the metrics in use, in Keras's order: loss, those of ``compile``, losses of outputs, the model's, its layers'."""
    compiled: Compiled | None = model._compiled
    if compiled is None:
        return own_metrics(model)
    found = compiled.trackers
    loss_tracker(compiled)
    if compiled.has_metrics and "compile_metrics" not in found:
        found["compile_metrics"] = CompileMetrics(model, compiled)
    for kept in compiled.records:
        if kept is not None and kept[0] not in found:
            found[kept[0]] = LossTracker(*kept)
    return [*found.values(), *own_metrics(model)]


def loss_tracker(compiled: Compiled) -> LossTracker:
    """Return the tracker of the whole loss."""
    if "loss" not in compiled.trackers:
        compiled.trackers["loss"] = LossTracker("loss", compiled.record)
    found: LossTracker = compiled.trackers["loss"]
    return found


def own_metrics(model: Any) -> list[Any]:
    """Return the metrics that a model and its layers hold; those of models inside are their own matter, as in Keras."""
    inside = [layer for layer in model.inner_layers() if layer is model or not hasattr(layer, "train_step")]
    return list({id(metric): metric for layer in inside for metric in layer.held_metrics()}.values())


def results_of(metrics: list[Any]) -> dict[str, Any]:
    """Return results by name, numbered where names repeat; those that come as a dict stand beside the others."""
    found: dict[str, Any] = {}
    for metric in metrics:
        result = metric.result()
        for name, value in (result if isinstance(result, dict) else {metric.name: result}).items():
            found[free(name, found)] = value
    return found


def flat(logs: dict[str, Any]) -> dict[str, Any]:
    """Return logs with dicts in them opened."""
    found: dict[str, Any] = {}
    for name, value in logs.items():
        found.update(flat(value) if isinstance(value, dict) else {name: value})
    return found


def metrics_names(model: Any) -> list[str]:
    """Return the names of what ``evaluate`` returns, as far as they are known."""
    compiled: Compiled | None = model._compiled
    if compiled is None or model.overrides:
        keyed = list(compiled.keyed_metrics) if compiled is not None else []
        early, late = ([], sorted(keyed)) if compiled is not None and compiled.prefixed else (keyed, [])
        names = [early if isinstance(metric, CompileMetrics) else [metric.name] for metric in model.metrics]
        return [*(name for some in names for name in some), *late]
    compiled.watch(own_metrics(model))
    return compiled.metrics_names

"""A compiled model's losses, loss weights and metrics, bound to its outputs; and its optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from anabranch import _tree, metrics, runtime
from anabranch._errors import NotReadyError
from anabranch.engine.captured import GraphMaker, Replays
from anabranch.graph import Graph, Shape, WithGraph
from anabranch.graph.binding import Rule, Slots, bind, names_in
from anabranch.graph.names import free_name
from anabranch.losses import Loss
from anabranch.metrics import Metric
from anabranch.optimizers import Optimizer
from anabranch.training.choosing import Choice
from anabranch.training.data.targets import Target
from anabranch.training.given import loss_names, loss_weights_of, losses_of, metric_names, metrics_of
from anabranch.training.logs import Logs, numbers
from anabranch.training.loss_record import LossRecord
from anabranch.training.options import Options

Tensors = list[torch.Tensor]
Optional = list[torch.Tensor | None]


class Given(NamedTuple):
    """What ``compile`` was given for the outputs: one for all, or nested or keyed as they are."""

    loss: object = None
    loss_weights: object = None
    metrics: object = None
    weighted_metrics: object = None


class LossPart(NamedTuple):
    """The loss of one of several outputs, reported under a name of its own."""

    name: str
    record: LossRecord


class Compiled:
    """What ``compile`` was given, bound to the model's outputs; the loss and the metrics of a batch.

    Binding waits where the outputs are not known yet, as for a Sequential without an Input.
    """

    def __init__(self, model: WithGraph, optimizer: Optimizer, given: Given, options: Options) -> None:
        self.optimizer = optimizer
        self.given = given
        self.options = options
        self.started = False  # whether a training step was taken
        self.identity: dict[str, dict[str, Any]] | None = None  # model and arguments as the first fit with a backup found them
        self.slots: Slots | None = None
        self.prefixed = False  # whether names of metrics begin with that of their output
        self.losses: list[Loss | None] = []
        self.weights: list[float | None] = []
        self.targets: list[Target] = []
        self.metrics_by_name: dict[str, Metric] = {}
        self.loss_record = LossRecord()
        self.loss_parts: list[LossPart | None] = []
        self.trackers: dict[str, Metric] = {}  # what ``model.metrics`` shows of all this, created on request
        self.model_metrics: dict[str, Metric] = {}  # metrics of the model and its layers, by the names they report under
        self.choice = Choice()  # of compiled or plain training steps, with jit_compile=True
        self.replays: Replays | None = None  # captured training steps
        self.graph_maker: GraphMaker | None = None  # makes the graphs of captured steps; CUDA's own where None
        self._bound_to: Graph | None = None
        self._shapes: list[Shape] = []
        self._plain: list[list[Metric]] = []
        self._weighted: list[list[Metric]] = []
        if model._running_graph_ is not None:
            self.bind(model)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``compile``."""
        remat = self.options.remat or None
        return {"optimizer": self.optimizer, **self.given._asdict(), **vars(self.options), "remat": remat}

    def bind(self, model: WithGraph) -> Compiled:
        """Resolve losses and metrics for the model's outputs; done again only where its graph has changed."""
        if self._bound_to is None or self._bound_to is not model._running_graph_:
            slots = Slots.outputs(model)
            self._bind(slots, [tuple(tensor.shape) for tensor in slots.tensors], named=model._graph_ is not None)
            self._bound_to = model._running_graph_
        return self

    def outputs_of(self, model: WithGraph, y_pred: object) -> Tensors:
        """Return the outputs of a custom step, flat, and bind to them where no graph says what the outputs are."""
        if model._graph_ is not None:
            return bind(y_pred, self.bound_slots(model), Rule("y_pred", lambda value: isinstance(value, torch.Tensor)))
        found = [leaf for leaf in _tree.leaves(y_pred) if isinstance(leaf, torch.Tensor)]
        shapes: list[Shape] = [(None, *leaf.shape[1:]) for leaf in found]
        structure = _tree.map_leaves(lambda leaf: None, y_pred)
        self._bind(Slots("output", names_in(y_pred, "output"), tuple(found), structure), shapes, named=False)
        return found

    def bound_slots(self, model: WithGraph | None = None) -> Slots:
        """Return the outputs that losses and metrics are bound to."""
        if model is not None:
            self.bind(model)
        if self.slots is None:
            raise NotReadyError("The model's outputs are not known yet.", repair="call compute_loss first, or fit on data")
        return self.slots

    def _bind(self, slots: Slots, shapes: list[Shape], *, named: bool) -> None:
        before = self.slots
        if before is not None and before.names == slots.names and _alike(self._shapes, shapes):
            self.slots, self._shapes = slots, shapes  # another size of images: the metrics stay
            self.targets = [target._replace(shape=shape) for target, shape in zip(self.targets, shapes, strict=True)]
            return
        self.slots, self._shapes = slots, shapes
        self.losses = losses_of(self.given.loss, slots)
        self.weights = loss_weights_of(self.given.loss_weights, slots, self.losses)
        self._plain = self._resolved(metrics_of(self.given.metrics, slots, "metrics"), shapes)
        self._weighted = self._resolved(metrics_of(self.given.weighted_metrics, slots, "weighted_metrics"), shapes)
        self.targets = [
            Target(loss is not None or bool(plain or weighted), loss, shape)
            for loss, plain, weighted, shape in zip(self.losses, self._plain, self._weighted, shapes, strict=True)
        ]
        # As in Keras, outputs without names go by the names of their losses.
        named = named or isinstance(slots.structure, dict)
        self.prefixed = named and len(slots.names) > 1
        self.loss_parts = self._parts(loss_names(slots) if named else None)
        self.trackers = {name: each for name, each in self.trackers.items() if name in ("loss", "compile_metrics")}
        self.metrics_by_name = _by_name(self._plain, self._weighted, metric_names(slots) if named else ("",) * len(slots.names))

    def _parts(self, prefixes: tuple[str, ...] | None) -> list[LossPart | None]:
        """Return a record for each output's loss, where there are several."""
        several = sum(loss is not None for loss in self.losses) > 1
        names: list[str] = []
        for index, loss in enumerate(self.losses):
            base = f"{prefixes[index] if prefixes else loss.name if loss is not None else ''}_loss"
            names.append(free_name(base, names))
        return [
            LossPart(name, LossRecord()) if several and loss is not None else None
            for name, loss in zip(names, self.losses, strict=True)
        ]  # fmt: skip

    def _resolved(self, wanted: list[list[Any]], shapes: list[Shape]) -> list[list[Metric]]:
        return [
            [metrics.get(given, loss=loss, output_shape=shape) for given in some]
            for some, loss, shape in zip(wanted, self.losses, shapes, strict=True)
        ]

    @property
    def has_metrics(self) -> bool:
        """Whether ``compile`` was given metrics."""
        return any(given is not None and _tree.leaves(given) for given in (self.given.metrics, self.given.weighted_metrics))

    def report_metrics(self, found: list[Metric]) -> None:
        """Report these too, the model's and its layers', under names that nothing else has."""
        self.model_metrics = {}
        taken = {"loss", *(part.name for part in self.loss_parts if part is not None), *self.metrics_by_name}
        for metric in found:
            self.model_metrics[free_name(metric.name, taken | self.model_metrics.keys())] = metric

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of all outputs, in the order of their names."""
        return list(self.metrics_by_name.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order: the loss, each output's loss, the metrics."""
        names = list(self.metrics_by_name)
        parts = [part.name for part in self.loss_parts if part is not None]
        if not self.prefixed:
            return ["loss", *names, *parts, *self.model_metrics]
        return ["loss", *parts, *self.model_metrics, *sorted(names)]

    @property
    def loss_records(self) -> list[LossRecord]:
        """The record of the loss, and those of the outputs' losses."""
        return [self.loss_record, *(part.record for part in self.loss_parts if part is not None)]

    def reset(self) -> None:
        """Drop what loss and metrics have seen."""
        self.loss_record.reset()
        for part in self.loss_parts:
            if part is not None:
                part.record.reset()
        for metric in (*self.metrics_by_name.values(), *self.model_metrics.values()):
            metric.reset_state()

    def total(self, outputs: Tensors, y: Optional, weights: Optional, extra: Tensors, size: int) -> torch.Tensor:
        """Return the loss of one batch: each output's, weighted, and what layers and regularizers add."""
        total: torch.Tensor | None = None
        for index, loss in enumerate(self.losses):
            if loss is None:
                continue
            value: torch.Tensor = loss(y[index], outputs[index], weights[index])
            part = self.loss_parts[index]
            if part is not None:
                part.record.add(value.detach(), size)
            weight = self.weights[index]
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        for value in extra:
            total = value if total is None else total + value
        if total is None:
            raise NotReadyError(
                "There is no loss to train with.",
                expected="a loss for one output at least, or layers that add losses",
                got=f"compile(loss={self.given.loss!r})",
                repair="model.compile(optimizer=…, loss='sparse_categorical_crossentropy')",
            )
        return total

    @torch.no_grad()
    def update(self, outputs: Tensors, y: Optional, weights: Optional) -> None:
        """Update the metrics with one batch."""
        for index, output in enumerate(outputs):
            target = y[index]
            if target is None:
                continue
            for metric in self._plain[index]:
                metric.update_state(target, output)
            for metric in self._weighted[index]:
                metric.update_state(target, output, sample_weight=weights[index])

    def logs(self) -> Logs:
        """Return loss and metrics so far under their names; reads the device."""
        found: Logs = {"loss": self.loss_record.mean()}
        for part in self.loss_parts:
            if part is not None:
                found[part.name] = part.record.mean()
        for name in self.metrics_names:
            metric = self.metrics_by_name.get(name) or self.model_metrics.get(name)
            if metric is not None:
                found.update(numbers({name: metric.result()}))
        return found


def detached(outputs: Tensors) -> Tensors:
    """Return outputs detached from the graph of gradients, with their masks."""
    return [runtime.with_mask(output.detach(), runtime.mask_of(output)) for output in outputs]


def _alike(before: list[Shape], after: list[Shape]) -> bool:
    """Return whether outputs differ only in sizes between batch and last axis, on which no metric's choice depends."""
    return [(len(shape), shape[-1:]) for shape in before] == [(len(shape), shape[-1:]) for shape in after]


def _by_name(plain: list[list[Metric]], weighted: list[list[Metric]], names: tuple[str, ...]) -> dict[str, Metric]:
    """Return the metrics under the names Keras reports them by: the output's name first, a number after a duplicate."""
    found: dict[str, Metric] = {}
    for again, groups in ((False, plain), (True, weighted)):
        for name, group in zip(names, groups, strict=True):
            prefix = f"{name}_" if name and len(names) > 1 else ""
            for metric in group:
                key = prefix + metric.name
                if key in found and again:
                    key = f"{prefix}weighted_{metric.name}"
                found[free_name(key, found)] = metric
    return found

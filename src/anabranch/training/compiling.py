"""Compile: which losses, weights and metrics belong to which output, and the optimizer that trains the model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from anabranch import _tree, losses, metrics, optimizers, runtime
from anabranch._errors import ArgumentError, NotReadyError
from anabranch.graph.binding import Rule, Slots, bind, names_in
from anabranch.training._checks import whole
from anabranch.training._record import Record
from anabranch.training._remat import remat_of
from anabranch.training._targets import Target

Tensors = list[torch.Tensor]
Optional = list[torch.Tensor | None]


class Compiled:
    """How a model is trained and measured; what ``compile`` was given, bound to the model's outputs.

    Binding waits where the outputs are not known yet, as for a Sequential without an Input.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metric: Any,
        weighted_metric: Any,
        options: dict[str, Any],
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        if options.get("auto_scale_loss") and _computes_in_float16(model) and not _scales(self.optimizer):
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer)
        self.loss = loss
        self.loss_weights = loss_weights
        self.options = options
        self._given = (metric, weighted_metric)
        self.started = False  # whether a step of training was taken
        self._bound_to: Any = None
        self.slots: Slots | None = None
        self._shapes: list[tuple[Any, ...]] = []
        self.prefixed = False  # whether names begin with that of their output
        self.losses: list[Any] = []
        self.weights: list[float | None] = []
        self.targets: list[Target] = []
        self.keyed_metrics: dict[str, Any] = {}
        self._plain: list[list[Any]] = []
        self._weighted: list[list[Any]] = []
        self.record = Record()
        self.replays: Any = None  # training steps captured as graphs of the device
        self.graph_maker: Any = None  # what makes such graphs; CUDA's own unless set
        self.records: list[tuple[str, Record] | None] = []
        self.trackers: dict[str, Any] = {}  # what ``model.metrics`` holds of all this, made when somebody looks
        self.extra: dict[str, Any] = {}  # metrics of the model's own and of its layers, by the names they report under
        if getattr(model, "running_graph", None) is not None:
            self.bind(model)

    @property
    def arguments(self) -> dict[str, Any]:
        """What ``compile`` was given."""
        plain, weighted = self._given
        given = {"optimizer": self.optimizer, "loss": self.loss, "loss_weights": self.loss_weights}
        return {**given, "metrics": plain, "weighted_metrics": weighted, **self.options}

    def bind(self, model: Any) -> Compiled:
        """Resolve losses and metrics for the model's outputs; done again only where its graph has changed."""
        if self._bound_to is None or self._bound_to is not model.running_graph:
            slots = Slots.outputs(model)
            self._bind(slots, [tuple(tensor.shape) for tensor in slots.tensors], named=model.graph is not None)
            self._bound_to = model.running_graph
        return self

    def outputs_of(self, model: Any, y_pred: Any) -> list[torch.Tensor]:
        """Return what a step gave as outputs, flat, and bind to them where no graph says what the outputs are."""
        if model.graph is not None:
            return bind(y_pred, self.need_slots(model), Rule("y_pred", lambda value: isinstance(value, torch.Tensor)))
        found = [leaf for leaf in _tree.leaves(y_pred) if isinstance(leaf, torch.Tensor)]
        shapes = [(None, *leaf.shape[1:]) for leaf in found]
        structure = _tree.map_leaves(lambda leaf: None, y_pred)
        self._bind(Slots("output", names_in(y_pred, "output"), tuple(found), structure), shapes, named=False)
        return found

    def need_slots(self, model: Any = None) -> Slots:
        """Return the outputs that losses and metrics are bound to."""
        if model is not None:
            self.bind(model)
        if self.slots is None:
            raise NotReadyError("The model's outputs are not known yet.", repair="call compute_loss first, or fit on data")
        return self.slots

    def _bind(self, slots: Slots, shapes: list[tuple[Any, ...]], *, named: bool) -> None:
        before = self.slots
        if before is not None and before.names == slots.names and _alike(self._shapes, shapes):
            self.slots, self._shapes = slots, shapes  # another size of images: the metrics stay
            self.targets = [target._replace(shape=shape) for target, shape in zip(self.targets, shapes, strict=True)]
            return
        self.slots, self._shapes = slots, shapes
        rule = Rule("loss", lambda value: not _tree.is_nest(value), spread=True)
        self.losses = [None if given is None else losses.get(given) for given in bind(self.loss, slots, rule)]
        self.weights = _loss_weights(self.loss_weights, slots)
        plain, weighted = (
            _metrics_of(given, slots, what) for given, what in zip(self._given, ("metrics", "weighted_metrics"), strict=True)
        )
        self._plain = self._resolved(plain, shapes)
        self._weighted = self._resolved(weighted, shapes)
        self.targets = [
            Target(loss is not None or bool(some or more), loss, shape)
            for loss, some, more, shape in zip(self.losses, self._plain, self._weighted, shapes, strict=True)
        ]
        # As in Keras, outputs that nobody named go by the names of their losses.
        prefixes = slots.names if named or isinstance(slots.structure, dict) else None
        self.prefixed = prefixes is not None and len(slots.names) > 1
        self.records = self._part_records(prefixes)
        self.trackers = {name: kept for name, kept in self.trackers.items() if name in ("loss", "compile_metrics")}
        self.keyed_metrics = _keyed(self._plain, self._weighted, prefixes or ("",) * len(slots.names))

    def _part_records(self, prefixes: tuple[str, ...] | None) -> list[tuple[str, Record] | None]:
        """Return a record for each output's loss, where there are several."""
        several = sum(loss is not None for loss in self.losses) > 1
        names: list[str] = []
        for index, loss in enumerate(self.losses):
            base = f"{prefixes[index] if prefixes else loss.name if loss is not None else ''}_loss"
            names.append(free(base, names))
        return [
            (name, Record()) if several and loss is not None else None
            for name, loss in zip(names, self.losses, strict=True)
        ]  # fmt: skip

    @property
    def has_metrics(self) -> bool:
        """Whether ``compile`` was given metrics."""
        return any(given is not None and _tree.leaves(given) for given in self._given)

    def watch(self, metrics: list[Any]) -> None:
        """Report these too, the model's own and its layers', under names that nothing else has."""
        self.extra = {}
        taken = {"loss", *(kept[0] for kept in self.records if kept is not None), *self.keyed_metrics}
        for metric in metrics:
            self.extra[free(metric.name, taken | self.extra.keys())] = metric

    def _resolved(self, wanted: list[list[Any]], shapes: list[tuple[Any, ...]]) -> list[list[Any]]:
        return [
            [metrics.get(given, loss=loss, output_shape=shape) for given in some]
            for some, loss, shape in zip(wanted, self.losses, shapes, strict=True)
        ]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs, in the order of their names."""
        return list(self.keyed_metrics.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order: the loss, each output's loss, the metrics."""
        keys = list(self.keyed_metrics)
        parts = [kept[0] for kept in self.records if kept is not None]
        if not self.prefixed:
            return ["loss", *keys, *parts, *self.extra]
        return ["loss", *parts, *self.extra, *sorted(keys)]

    def reset(self) -> None:
        """Forget what loss and metrics have seen."""
        self.record.reset()
        for kept in self.records:
            if kept is not None:
                kept[1].reset()
        for metric in (*self.keyed_metrics.values(), *self.extra.values()):
            metric.reset_state()

    def total(self, outputs: Tensors, y: Optional, weights: Optional, extra: Tensors, size: int) -> torch.Tensor:
        """Return the loss of one batch: each output's, weighted, and what layers and regularizers add."""
        total: torch.Tensor | None = None
        for index, loss in enumerate(self.losses):
            if loss is None:
                continue
            value = loss(y[index], outputs[index], weights[index])
            kept = self.records[index]
            if kept is not None:
                kept[1].add(value.detach(), size)
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
                got=f"compile(loss={self.loss!r})",
                repair="model.compile(optimizer=…, loss='sparse_categorical_crossentropy')",
            )
        return total

    @torch.no_grad()
    def update(self, outputs: Tensors, y: Optional, weights: Optional) -> None:
        """Let the metrics see one batch."""
        for index, output in enumerate(outputs):
            target = y[index]
            if target is None:
                continue
            for metric in self._plain[index]:
                metric.update_state(target, output)
            for metric in self._weighted[index]:
                metric.update_state(target, output, sample_weight=weights[index])

    def logs(self) -> dict[str, Any]:
        """Return loss and metrics so far under their names; reads the device."""
        found: dict[str, Any] = {"loss": self.record.mean()}
        for kept in self.records:
            if kept is not None:
                found[kept[0]] = kept[1].mean()
        for name in self.metrics_names:
            metric = self.keyed_metrics.get(name) or self.extra.get(name)
            if metric is not None:
                found.update(numbers({name: metric.result()}))
        return found


def _computes_in_float16(model: Any) -> bool:
    """Return whether gradients pass through float16 on the way to weights that are kept in more bits."""
    return any(layer.low_precision == "float16" for layer in model.inner_layers())


def _scales(optimizer: Any) -> bool:
    return isinstance(optimizer, optimizers.LossScaleOptimizer) or bool(optimizer.loss_scale_factor)


def numbers(logs: dict[str, Any]) -> dict[str, Any]:
    """Return logs with tensors read from the device, scalars as numbers; dicts in them are opened."""
    found: dict[str, Any] = {}
    for name, value in logs.items():
        found.update(numbers(value) if isinstance(value, dict) else {name: _number(value)})
    return found


def detached(outputs: Tensors) -> Tensors:
    """Return outputs without the way back to the weights, their masks with them."""
    return [runtime.with_mask(output.detach(), runtime.mask_of(output)) for output in outputs]


def free(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: itself, or with the first number that makes it so."""
    number, found = 0, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _number(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else value.detach().cpu().numpy()
    return value.item() if getattr(value, "shape", None) == () else value


def _alike(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> bool:
    """Return whether outputs differ in sizes between batch and last axis alone, on which no metric's choice depends."""
    return [(len(shape), shape[-1:]) for shape in before] == [(len(shape), shape[-1:]) for shape in after]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or hasattr(value, "__float__")


def _loss_weights(given: Any, slots: Slots) -> list[float | None]:
    if given is None:
        return [None] * len(slots.names)
    bound = bind(given, slots, Rule("loss_weights", _is_number))
    return [None if weight is None else float(weight) for weight in bound]


def _metrics_of(given: Any, slots: Slots, what: str) -> list[list[Any]]:
    """Return each output's list of metrics; outputs that a dict does not name have none."""
    count = len(slots.names)
    if given is None or (_tree.is_nest(given) and not given):
        return [[] for _ in range(count)]
    leaf = Rule(what, lambda value: not isinstance(value, dict), optional=range(count))
    if isinstance(given, dict):
        return [_as_list(some) for some in bind(given, slots, leaf)]
    if count == 1:
        return [[one for one in _tree.leaves(given) if one is not None]]
    if isinstance(given, (list, tuple)) and len(given) == count:
        return [_as_list(some) for some in given]
    raise ArgumentError(
        f"{what} does not say which metric belongs to which output.",
        expected=f"a dict by output name or a list with one entry for each of {slots.described()}",
        got=repr(given)[:120],
        repair=f"{what}={{{slots.names[0]!r}: {given!r}}}"[:120],
    )


def _as_list(some: Any) -> list[Any]:
    return [] if some is None else [one for one in _tree.leaves(some) if one is not None]


def _keyed(plain: list[list[Any]], weighted: list[list[Any]], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics under the names Keras reports them by: the output's name before, a number behind a double."""
    found: dict[str, Any] = {}
    for again, groups in ((False, plain), (True, weighted)):
        for name, group in zip(names, groups, strict=True):
            prefix = f"{name}_" if name and len(names) > 1 else ""
            for metric in group:
                key = prefix + metric.name
                if key in found and again:
                    key = f"{prefix}weighted_{metric.name}"
                found[free(key, found)] = metric
    return found


def compile(
    model: Any,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    loss_weights: Any = None,
    metrics: Any = None,
    weighted_metrics: Any = None,
    run_eagerly: bool = False,
    steps_per_execution: int = 1,
    jit_compile: bool | str = "auto",
    auto_scale_loss: bool = True,
    remat: Any = None,
) -> Compiled:
    """Bind losses and metrics to a model's outputs, by the user's own keys or by position.

    ``run_eagerly`` runs layers one by one instead of their flat code: a debugger stops in ``call``, and it is slower.
    ``steps_per_execution`` calls callbacks once in so many steps, with the numbers of the group's first and last step.
    ``jit_compile=True`` makes machine code of the model by torch.compile, which takes tens of seconds at the first step and is
    told in a line; 'auto' never does so: nobody is to wait for a compiler unasked. ``auto_scale_loss`` scales the loss of
    models with ``mixed_float16`` layers by a LossScaleOptimizer.

    ``remat`` saves memory while training: layers at these paths or patterns of paths (``"stage*"``, or a list) are computed
    again on the way back instead of keeping their values; a number of bytes or ``"500MB"`` lets as few parts be computed
    again as keep the values within that, for the first batch's size.
    """
    whole(steps_per_execution, "steps_per_execution")
    if jit_compile not in (True, False, "auto"):
        raise ArgumentError("Unknown jit_compile.", expected="True, False or 'auto'", got=repr(jit_compile))
    if run_eagerly and remat is not None:
        raise ArgumentError(
            "Layers that run one by one keep what they compute.", got=f"run_eagerly=True, remat={remat!r}",
            repair="leave one of them out",
        )  # fmt: skip
    if run_eagerly and jit_compile is True:
        raise ArgumentError(
            "A model cannot run layer by layer and as machine code.", got="run_eagerly=True, jit_compile=True",
            repair="leave one of them out",
        )  # fmt: skip
    options = {
        "run_eagerly": run_eagerly, "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
        "auto_scale_loss": auto_scale_loss, "remat": remat_of(model, remat),
    }  # fmt: skip
    return Compiled(model, optimizer, loss, loss_weights, metrics, weighted_metrics, options)


__all__ = ["Compiled", "compile"]

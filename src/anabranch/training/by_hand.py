"""Training by steps that a user writes: ``train_step`` and its kin, and what Keras's defaults of them do, in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anabranch import _tree, config, engine, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, NotReadyError
from anabranch.graph.binding import Rule, Slots, bind
from anabranch.graph.call_site import warn
from anabranch.training import _checks
from anabranch.training._arrays import check_finite, tensors_in
from anabranch.training._placing import moved
from anabranch.training._record import Record
from anabranch.training._sources import Batch, data_of
from anabranch.training._targets import class_weights
from anabranch.training.compiling import Compiled, detached, numbers
from anabranch.training.step import no_gradient
from anabranch.training.trackers import LossTracker, by_output, flat, loss_tracker
from anabranch.utils import unpack_x_y_sample_weight as unpack

_PREDICTING = frozenset(("predict_step",))


def overridden(model: Any) -> frozenset[str]:
    """Return the names of the steps that a user wrote: in the model's class, or set on the model itself."""
    names: frozenset[str] = model.overrides | (frozenset(vars(model)) & {"train_step", "test_step", "predict_step"})
    return names


def trains_by_hand(model: Any) -> bool:
    """Return whether training or testing is a matter of the user's own steps."""
    return bool(overridden(model) - _PREDICTING)


# Feeding: the user's own nests


class NestFeed:
    """Turns what users yield or hold into batches of the same nests, as tensors on the device."""

    def __init__(self, class_weight: dict[int, float] | None = None) -> None:
        self._class_weight = class_weight
        self.device = engine.device()
        self._floats = getattr(torch, config.floatx())

    def batch(self, item: Any) -> Batch:
        """Check and move one batch: x, (x,), (x, y) or (x, y, sample_weight)."""
        return self.ready(self.weigh(self.flat(*unpack(item))))

    def ready(self, batch: Batch) -> Batch:
        """Move one batch to the device; floats become the default type."""
        x, y, weights = ([self._moved(t) for t in part] for part in batch[:3])
        return batch._replace(x=x, y=y, weights=weights)

    def _moved(self, tensor: Any) -> Any:
        if tensor is None:
            return None
        there = moved(tensor, self.device)
        return there.to(self._floats) if there.is_floating_point() else there

    def flat(self, x: Any, y: Any, weights: Any, *, finite: bool = False) -> Batch:
        """Check the lengths of all that is fed; ``finite`` looks for NaN and infinity in x."""
        if x is None:
            raise DataError("There is no x.", expected="arrays, tensors, a loader or a generator", got="None")
        parts = {"x": tensors_in(x, "x"), "y": tensors_in(y, "y"), "sample_weight": tensors_in(weights, "sample_weight")}
        leaves = [[] if part is None else _tree.leaves(part) for part in parts.values()]
        named = [(name, t) for name, found in zip(parts, leaves, strict=True) for t in found if t is not None]
        for name, tensor in named:
            if finite and name == "x":
                check_finite(tensor, name)
        nest = tuple(None if part is None else _tree.map_leaves(lambda _: 0, part) for part in parts.values())
        return Batch(leaves[0], leaves[1], leaves[2], _checks.same_length(named), nest)

    def weigh(self, batch: Batch) -> Batch:
        """Multiply the sample weights by the weight of each sample's class."""
        if self._class_weight is None or not batch.y or batch.y[0] is None:
            return batch
        weight = class_weights(batch.y[0], self._class_weight)
        if batch.weights and batch.weights[0] is not None:
            weight = weight * batch.weights[0]
        return batch._replace(weights=[weight], nest=(*batch.nest[:2], 0))


# A run


class ByHand:
    """What the loop asks while the user's steps run, in the place of what ``compile`` made: logs, and when to forget."""

    targets = None

    def __init__(self, model: Any, compiled: Compiled) -> None:
        self.model = model
        self.optimizer = compiled.optimizer
        self.started = False
        self.record = Record()
        self._last: dict[str, Any] = {}

    @property
    def metrics_names(self) -> list[str]:
        """The names in the last step's logs."""
        return list(self._last)

    def reset(self) -> None:
        """Forget what the metrics have seen."""
        self.model.reset_metrics()
        self.record.reset()
        self._last = {}

    def logs(self) -> dict[str, Any]:
        """Return the metrics' results where the step's logs are those, else the last step's logs, as numbers."""
        results = self.model.get_metrics_result()
        if not isinstance(results, dict) or set(flat(results)) != set(self._last):
            return numbers(self._last)
        found = numbers(results)
        tracker = next((metric for metric in self.model.metrics if metric.name == "loss"), None)
        if isinstance(tracker, LossTracker) and not tracker.count:
            found["loss"] = self.record.mean()  # no step gave it a loss, so what they returned is meant
        return found

    def note(self, logs: Any, step: str, size: int) -> None:
        """Take what a step returned."""
        if not isinstance(logs, dict):
            raise ArgumentTypeError(
                f"{step} of {type(self.model).__name__} returned {'nothing' if logs is None else type(logs).__name__}.",
                expected="a dict of names and numbers, which go to the logs and the history",
                got=repr(logs)[:100],
                repair='end it with return {"loss": loss}, or return {m.name: m.result() for m in self.metrics}',
            )
        self._last = flat(logs)
        loss = self._last.get("loss")
        if isinstance(loss, (int, float)) or (isinstance(loss, torch.Tensor) and loss.numel() == 1):
            self.record.add(torch.as_tensor(loss).detach().reshape(()).float(), size)

    def step(self, training: bool) -> Callable[[Batch], None]:
        """Return the function that lets the user's step take one batch."""
        name = "train_step" if training else "test_step"
        engine.place_weights(self.model)
        take = getattr(self.model, name)

        def step(batch: Batch) -> None:
            with torch.set_grad_enabled(training):
                logs = take(data_of(batch))
            self.note(logs, name, batch.size)

        return step


# What the defaults do


def step_by_hand(model: Any, data: Any, *, training: bool) -> dict[str, Any]:
    """Take one step as ``compile`` says, by way of the model's ``compute_loss`` and ``compute_metrics``."""
    compiled = _compiled(model, "train_step" if training else "test_step")
    x, y, sample_weight = unpack(data)
    y_pred = forward(model, x, training)
    loss = checked_loss(model, _loss_of(model)(x, y, y_pred, sample_weight, training=training))
    size = next(len(leaf) for leaf in _tree.leaves(x) if leaf is not None)
    loss_tracker(compiled).update_state(loss.detach(), sample_weight=size)
    if training:
        trained = model.trainable_weights
        model.zero_grad()
        if not trained:
            warn("The model has no trainable weights: nothing will be learned.")
        elif not loss.requires_grad:
            raise no_gradient()
        else:
            compiled.optimizer.scale_loss(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            compiled.optimizer.apply([weight.value.grad for weight in trained], trained)
    logs: dict[str, Any] = model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
    return logs


def forward(model: Any, x: Any, training: bool) -> Any:
    """Return the outputs for ``x``; a model that writes its own call runs as one program, not layer by layer."""
    if model.graph is not None or not model.has_call:
        return model(x, training=training)
    model.follow(tensors_in(x, "x"))
    given = bind(x, Slots.inputs(model), Rule("x", lambda value: isinstance(value, torch.Tensor)))
    dtypes = [getattr(torch, tensor.dtype) for tensor in model.running_graph.inputs]
    outputs, losses = engine.program(model, training)([value.to(d) for value, d in zip(given, dtypes, strict=True)])
    runtime.take_losses(model, losses)
    return _tree.fill(model.running_graph.output_structure, outputs)


def _loss_of(model: Any) -> Callable[..., Any]:
    """Return the model's ``compute_loss``; one from before Keras 3.3 is not told whether it is training."""
    compute_loss: Callable[..., Any] = model.compute_loss
    code = getattr(getattr(compute_loss, "__func__", compute_loss), "__code__", None)
    if code is None or "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] or code.co_flags & 0x08:
        return compute_loss
    return lambda *args, training: compute_loss(*args)


def checked_loss(model: Any, loss: Any) -> torch.Tensor:
    """Return the loss, or raise where it is no scalar tensor."""
    if isinstance(loss, torch.Tensor) and loss.numel() == 1:
        return loss.reshape(())
    shape = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else f"{type(loss).__name__}: {loss!r}"
    raise ArgumentError(
        f"compute_loss of {type(model).__name__} gave no scalar.",
        expected="one number, as a tensor",
        got="nothing" if loss is None else shape[:120],
        repair="return loss.mean(), or a Loss object, which averages over the batch" if hasattr(loss, "shape")
        else "return the loss as a tensor",
    )  # fmt: skip


def loss_by_hand(model: Any, y: Any, y_pred: Any, sample_weight: Any) -> torch.Tensor:
    """Return the loss of one batch: what ``compile`` was given, weighted, and ``model.losses``."""
    compiled = _compiled(model, "compute_loss")
    outputs = compiled.outputs_of(model, y_pred)
    ys, weights = by_output(compiled, y, sample_weight)
    for index, (target, value) in enumerate(zip(compiled.targets, ys, strict=True)):
        if value is not None and value.ndim:
            target.check(value, "y" if len(ys) == 1 else f"y[{compiled.need_slots().names[index]!r}]")
    return compiled.total(outputs, ys, weights, [loss.sum() for loss in model.losses], len(outputs[0]))


def measured_by_hand(model: Any, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
    """Let the metrics of ``compile`` see one batch and return all results."""
    compiled = _compiled(model, "compute_metrics")
    outputs = compiled.outputs_of(model, y_pred)
    compiled.update(detached(outputs), *by_output(compiled, y, sample_weight))
    found: dict[str, Any] = model.get_metrics_result()
    return found


def _compiled(model: Any, use: str) -> Compiled:
    compiled: Compiled | None = model._compiled
    if compiled is None:
        raise NotReadyError(f"{use} needs a compiled model.", repair="model.compile(optimizer='adam', loss='…') first")
    return compiled

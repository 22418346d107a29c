"""Training by a user's own ``train_step``, ``test_step``, ``compute_loss``, …; and what Keras's defaults of these do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from anabranch import _tree, engine, runtime
from anabranch._arguments import is_array_like
from anabranch._asked import is_without_values, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError
from anabranch.graph.binding import Rule, Slots, bind
from anabranch.graph.call_site import warn
from anabranch.training.compiled import Compiled, detached
from anabranch.training.data.arrays import tensors_in
from anabranch.training.data.batch import Batch, in_structure
from anabranch.training.data.binder import Binder, NestBinder
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.executor import Report, silent
from anabranch.training.logs import Logs, flat, numbers
from anabranch.training.loss_record import LossRecord
from anabranch.training.metric_trackers import LossTracker, by_output, loss_tracker, metrics_names
from anabranch.training.objective import Objective, need_compiled
from anabranch.training.steps import Step, no_gradient
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable


class CustomStep(Objective):
    """The objective of a model with custom steps: each returns its logs."""

    def __init__(self, model: Trainable, compiled: Compiled, strategy: Strategy) -> None:
        super().__init__(model, compiled, strategy, LossRecord())
        self._last: Logs = {}

    @property
    def metrics_names(self) -> list[str]:
        """The names in the last step's logs."""
        return list(self._last)

    @property
    def report_order(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order."""
        return metrics_names(self._model)

    def binder(self, class_weight: object = None) -> Binder:
        """Return what leaves data in the user's own nests."""
        return NestBinder(self._strategy, class_weight)

    def step(self, *, training: bool, report: Report = silent, alone: bool = False) -> Step:
        """Return the function that calls the user's step with one batch."""
        model = self._model
        name = "train_step" if training else "test_step"
        engine.place_weights(model)
        take = model.train_step if training else model.test_step

        def step(batch: Batch) -> None:
            with torch.set_grad_enabled(training):
                logs = take(in_structure(batch))
            self._record(logs, name, batch.size)

        return step

    def reset(self) -> None:
        """Drop what the metrics have seen."""
        self._model.reset_metrics()
        self.loss_record.reset()
        self._last = {}

    def logs(self) -> Logs:
        """Return the metrics' results where the step's logs are those, else the last step's logs, as numbers."""
        results = self._model.get_metrics_result()
        if not isinstance(results, dict) or set(flat(results)) != set(self._last):
            return numbers(self._last)
        found = numbers(results)
        tracker = next((metric for metric in self._model.metrics if metric.name == "loss"), None)
        if isinstance(tracker, LossTracker) and not tracker.count:
            found["loss"] = self.loss_record.mean()  # no step updated the tracker, so the losses that steps returned count
        return found

    def state(self) -> Any:
        """Return the losses of each step, and what the last one returned."""
        return self.loss_record.state(), dict(self._last)

    def set_state(self, state: Any) -> None:
        """Set what ``state`` returned."""
        self.loss_record.set_state(state[0])
        self._last = dict(state[1])

    def _record(self, logs: object, step: str, size: int) -> None:
        """Record what a step returned."""
        if not isinstance(logs, dict):
            raise ArgumentTypeError(
                f"{step} of {type(self._model).__name__} returned {'nothing' if logs is None else type(logs).__name__}.",
                expected="a dict of names and numbers, which go to the logs and the history",
                got=repr(logs)[:100],
                repair='end it with return {"loss": loss}, or return {m.name: m.result() for m in self.metrics}',
            )
        self._last = flat(logs)
        loss = self._last.get("loss")
        if "loss" in self._last and (not is_array_like(loss) or is_without_values(loss)):
            raise ArgumentTypeError(f"'loss' of what {step} returns must be a number.", got=shown(loss))
        if isinstance(loss, (int, float)) or (isinstance(loss, torch.Tensor) and loss.numel() == 1):
            self.loss_record.add(torch.as_tensor(loss).detach().reshape(()).float(), size)


# The defaults


def default_step(model: Trainable, data: object, *, training: bool) -> Logs:
    """Take one step as ``compile`` says, through the model's ``compute_loss`` and ``compute_metrics``."""
    compiled = need_compiled(model, "train_step" if training else "test_step")
    x, y, sample_weight = unpack(data)
    y_pred = forward(model, x, training)
    loss = checked_loss(model, loss_of(model)(x, y, y_pred, sample_weight, training=training))
    size = next(len(leaf) for leaf in _tree.leaves(x) if leaf is not None)
    loss_tracker(compiled).update_state(loss.detach(), sample_weight=size)
    if training:
        trained = model.trainable_weights
        model.zero_grad()
        if not trained:
            warn("The model has no trainable weights, so nothing is learned.")
        elif not loss.requires_grad:
            raise no_gradient()
        else:
            compiled.optimizer.scale_loss(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            model._training_strategy_.reduce_gradients()
            compiled.optimizer.apply([weight.value.grad for weight in trained], trained)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def forward(model: Trainable, x: object, training: bool) -> _tree.Nest:
    """Return the outputs for ``x``; a model with a ``call`` of its own runs as one program, not layer by layer."""
    if model._graph_ is not None or not model._has_call_:
        return model(x, training=training)
    model._follow_(tensors_in(x, "x"))
    program = engine.program(model, training)
    given = bind(x, Slots.inputs(model), Rule("x", lambda value: isinstance(value, torch.Tensor)))
    dtypes = [runtime.dtype_of(tensor.dtype) for tensor in program.graph.inputs]
    outputs, losses = program([value.to(dtype) for value, dtype in zip(given, dtypes, strict=True)])
    runtime.take_losses(model, losses)
    return _tree.fill(program.graph.output_structure, outputs)


def loss_of(model: Trainable) -> Callable[..., Any]:
    """Return the model's ``compute_loss``; one written for Keras before 3.3 does not take ``training``."""
    compute_loss = model.compute_loss
    parameters = inspect.signature(compute_loss).parameters.values()
    if any(each.name == "training" or each.kind is each.VAR_KEYWORD for each in parameters):
        return compute_loss
    return lambda *args, training: compute_loss(*args)


def checked_loss(model: Trainable, loss: object) -> torch.Tensor:
    """Return the loss, or raise where it is no scalar tensor."""
    if not isinstance(loss, torch.Tensor):
        raise _no_scalar(
            model, "nothing" if loss is None else f"{type(loss).__name__}: {loss!r}", "return the loss as a tensor"
        )
    if loss.numel() != 1:
        repair = "return loss.mean(), or a Loss object, which averages over the batch"
        raise _no_scalar(model, f"a tensor of shape {tuple(loss.shape)}", repair)
    return loss.reshape(())


def _no_scalar(model: Trainable, got: str, repair: str) -> ArgumentError:
    return ArgumentError(
        f"compute_loss of {type(model).__name__} must return a scalar.",
        expected="one number, as a tensor",
        got=got[:120],
        repair=repair,
    )


def default_loss(model: Trainable, y: object, y_pred: object, sample_weight: object) -> torch.Tensor:
    """Return the loss of one batch: what ``compile`` was given, weighted, and ``model.losses``."""
    compiled = need_compiled(model, "compute_loss")
    outputs = compiled.outputs_of(model, y_pred)
    ys, weights = by_output(compiled, y, sample_weight)
    for index, (target, value) in enumerate(zip(compiled.targets, ys, strict=True)):
        if value is not None and not isinstance(value, torch.Tensor):
            raise DtypeError("y of compute_loss must be a tensor for each output.", got=shown(value))
        if value is not None and value.ndim:
            target.check(value, "y" if len(ys) == 1 else f"y[{compiled.bound_slots().names[index]!r}]")
    return compiled.total(outputs, ys, weights, [loss.sum() for loss in model.losses], len(outputs[0]))


def stateless_loss(
    model: Trainable, values: tuple[Sequence[object], Sequence[object], Sequence[object]], batch: tuple[Any, ...]
) -> tuple[torch.Tensor, tuple[Sequence[object], list[torch.Tensor], Sequence[object]]]:
    """Return ``compute_loss`` with given values of weights, and these afterwards."""
    trained, others, metrics = values
    runtime.take_losses(model, [])  # those of the last call are no part of it
    with runtime.substituting(runtime.stateless_values(model, trained, others)) as substitution:
        loss = model.compute_loss(*batch)
    after = [weight.from_native(substitution.values[weight]) for weight in model.non_trainable_weights]
    return loss, (trained, after, metrics)


def default_metrics(model: Trainable, y: object, y_pred: object, sample_weight: object) -> Logs:
    """Update the metrics of ``compile`` with one batch and return all results."""
    compiled = need_compiled(model, "compute_metrics")
    outputs = compiled.outputs_of(model, y_pred)
    compiled.update(detached(outputs), *by_output(compiled, y, sample_weight))
    return model.get_metrics_result()


class CustomPredictStep:
    """Calls the user's ``predict_step`` with batches."""

    def __init__(self, model: Trainable) -> None:
        engine.place_weights(model)
        self._model = model

    def __call__(self, batch: Batch) -> _tree.Nest:
        """Return what it returns for one batch."""
        with torch.no_grad():
            found = self._model.predict_step(in_structure(batch))
        leaves = _tree.leaves(found)
        if not leaves or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
            raise ArgumentTypeError(
                f"predict_step of {type(self._model).__name__} must return a tensor, or a nest of them.", got=shown(found),
                repair="end it with return self(x, training=False)",
            )  # fmt: skip
        return found

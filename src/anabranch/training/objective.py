"""What a run of ``fit`` or ``evaluate`` minimizes and reports: the losses of ``compile``, or a custom step."""

from __future__ import annotations

import abc
from typing import Any

from anabranch._errors import NotReadyError
from anabranch.optimizers import Optimizer
from anabranch.training.compiled import Compiled
from anabranch.training.data.binder import Binder, ModelBinder
from anabranch.training.executor import Report, silent
from anabranch.training.logs import Logs
from anabranch.training.loss_record import LossRecord
from anabranch.training.steps import Step, TestStep, TrainStep
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable


class Objective(abc.ABC):
    """What the loop asks, however a model is trained.

    Args:
        model: the model.
        compiled: what ``compile`` made.
        strategy: where batches go.
        loss_record: the loss of each step of the epoch.
    """

    def __init__(self, model: Trainable, compiled: Compiled, strategy: Strategy, loss_record: LossRecord) -> None:
        self.compiled = compiled
        self.loss_record = loss_record
        self._model = model
        self._strategy = strategy

    @property
    def optimizer(self) -> Optimizer:
        """What updates the weights."""
        return self.compiled.optimizer

    @property
    @abc.abstractmethod
    def metrics_names(self) -> list[str]:
        """The names in the logs of this run."""

    @property
    @abc.abstractmethod
    def report_order(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order."""

    @abc.abstractmethod
    def binder(self, class_weight: object = None) -> Binder:
        """Return what makes batches of the user's data."""

    @abc.abstractmethod
    def step(self, *, training: bool, report: Report = silent, alone: bool = False) -> Step:
        """Return the function that takes one step; ``report`` takes a line where something takes long.

        ``alone``: it is called once, so that what pays over many steps is left out.
        """

    @abc.abstractmethod
    def reset(self) -> None:
        """Drop what loss and metrics have seen."""

    @abc.abstractmethod
    def logs(self) -> Logs:
        """Return loss and metrics so far, as numbers; reads the device."""

    @abc.abstractmethod
    def state(self) -> Any:
        """Return what was recorded in this epoch, besides the metrics' state."""

    @abc.abstractmethod
    def set_state(self, state: Any) -> None:
        """Set what ``state`` returned."""


class CompiledObjective(Objective):
    """The losses and metrics of ``compile``."""

    def __init__(self, model: Trainable, compiled: Compiled, strategy: Strategy) -> None:
        super().__init__(model, compiled, strategy, compiled.loss_record)

    @property
    def metrics_names(self) -> list[str]:
        """The names in the logs."""
        return self.compiled.metrics_names

    report_order = metrics_names

    def binder(self, class_weight: object = None) -> Binder:
        """Return what binds data to the model's inputs and outputs."""
        model, compiled = self._model, self.compiled
        return ModelBinder(model, compiled.targets, self._strategy, class_weight, rebind=lambda: compiled.bind(model).targets)

    def step(self, *, training: bool, report: Report = silent, alone: bool = False) -> Step:
        """Return the step of training or of testing."""
        if training:
            return TrainStep(self._model, self.compiled, self._strategy, report, alone)
        return TestStep(self._model, self.compiled, self._strategy, report)

    def reset(self) -> None:
        """Drop what loss and metrics have seen."""
        self.compiled.reset()

    def logs(self) -> Logs:
        """Return loss and metrics so far."""
        return self.compiled.logs()

    def state(self) -> Any:
        """Return the losses of each step."""
        return [record.state() for record in self.compiled.loss_records]

    def set_state(self, state: Any) -> None:
        """Set what ``state`` returned."""
        for record, values in zip(self.compiled.loss_records, state, strict=True):
            record.set_state(values)


def need_compiled(model: Trainable, use: str) -> Compiled:
    """Return what ``compile`` made; NotReadyError where it was not called."""
    compiled = model._compiled_
    if compiled is None:
        raise NotReadyError(f"{use} needs a compiled model.", repair="model.compile(optimizer='adam', loss='…') first")
    return compiled

"""What layers report to training besides their output: losses, and values to watch; eager or traced."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch._asked import described, is_number
from anabranch._errors import ArgumentTypeError, NotReadyError
from anabranch.graph import Operation, Weight
from anabranch.runtime import state
from anabranch.runtime.arrays import as_tensor
from anabranch.runtime.weights import shown


class RunningValue:
    """The mean or the sum of what a layer reports under one name; has the methods of a metric."""

    def __init__(self, name: str, aggregation: str) -> None:
        self.name = name
        self.aggregation = aggregation
        self.total: torch.Tensor | None = None
        self.count = 0

    @property
    def variables(self) -> list[torch.Tensor]:
        """The state."""
        return [] if self.total is None else [self.total]

    def update_state(self, value: torch.Tensor | float) -> None:
        """Add the elements of one value; nothing is read from the device."""
        given = torch.as_tensor(value).detach()
        total = given.sum(dtype=torch.float32 if given.device.type == "mps" else torch.float64)
        self.total = total if self.total is None else self.total.to(total.device) + total
        self.count += given.numel()

    def result(self) -> torch.Tensor:
        """Return the mean or the sum so far, 0 where there is none yet."""
        if self.total is None:
            return torch.zeros(())
        return (self.total / self.count if self.aggregation == "mean" else self.total).float()

    def reset_state(self) -> None:
        """Forget all values."""
        self.total, self.count = None, 0


class Watching(torch.nn.Module):
    """An update of a metric, as a step of a lowered model."""

    def __init__(self, metric: state.Watched) -> None:
        super().__init__()
        self.metric = metric

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Update it."""
        self.metric.update_state(*args, **kwargs)


class Reporter(state.Reporting, Protocol):
    """A layer that can say which one it is."""

    def _described_(self) -> str:
        """Return how errors name it."""


def report_loss(layer: Reporter, loss: _tree.Nest) -> None:
    """Add to the losses of ``layer``, whose call is under way, one value or a nest of values."""
    tracer = state.tracer()
    for value in _tree.leaves(loss):
        if not isinstance(value, (torch.Tensor, Proxy, int, float)):
            raise ArgumentTypeError(
                "add_loss takes a scalar tensor.", expected="a scalar tensor", got=repr(value)[:120],
                where=layer._described_(), repair="self.add_loss(value) with what torch or ops computed, inside call",
            )  # fmt: skip
        if tracer is not None:
            tracer.loss(value)
        elif not state.is_running():
            raise NotReadyError(
                "add_loss was called while no layer ran, so no step of training would see the loss.",
                expected="add_loss inside call", where=layer._described_(),
                repair="move it into call; a loss of the weights alone is a regularizer, kernel_regularizer=…",
            )  # fmt: skip
        else:
            state.hold_loss(layer, as_tensor(value))


def penalty(weight: Weight) -> torch.Tensor:
    """Return what a weight's regularizer says of its value, in Keras's axis order."""
    found = weight.regularizer(shown(weight)) if weight.regularizer is not None else 0.0
    if isinstance(found, Proxy):
        return cast("torch.Tensor", found)
    if isinstance(found, torch.Tensor):
        return found
    if not is_number(found):
        raise ArgumentTypeError(
            f"The regularizer of weight {weight.path!r} must return a scalar.", expected="a scalar tensor", got=described(found)
        )
    return torch.tensor(float(found))


def report_update(metric: state.Watched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Trace the update of a metric and return True; return False where nothing is traced, so that the caller does it now."""
    tracer = state.tracer()
    if tracer is not None:
        tracer.watch(metric, args, kwargs)
    return tracer is not None


def watch_value(layer: Operation, value: torch.Tensor | float, name: str, aggregation: str) -> None:
    """Add one value to what ``layer`` reports under ``name``."""
    if not isinstance(value, (torch.Tensor, Proxy)):
        value = as_tensor(value)
    if name not in layer._watched_:
        layer._watched_ = {**layer._watched_, name: RunningValue(name, aggregation)}
    if not report_update(layer._watched_[name], (value,), {}):
        layer._watched_[name].update_state(value)

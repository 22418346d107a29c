"""What the rules read: a graph with its nested models opened, as calls in the order in which they run, with who takes what."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from anabranch._errors import AnabranchError
from anabranch.graph import CallSite, Graph, Operation, Spec, Weight, spec_leaves
from anabranch.graph.flatten import Step, flatten
from anabranch.insight.linting.findings import Found

T = TypeVar("T")


class LossFacts(Protocol):
    """What the rules ask of a loss."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def labels(self) -> str:
        """What the targets are: ``"binary"``, ``"one-hot"`` or ``"indices"``; "" where the loss does not say."""

    @property
    def from_logits(self) -> bool:
        """Whether it takes logits in place of probabilities."""

    @property
    def axis(self) -> int:
        """The axis of the classes."""


class Output(NamedTuple):
    """One output of the model: its name, its value, and its loss; None where it has none, or none is known."""

    name: str
    value: int
    loss: LossFacts | None


class Program:
    """A model's calls, nested models opened; values are numbered.

    ``steps``: the calls in order; ``specs``: shape and dtype of each value; ``made_by`` and ``taken_by``: the positions of the
    steps that give and take a value. ``has_losses``: whether the losses of the outputs are known, as after ``compile``.
    ``refusals``: what is wrong with targets.
    """

    def __init__(
        self, graph: Graph, losses: Sequence[LossFacts | None] | None = None, refusals: Sequence[AnabranchError] = ()
    ) -> None:
        self.graph = graph
        self._cache: dict[object, Any] = {}
        self.refusals = refusals
        flat = flatten(graph)
        self.steps: list[Step] = flat.steps
        self.inputs = dict(zip(flat.inputs, graph.inputs, strict=True))
        self.has_losses = losses is not None and any(loss is not None for loss in losses)
        found = losses if losses is not None and self.has_losses else [None] * len(flat.outputs)
        named = [graph.names.get(tensor.node.operation, tensor.name) for tensor in graph.outputs]
        self.outputs = [Output(*each) for each in zip(named, flat.outputs, found, strict=True)]
        self.specs: dict[int, Spec] = {number: tensor.spec for number, tensor in self.inputs.items()}
        self.made_by: dict[int, int] = {}
        self.taken_by: dict[int, list[int]] = {number: [] for number in flat.inputs}
        for position, step in enumerate(self.steps):
            specs = step.node.output_specs
            for number, spec in zip(step.outputs, (specs,) if isinstance(specs, Spec) else spec_leaves(specs), strict=True):
                self.specs[number] = spec
                self.made_by[number] = position
                self.taken_by[number] = []
            for number in step.inputs:
                self.taken_by[number].append(position)

    def maker(self, value: int) -> Step | None:
        """Return the step that gives a value; None for an input."""
        position = self.made_by.get(value)
        return None if position is None else self.steps[position]

    def takers(self, value: int) -> Iterator[Step]:
        """Yield the steps that take a value."""
        return (self.steps[position] for position in self.taken_by[value])

    def cached(self, function: Callable[[Program], T]) -> T:
        """Return what a function gives for this program, computed once."""
        if function not in self._cache:
            self._cache[function] = function(self)
        found: T = self._cache[function]
        return found

    @functools.cached_property
    def ends(self) -> frozenset[int]:
        """The values of the outputs."""
        return frozenset(output.value for output in self.outputs)

    @functools.cached_property
    def needed(self) -> set[int]:
        """The values that an output needs."""
        found = set(self.ends)
        for step in reversed(self.steps):
            if not found.isdisjoint(step.outputs):
                found.update(step.inputs)
        return found

    @functools.cached_property
    def needed_steps(self) -> list[Step]:
        """The steps that an output needs, in order."""
        return [step for step in self.steps if not self.needed.isdisjoint(step.outputs)]

    def at(self, step: Step, what: str, repair: str, severity: str = "") -> Found:
        """Return what a rule found at a step."""
        return Found(step.path, step.node.site, what, repair, severity)


def described(step: Step) -> str:
    """Return a step as sentences name it: ``Conv2D 'stem/conv'``, ``relu(…)``, ``the operator +``."""
    operation: Operation = step.node.operation
    return operation._error_label_() if operation._is_function_ else f"{operation._kind_name_()} {step.path!r}"


def site_of(step: Step) -> CallSite:
    """Return the user's line of a step."""
    return step.node.site


def trained_weights(operation: Operation) -> list[Weight]:
    """Return the weights that training is to change."""
    return [weight for weight in operation.weights if weight.trainable] if operation.trainable else []

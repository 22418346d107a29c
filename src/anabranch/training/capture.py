"""Steps captured as CUDA graphs: which part of a step is captured, what runs beside each replay, and whether it can be."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from anabranch import _asked, engine, runtime
from anabranch._asked import is_from
from anabranch.engine.cuda_graphs import CudaGraph, Decision, Facts, GraphMaker, Replays, aside, decide
from anabranch.engine.opaque import Opaque
from anabranch.training.compiled import Compiled, Tensors
from anabranch.training.data.batch import Batch
from anabranch.training.loss_record import LossRecord
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable, has_custom_step

Compute = Callable[[Batch, Callable[[], None]], Tensors]
"""Computes a step without its metrics and returns the outputs; the weights are updated by the function it is given."""
Forward = Callable[[Sequence[torch.Tensor | None]], tuple[Tensors, Tensors]]


def with_replay(model: Trainable, execution: engine.Execution, training: bool) -> engine.Execution:
    """Return the account of how a model runs, with whether its training steps, or its predictions, are captured."""
    program, strategy = engine.program(model, training), model._training_strategy_
    if not training:
        return dataclasses.replace(execution, replay=str(decide(model_facts(model, program, strategy.device))))
    compiled = model._compiled_
    if compiled is None:
        return execution
    compiled.optimizer.follow(model.trainable_weights)
    return dataclasses.replace(execution, replay=str(training_decision(model, compiled, program, strategy)))


def training_decision(model: Trainable, compiled: Compiled, program: engine.Program, strategy: Strategy) -> Decision:
    """Return whether the model's training steps are captured, and why."""
    return decide(training_facts(model, compiled, program, strategy))


def training_facts(model: Trainable, compiled: Compiled, program: engine.Program, strategy: Strategy) -> Facts:
    """Return what decides whether the model's training steps can be captured."""
    optimizer, replays = compiled.optimizer, compiled.replays
    capturable = optimizer.capturable and model.trainable_weights
    functions = [*compiled.losses, *(each for w in model.trainable_weights for each in (w.regularizer, w.constraint))]
    return model_facts(model, program, strategy.device)._replace(
        device="cuda" if compiled.graph_maker else strategy.device.type,
        custom_step=has_custom_step(model),
        unknown=tuple(name_of(thing) for thing in functions if thing is not None and not is_known(thing)),
        accumulates=bool(optimizer.gradient_accumulation_steps),
        optimizer="" if capturable else type(optimizer).__name__,
        failure=replays.failure if replays else "",
    )


def model_facts(model: Trainable, program: engine.Program, device: torch.device) -> Facts:
    """Return what decides whether the model's outputs can be captured."""
    if model.run_eagerly:
        return Facts(device.type, run_eagerly=True)
    code, parts = program.lowered.code, list(program.lowered.root.named_modules())
    watched = [part.metric for _, part in parts if isinstance(part, runtime.Watching)]
    return Facts(
        device.type,
        jit_compile=model.jit_compile,
        opaque=tuple(name for name, part in parts if isinstance(part, Opaque)),
        third_party=tuple(type(part).__name__ for part in program.lowered.third_party if not is_plain_module(part)),
        watching=tuple(metric.name for metric in watched if not is_known_metric(metric)),
        reseeded=tuple(node.meta["path"] for node in code.nodes if node.target is torch.Generator),
    )


def is_known(thing: object) -> bool:
    """Return whether a loss or regularizer does the same at each call: it is ours or torch's, or says so by ``capturable``."""
    return _says_so(thing) or (is_from(thing, "anabranch", "torch") and _inner_is_known(thing))


def is_known_metric(metric: object) -> bool:
    """Return whether all state of a metric is tensors that it changes in place."""
    own = is_from(type(metric), "anabranch.metrics") and not type(metric).__name__.startswith("Torch")
    return _says_so(metric) or (own and _inner_is_known(metric))


def _says_so(thing: object) -> bool:
    return getattr(thing, "capturable", False) is True  # any callable may say it


def _inner_is_known(thing: object) -> bool:
    inner = getattr(thing, "fn", None) or getattr(thing, "module", None)  # what wrappers call; others have neither
    return inner is None or is_known(inner)


def is_plain_module(module: torch.nn.Module) -> bool:
    """Return whether a module and those inside it are torch's own and have no hooks."""
    return all(
        is_from(type(part), "torch.nn")
        and not (part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)
        for part in module.modules()
    )


def name_of(thing: object) -> str:
    """Return the name of a loss or regularizer."""
    return str(getattr(thing, "name", None) or _asked.name_of(thing) or type(thing).__name__)  # functions have no ``name``


def generators_of(program: engine.Program) -> list[torch.Generator]:
    """Return the random generators that a program's layers draw from, besides the device's own."""
    parts = program.lowered.root.modules()
    return [value for part in parts for value in vars(part).values() if isinstance(value, torch.Generator)]


def captured_steps(
    model: Trainable, compiled: Compiled, compute: Compute, program: Callable[[], Any], strategy: Strategy,
    report: Callable[[str], None],
) -> Callable[[Batch], None] | None:  # fmt: skip
    """Return the function that takes one training step, replayed where that is possible; None where it never is."""
    if not training_decision(model, compiled, program(), strategy).used:
        if compiled.replays is not None:
            compiled.replays.forget()
        return None
    compiled.optimizer.hold(runtime.realize(model.trainable_weights[0]).device)
    return _CapturedSteps(model, compiled, compute, program, report)


class _CapturedSteps:
    """Takes training steps, replayed once the sizes of batches repeat.

    Args:
        model: the model.
        compiled: its losses, metrics and optimizer.
        compute: computes a step.
        program: returns the code in use.
        report: takes a line where capturing fails.
    """

    def __init__(
        self, model: Trainable, compiled: Compiled, compute: Compute, program: Callable[[], Any], report: Callable[[str], None]
    ) -> None:
        self._compiled, self._compute_, self._program, self._report = compiled, compute, program, report
        self._optimizer = compiled.optimizer
        self._weights = [runtime.realize(weight) for weight in model.weights]
        parts = (part.record for part in compiled.loss_parts if part is not None)
        self._records: list[LossRecord] = [compiled.loss_record, *parts]
        self._has_metrics = bool(compiled.metrics_by_name)
        # metrics that may do more than change tensors are updated beside the replay
        self._captures_metrics = all(map(is_known_metric, compiled.metrics))
        if compiled.replays is None:
            compiled.replays = Replays(self._work, self._bound, compiled.graph_maker or CudaGraph, generators_of(program()))
        self._replays: Replays = compiled.replays
        self._replays.generators = generators_of(program())
        self._replays.work, self._replays.bound = self._work, self._bound  # graphs stay where nothing has changed
        self._batch: Batch | None = None

    def __call__(self, batch: Batch) -> None:
        """Take one step."""
        replays, compiled = self._replays, self._compiled
        failed, self._batch = replays.failure, batch
        results = replays.replay([*batch.x, *batch.y, *batch.weights], self._optimizer.advance)
        self._batch = None
        if results is None:
            if replays.failure != failed:
                self._report(f"steps are launched one by one, as capturing them failed: {replays.failure}")
            aside(lambda: self._plain(batch))
            return
        count = len(self._records)
        for record, value in zip(self._records, results[:count], strict=True):
            record.add(value.clone(), batch.size)
        if self._has_metrics and not self._captures_metrics:
            compiled.update(results[count:], batch.y, batch.weights)
        torch.autograd.graph.increment_version(self._weights)

    def _plain(self, batch: Batch) -> None:
        outputs = self._compute_(batch, self._optimizer.step)
        if self._has_metrics:
            self._compiled.update(outputs, batch.y, batch.weights)

    def _work(self, inputs: Sequence[torch.Tensor | None]) -> Tensors:
        """Compute a step on tensors in the order of x, y and weights; return the losses recorded, and the outputs."""
        batch = self._batch
        if batch is None:
            raise RuntimeError("a step is captured only while one is taken")
        ends = len(batch.x), len(batch.x) + len(batch.y)
        batch = batch._replace(x=[*inputs[: ends[0]]], y=[*inputs[ends[0] : ends[1]]], weights=[*inputs[ends[1] :]])
        with contextlib.ExitStack() as stack:
            recorded = [stack.enter_context(record.set_aside()) for record in self._records]
            outputs = self._compute_(batch, self._optimizer.update)
            if self._has_metrics and self._captures_metrics:
                self._compiled.update(outputs, batch.y, batch.weights)
            return [*(values[-1] for values in recorded), *outputs]

    def _bound(self) -> object:
        """Return what captured steps are bound to: the code, where weights and state are in memory, and numbers in Python."""
        variables = [v for metric in self._compiled.metrics for v in metric.variables] if self._captures_metrics else []
        addresses = [tensor.data_ptr() for tensor in (*self._weights, *variables)]
        return self._program(), addresses, tuple(self._compiled.weights), self._optimizer.bound()


def replayed_forward(
    model: Trainable, program: engine.Program, device: torch.device, maker: GraphMaker | None = None
) -> Forward:
    """Return what computes a program's outputs without gradients, replayed where possible; the next call overwrites them."""
    facts = model_facts(model, program, device)
    if not decide(facts._replace(device="cuda") if maker else facts).used:
        return program
    weights = [runtime.realize(weight) for weight in model.weights]

    def work(inputs: Sequence[torch.Tensor | None]) -> Tensors:
        outputs, extra = program(inputs)
        return [*outputs, *extra]

    def bound() -> object:
        return [weight.data_ptr() for weight in weights], program.refresh_constants()

    if program.replays is None:
        program.replays = Replays(work, bound, maker or CudaGraph, generators_of(program))
    replays: Replays = program.replays

    def forward(inputs: Sequence[torch.Tensor | None]) -> tuple[Tensors, Tensors]:
        results = replays.replay(inputs)
        if results is None:
            found: tuple[Tensors, Tensors] = aside(lambda: program(inputs))
            return found
        count = program.lowered.outputs
        return results[:count], results[count:]

    return forward

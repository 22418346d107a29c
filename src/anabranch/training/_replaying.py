"""Steps that a GPU repeats by itself: what of a step is captured, what stands beside each replay, and whether it can be."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from anabranch import engine, runtime
from anabranch.engine.cuda_graphs import CudaGraph, Decision, Facts, Replays, aside, decide
from anabranch.engine.opaque import Opaque
from anabranch.training._record import Record
from anabranch.training._sources import Batch
from anabranch.training.compiling import Compiled

Tensors = list[torch.Tensor]
Run = Callable[[Batch, Callable[[], None]], Tensors]
"""Computes a step and returns the outputs, metrics left out; the weights are updated by the function it is given."""


def with_replay(model: Any, execution: engine.Execution, training: bool) -> engine.Execution:
    """Return the account of how a model runs, completed by whether its steps, or what ``predict`` computes, are captured."""
    program = engine.program(model, training)
    if not training:
        return dataclasses.replace(execution, replay=str(decide(model_facts(model, program))))
    if model._compiled is None:
        return execution
    model.optimizer.build(model.trainable_weights)
    return dataclasses.replace(execution, replay=str(training_decision(model, program)))


def training_decision(model: Any, program: Any) -> Decision:
    """Return whether the model's training steps are captured, and why."""
    return decide(training_facts(model, program))


def training_facts(model: Any, program: Any) -> Facts:
    """Return what speaks for and against capturing the model's training steps."""
    compiled: Compiled = model._compiled
    optimizer = compiled.optimizer
    capturable = getattr(optimizer, "capturable", False) and model.trainable_weights
    kept = compiled.replays
    functions = [*compiled.losses, *(each for w in model.trainable_weights for each in (w.regularizer, w.constraint))]
    return model_facts(model, program)._replace(
        device="cuda" if compiled.graph_maker else engine.device().type,
        by_hand=bool(model.overrides - {"predict_step"} or {"train_step", "test_step"} & vars(model).keys()),
        unknown=tuple(name_of(thing) for thing in functions if thing is not None and not is_known(thing)),
        accumulates=bool(getattr(optimizer, "gradient_accumulation_steps", None)),
        optimizer="" if capturable else type(optimizer).__name__,
        failure=kept.failure if kept else "",
    )


def model_facts(model: Any, program: Any) -> Facts:
    """Return what speaks for and against capturing what the model computes."""
    if model.run_eagerly:
        return Facts(engine.device().type, run_eagerly=True)
    code, parts = program.lowered.code, list(program.lowered.root.named_modules())
    watched = [part.metric for _, part in parts if isinstance(part, runtime.Watching)]
    return Facts(
        engine.device().type,
        jit_compile=model.jit_compile,
        opaque=tuple(name for name, part in parts if isinstance(part, Opaque)),
        foreign=tuple(type(part).__name__ for part in program.lowered.foreign if not is_plain_module(part)),
        watching=tuple(metric.name for metric in watched if not is_known_metric(metric)),
        reseeded=tuple(node.meta["path"] for node in code.nodes if node.target is torch.Generator),
    )


def is_known(thing: Any) -> bool:
    """Return whether a loss or regularizer does the same at each call: it is ours or torch's, or says so by ``capturable``."""
    if getattr(thing, "capturable", False) is True:
        return True
    inner = getattr(thing, "fn", None) or getattr(thing, "module", None)
    return thing.__module__.partition(".")[0] in ("anabranch", "torch") and (inner is None or is_known(inner))


def is_known_metric(metric: Any) -> bool:
    """Return whether a metric keeps tensors alone, which it changes in place."""
    if getattr(metric, "capturable", False) is True:
        return True
    inner = getattr(metric, "_fn", None)
    own = type(metric).__module__.startswith("anabranch.metrics.") and not type(metric).__name__.startswith("Torch")
    return own and (inner is None or is_known(inner))


def is_plain_module(module: torch.nn.Module) -> bool:
    """Return whether a module and those in it are torch's own and have no hooks."""
    return all(
        type(part).__module__.startswith("torch.nn.")
        and not (part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)
        for part in module.modules()
    )


def name_of(thing: Any) -> str:
    """Return how a loss or regularizer is called."""
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or type(thing).__name__)


def generators_of(program: Any) -> list[torch.Generator]:
    """Return the random generators that a program's layers draw from, besides the device's own."""
    parts = program.lowered.root.modules()
    return [value for part in parts for value in vars(part).values() if isinstance(value, torch.Generator)]


def captured_steps(
    model: Any, compiled: Compiled, run: Run, way: Callable[[], Any], report: Callable[[str], None]
) -> Callable[[Batch], None] | None:
    """Return the function that takes one training step, by replaying it where that is possible; None where it never is."""
    program, optimizer = way(), compiled.optimizer
    if not training_decision(model, program).used:
        if compiled.replays is not None:
            compiled.replays.forget()
        return None
    optimizer.hold(runtime.realize(model.trainable_weights[0]).device)
    return _Steps(model, compiled, run, way, report)


class _Steps:
    """Takes training steps, by replaying them where their sizes are settled."""

    def __init__(self, model: Any, compiled: Compiled, run: Run, way: Callable[[], Any], report: Callable[[str], None]) -> None:
        self._compiled, self._run, self._way, self._report = compiled, run, way, report
        self._optimizer = compiled.optimizer
        self._weights = [runtime.realize(weight) for weight in model.weights]
        self._records: list[Record] = [compiled.record, *(kept[1] for kept in compiled.records if kept is not None)]
        self._has_metrics = bool(compiled.keyed_metrics)
        # those that may do more than change tensors see each batch beside the replay
        self._measures = all(map(is_known_metric, compiled.metrics))
        if compiled.replays is None:
            compiled.replays = Replays(
                self._work, self._bound, compiled.graph_maker or CudaGraph, generators_of(way()),
            )  # fmt: skip
        self._replays: Replays = compiled.replays
        self._replays.generators = generators_of(way())
        self._replays.work, self._replays.bound = self._work, self._bound  # kept graphs stay where nothing has changed
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
        if self._has_metrics and not self._measures:
            compiled.update(results[count:], batch.y, batch.weights)
        torch.autograd.graph.increment_version(self._weights)

    def _plain(self, batch: Batch) -> None:
        outputs = self._run(batch, self._optimizer.step)
        if self._has_metrics:
            self._compiled.update(outputs, batch.y, batch.weights)

    def _work(self, held: Sequence[torch.Tensor | None]) -> Tensors:
        """Compute a step on tensors in the order of x, y and weights; return what records are to note, and the outputs."""
        batch = self._batch
        if batch is None:
            raise RuntimeError("a step is captured while one is taken")
        ends = len(batch.x), len(batch.x) + len(batch.y)
        batch = batch._replace(x=[*held[: ends[0]]], y=[*held[ends[0] : ends[1]]], weights=[*held[ends[1] :]])
        with contextlib.ExitStack() as stack:
            noted = [stack.enter_context(record.apart()) for record in self._records]
            outputs = self._run(batch, self._optimizer.update)
            if self._has_metrics and self._measures:
                self._compiled.update(outputs, batch.y, batch.weights)
            return [*(values[-1] for values in noted), *outputs]

    def _bound(self) -> Any:
        """Return what captured steps are bound to: the code, where weights and state lie, and numbers in Python."""
        variables = [v for metric in self._compiled.metrics for v in metric.variables] if self._measures else []
        places = [tensor.data_ptr() for tensor in (*self._weights, *variables)]
        return self._way(), places, tuple(self._compiled.weights), self._optimizer.bound()


def replayed_forward(model: Any, program: Any, maker: Any = None) -> Callable[[Sequence[Any]], tuple[Tensors, Tensors]]:
    """Return what computes a program's outputs without gradients, replayed where possible; the next call overwrites them."""
    facts = model_facts(model, program)
    if not decide(facts._replace(device="cuda") if maker else facts).used:
        return program  # type: ignore[no-any-return]  # a way to compute outputs is such a function
    weights = [runtime.realize(weight) for weight in model.weights]

    def work(held: Sequence[torch.Tensor | None]) -> Tensors:
        outputs, extra = program(held)
        return [*outputs, *extra]

    def bound() -> Any:
        return [weight.data_ptr() for weight in weights], program.settled()

    if program.replays is None:
        program.replays = Replays(work, bound, maker or CudaGraph, generators_of(program))
    replays: Replays = program.replays

    def forward(inputs: Sequence[Any]) -> tuple[Tensors, Tensors]:
        results = replays.replay(inputs)
        if results is None:
            found: tuple[Tensors, Tensors] = aside(lambda: program(inputs))
            return found
        count = program.lowered.outputs
        return results[:count], results[count:]

    return forward


__all__ = ["captured_steps", "replayed_forward", "training_decision", "with_replay"]

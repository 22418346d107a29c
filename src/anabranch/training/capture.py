"""Captured steps: which part of a step is captured, what runs beside each replay, and whether it can be."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from anabranch import _asked, config, engine, runtime
from anabranch._asked import is_from
from anabranch._fields import Configurable
from anabranch.engine.captured import LARGE, DeviceGraph, Facts, GraphMaker, Replays, decide
from anabranch.engine.cuda_graphs import CudaGraph, aside
from anabranch.engine.flat.graph import FlatGraph
from anabranch.engine.opaque import Opaque, is_plain_module
from anabranch.graph import Weight
from anabranch.optimizers import capturing
from anabranch.optimizers.optimizer import follow
from anabranch.training.compiled import Compiled, Tensors
from anabranch.training.data.batch import Batch
from anabranch.training.loss_record import LossRecord
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable, has_custom_step

Compute = Callable[[Batch, Callable[[], None]], Tensors]
"""Computes a step without its metrics and returns the outputs; the weights are updated by the function it is given."""
Forward = Callable[[Sequence[torch.Tensor | None]], tuple[Tensors, Tensors]]


def with_replay(model: Trainable, explain: Callable[[], engine.Execution], training: bool) -> engine.Execution:
    """Return the account of how a model runs, with whether its training steps, or its predictions, are captured.

    ``explain`` gives the account, once that is decided.
    """
    program, strategy, compiled = engine.program(model, training), model._training_strategy_, model._compiled_
    if not training:
        if config.inference_engine():
            from anabranch.training import elsewhere  # only where it is used

            return dataclasses.replace(explain(), replay=str(elsewhere.session_for(model, program)))
        decision = decide(model_facts(model, program, strategy.device))
    elif compiled is None:
        return explain()
    else:
        trained = model.trainable_weights
        follow(compiled.optimizer, trained)
        decision = decide(training_facts(model, compiled, program, strategy, trained))
    program.replay(decision.used and not decision.flat)
    measured = compiled.choice.line if training and compiled is not None and model.jit_compile is True else ""
    return dataclasses.replace(explain(), replay="; ".join(filter(None, [measured, str(decision)])))


def training_facts(
    model: Trainable, compiled: Compiled, program: engine.Program, strategy: Strategy, trained: Sequence[Weight]
) -> Facts:
    """Return what decides whether the steps in which a model trains these weights can be captured."""
    optimizer, replays = compiled.optimizer, compiled.replays
    device = "cuda" if compiled.graph_maker else strategy.device.type
    # on a CPU the update, and with it constraints, is not captured
    capturable = trained and (capturing.is_capturable(optimizer) or device == "cpu")
    functions = [*compiled.losses, *(w.regularizer for w in trained)]
    functions += [w.constraint for w in trained] if device != "cpu" else []
    return model_facts(model, program, strategy.device)._replace(
        device=device,
        training=True,
        jit_compile="auto" if compiled.choice.plain else model.jit_compile,
        custom_step=has_custom_step(model),
        unknown=tuple(name_of(thing) for thing in functions if thing is not None and not is_known(thing)),
        hooked=tuple(weight.path for weight in trained if is_hooked(runtime.realize(weight))),
        around=modes_around(),
        recomputes=bool(model._remat_),
        accumulates=bool(optimizer.gradient_accumulation_steps),
        optimizer="" if capturable else type(optimizer).__name__,
        unfit=replays.unfit if replays else "",
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


def is_hooked(weight: torch.Tensor) -> bool:
    """Return whether the backward pass calls functions of Python for a weight."""
    return bool(weight._backward_hooks or weight._post_accumulate_grad_hooks)


def modes_around() -> str:
    """Return which mode of torch is on that does more than operations show; "" for none."""
    if torch.is_anomaly_enabled():
        return "torch.autograd.detect_anomaly"
    return "torch.autocast" if any(map(torch.is_autocast_enabled, ("cpu", "cuda"))) else ""


def name_of(thing: object) -> str:
    """Return the name of a loss or regularizer."""
    return str(getattr(thing, "name", None) or _asked.name_of(thing) or type(thing).__name__)  # functions have no ``name``


def generators_of(program: engine.Program) -> list[torch.Generator]:
    """Return the random generators that a program's layers draw from, besides the device's own."""
    parts = program.lowered.root.modules()
    return [value for part in parts for value in vars(part).values() if isinstance(value, torch.Generator)]


def captured_steps(
    model: Trainable, compiled: Compiled, compute: Compute, program: Callable[[], Any], strategy: Strategy,
    report: Callable[[str], None], weights: Sequence[Weight], trained: Sequence[Weight],
) -> Callable[[Batch], None] | None:  # fmt: skip
    """Return the function that takes one training step, replayed where that is possible; None where it never is."""
    code = program()
    decision = decide(training_facts(model, compiled, code, strategy, trained))
    if isinstance(code, engine.Program):
        code.replay(decision.used and not decision.flat)
    if not decision.used:
        if compiled.replays is not None:
            compiled.replays.forget()
        return None
    flat = decision.flat
    capturing.hold_numbers(compiled.optimizer, None if flat else runtime.realize(trained[0]).device)
    return (_FlatSteps if flat else _CapturedSteps)(compiled, compute, program, report, weights, trained)


class _CapturedSteps:
    """Takes training steps, replayed once the sizes of batches repeat.

    Args:
        compiled: the model's losses, metrics and optimizer.
        compute: computes a step.
        program: returns the code in use.
        report: takes a line where capturing fails.
        weights: all of the model.
        trained: those that are updated.
    """

    def __init__(
        self, compiled: Compiled, compute: Compute, program: Callable[[], Any], report: Callable[[str], None],
        weights: Sequence[Weight], trained: Sequence[Weight],
    ) -> None:  # fmt: skip
        self._compiled, self._compute, self._program, self._report = compiled, compute, program, report
        self._optimizer = compiled.optimizer
        self._weights = [runtime.realize(weight) for weight in weights]
        self._trained = [runtime.realize(weight) for weight in trained]
        found = [*compiled.losses, *(weight.regularizer for weight in trained)]
        self._set = [vars(each) for each in dict.fromkeys(found) if isinstance(each, Configurable)]
        parts = (part.record for part in compiled.loss_parts if part is not None)
        self._records: list[LossRecord] = [compiled.loss_record, *parts]
        self._has_metrics = bool(compiled.metrics_by_name)
        # metrics that may do more than change tensors are updated beside the replay
        self._captures_metrics = all(map(is_known_metric, compiled.metrics))
        if compiled.replays is None:
            compiled.replays = Replays(self._work, self._bound, self.maker)
        self._replays: Replays = compiled.replays
        self._replays.make = compiled.graph_maker or self.maker
        self._replays.generators = lambda: generators_of(program())
        self._replays.work, self._replays.bound = self._work, self._bound  # graphs stay where nothing has changed
        self._batch: Batch | None = None

    def __call__(self, batch: Batch) -> None:
        """Take one step."""
        replays, compiled = self._replays, self._compiled
        failed, self._batch = replays.failure, batch
        results = replays.replay([*batch.x, *batch.y, *batch.weights], self._before)
        self._batch = None
        if results is None:
            if replays.failure != failed:
                self._report(f"steps are launched one by one, as capturing them failed: {replays.failure}")
            aside(lambda: self._plain(batch))
            return
        given = iter(results)
        for record in self._records:
            record.add(_there(next(given)).clone(), batch.size)
        outputs = [_there(next(given)) for _ in compiled.losses]
        masks = [next(given) for _ in outputs]
        if self._has_metrics and not self._captures_metrics:
            compiled.update([*map(runtime.with_mask, outputs, masks)], batch.y, batch.weights)
        self._after(list(given))

    def maker(self, generators: Sequence[torch.Generator]) -> DeviceGraph:
        """Return an empty graph."""
        return CudaGraph(generators)

    def _before(self) -> None:
        """Prepare what the captured update reads."""
        capturing.advance(self._optimizer)

    def _update(self) -> None:
        """Update the weights, in the captured work."""
        self._optimizer._update_()

    def _after(self, gradients: list[torch.Tensor | None]) -> None:
        """Note that weights have changed."""
        torch.autograd.graph.increment_version(self._weights)

    def _clear(self) -> None:
        """Prepare the gradients of a step that is run as usual."""
        self._optimizer.zero_grad()

    def _plain(self, batch: Batch) -> None:
        self._clear()
        outputs = self._compute(batch, self._optimizer.step)
        if self._has_metrics:
            self._compiled.update(outputs, batch.y, batch.weights)

    def _work(self, inputs: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Compute a step on tensors in the order of x, y and weights.

        Returns the losses recorded, the outputs, their masks, and the gradients.
        """
        batch = self._batch
        if batch is None:
            raise RuntimeError("a step is captured only while one is taken")
        ends = len(batch.x), len(batch.x) + len(batch.y)
        batch = batch._replace(x=[*inputs[: ends[0]]], y=[*inputs[ends[0] : ends[1]]], weights=[*inputs[ends[1] :]])
        with contextlib.ExitStack() as stack:
            recorded = [stack.enter_context(record.set_aside()) for record in self._records]
            self._optimizer.zero_grad()
            outputs = self._compute(batch, self._update)
            if self._has_metrics and self._captures_metrics:
                self._compiled.update(outputs, batch.y, batch.weights)
            losses = [values[-1] for values in recorded]
        return [*losses, *outputs, *map(runtime.mask_of, outputs), *(weight.grad for weight in self._trained)]

    def _bound(self) -> object:
        """Return what captured steps are bound to: the code, where weights and state are in memory, and numbers in Python."""
        variables = [v for metric in self._compiled.metrics for v in metric.variables] if self._captures_metrics else []
        addresses = [tensor.data_ptr() for tensor in (*self._weights, *variables)]
        numbers = tuple(self._compiled.weights), config.epsilon(), [list(map(_number, some.values())) for some in self._set]
        return self._program(), addresses, numbers, self._bound_update()

    def _bound_update(self) -> object:
        return capturing.bound_to(self._optimizer)


class _FlatSteps(_CapturedSteps):
    """Takes training steps, run without autograd once the sizes of batches repeat; the optimizer updates beside them."""

    def maker(self, generators: Sequence[torch.Generator]) -> DeviceGraph:
        """Return an empty program, whose gradients will lie side by side."""
        return FlatGraph(generators, len(self._trained))

    def __call__(self, batch: Batch) -> None:
        """Take one step; one on a large batch as usual."""
        if any(x is not None and x.nbytes > LARGE for x in batch.x):
            self._plain(batch)
        else:
            super().__call__(batch)

    def _before(self) -> None:
        pass

    def _update(self) -> None:
        pass

    def _clear(self) -> None:
        """Let gradients go where the program has its own, so that memory for them is not taken twice."""
        super()._clear()
        if held := self._replays.held():
            gradients = held[-len(self._trained) :]
            torch._foreach_zero_([gradient for gradient in gradients if gradient is not None])
            self._hand_out(gradients)

    def _after(self, gradients: list[torch.Tensor | None]) -> None:
        """Update the weights."""
        self._hand_out(gradients)
        self._optimizer.step()

    def _hand_out(self, gradients: Sequence[torch.Tensor | None]) -> None:
        for weight, gradient in zip(self._trained, gradients, strict=True):
            if weight.grad is not gradient:
                weight.grad = gradient

    def _bound_update(self) -> object:
        return self._optimizer.loss_scale_factor, runtime.threads()


def _there(value: torch.Tensor | None) -> torch.Tensor:
    if value is None:
        raise RuntimeError("a captured step gives its losses and outputs")
    return value


def _number(value: object) -> object:
    return value if isinstance(value, (int, float, str)) else None


def replayed_forward(
    model: Trainable, program: engine.Program, device: torch.device, maker: GraphMaker | None = None
) -> Forward:
    """Return what computes a program's outputs without gradients, replayed where possible; the next call overwrites them."""
    facts = model_facts(model, program, device)
    program.replay(decide(facts._replace(device="cuda") if maker else facts).used)
    if not program.replayed:
        return program
    program.variant(no_grad=True)  # so that it is known from the first batch on where its constants are
    weights = [runtime.realize(weight) for weight in model.weights]

    def work(inputs: Sequence[torch.Tensor | None]) -> Tensors:
        outputs, extra = program(inputs)
        return [*outputs, *extra]

    def bound() -> object:
        return [weight.data_ptr() for weight in weights], program.refresh_constants()

    if program.replays is None:
        program.replays = Replays(work, bound, maker or CudaGraph, lambda: generators_of(program), in_row=False)
    replays: Replays = program.replays

    def forward(inputs: Sequence[torch.Tensor | None]) -> tuple[Tensors, Tensors]:
        results = replays.replay(inputs)
        if results is None:
            found: tuple[Tensors, Tensors] = aside(lambda: program(inputs))
            return found
        count, values = program.lowered.outputs, [*map(_there, results)]
        return values[:count], values[count:]

    return forward

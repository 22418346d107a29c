"""The executor: computes a model's outputs in one mode, and knows when its graph or settings have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from anabranch import _process, config, engine
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable

Tensors = list[torch.Tensor]
Report = Callable[[str], None]
Forward = Callable[[Sequence[torch.Tensor | None]], tuple[Tensors, Tensors]]
"""Flat inputs to outputs and losses that layers add."""


def silent(line: str) -> None:
    """Drop a line of a report."""


class Executor:
    """Computes a model's outputs for batches, as settings say: by lowered code, compiled code, another engine, or by layers.

    Args:
        model: the model.
        training: whether layers run as in training.
        strategy: where.
        report: takes a line where something takes long, as torch.compile does.
    """

    def __init__(self, model: Trainable, training: bool, strategy: Strategy, report: Report = silent) -> None:
        self._model = model
        self._training = training
        self._strategy = strategy
        self._report = report
        self.program: engine.Runner
        """What computes the outputs."""
        self.reuses_outputs = False
        """Whether the next call overwrites the outputs of this one, as those of a replayed CUDA graph."""
        self._forward: Forward
        self._prepare()

    def refresh(self) -> bool:
        """Prepare again where the graph or the settings have changed since the last time; return whether they had.

        A custom ``call`` has another graph for data of other sizes; layers are frozen, devices chosen, ``run_eagerly`` set.
        """
        if self._watched:
            engine.note_changes(self._watched)
        if self._changes == _process.changes() and self.program.graph is self._model._running_graph_:
            return False
        self._prepare()
        return True

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> tuple[Tensors, Tensors]:
        """Return the outputs and the losses that layers add."""
        return self._forward(inputs)

    def _prepare(self) -> None:
        model = self._model
        self._changes = _process.changes()
        self.reuses_outputs = False
        self._watched: list[engine.Watched] = []
        if model.run_eagerly:
            self.program = self._forward = engine.Eager(model, self._training)
            return
        plain = self._training and model._compiled_ is not None and model._compiled_.choice.plain
        report = self._report if model.jit_compile is True and not plain else None
        program = engine.program(model, self._training, report, model._remat_ if self._training else ())
        self.program = self._forward = program
        self._watched = engine.watched_layers(model)
        if not self._training and config.inference_engine():
            from anabranch.training import elsewhere  # only where it is used

            self._forward = elsewhere.session_for(model, program) or program
        elif not self._training and self._strategy.device.type == "cuda":
            from anabranch.training import capture  # only where it is used

            self._forward = capture.replayed_forward(model, program, self._strategy.device)
            self.reuses_outputs = self._forward is not program

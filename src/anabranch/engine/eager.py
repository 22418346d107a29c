"""A model run layer by layer, as a debugger wants it, and the protocol of all that computes a model's outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch

from anabranch import _tree, runtime
from anabranch.engine.programs import program
from anabranch.graph import AnyModel, Graph, Operation

Results = tuple[list[torch.Tensor], list[torch.Tensor]]


class Runner(Protocol):
    """Flat tensors in; outputs and auxiliary losses out."""

    graph: Graph

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> Results:
        """Return the outputs and what layers add to the loss."""

    def without_gradients(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context to run in where nobody asks for gradients."""


class Eager:
    """Runs layers one by one, each its own ``call``, as a debugger wants it."""

    def __init__(self, model: AnyModel, training: bool) -> None:
        program(model, training)  # which places the weights
        self.graph: Graph = model._need_running_graph_()
        self._model = cast("Operation", model)  # as every model is one
        self._training = training

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> Results:
        """Return the outputs and what layers add to the loss."""
        nest = _tree.fill(self.graph.input_structure, list(inputs))
        with runtime.gathering() as gathered, runtime.training_scope(self._training):
            result, _ = runtime.run(self._model, (nest,), {"training": self._training})
            runtime.give_losses(self._model)
        return _tree.leaves(result), gathered

    def without_gradients(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context to run in where nobody asks for gradients; a user's code may ask for some inside."""
        return torch.no_grad()

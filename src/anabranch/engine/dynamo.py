"""A model inside what ``torch.compile`` compiles: its fx graph, so that it becomes a part of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch

from anabranch import _tree, runtime
from anabranch._errors import AnabranchError
from anabranch.engine.programs import Program, place_weights
from anabranch.graph import AnyModel, Operation
from anabranch.runtime.dynamo import FOLLOWS, outside_of_dynamo, run_while_compiling
from anabranch.runtime.masks import shows_mask


class Compiled(AnyModel, Protocol):
    """A model."""

    _code_: Code | None
    _training_code_: Code | None  # for calls that say training=True

    def _bind_inputs_(self, value: _tree.Nest) -> list[Any]:
        """Return the leaves of a nest in the order of the inputs."""

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        """Compute a call."""


class Code:
    """The fx graph for calls in one mode on inputs nested in one way, and the state of the model for which it holds.

    Args:
        state: see there.
        module: the graph, None where the model has more than outputs to give, or layers that cannot be traced.
        order: which leaf of what is given each input is.
        declared: the shape and dtype of each input.
        structure: the nest of the outputs, with their numbers as leaves.
    """

    def __init__(self, model: Compiled, nest: _tree.Nest, training: bool, state: object) -> None:
        self.state = state
        self.module: torch.fx.GraphModule | None = None
        self.order: list[int] = []
        self.declared: list[tuple[tuple[int | None, ...], torch.dtype]] = []
        self.structure: _tree.Nest = None
        try:
            graph = model._graph_
            if graph is None or model._running_graph_ is not graph:
                return
            runtime.synchronise_seed()
            place_weights(model)
            program = Program(graph, training, streams=False)
            order = model._bind_inputs_(nest)
        except AnabranchError:  # the call itself raises it again
            return
        if program.only_outputs and all(type(index) is int for index in order):
            self.order = order
            self.declared = [(tensor.shape, runtime.dtype_of(tensor.dtype)) for tensor in graph.inputs]
            self.structure = _tree.fill(graph.output_structure, list(range(len(graph.outputs))))
            self.module = program.module
            for module in program.lowered.third_party:
                module.train(training)


@run_while_compiling
def _prepare(model: Compiled, nest: _tree.Nest, given: bool | None, state: object) -> None:
    """Have the model hold the code for a call; the same as long as the state is the same, as compiled code checks."""
    training = bool(runtime.mode_of(cast("Operation", model), given))  # as every model is one
    state = (model._graph_, nest, training, state)
    known = model._training_code_ if given is True else model._code_
    if known is not None and known.state == state:
        return
    if given is True:
        model._training_code_ = Code(model, nest, training, state)
    else:
        model._code_ = Code(model, nest, training, state)


def call(model: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    """Return what a model gives, as torch.compile follows it; where that cannot, the call is left to Python."""
    training = kwargs.get("training")
    if not FOLLOWS or len(args) != 1 or len(kwargs) != (training is not None):
        return outside_of_dynamo(model, args, kwargs)
    leaves: list[Any] = []
    nest = _numbered(args[0], leaves)
    _prepare(model, nest, training, [(each.trainable, each.training, each._revision_) for each in model._inner_layers_()])
    code = model._training_code_ if training is True else model._code_
    if code is None or code.module is None:
        return outside_of_dynamo(model, args, kwargs)
    given = []
    for index, (shape, dtype) in zip(code.order, code.declared, strict=True):
        value = leaves[index]
        if not _fits(value, shape):
            return outside_of_dynamo(model, args, kwargs)
        given.append(value if value.dtype == dtype else value.to(dtype))
    return _filled(code.structure, code.module(*given))


def _fits(value: object, shape: tuple[int | None, ...]) -> bool:
    """Return whether a value is a tensor that can be given as it is."""
    if not isinstance(value, torch.Tensor) or value.dim() != len(shape) or value.dtype.is_complex:
        return False
    sizes = zip(value.shape[1:], shape[1:], strict=True)
    return not shows_mask(value) and all(known is None or known == size for size, known in sizes)


def _numbered(nest: _tree.Nest, leaves: list[Any]) -> _tree.Nest:
    """Return a nest with the numbers of its leaves in their place, and add them to ``leaves``: as simple as dynamo wants it."""
    if isinstance(nest, dict):
        return {key: _numbered(value, leaves) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        return [_numbered(value, leaves) for value in nest]
    leaves.append(nest)
    return len(leaves) - 1


def _filled(nest: _tree.Nest, values: Sequence[torch.Tensor]) -> _tree.Nest:
    if isinstance(nest, dict):
        return {key: _filled(value, values) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return tuple([_filled(value, values) for value in nest])
    return [_filled(value, values) for value in nest] if isinstance(nest, list) else values[nest]

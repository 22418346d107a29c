"""Run a graph step by step on whatever its layers accept: tensors, traced values, fake tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from anabranch import _tree, runtime
from anabranch._asked import first_line
from anabranch._errors import AnabranchError, EngineError
from anabranch.engine.lower import masked_axes, note, note_shapes
from anabranch.graph import Graph, Node, Tensor, with_values
from anabranch.graph.flatten import Flat, Step, flatten

REFUSALS = (RuntimeError, IndexError, AssertionError, ZeroDivisionError)
"""What torch's kernels raise: an id outside of an Embedding's table is an IndexError, ``torch._assert`` an AssertionError, and
sizes of 0 end in a ZeroDivisionError."""


class Observer(Protocol):
    """Who watches a graph run."""

    def fed(self, flat: Flat, values: Sequence[Any]) -> None:
        """See what the graph begins with, one value for each input."""

    def take(self, step: Step, values: list[Any]) -> list[Any]:
        """Return what a step computes with in the place of what it is given."""

    def gave(self, step: Step, values: Sequence[Any]) -> None:
        """See what a step gave."""


def interpret(
    graph: Graph, inputs: Sequence[Any], masks: Sequence[Any] = (), observer: Observer | None = None
) -> tuple[list[Any], list[Any]]:
    """Return the graph's flat outputs for flat ``inputs``, and the mask of each; ``masks`` are the inputs', () for none."""
    flat = flatten(graph)
    values = _fed(graph, flat, inputs)
    if runtime.is_tracing():
        for tensor, number in zip(graph.inputs, flat.inputs, strict=True):
            note(values[number], tensor.spec)
    found: dict[int, Any] = dict(zip(flat.inputs, masks, strict=bool(masks)))
    if observer is not None:
        observer.fed(flat, [values[number] for number in flat.inputs])
    for _ in _steps(flat, values, found, observer):
        pass
    return [values[number] for number in flat.outputs], [found.get(number) for number in flat.outputs]


def _fed(graph: Graph, flat: Flat, inputs: Sequence[Any]) -> dict[int, Any]:
    """Return the values that the steps begin with, each in the dtype that its Input declares."""
    given = [runtime.as_declared(value, tensor, graph) for value, tensor in zip(inputs, graph.inputs, strict=True)]
    return dict(zip(flat.inputs, given, strict=True))


def _steps(flat: Flat, values: dict[int, Any], masks: dict[int, Any], observer: Observer | None = None) -> Iterator[Step]:
    """Yield each step before it runs, and note what it gives and the masks of that."""
    reach: dict[int, int] = {}
    for step in flat.steps:
        yield step
        layer = step.node.operation
        given = [masks.get(number) for number in step.inputs]
        taken = [values[number] for number in step.inputs]
        inputs = runtime.distinct(taken if observer is None else observer.take(step, taken), given)
        args, kwargs = _tree.map_leaves(runtime.as_constant, with_values(step.node, inputs))
        if layer.autocast:
            args = runtime.as_tensors(args, layer.compute_dtype, integers=layer._takes_integers_)
            kwargs = runtime.named_tensors(layer, kwargs, layer.compute_dtype)
        result, marks = runtime.run(layer, args, kwargs, _edges(step.node, (args, kwargs), given))
        results = _tree.leaves(result)
        if runtime.is_tracing():  # what is known of shapes the description knows
            note_shapes(step, masked_axes(step, reach), results, marks)
        if observer is not None:
            observer.gave(step, results)
        values.update(zip(step.outputs, results, strict=True))
        masks.update(zip(step.outputs, marks, strict=True))


def _edges(node: Node, given: _tree.Nest, masks: Sequence[Any]) -> list[runtime.Edge]:
    """Return the values among a call's arguments, those of edges of the graph, each with its mask."""
    places = zip(_tree.leaves(given), _tree.leaves((node.args, node.kwargs)), strict=True)
    return list(zip((value for value, leaf in places if isinstance(leaf, Tensor)), masks, strict=True))


def explained(error: Exception, graph: Graph, inputs: Sequence[Any], training: bool) -> AnabranchError:
    """Return torch's refusal as an error that names the layer and its line, found by running the layers one by one."""
    weights = (weight for layer in graph.operations for weight in layer.weights)
    known = runtime.converted(weights, error) or culprit(error, graph, inputs, training)
    if known is not None:
        return known
    fact = f"The model could not run: {first_line(error)}"
    return EngineError.of(error, fact, got=", ".join(str(tuple(x.shape)) for x in inputs))


def culprit(error: Exception, graph: Graph, inputs: Sequence[Any], training: bool) -> AnabranchError | None:
    """Return an error that names the layer that cannot run and its line; None where all can."""
    flat = flatten(graph)
    values = _fed(graph, flat, inputs)
    step: Step | None = None
    try:
        with runtime.training_scope(training):
            for step in _steps(flat, values, {}):  # noqa: B007 - the last one is the one that fails
                pass
    except AnabranchError as known:
        if step is not None and step.node.operation._is_function_:
            known.where = ""  # where the model was run, not where the function was called
        return known.at(f"{step.path!r}, called at {step.node.site}") if step is not None else known
    except REFUSALS as again:
        if step is not None:
            given = ", ".join(str(tuple(values[number].shape)) for number in step.inputs)
            operation = step.node.operation
            name = operation._error_label_() if operation._is_function_ else f"{operation._kind_name_()} {step.path!r}"
            return EngineError.of(
                error, f"{name} could not run: {first_line(again)}", got=given, where=f"called at {step.node.site}"
            )
    return None

"""The calls of a model in the order they run, nested models opened, with every size known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from anabranch._asked import is_integer, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, NoGraphError
from anabranch.graph import AnyModel, Graph, Node, Operation, Shape, Spec, Tensor, map_specs, spec_leaves, with_values
from anabranch.graph.flatten import Step, flatten
from anabranch.graph.shapes import same, to_shape
from anabranch.insight.costs.work import Call

InputShape: TypeAlias = "Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None"


class Sized(NamedTuple):
    """One step with the call whose sizes are known; ``node`` is that of the graph."""

    step: Step
    call: Call

    @property
    def node(self) -> Node:
        """The node of the graph."""
        return self.step.node


class Steps(NamedTuple):
    """What comes in, the steps, and the numbers of the values that come out."""

    inputs: dict[int, tuple[Tensor, Spec]]
    steps: list[Sized]
    outputs: list[int]


def graph_of(model: object) -> Graph:
    """Return the graph of a model, or raise where there is none."""
    if not isinstance(model, Operation) or not model._has_layers_:
        raise ArgumentTypeError("cost takes a model.", got=shown(model), repair="Model(inputs, outputs)")
    graph: Graph | None = model._graph_
    if graph is None:
        raise NoGraphError(
            f"What {model.name!r} costs is not known: it has no graph yet.", got=model._error_label_(),
            repair="begin with an Input, call build((None, …)), or build it as Model(inputs, outputs)",
        )  # fmt: skip
    return graph


def sized(model: AnyModel, batch: int | None, input_shape: InputShape, dtype: str | None) -> Steps:
    """Return the steps of a model for a batch of ``batch`` and inputs of ``input_shape``; ``dtype`` is that of all floats."""
    graph = graph_of(model)
    flat = flatten(graph)
    shapes = _shapes(graph, batch, input_shape)

    def of_dtype(spec: Spec) -> Spec:
        return Spec(tuple(spec.shape), dtype if dtype and "float" in spec.dtype else spec.dtype)

    given = [Spec(shape, tensor.dtype) for shape, tensor in zip(shapes, graph.inputs, strict=True)]
    values = {
        number: Tensor(tensor.node, tensor.index, spec)
        for number, tensor, spec in zip(flat.inputs, graph.inputs, given, strict=True)
    }
    steps: list[Sized] = []
    for step in flat.steps:
        tensors = [values[number] for number in step.inputs]
        specs, args, kwargs = _asked(step, tensors)
        outputs = spec_leaves(specs)
        for index, (number, spec) in enumerate(zip(step.outputs, outputs, strict=True)):
            values[number] = Tensor(step.node, index, Spec(spec.shape, spec.dtype))
        made = [of_dtype(spec) for spec in outputs]
        steps.append(Sized(step, Call(step.node.operation, [of_dtype(t.spec) for t in tensors], made, args, kwargs)))
    inputs = {n: (t, of_dtype(spec)) for n, t, spec in zip(flat.inputs, graph.inputs, given, strict=True)}
    return Steps(inputs, steps, flat.outputs)


def _asked(step: Step, tensors: list[Tensor]) -> tuple[object, tuple[object, ...], dict[str, object]]:
    """Return what a step gives for tensors whose sizes are known, and its arguments."""
    node = step.node
    args, kwargs = with_values(node, tensors)
    if all(tensor.shape == before.shape for tensor, before in zip(tensors, node.inputs, strict=True)):
        specs = node.output_specs
    else:
        try:
            specs = node.operation.compute_output_spec(*args, **kwargs)
        except AnabranchError as error:
            raise error.at(f"{node.operation._error_label_()}, called at {node.site}") from error.__cause__
    if any(None in spec.shape for spec in spec_leaves(specs)):
        batch = tensors[0].shape[0] if tensors and tensors[0].shape else None
        specs = map_specs(lambda spec: _with_batch(spec, batch, step), specs)
    return specs, args, kwargs


def _with_batch(spec: Spec, batch: int | None, step: Step) -> Spec:
    """Return a spec whose first size, if unknown, is the batch; what else is unknown follows from values."""
    shape = (batch, *spec.shape[1:]) if spec.shape and spec.shape[0] is None else spec.shape
    if None in shape:
        raise ArgumentError(
            f"How much {step.node.operation._error_label_()} gives follows from the values that it is given.",
            got=f"shape {spec.shape}", where=f"called at {step.node.site}",
        )  # fmt: skip
    return Spec(shape, spec.dtype)


def _shapes(graph: Graph, batch: int | None, input_shape: InputShape) -> list[Shape]:
    """Return the shapes that come in, without unknown sizes."""
    if batch is not None and (not is_integer(batch) or isinstance(batch, bool) or batch < 1):
        raise ArgumentError("batch is an integer of at least 1.", got=shown(batch))
    given = _given(graph, input_shape)
    shapes = [_shape(tensor, batch, shape, graph) for tensor, shape in zip(graph.inputs, given, strict=True)]
    for tensor, shape in zip(graph.inputs, shapes, strict=True):
        if None in shape:
            raise ArgumentError(
                f"What the model costs follows from the sizes that {tensor.node.operation._error_label_()} leaves open.",
                expected="a size for each None", got=str(tensor.shape),
                repair=f"cost(input_shape={tuple(size or 64 for size in tensor.shape[1:])}), with your sizes",
            )  # fmt: skip
    return shapes


def _given(graph: Graph, input_shape: InputShape) -> Sequence[object]:
    """Return a shape for each input, None where the declared one counts."""
    names = [graph.names.get(tensor.node.operation, tensor.name) for tensor in graph.inputs]
    if input_shape is None:
        return [None] * len(names)
    if isinstance(input_shape, Mapping):
        for name in input_shape:
            if name not in names:
                raise ArgumentError(f"The model has no input {name!r}.", expected=", ".join(names))
        return [input_shape.get(name) for name in names]
    if isinstance(input_shape, Iterable) and not isinstance(input_shape, str):
        several = list(input_shape)
        if len(several) == len(names) and all(isinstance(shape, (tuple, list)) for shape in several):
            return several
    if len(names) > 1:
        raise ArgumentError(
            "input_shape has a shape for each input.", expected=f"{len(names)}: {', '.join(names)}", got=shown(input_shape)
        )
    return [input_shape]


def _shape(tensor: Tensor, batch: int | None, given: object, graph: Graph) -> Shape:
    """Return one input's shape with the batch, and with the sizes given in the place of unknown ones."""
    declared = tensor.shape
    first = batch if batch is not None else declared[0] if declared and declared[0] is not None else 1
    if given is None:
        return (first, *declared[1:])
    shape = to_shape(given, "input_shape")
    rest = shape[1:] if len(shape) == len(declared) else shape
    if not same(rest, declared[1:]):
        name = graph.names.get(tensor.node.operation, tensor.name)
        raise ArgumentError(
            f"input_shape does not fit the input {name!r}.", expected=f"{declared[1:]}, a size for each None", got=str(shape),
            repair="Model(inputs, outputs) anew with other Inputs" if len(rest) == len(declared) - 1 else None,
        )  # fmt: skip
    return (first, *(size if size is not None else known for size, known in zip(rest, declared[1:], strict=True)))

"""A model's weights as torch has them: by layer, in torch's shapes, with what precedes each layer in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from anabranch import config
from anabranch._asked import method
from anabranch.engine import place_weights
from anabranch.graph import AnyModel, Operation, Spec, Weight
from anabranch.graph.flatten import Step, flatten
from anabranch.graph.shapes import Shape, product

ROLES = {  # what torch's modules call the weights of layers
    "kernel": "weight", "gamma": "weight", "embeddings": "weight", "bias": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
Flattened = tuple[int, ...]  # C, H, W, … of what was flattened


class Target(NamedTuple):
    """A weight that waits for a tensor of torch's.

    Args:
        path: its path in the model.
        weight: the weight.
        shape: that torch's tensor has.
        flattened: C, H, W of the images whose flattened positions it multiplies, in torch's order; empty where it does not.
    """

    path: str
    weight: Weight
    shape: tuple[int, ...]
    flattened: Flattened

    def reshaped(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor in the weight's shape where the two differ in axes of length 1 alone."""
        sizes = [[size for size in shape if size != 1] for shape in (tensor.shape, self.shape)]
        return tensor.reshape(self.shape) if sizes[0] == sizes[1] else tensor

    def assign(self, tensor: torch.Tensor) -> None:
        """Set the values from torch's tensor."""
        weight = self.weight
        if self.flattened:  # torch flattens C H W, this model H W C
            tensor = tensor.reshape(-1, *self.flattened).movedim(1, -1).flatten(1)
        weight.assign(weight.from_native(tensor.reshape(weight.native_shape)))


class Group(NamedTuple):
    """The weights of one layer.

    Args:
        path: the layer's path in the model.
        holder: the path of the outermost layer that holds this one alone, such as the LSTM of a cell; else ``path``.
        targets: the weights by what torch calls them; others by their own names.
        before: a bit for each group that the input is computed from.
        producer: the position of the group whose output, through nothing but layers without weights, is the input; or None.
    """

    path: str
    holder: str
    targets: dict[str, Target]
    before: int
    producer: int | None


class _Value(NamedTuple):
    """What is known of a value: its ancestors' bits, the group that it comes from alone, what was flattened into it."""

    before: int = 0
    producer: int | None = None
    flattened: Flattened = ()


def groups_of(model: AnyModel) -> list[Group]:
    """Return the weights of a model by layer, in the order in which they are computed with."""
    graph = model._need_running_graph_()
    place_weights(model)
    flat = flatten(graph)
    values = dict.fromkeys(flat.inputs, _Value())
    found: list[Group] = []
    positions: dict[Weight, int] = {}
    for step in flat.steps:
        given = [values[number] for number in step.inputs]
        result = _Value(_union(given), *_passed(step, given))
        flattened = given[0].flattened if len(given) == 1 else ()
        for holder, path, layer in _weighted(step.path, step.node.operation):
            own = [weight for weight in layer._own_weights_() if weight not in positions]
            if own:
                targets = {ROLES.get(w.name, w.name): _target(path, layer, w, flattened) for w in own}
                positions |= dict.fromkeys(own, len(found))
                found.append(Group(path, holder, targets, result.before, result.producer))
            elif not layer._own_weights_():
                continue
            position = positions[layer._own_weights_()[0]]
            result = _Value(result.before | 1 << position, position)
        values |= dict.fromkeys(step.outputs, result)
    return found


def _union(given: list[_Value]) -> int:
    before = 0
    for value in given:
        before |= value.before
    return before


def _weighted(path: str, operation: Operation) -> Iterator[tuple[str, str, Operation]]:
    """Yield a layer and those inside it, with the path of what holds each alone and its own, in order."""
    stack = [(path, path, operation)]
    seen = set[Operation]()
    while stack:
        holder, path, layer = stack.pop()
        if layer in seen:
            continue
        seen.add(layer)
        yield holder, path, layer
        inside = [(f"{path}/{child.path.rpartition('/')[2]}", child) for child in layer._sublayers_()]
        alone = len(inside) == 1 and not layer._own_weights_()
        stack += reversed([(holder if alone else name, name, child) for name, child in inside])


def _target(path: str, layer: Operation, weight: Weight, flattened: Flattened) -> Target:
    name = weight.path.removeprefix(layer.path + "/")
    shape = weight.native_shape
    rank = len(shape)
    if rank > 2 and weight.axes and weight.axes[:2] == (rank - 2, rank - 1):  # depthwise: each channel is a group of its own
        shape = (shape[0] * shape[1], 1, *shape[2:])
    is_matrix = rank == 2 and weight.axes is not None and product(flattened) == weight.shape[0]
    return Target(f"{path}/{name}", weight, shape, flattened if is_matrix else ())


def _passed(step: Step, given: list[_Value]) -> tuple[int | None, Flattened]:
    """Return what a step with one input passes on: which group it comes from, and what was flattened."""
    if len(given) != 1:
        return None, ()
    before, after = step.node.inputs[0].shape, step.node.output_specs
    if not isinstance(after, Spec) or after.shape == before:
        return given[0].producer, given[0].flattened
    return given[0].producer, _flattening(step.node.operation, before, after.shape)


def _flattening(operation: Operation, before: Shape, after: Shape) -> Flattened:
    """Return C, H, W where a step makes one axis of H, W, C."""
    sizes = [size for size in before[1:] if size is not None]
    if len(before) < 4 or len(sizes) + 1 != len(before) or len(after) != 2 or after[1] != product(tuple(sizes)):
        return ()
    described = method(operation, "get_config")  # of a layer, not of a function
    own = described().get("data_format") if described else None
    if own == "channels_first":  # the layer flattens to H W C, whatever it is given
        return tuple(sizes)
    first = own is None and config.image_data_format() == "channels_first"
    return () if first else (sizes[-1], *sizes[:-1])

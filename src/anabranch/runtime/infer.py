"""Shapes of what only torch knows: run a layer on fake tensors that have shapes and no numbers.

A layer that branches on numbers cannot run on fakes; it runs on ones. Either way it runs twice, with two different sizes
wherever a size is unknown: a size of the result that differs between the runs depends on them and is unknown too. Plain
numbers, unlike torch's symbolic ones, let a user's code branch on a shape.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from anabranch import _tree
from anabranch._errors import AnabranchError, EngineError
from anabranch.graph import Shape, Spec, Tensor, Weight
from anabranch.graph.records import MaskedSpec
from anabranch.runtime import state
from anabranch.runtime.arrays import NAMES, dtype_of
from anabranch.runtime.device import device
from anabranch.runtime.masks import mask_of, with_mask

_DESCRIBED = "_described_shape"
# what stands for a size that is not known: large enough for windows, small enough for loops, divisible by what people divide by
UNKNOWN = (24, 48)


class _StandIns:
    """A recorder that gives ones for weights, so that none is made before its time."""

    def weight(self, weight: Weight) -> torch.Tensor:
        shape = weight.shape if weight.axes is None else tuple(weight.shape[axis] for axis in weight.axes)
        return torch.ones(shape, dtype=dtype_of(weight.dtype), device=device())

    def module(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the module with ones for its parameters and buffers, so that its own stay as they are."""
        held = {
            name: torch.ones(p.shape, dtype=p.dtype, device=device())
            for name, p in [*module.named_parameters(), *module.named_buffers()]
        }
        return torch.func.functional_call(module, held, args, kwargs)

    def ran(self, layer: Any, result: Any) -> None:
        """Nothing is kept."""

    def loss(self, value: Any) -> None:
        """Nothing is kept."""

    def watch(self, metric: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Nothing is kept."""


def infer(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    """Return the specs of what ``layer.call`` gives on symbolic arguments."""
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # it logs what is raised anyway
    try:
        first, second = (_run(layer, args, kwargs, unknown, FakeTensorMode(allow_non_fake_inputs=True)) for unknown in UNKNOWN)
    except DataDependentOutputException:
        first, second = (_run(layer, args, kwargs, unknown, torch.no_grad()) for unknown in UNKNOWN)
    other = iter(_tree.leaves(second))

    def spec(tensor: torch.Tensor) -> Spec:
        shape = tuple(m if m == n else None for m, n in zip(tensor.shape, next(other).shape, strict=True))
        mask = mask_of(tensor)
        if mask is None:
            return Spec(shape, NAMES[tensor.dtype])
        seen = MaskedSpec(shape, NAMES[tensor.dtype])
        seen.mask_axes = mask.dim()
        return seen

    return _tree.map_leaves(spec, first)


def _run(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], unknown: int, mode: Any) -> _tree.Nest:
    symbolic = [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if isinstance(leaf, Tensor)]
    own: str = layer.compute_dtype if layer.autocast and "float" in layer.compute_dtype else ""

    def stand_in(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        sizes = [unknown if size is None else size for size in leaf.shape]
        cast = own and ("float" in leaf.dtype or not layer.takes_integers)
        value = torch.ones(sizes, dtype=dtype_of(own if cast else leaf.dtype), device=device())
        if leaf.masked:
            value = with_mask(value, torch.ones(sizes[: leaf.mask_axes], dtype=torch.bool, device=device()))
        setattr(value, _DESCRIBED, leaf.shape)
        return value

    with mode, state.recording(_StandIns()):
        args, kwargs = _tree.map_leaves(stand_in, (args, kwargs))
        try:
            result = state.run(layer, args, kwargs)
        except (AnabranchError, DataDependentOutputException):
            raise
        except Exception as error:
            raise EngineError(
                f"{_named(layer)} fails on these shapes: {error}".strip(),
                got=", ".join(str(leaf.shape) for leaf in symbolic),
                repair="or write compute_output_shape(self, input_shape), so that call need not run to describe the model"
                if not layer.is_function
                else None,
            ) from error
    for leaf in _tree.leaves(result):
        if not isinstance(leaf, torch.Tensor):
            raise EngineError(
                f"{_named(layer)} gave {'nothing' if leaf is None else f'a {type(leaf).__name__}'} where a tensor belongs.",
                repair="end it with return and the result" if leaf is None else None,
            )
    return result


def described_shape(value: Any) -> Shape:
    """Return a tensor's shape; while shapes are found, as far as the symbolic tensor that it stands for knows it."""
    shape: Shape | None = value.__dict__.get(_DESCRIBED)
    return tuple(value.shape) if shape is None else shape


def _named(operation: Any) -> str:
    return f"The call of {type(operation).__name__}" if not operation.is_function else f"The function {operation.name}"

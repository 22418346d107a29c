"""Shapes of what only torch knows: run a function or layer on fake tensors, which have shapes and no values.

A layer that branches on values cannot run on fakes; it runs on ones. Either way it runs several times, with other sizes
wherever a size is unknown: a size of the result that differs between the runs depends on them and is unknown too. Plain
numbers, unlike torch's symbolic ones, let a user's code branch on a shape. Where no such size fits what a call knows of other
arrays (``x + table``), those of the other arrays are tried, as broadcasting and joining want them.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from anabranch import _tree
from anabranch._asked import has_shape
from anabranch._errors import AnabranchError, DtypeError, EngineError
from anabranch.graph import Operation, Shape, Spec, Tensor, Weight
from anabranch.graph.records import MaskedSpec
from anabranch.runtime import state
from anabranch.runtime.arrays import DTYPES, NAMES, dtype_of
from anabranch.runtime.device import device
from anabranch.runtime.judge import Judge
from anabranch.runtime.masks import Edge
from anabranch.runtime.third_party import unchanged_buffers

_DESCRIBED = "_described_shape"
# sizes that are tried for an unknown one: large enough for windows, small enough for loops, divisible by what people divide by
UNKNOWN = (24, 48)
_SMALL = 2  # tried besides, as the least of an unknown and a known size is not always the known one
_MOST_SIZES = 6  # of other arrays that are tried


class _StandIns:
    """A tracer that gives ones for weights, so that none is created early."""

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

    def inner_call(self, layer: object, args: object, kwargs: object, edges: object) -> None:
        """Let layers inside run."""

    def ran(self, layer: Any, result: Any) -> None:
        """Nothing is noted."""

    def loss(self, value: Any) -> None:
        """Nothing is noted."""

    def watch(self, metric: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Nothing is noted."""


def infer(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    """Return the specs of what ``operation.call`` gives on symbolic arguments; a function learns how far masks reach."""
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # it logs what is raised anyway
    with unchanged_buffers(operation.weights):
        return _inferred(operation, args, kwargs)


def _inferred(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    failure: EngineError | None = None
    for known, batch in _guesses(args, kwargs):
        try:
            results = [_run(operation, args, kwargs, _Sizes(size, known, batch)) for size in UNKNOWN]
        except EngineError as error:
            failure = failure or error
            continue
        if operation.is_function:
            with contextlib.suppress(AnabranchError):  # windows and parts may need more
                results.append(_run(operation, args, kwargs, _Sizes(_SMALL, known, batch)))
        return _specs(results, known if batch else None, _named(operation))
    raise _without_sizes(failure, operation, args, kwargs) if failure else EngineError("Nothing was tried.")


def _guesses(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[int | None, bool]]:
    """Yield what unknown sizes may be: any number; then sizes of other arrays, all but the batch's, and the batch's too."""
    yield None, False
    arrays = [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if has_shape(leaf)]
    if len(arrays) < 2 or not any(None in leaf.shape for leaf in arrays):
        return
    known = sorted({size for leaf in arrays for size in leaf.shape if size is not None and size > 1})[:_MOST_SIZES]
    for batch in (False, True):
        for size in known:
            yield size, batch


class _Sizes:
    """The sizes that one run uses for unknown ones."""

    def __init__(self, unknown: int, known: int | None, batch: bool) -> None:
        self.unknown = unknown
        self.known = known
        self.batch = batch

    def of(self, shape: Shape) -> list[int]:
        """Return a shape with numbers for what is not known."""
        return [self._one(axis) if size is None else size for axis, size in enumerate(shape)]

    def _one(self, axis: int) -> int:
        return self.unknown if self.known is None or (axis == 0 and not self.batch) else self.known


def _specs(runs: list[tuple[_tree.Nest, list[Any]]], guessed: int | None, what: str) -> _tree.Nest:
    """Return the specs that several runs agree upon; a size that may only be ``guessed`` of the batch is unknown."""
    first, masks = runs[0][0], iter(runs[0][1])
    others = zip(*(_tree.leaves(result) for result, _ in runs[1:]), strict=True)

    def spec(tensor: torch.Tensor) -> Spec:
        columns = zip(tensor.shape, *(other.shape for other in next(others)), strict=True)
        shape = tuple(sizes[0] if len(set(sizes)) == 1 and sizes[0] != guessed else None for sizes in columns)
        if tensor.dtype not in NAMES:
            raise DtypeError(
                f"{what} gave {str(tensor.dtype).removeprefix('torch.')}, which no tensor between layers may be.",
                expected=", ".join(DTYPES), repair="compute with it inside one layer's call, whose result is real",
            )  # fmt: skip
        mask = next(masks)
        if mask is None:
            return Spec(shape, NAMES[tensor.dtype])
        seen = MaskedSpec(shape, NAMES[tensor.dtype])
        seen.mask_axes = mask.dim()
        return seen

    return _tree.map_leaves(spec, first)


def _without_sizes(error: EngineError, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> EngineError:
    """Return the error of a call whose text names no size that was only tried for an unknown one."""
    try:
        _run(operation, args, kwargs, _Sizes(UNKNOWN[1], None, False))
    except EngineError as other:
        error.fact = _common(error.fact, other.fact)
        error.got = error.got and _common(error.got, other.got or "")
    return error


def _common(first: str, second: str) -> str:
    """Return a text with None where its numbers differ from those of another.

    >>> _common("size 24 meets 10", "size 48 meets 10")
    'size None meets 10'
    """
    numbers = re.findall(r"\d+", second)
    if len(re.findall(r"\d+", first)) != len(numbers):
        return first
    others = iter(numbers)
    return re.sub(r"\d+", lambda found: found[0] if found[0] == next(others) else "None", first)


def _run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sizes: _Sizes) -> tuple[_tree.Nest, list[Any]]:
    """Return what one run gives, and its masks: on fakes, or on ones where values are asked for."""
    try:
        return _run_in(FakeTensorMode(allow_non_fake_inputs=True), operation, args, kwargs, sizes)
    except DataDependentOutputException:
        return _run_in(torch.no_grad(), operation, args, kwargs, sizes)


def _run_in(
    mode: Any, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sizes: _Sizes
) -> tuple[_tree.Nest, list[Any]]:
    arrays = [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if has_shape(leaf)]
    symbolic = [leaf for leaf in arrays if isinstance(leaf, Tensor)]
    own: str = layer.compute_dtype if layer.autocast and "float" in layer.compute_dtype else ""
    judge = Judge(len(arrays)) if layer.judgements is not None and sizes.unknown == UNKNOWN[0] else None
    numbers = iter(range(len(arrays)))
    edges: list[Edge] = []

    def stand_in(leaf: Any) -> Any:
        number = next(numbers) if has_shape(leaf) else 0
        if not isinstance(leaf, Tensor):
            return leaf
        lengths = sizes.of(leaf.shape)
        cast = own and ("float" in leaf.dtype or not layer.takes_integers)
        value = torch.ones(lengths, dtype=dtype_of(own if cast else leaf.dtype), device=device())
        if leaf.masked:
            edges.append((value, torch.ones(lengths[: leaf.mask_axes], dtype=torch.bool, device=device())))
        setattr(value, _DESCRIBED, leaf.shape)
        if judge is not None:
            judge.start(number, value)
        return value

    with mode, state.tracing(_StandIns()):
        args, kwargs = _tree.map_leaves(stand_in, (args, kwargs))
        try:
            with judge or contextlib.nullcontext():
                result, masks = state.run(layer, args, kwargs, edges)
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
    leaves = _tree.leaves(result)
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor):
            raise EngineError(
                f"{_named(layer)} gave {'nothing' if leaf is None else f'a {type(leaf).__name__}'} where a tensor belongs.",
                repair="end it with return and the result" if leaf is None else None,
            )
    if judge is not None:
        layer.judgements.add(tuple(tuple(leaf.shape) for leaf in arrays), judge.judgement(leaves))
    return result, masks


def described_shape(value: Any) -> Shape:
    """Return a tensor's shape; while shapes are found, as far as its symbolic tensor knows it."""
    shape: Shape | None = value.__dict__.get(_DESCRIBED)
    return tuple(value.shape) if shape is None else shape


def _named(operation: Any) -> str:
    return f"The call of {type(operation).__name__}" if not operation.is_function else f"The function {operation.name}"

"""Shapes of what only torch knows: run a function or layer on fake tensors, which have shapes and no values.

A layer that branches on values cannot run on fakes; it runs on ones. Either way it runs several times, with other sizes
wherever a size is unknown: a size of the result that differs between the runs depends on them and is unknown too. Plain
numbers, unlike torch's symbolic ones, let a user's code branch on a shape. Where no such size fits what a call knows of other
arrays (``x + table``), an unknown size is bound to one of theirs, as broadcasting, joining and products want it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from anabranch import _tree
from anabranch._asked import Shaped, has_shape
from anabranch._errors import AnabranchError, DtypeError, EngineError
from anabranch.graph import Operation, Shape, Spec, Tensor, Weight
from anabranch.graph.arrays import ArrayLike
from anabranch.graph.records import MaskedSpec
from anabranch.graph.shapes import agreed
from anabranch.runtime import state
from anabranch.runtime.arrays import DTYPES, NAMES, as_constant, dtype_of
from anabranch.runtime.devices import device
from anabranch.runtime.judge import Judge
from anabranch.runtime.making import RefusingNew
from anabranch.runtime.masks import Edge
from anabranch.runtime.third_party import unchanged_buffers
from anabranch.runtime.weights import realize

_DESCRIBED, _OF_FUNCTION = "_described_shape", "_of_function"
# sizes that are tried for an unknown one: large enough for windows, small enough for loops, divisible by what people divide by
UNKNOWN = (24, 48)
_OTHER = 72  # shows which numbers in an error are such sizes
_SMALL = 2  # tried besides, as the least of an unknown and a known size is not always the known one
_MOST_SIZES = 6  # of other arrays that are tried
_MOST_GUESSES = 256  # combinations of sizes that are tried
Bound: TypeAlias = Mapping[tuple[int, int], int]
"""Sizes that unknown ones are bound to, by the number of the array among the arguments and the axis."""
Run: TypeAlias = tuple[_tree.Nest, list[Any]]
"""What a run gave, and the masks of it."""


class _StandIns:
    """A tracer that gives ones for weights, so that none is created early."""

    def weight(self, weight: Weight) -> torch.Tensor:
        return torch.ones(weight.native_shape, dtype=dtype_of(weight.dtype), device=device())

    def write(self, weight: Weight, value: torch.Tensor) -> None:
        """Leave the weight as it is."""

    def module(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        """Run the module with ones for its parameters and buffers, so that its own stay as they are."""
        held = {
            name: torch.ones(p.shape, dtype=p.dtype, device=device())
            for name, p in [*module.named_parameters(), *module.named_buffers()]
        }
        return torch.func.functional_call(module, held, args, kwargs)

    def inner_call(self, layer: object, args: object, kwargs: object, edges: object) -> None:
        """Let layers inside run."""

    def ran(self, layer: Operation, result: _tree.Nest) -> None:
        """Nothing is noted."""

    def loss(self, value: object) -> None:
        """Nothing is noted."""

    def watch(self, metric: state.Watched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Nothing is noted."""


def silence_fakes() -> None:
    """Keep torch from logging what fake tensors raise; who runs them catches it."""
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)


def infer(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    """Return the specs of what ``operation.call`` gives on symbolic arguments; a function learns how far masks reach."""
    silence_fakes()
    for weight in operation.weights:
        if weight.tensor is not None:
            realize(weight)  # on the device, where the fakes are
    with unchanged_buffers(operation.weights), state.stored([operation]):
        return _inferred(operation, args, kwargs)


def _inferred(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
    def run(unknown: int, bound: Bound) -> Run:
        return _run(operation, args, kwargs, _Sizes(unknown, bound))

    failure: AnabranchError | None = None
    given = (args, tuple(kwargs.values()))
    for bound in _guesses([leaf for leaf in _tree.leaves(given) if has_shape(leaf)], _lengths(given)):
        try:
            run(UNKNOWN[0], bound)
            bound = _needed(run, bound)
            results = [run(size, bound) for size in UNKNOWN]
        except AnabranchError as error:
            failure = failure or error
            continue
        others: list[tuple[int, Bound]] = [
            (UNKNOWN[0], {**bound, axis: size}) for axis in bound for size in (1, bound[axis] + 1, 2 * bound[axis])
        ]
        if operation._is_function_:
            others.append((_SMALL, bound))
        for unknown, sizes in others:
            with contextlib.suppress(AnabranchError):  # windows and parts may need more
                results.append(run(unknown, sizes))
        return _specs(results, _named(operation))
    raise _without_sizes(failure, operation, args, kwargs) if failure else EngineError("Nothing was tried.")


def _guesses(arrays: Sequence[Shaped], lengths: set[int]) -> Iterator[Bound]:
    """Yield which unknown sizes are bound to known ones: none; one; all alike; each to that of the axis it is aligned with.

    ``lengths`` are those of lists among the arguments.
    """
    yield {}
    unknown = [(number, axis) for number, array in enumerate(arrays) for axis, size in enumerate(array.shape) if size is None]
    found = {size for array in arrays for size in array.shape if size is not None} | lengths | {1}
    known = sorted(found, key=lambda size: (size < 2, size))[:_MOST_SIZES]  # 1 and 0 last: a size of 1 is mostly stretched
    several = [
        *({axis: size for axis in unknown if axis[1]} for size in known),
        *(dict.fromkeys(unknown, size) for size in known),
        *(
            {axis: size for axis in unknown if (size := _aligned(arrays, *axis, end, ones)) is not None}
            for ones in (False, True)
            for end in (True, False)
        ),
    ]
    yield from ({axis: size} for axis in unknown for size in known)
    yield from (bound for bound in several if len(bound) > 1)
    if (len(known) + 1) ** len(unknown) <= _MOST_GUESSES:
        for sizes in itertools.product([None, *known], repeat=len(unknown)):
            bound = {axis: size for axis, size in zip(unknown, sizes, strict=True) if size is not None}
            if len(bound) > 1:
                yield bound


def _aligned(arrays: Sequence[Shaped], number: int, axis: int, end: bool, ones: bool) -> int | None:
    """Return the known size of another array that an axis is aligned with, from the last or from the first axis on.

    A size of 1, which is mostly stretched, counts where ``ones`` says so.
    """
    place = axis - len(arrays[number].shape) if end else axis
    sizes = (
        array.shape[place] for other, array in enumerate(arrays)
        if other != number and (-place <= len(array.shape) if end else place < len(array.shape))
    )  # fmt: skip
    return next((size for size in sizes if size is not None and (ones or size != 1)), None)


def _lengths(given: object) -> set[int]:
    """Return the lengths of lists of numbers, and of lists of those, which are arrays to a function."""
    found: set[int] = set()
    stack = [given]
    if _tree.holds_itself(given):
        raise _tree.too_deep()
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple)):
            stack.extend(item)
            if isinstance(item, list):
                found.add(len(item))
    return found


def _needed(run: Callable[[int, Bound], Run], bound: Bound) -> Bound:
    """Return the part of what is bound without which a call does not run."""
    if len(bound) < 2:
        return bound
    single, pairs = [(axis,) for axis in bound], itertools.combinations(bound, 2)
    columns = [[each for each in bound if each[1] == place] for place in {axis for _, axis in bound}]
    for free in (*single, *columns, *pairs):
        less = {axis: size for axis, size in bound.items() if axis not in free}
        if len(less) == len(bound) - len(free):
            with contextlib.suppress(AnabranchError):
                run(UNKNOWN[0], less)
                bound = less
    return bound


class _Sizes(NamedTuple):
    """The sizes that one run uses for unknown ones: those that are bound, and one number for all others."""

    unknown: int
    bound: Bound

    def of(self, number: int, shape: Shape) -> list[int]:
        """Return the shape of an argument, by its number among the arrays, with numbers for what is not known."""
        return [self.bound.get((number, axis), self.unknown) if size is None else size for axis, size in enumerate(shape)]


def _specs(runs: list[Run], what: str) -> _tree.Nest:
    """Return the specs that several runs agree upon."""
    first, masks = runs[0][0], iter(runs[0][1])
    others = zip(*(_tree.leaves(result) for result, _ in runs[1:]), strict=True)

    def spec(tensor: torch.Tensor) -> Spec:
        shape = agreed(tensor.shape, *(other.shape for other in next(others)))
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


def _without_sizes(
    error: AnabranchError, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AnabranchError:
    """Return the error of a call whose text names no size that was only tried for an unknown one."""
    for size in (UNKNOWN[1], _OTHER):
        try:
            _run(operation, args, kwargs, _Sizes(size, {}))
        except AnabranchError as other:
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


def _run(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], sizes: _Sizes) -> Run:
    """Return what one run gives, and its masks: on fakes, or on ones where values are asked for."""
    try:
        return _run_in(FakeTensorMode(allow_non_fake_inputs=True), operation, args, kwargs, sizes)
    except (DataDependentOutputException, EngineError) as error:
        cause = error.__cause__ if isinstance(error, EngineError) else error
        if isinstance(cause, DataDependentOutputException) and not (operation._is_function_ and cause is not error):
            return _run_in(torch.no_grad(), operation, args, kwargs, sizes)
        if isinstance(error, EngineError) and isinstance(cause, (DataDependentOutputException, DynamicOutputShapeException)):
            error.fact = f"What {operation._error_label_()} gives depends on values, which a symbolic tensor lacks."
        raise


def _run_in(
    mode: contextlib.AbstractContextManager[object],
    layer: Operation,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sizes: _Sizes,
) -> Run:
    arrays = [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if has_shape(leaf)]
    symbolic = [leaf for leaf in arrays if isinstance(leaf, Tensor)]
    own: str = layer.compute_dtype if layer.autocast and "float" in layer.compute_dtype else ""
    judge = Judge(len(arrays)) if layer._judgements_ is not None and sizes.unknown == UNKNOWN[0] else None
    numbers = iter(range(len(arrays)))
    edges: list[Edge] = []

    def stand_in(leaf: object) -> object:
        number = next(numbers) if has_shape(leaf) else 0
        if not isinstance(leaf, Tensor):
            return as_constant(leaf) if isinstance(leaf, torch.Tensor) else leaf
        lengths = sizes.of(number, leaf.shape)
        cast = own and "complex" not in leaf.dtype and ("float" in leaf.dtype or not layer._takes_integers_)
        value = torch.ones(lengths, dtype=dtype_of(own if cast else leaf.dtype), device=device())
        if leaf.masked:
            edges.append((value, torch.ones(lengths[: leaf.mask_axes], dtype=torch.bool, device=device())))
        setattr(value, _DESCRIBED, leaf.shape)
        setattr(value, _OF_FUNCTION, layer._is_function_)
        if judge is not None:
            judge.start(number, value)
        return value

    refusing = contextlib.nullcontext() if layer._is_function_ else RefusingNew(layer)
    with mode, state.tracing(_StandIns()):
        args, kwargs = _tree.map_leaves(stand_in, (args, kwargs))
        try:
            with judge or contextlib.nullcontext(), refusing:
                result, masks = state.run(layer, args, kwargs, edges)
        except (AnabranchError, DataDependentOutputException):
            raise
        except Exception as error:
            raise EngineError.of(
                error,
                f"{_named(layer)} fails on these shapes: {error}".strip(),
                got=", ".join(str(leaf.shape) for leaf in symbolic),
                repair="write compute_output_shape(self, input_shape) if call is right: it then need not run here"
                if not layer._is_function_
                else None,
            ) from error
    leaves = _tree.leaves(result)
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor):
            raise EngineError(
                f"{_named(layer)} gave {'nothing' if leaf is None else f'a {type(leaf).__name__}'} where a tensor belongs.",
                repair="end it with return and the result" if leaf is None else None,
            )
    if judge is not None and layer._judgements_ is not None:
        layer._judgements_.add(tuple(tuple(leaf.shape) for leaf in arrays), judge.judgement(leaves))
    return result, masks


def described_shape(value: ArrayLike) -> Shape:
    """Return an array's shape; while shapes are found, as far as its symbolic tensor knows it."""
    shape: Shape | None = value.__dict__.get(_DESCRIBED) if isinstance(value, torch.Tensor) else None
    return tuple(value.shape) if shape is None else shape


def shape_in_call(value: ArrayLike) -> Shape:
    """Return an array's shape as its reader knows it: a function as the symbolic tensor does, a layer's ``call`` in numbers.

    What a ``call`` computes from the sizes it has read fits the array that it has.
    """
    of_function = isinstance(value, torch.Tensor) and value.__dict__.get(_OF_FUNCTION, False)
    return described_shape(value) if of_function else tuple(value.shape)


def _named(operation: Operation) -> str:
    return f"The call of {type(operation).__name__}" if not operation._is_function_ else f"The function {operation.name}"

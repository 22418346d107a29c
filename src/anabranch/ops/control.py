"""Branches and loops of Python's over functions. They decide by numbers: a layer that uses them stays whole in a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import SupportsInt, TypeVar

from anabranch import _tree
from anabranch._arguments import Count, checked
from anabranch._asked import described, has_shape, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import Tensor as Symbolic, call_site, describe
from anabranch.graph.arrays import is_numpy
from anabranch.graph.function import Whole
from anabranch.ops._arguments import documented
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import one_axis, tensor
from anabranch.ops.core import shape

R = TypeVar("R")
Nest = _tree.Nest


@checked
@documented
def cond(pred: TensorLike, true_fn: Callable[[], R], false_fn: Callable[[], R]) -> R:
    """Return ``true_fn()`` if ``pred`` is true, else ``false_fn()``.

    Args:
        pred: one boolean.
        true_fn: takes no arguments.
        false_fn: takes no arguments.

    >>> cond(True, lambda: "yes", lambda: "no")
    'yes'
    """
    known = is_numpy(pred) or not has_shape(pred)  # what is traced or symbolic says so itself
    decided = tensor(pred) if known and not isinstance(pred, bool) else pred
    if isinstance(decided, torch.Tensor) and decided.numel() != 1:
        raise ShapeError("pred of cond must be one boolean.", got=described(pred))
    return true_fn() if decided else false_fn()


@checked
@documented
def switch(index: SupportsInt, branches: Sequence[Callable[..., R]], *operands: Nest) -> R:
    """Return ``branches[index](*operands)``; an index out of range takes the nearest branch.

    Args:
        index: which branch.
        branches: the functions.
        *operands: the arguments of the branch.

    >>> switch(1, [lambda x: x, lambda x: -x], 3.0)
    tensor(-3.)
    """
    if len(branches) == 0:
        raise ArgumentError("branches of switch must have one function at least.", got=shown(branches))
    return branches[min(max(int(index), 0), len(branches) - 1)](*_tensors(operands))


@checked
@documented
def while_loop(
    cond: Callable[..., object], body: Callable[..., Nest], loop_vars: R, maximum_iterations: Count | None = None
) -> R:
    """Return the loop variables after ``loop_vars = body(*loop_vars)`` has run while ``cond(*loop_vars)`` was true.

    Args:
        cond: returns whether to go on.
        body: returns the next loop variables.
        loop_vars: the initial loop variables, one or several.
        maximum_iterations: the greatest number of iterations; None: no limit.

    >>> while_loop(lambda i: i < 5, lambda i: i + 2, 0)
    tensor(6, dtype=torch.int32)
    """
    alone = not isinstance(loop_vars, (tuple, list))
    variables: Nest = _tensors(tuple(loop_vars) if isinstance(loop_vars, (tuple, list)) else (loop_vars,))
    count = 0
    while (maximum_iterations is None or count < maximum_iterations) and _asked(cond, "cond", variables):
        result = _asked(body, "body", variables)
        variables = tuple(result) if isinstance(result, (tuple, list)) else (result,)
        count += 1
    return _tensors(variables[0] if alone else variables)


@checked
@documented
def fori_loop(lower: SupportsInt, upper: SupportsInt, body_fun: Callable[[int, Nest], Nest], init_val: Nest) -> Nest:
    """Return the value after ``value = body_fun(i, value)`` has run for i from ``lower`` to ``upper - 1``.

    Args:
        lower: the first index.
        upper: the end of the indices.
        body_fun: called with the index and the value.
        init_val: the initial value.

    >>> fori_loop(0, 3, lambda i, total: total + i, 0)
    tensor(3, dtype=torch.int32)
    """
    value = _tensors(init_val)
    for index in range(int(lower), int(upper)):
        value = body_fun(index, value)
    return _tensors(value)


@checked
@documented
def map(f: Callable[[Nest], Nest], xs: Nest) -> Nest:
    """Return ``f(x)`` for each x along the first axis of ``xs``, stacked.

    Args:
        f: the function.
        xs: the tensors, taken apart along the first axis.

    >>> import torch
    >>> map(lambda x: 2 * x, torch.tensor([1, 2]))
    tensor([2, 4])
    """
    if _rows_unknown(xs):
        return _as_node("map", lambda xs: map(f, xs), xs)
    return _stacked([f(part) for part in _parts(xs)])


@checked
@documented
def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    """Return ``function(x)`` for each x along the first axis, stacked; computed at once by ``torch.vmap``.

    Args:
        function: the function.
        elements: the tensors, as of :func:`map`.

    >>> import torch
    >>> vectorized_map(torch.linalg.norm, torch.tensor([[3.0, 4.0], [5.0, 12.0]]))
    tensor([ 5., 13.])
    """
    given = _tensors(elements)
    if not _tree.leaves(given) or not all(shape(leaf) and shape(leaf)[0] != 0 for leaf in _tree.leaves(given)):
        raise ShapeError("elements must have a first axis, which is taken apart.", expected="(N, …)", got=described(elements))
    if any(isinstance(leaf, Symbolic) for leaf in _tree.leaves(given)):
        return _as_node("vectorized_map", lambda elements: vectorized_map(function, elements), given)
    return torch.vmap(function)(given)


@checked
@documented
def scan(
    f: Callable[[Nest, Nest], tuple[Nest, Nest]],
    init: Nest,
    xs: Nest = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: bool | int = 1,
) -> tuple[Nest, Nest]:
    """Return the last state and the stacked outputs of ``state, output = f(state, x)``, x being each row of ``xs``.

    Args:
        f: takes the state and x; returns the next state and an output.
        init: the initial state.
        xs: the tensors, taken apart along the first axis; None: there are none.
        length: how many steps, where ``xs`` is None.
        reverse: whether to begin at the end.
        unroll: accepted as in Keras; it does not change the result.

    >>> import torch
    >>> scan(lambda total, x: (total + x, total + x), torch.tensor(0), torch.tensor([1, 2, 3]))
    (tensor(6), tensor([1, 3, 6]))
    """
    if xs is None and length is None:
        raise ArgumentError("How often is not known.", expected="scan(f, init, xs) or scan(f, init, length=n)")
    if _rows_unknown(xs):
        last, stacked = _as_node("scan", lambda given: scan(f, given[0], given[1], length, reverse), [init, xs])
        return last, stacked
    parts = [None] * (length or 0) if xs is None else _parts(xs)
    state, outputs = _tensors(init), []
    for part in reversed(parts) if reverse else parts:
        state, output = f(state, part)
        outputs.append(output)
    return _tensors(state), _stacked(outputs[::-1] if reverse else outputs)


@checked
@documented
def associative_scan(f: Callable[[Nest, Nest], Nest], elems: Nest, reverse: bool = False, axis: int = 0) -> Nest:
    """Return e₀, f(e₀, e₁), f(f(e₀, e₁), e₂), … along an axis, computed in log₂ n rounds (Blelloch 1990, §1.3).

    Args:
        f: combines two nests like ``elems``, elements along ``axis`` at once; associative.
        elems: the tensors, of one size along ``axis``.
        reverse: whether to begin at the end.

    >>> import torch
    >>> associative_scan(torch.add, torch.arange(5))
    tensor([ 0,  1,  3,  6, 10])
    """
    given = _tensors(elems)
    if any(isinstance(leaf, Symbolic) for leaf in _tree.leaves(given)):
        return _as_node("associative_scan", lambda elems: associative_scan(f, elems, reverse, axis), given)
    parts = _tree.leaves(given)
    if not parts or any(part is None for part in parts):
        raise ArgumentTypeError("elems must be a tensor, or a nest of tensors.", got=described(elems))
    places = [one_axis(axis, part.ndim) for part in parts]
    if len({part.shape[place] for part, place in zip(parts, places, strict=True)}) != 1:
        raise ShapeError(f"elems must be tensors of one size along axis {axis}.", got=described(elems))
    rows = [part.movedim(place, 0) for part, place in zip(parts, places, strict=True)]
    found = _scanned(f, given, [row.flip(0) for row in rows] if reverse else rows)
    found = [row.flip(0) if reverse else row for row in found]
    return _tree.fill(given, [row.movedim(0, place) for row, place in zip(found, places, strict=True)])


def _scanned(f: Callable[[Nest, Nest], Nest], nest: Nest, rows: list[Tensor]) -> list[Tensor]:
    """Return the running results: of pairs first, then of the elements between."""
    count = rows[0].shape[0]
    if count < 2:
        return rows

    def both(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        return _tree.leaves(f(_tree.fill(nest, a), _tree.fill(nest, b)))

    odd = _scanned(f, nest, both([row[:-1:2] for row in rows], [row[1::2] for row in rows]))
    first = [row[:1] for row in rows]
    if count == 2:
        return [torch.cat(pair) for pair in zip(first, odd, strict=True)]
    between = both([row[: (count - 1) // 2] for row in odd], [row[2::2] for row in rows])
    even = [torch.cat(pair) for pair in zip(first, between, strict=True)]
    joined = [torch.stack((a[: count // 2], b), 1).flatten(0, 1) for a, b in zip(even, odd, strict=True)]
    return [torch.cat((row, a[-1:])) for row, a in zip(joined, even, strict=True)] if count % 2 else joined


def _rows_unknown(xs: Nest) -> bool:
    return any(isinstance(leaf, Symbolic) and leaf.shape[:1] == (None,) for leaf in _tree.leaves(xs))


def _as_node(name: str, run: Callable[[Nest], Nest], given: Nest) -> Nest:
    """Return what a function over rows gives whose number is known when it runs."""
    run.__name__ = name
    return describe(Whole(run), (given,), {}, call_site())


def _asked(function: Callable[..., R], name: str, variables: Sequence[Nest]) -> R:
    """Return what a function of the loop variables returns; raise where it takes more or fewer of them."""
    try:
        return function(*variables)
    except TypeError as error:
        taken = inspect.signature(function)
        try:
            taken.bind(*variables)
        except TypeError:
            raise ArgumentTypeError(
                f"{name} of while_loop must take the loop variables.", expected=f"{name}{taken}",
                got=f"{len(variables)} loop variable{'s' * (len(variables) != 1)}",
            ) from error  # fmt: skip
        raise


def _parts(xs: Nest) -> list[Nest]:
    given = _tensors(xs)
    if not _tree.leaves(given) or not all(shape(leaf) for leaf in _tree.leaves(given)):
        raise ShapeError("xs must have a first axis, which is taken apart.", expected="tensors (N, …)", got=described(xs))
    count = shape(_tree.leaves(given)[0])[0]
    if count is None:
        raise ArgumentError(
            "How many positions the first axis has is not known.", repair="functions along an axis, or RNN layers"
        )
    return [_tree.map_leaves(lambda leaf: leaf[index], given) for index in range(count)]  # noqa: B023 - called at once


def _stacked(results: list[Nest]) -> Nest:
    if not results or results[0] is None:
        return None
    columns = zip(*(_tree.leaves(result) for result in results), strict=True)
    return _tree.fill(results[0], [torch.stack([tensor(value) for value in column]) for column in columns])


def _tensors(nest: Nest) -> Nest:
    return _tree.map_leaves(lambda leaf: leaf if leaf is None or isinstance(leaf, Symbolic) else tensor(leaf), nest)

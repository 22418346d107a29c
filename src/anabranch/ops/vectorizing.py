"""Functions of single elements, made to take whole tensors."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph.shapes import Shape, broadcast
from anabranch.ops._arguments import documented
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor
from anabranch.ops._values import tensor

Nest = _tree.Nest
Core = tuple[str, ...]


@checked
@documented
def vectorize(
    pyfunc: Callable[..., Nest], *, excluded: Collection[int] | None = None, signature: str | None = None
) -> Callable[..., Nest]:
    """Return a function that applies another to each element of its arguments, which broadcast; computed by ``torch.vmap``.

    Args:
        pyfunc: takes and returns tensors without axes, or with those of ``signature``.
        excluded: the positions of arguments that are handed on as they are.
        signature: the last axes of arguments and results, which belong to one element: "(m,n),(n)->(m)".

    >>> vectorize(lambda a, b: a if b is None else a + b)([1, 2, 3], 2)
    tensor([3, 4, 5], dtype=torch.int32)
    """
    cores, results = ([], None) if signature is None else _parsed(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Nest, **kwargs: Nest) -> Nest:
        whole = {place for place, arg in enumerate(args) if arg is None or place in (excluded or ())}
        varied = [place for place in range(len(args)) if place not in whole]
        axes = cores if signature is not None else [()] * len(args)
        if len(axes) != len(args):
            raise ArgumentError(
                f"The signature {signature!r} does not fit.", expected=f"{len(axes)} arguments", got=f"{len(args)}"
            )
        tensors = [tensor(args[place]) for place in varied]
        batch, lengths = _batch(tensors, [axes[place] for place in varied])

        def one(*elements: Tensor) -> Nest:
            given = dict(zip(varied, elements, strict=True))
            found = pyfunc(*(given.get(place, arg) for place, arg in enumerate(args)), **kwargs)
            _check(found, results, lengths, signature)
            return found

        if not batch:
            return one(*tensors)
        flat = [
            x.expand((*batch, *x.shape[x.ndim - len(axes[place]) :])).flatten(0, len(batch) - 1)
            for place, x in zip(varied, tensors, strict=True)
        ]
        return _tree.map_leaves(lambda found: found.unflatten(0, batch), torch.vmap(one)(*flat))

    return vectorized


def _parsed(signature: str) -> tuple[list[Core], list[Core]]:
    sides = signature.replace(" ", "").split("->")
    group = r"\((\w+(,\w+)*)?\)"
    if len(sides) != 2 or not all(re.fullmatch(rf"{group}(,{group})*", side) for side in sides):
        raise ArgumentError("This is no signature.", expected='such as "(m,n),(n)->(m)"', got=signature)
    inputs, outputs = ([tuple(re.findall(r"\w+", each)) for each in re.findall(r"\([^)]*\)", side)] for side in sides)
    return inputs, outputs


def _batch(tensors: list[Tensor], axes: list[Core]) -> tuple[tuple[int, ...], dict[str, int]]:
    """Return the shape of what is not of single elements, and the sizes of the named axes."""
    batch: Shape = ()
    lengths: dict[str, int] = {}
    for x, core in zip(tensors, axes, strict=True):
        if x.ndim < len(core):
            raise ShapeError("An argument has too few axes.", expected=f"(…, {', '.join(core)})", got=str(tuple(x.shape)))
        own = x.ndim - len(core)
        batch = broadcast(batch, tuple(x.shape[:own]))
        _agree(lengths, core, x.shape[own:])
    return tuple(torch.Size(batch)), lengths  # type: ignore[arg-type]  # all sizes of tensors are known


def _agree(lengths: dict[str, int], core: Core, sizes: torch.Size) -> None:
    for name, size in zip(core, sizes, strict=True):
        if lengths.setdefault(name, size) != size:
            raise ShapeError(f"The axis {name!r} has two sizes.", got=f"{lengths[name]} and {size}")


def _check(found: Nest, results: list[Core] | None, lengths: dict[str, int], signature: str | None) -> None:
    """Raise where the results are not those of the signature."""
    if results is None:
        return
    given = found if isinstance(found, (tuple, list)) else (found,)
    if len(given) != len(results) or any(x.ndim != len(core) for x, core in zip(given, results, strict=True)):
        raise ShapeError(
            "The function does not return what its signature says.", expected=repr(signature),
            got=", ".join(str(tuple(x.shape)) for x in given),
        )  # fmt: skip
    for x, core in zip(given, results, strict=True):
        _agree(lengths, core, x.shape)

"""How far masks reach through a function that states no rule: judged by the torch operations it dispatches.

While the function runs on fake tensors each value carries, for each array among the arguments, how many of that array's leading
axes still lead: position (b, t, …) of the value follows from position (b, t) of the array alone, be these two axes or, after a
view, one of B · T. Torch says of an operation whether it is pointwise (``torch.Tag.pointwise``) and in its schema along which
dimensions it acts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

from anabranch.graph import Judgement
from anabranch.runtime.torch_facts import Watching, is_pointwise

Leads: TypeAlias = tuple[int | None, ...]

_DIMENSIONS = ("dim", "dims", "dim0", "dim1", "dim2", "dimension", "axis")  # that an operation acts along
_NEW = frozenset(("unsqueeze", "stack"))  # whose dimension is counted in the result
_VIEWS = frozenset(
    ("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "view_as_real")
)  # the elements keep their order
_PRODUCTS = frozenset(("mm", "bmm", "addmm", "baddbmm"))
_MIXING = (  # combine the positions of a sample, so that no mask of positions follows
    "convolution", "max_pool", "avg_pool", "adaptive", "upsample", "_scaled_dot_product", "native_group_norm",
)  # fmt: skip


class Judge(Watching):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """Follows values from the arguments of a call to its results; ``count`` is the number of arrays among the arguments."""

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
        self._count = count
        self._shapes: list[tuple[int, ...]] = [()] * count  # of the arrays
        self._leads: dict[int, Leads] = {}
        self._direct: set[int] = set()  # the arrays, and views of them
        self._held: list[torch.Tensor] = []  # so that an id stays its own
        self.unknown = ""

    def start(self, number: int, value: torch.Tensor) -> None:
        """Begin at ``value``, which the run uses for an array among the arguments."""
        self._shapes[number] = tuple(value.shape)
        self._direct.add(id(value))
        self._note(value, tuple(value.dim() if each == number else None for each in range(self._count)))

    def judgement(self, results: Sequence[torch.Tensor]) -> Judgement:
        """Return what was seen, over all results."""
        found = [
            tuple(
                None if lead is None else min(lead, _prefix(shape, result.shape))
                for lead, shape in zip(self._leads.get(id(result), (None,) * self._count), self._shapes, strict=True)
            )
            for result in results
        ]
        return Judgement(tuple(_least(column) for column in zip(*found, strict=True)) if found else (), self.unknown)

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        """Run one operation, and note what its results follow from."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if any(id(leaf) in self._leads for leaf in inputs):
            for output in tree_leaves(result):
                if isinstance(output, torch.Tensor):
                    self._note(output, self._after(func, args, kwargs, inputs, output))
        return result

    def _note(self, value: torch.Tensor, leads: Leads) -> None:
        self._leads[id(value)] = leads
        self._held.append(value)

    def _after(
        self,
        func: OpOverload,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        inputs: list[torch.Tensor],
        output: torch.Tensor,
    ) -> Leads:
        name: str = func._schema.name.rpartition("::")[2]
        given = _arguments(func, args, kwargs)
        limits = _limits(name, is_pointwise(func), given, inputs, output)
        if name in (*_VIEWS, "expand") and id(inputs[0]) in self._direct:
            self._direct.add(id(output))
        if limits is None or name.startswith(_MIXING) or self._weighs_positions(name, inputs):
            self.unknown = self.unknown or name
        limits = [0] * len(inputs) if limits is None else limits
        found: list[list[int | None]] = [[] for _ in range(self._count)]
        for value, limit in zip(inputs, limits, strict=True):
            for column, lead, shape in zip(found, self._leads.get(id(value), ()), self._shapes, strict=False):
                column.append(None if lead is None else _within(value.shape[:limit], shape[:lead]))
        return tuple(_least(column) for column in found)

    def _weighs_positions(self, name: str, inputs: list[torch.Tensor]) -> bool:
        """Return whether a product, inside a function, sums over positions of an array by computed weights: attention."""
        if name not in _PRODUCTS or id(inputs[-2]) in self._direct:
            return False
        return any(lead is not None and lead >= inputs[-1].dim() - 1 for lead in self._leads.get(id(inputs[-1]), ()))


def _within(sizes: Sequence[int], own: tuple[int, ...]) -> int:
    """Return how many of an array's ``own`` leading axes are within the leading ``sizes`` of a value."""
    blocks = {math.prod(sizes[:count]) for count in range(len(sizes) + 1)}
    return max(count for count in range(len(own) + 1) if math.prod(own[:count]) in blocks)


def _least(leads: Iterable[int | None]) -> int | None:
    return min((lead for lead in leads if lead is not None), default=None)


def _arguments(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of an operation by its schema's names, defaults too."""
    schema = func._schema.arguments
    given = {each.name: each.default_value for each in schema if each.has_default_value()}
    return {**given, **dict(zip((each.name for each in schema), args, strict=False)), **kwargs}


def _limits(
    name: str, pointwise: bool, given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor
) -> list[int] | None:
    """Return for each input how many of its leading axes are leading axes of the output still; None: it is not known."""
    if pointwise:
        return [_aligned(value.shape, output.shape) for value in inputs]
    if output.dim() == 0:
        return [0] * len(inputs)
    if name in _BY_NAME:
        return _BY_NAME[name](given, inputs, output)
    if name.startswith(_MIXING):
        return [1 if number == 0 else 0 for number in range(len(inputs))]
    if any(dimension in given for dimension in _DIMENSIONS):
        return _along(name, given, inputs, output)
    if name in _VIEWS:
        return [value.dim() for value in inputs]
    return None


def _aligned(shape: torch.Size, result: torch.Size) -> int:
    """Return how many leading axes of an operand are those of the broadcast result, none of them stretched."""
    return _prefix(shape, result) if len(shape) == len(result) else 0


def _prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many leading sizes two shapes share."""
    count = 0
    for m, n in zip(a, b, strict=False):
        if m != n:
            break
        count += 1
    return count


def _along(name: str, given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    """Return how many leading axes lie before the dimensions that an operation acts along; None and [] are all of them."""
    axes: list[int] = []
    for dimension in _DIMENSIONS:
        value = given.get(dimension, ())
        if value is None or (isinstance(value, (list, tuple)) and not value and dimension in given):
            return [0] * len(inputs)
        axes.extend(value if isinstance(value, (list, tuple)) else (value,))
    first = inputs[0].dim()
    rank = output.dim() if name in _NEW else first
    before = min(axis % rank for axis in axes)
    return [before if value.dim() == first else 0 for value in inputs]


def _permuted(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    rank = output.dim()
    return [_prefix([axis % rank for axis in given["dims"]], range(rank))]


def _normalized(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    return [inputs[0].dim() - len(given["normalized_shape"]), *[0] * (len(inputs) - 1)]


def _padded(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    return [inputs[0].dim() - len(given["pad"]) // 2]


def _repeated(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    return [_aligned(inputs[0].shape, output.shape)]


def _product(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    """Return the batch axes of both factors, and the rows of the first; what is added broadcasts."""
    batch = output.dim() - 2
    added = [_aligned(value.shape, output.shape) for value in inputs[:-2]]
    return [*added, batch + 1, batch]


def _looked_up(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    return [0, inputs[1].dim()]


def _matrices(given: dict[str, Any], inputs: list[torch.Tensor], output: torch.Tensor) -> list[int]:
    return [output.dim() - 2]


_BY_NAME: dict[str, Callable[[dict[str, Any], list[torch.Tensor], torch.Tensor], list[int]]] = {
    "permute": _permuted,
    "native_layer_norm": _normalized, "_fused_rms_norm": _normalized,
    "constant_pad_nd": _padded,
    "repeat": _repeated, "expand": _repeated,
    "mm": _product, "bmm": _product, "addmm": _product, "baddbmm": _product,
    "embedding": _looked_up,
    "tril": _matrices, "triu": _matrices,
}  # fmt: skip

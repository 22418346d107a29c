"""Who watches a graph run: notes the numbers of each value, and by what gradients are taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from anabranch import runtime
from anabranch.graph import Graph, Operation
from anabranch.graph.casting import Cast
from anabranch.graph.flatten import Flat, Step, call_name
from anabranch.training.probed import ProbeEdge, ProbeRow


class _Call(NamedTuple):
    """What one call gave: its numbers, and the values while gradients are wanted."""

    id: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    numbers: torch.Tensor | None
    values: list[torch.Tensor]


class _Use(NamedTuple):
    """A tensor as one call takes it."""

    source: str
    output: int
    target: str
    input: int
    value: torch.Tensor


class Watching:
    """Watches one run of a graph.

    Args:
        graph: what runs.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._calls: list[_Call] = []
        self._uses: list[_Use] = []
        self._sources: dict[int, tuple[str, int]] = {}  # by value number: the id of its call, which output
        self._norms: dict[int, torch.Tensor] = {}  # of gradients, by the identity of what they are of

    def fed(self, flat: Flat, values: Sequence[torch.Tensor | None]) -> None:
        """Note the inputs."""
        for tensor, number, value in zip(self._graph.inputs, flat.inputs, values, strict=True):
            operation = tensor.node.operation
            name = call_name(self._graph, tensor.node) if operation in self._graph.names else tensor.name
            self._sources[number] = name, 0
            self._note(name, operation, [] if value is None else [value])

    def take(self, step: Step, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return a view of each value, so that the gradient of this use alone is known."""
        if isinstance(step.node.operation, Cast):
            return values  # no node of a user's graph
        taken = [value.view_as(value) if _differentiable(value) else value for value in values]
        for position, (number, value) in enumerate(zip(step.inputs, taken, strict=True)):
            self._uses.append(_Use(*self._sources[number], step.call, position, value))
        return taken

    def gave(self, step: Step, values: Sequence[torch.Tensor]) -> None:
        """Note what a call gave."""
        if isinstance(step.node.operation, Cast):
            self._sources[step.outputs[0]] = self._sources[step.inputs[0]]
            return
        runtime.give_losses(step.node.operation)
        for position, number in enumerate(step.outputs):
            self._sources[number] = (step.call, position)
        self._note(step.call, step.node.operation, values)

    def differentiate(self, loss: torch.Tensor | None, weights: Sequence[torch.Tensor]) -> None:
        """Take the gradient of the loss by all that was noted, and by ``weights``; None takes none."""
        noted = [*(value for call in self._calls for value in call.values), *(use.value for use in self._uses), *weights]
        wanted = list({id(value): value for value in noted if value.requires_grad}.values())
        if loss is None or not loss.requires_grad or not wanted:
            return
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        with torch.no_grad():
            for value, gradient in zip(wanted, gradients, strict=True):
                if gradient is not None:
                    self._norms[id(value)] = _norm(gradient)

    def rows_and_edges(self) -> tuple[list[ProbeRow], list[ProbeEdge]]:
        """Return the numbers of all calls and edges; read from the device at once."""
        numbers = _read([call.numbers for call in self._calls])
        by_call = [self._together(call.values) for call in self._calls]
        gradients = [None if found is None else found[0] for found in _read(by_call)]
        rows = [
            ProbeRow(call.id, call.kind, call.shapes, *_finite(found), gradient)
            for call, found, gradient in zip(self._calls, numbers, gradients, strict=True)
        ]
        norms = self.gradient_norms([use.value for use in self._uses])
        edges = [ProbeEdge(use.source, use.target, use.output, use.input, n) for use, n in zip(self._uses, norms, strict=True)]
        return rows, edges

    def gradient_norms(self, values: Sequence[torch.Tensor]) -> list[float | None]:
        """Return the norm of the gradient by each value, None where none arrives."""
        return [None if found is None else found[0] for found in _read([self._norms.get(id(value)) for value in values])]

    def _together(self, values: list[torch.Tensor]) -> torch.Tensor | None:
        norms = [self._norms[id(value)] for value in values if id(value) in self._norms]
        return torch.stack(norms).norm() if norms else None

    def _note(self, id: str, operation: Operation, values: Sequence[torch.Tensor]) -> None:
        given = [value for value in values if isinstance(value, torch.Tensor)]  # a user's call may give something else
        shapes = tuple(tuple(value.shape) for value in given)
        noted = given if torch.is_grad_enabled() else []
        self._calls.append(_Call(id, operation._summary_kind_(), shapes, _numbers(given), noted))


def norms(values: Sequence[torch.Tensor]) -> list[float]:
    """Return the norm of each tensor."""
    with torch.no_grad():
        return [found[0] for found in _read([_norm(value) for value in values]) if found is not None]


def _differentiable(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def _as_floats(value: torch.Tensor) -> torch.Tensor:
    return value if value.dtype == torch.float64 else value.float()


def _norm(value: torch.Tensor) -> torch.Tensor:
    value = value.abs() if value.is_complex() else value
    norm: torch.Tensor = torch.linalg.vector_norm(_as_floats(value.detach()))
    return norm


def _numbers(values: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return mean, standard deviation, share of zeros, least, greatest, and how many are not finite; None without values."""
    with torch.no_grad():
        flat = [_as_floats(value.detach().abs() if value.is_complex() else value.detach()).reshape(-1) for value in values]
        joined = torch.cat(flat) if len(flat) > 1 else flat[0] if flat else torch.empty(0)
        if not joined.numel():
            return None
        variance, mean = torch.var_mean(joined, unbiased=False)
        least, greatest = torch.aminmax(joined)
        zeros = 1 - torch.count_nonzero(joined) / joined.numel()
        found = torch.stack([mean, variance.sqrt(), zeros, least, greatest, torch.zeros_like(mean)])
        return found if bool(torch.isfinite(found).all()) else _finite_numbers(joined, zeros)


def _finite_numbers(values: torch.Tensor, zeros: torch.Tensor) -> torch.Tensor:
    """Return the same over the finite values alone."""
    finite = torch.isfinite(values)
    count = finite.sum()
    mean = torch.where(finite, values, 0).sum() / count
    spread = (torch.where(finite, values - mean, 0).square().sum() / count).sqrt()
    least = torch.where(finite, values, math.inf).min()
    greatest = torch.where(finite, values, -math.inf).max()
    return torch.stack([mean, spread, zeros, least, greatest, values.numel() - count])


def _read(found: Sequence[torch.Tensor | None]) -> list[list[float] | None]:
    """Return tensors of one size as lists, read from the device at once; None stays."""
    present = [
        value.reshape(-1).double() if value.device.type != "mps" else value.reshape(-1) for value in found if value is not None
    ]
    read = iter(torch.stack(present).tolist() if present else [])
    return [None if value is None else next(read) for value in found]


def _finite(found: list[float] | None) -> tuple[float | None, float | None, float | None, float | None, float | None, int]:
    """Return the numbers of a row; what is over no finite value is None."""
    if found is None:
        return None, None, None, None, None, 0
    *numbers, non_finite = found
    mean, spread, zeros, least, greatest = (value if math.isfinite(value) else None for value in numbers)
    return mean, spread, zeros, least, greatest, int(non_finite)

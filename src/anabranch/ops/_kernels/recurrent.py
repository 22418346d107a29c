"""Recurrent layers: torch's fused ones over whole sequences, and one step of each cell; weights are (gates · units, inputs).

Masked sequences go through the fused ones too: what counts is moved to the front of each row, where steps after it change
nothing before it, and the outputs are moved back. So no length has to leave the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch.graph import Weight
from anabranch.ops._kernels.convolution import convolve
from anabranch.ops._kernels.noise import drawn_from
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import dtype_of
from anabranch.runtime.masks import known_shape
from anabranch.runtime.weights import native

Function = Callable[[Tensor], Tensor]
Step = Callable[[_tree.Nest, _tree.Nest], tuple[Tensor, _tree.Nest]]
Run = tuple[Tensor, list[Tensor]]  # what each step gave (B, T, …), and the states after the last
MOST_STEPS = 128  # that a loop in traced code has; a longer one runs whole
_SURE = 1e4  # a gate's input that opens it fully, in 16 bits too


# Fused


def lstm(
    x: Tensor, states: Sequence[Tensor], weights: Sequence[Weight | None], mask: Tensor | None, units: int, *, carry: bool
) -> Run:
    """Return what torch's LSTM gives over (B, T, I); ``carry``: whether a masked one's last cell state is wanted."""
    h, c = states
    kernel, recurrent, bias = _natives(weights)
    given = x
    if mask is not None:
        given, order = _in_front(x, mask)
        if carry:
            given, kernel = _holding(given, mask.gather(1, order), kernel, units)
    weighted = [kernel, recurrent] if bias is None else [kernel, recurrent, bias, torch.zeros_like(bias)]
    found = torch.lstm(given, [_first(h), _first(c)], weighted, bias is not None, 1, 0.0, _saves(x), False, True)
    outputs, last, cell = found[0], found[1][0], found[2][0]
    if mask is not None:
        outputs, last = _moved_back(outputs, mask, h)
    return outputs, [last, cell]


def gru(x: Tensor, states: Sequence[Tensor], weights: Sequence[Weight | None], mask: Tensor | None, units: int) -> Run:
    """Return what torch's GRU gives over (B, T, I), which has the gates r, z, n where Keras has z, r, h."""
    kernel, recurrent, bias = _natives(weights)
    weighted = [_with_r_first(kernel, units), _with_r_first(recurrent, units)]
    if bias is not None:
        weighted += [_with_r_first(bias[0], units), _with_r_first(bias[1], units)]
    return _single(torch.gru, x, states[0], weighted, mask)


def simple_rnn(
    x: Tensor, states: Sequence[Tensor], weights: Sequence[Weight | None], mask: Tensor | None, activation: str
) -> Run:
    """Return what torch's RNN gives over (B, T, I); ``activation``: ``"tanh"`` or ``"relu"``."""
    kernel, recurrent, bias = _natives(weights)
    weighted = [kernel, recurrent] if bias is None else [kernel, recurrent, bias, torch.zeros_like(bias)]
    return _single(torch.rnn_tanh if activation == "tanh" else torch.rnn_relu, x, states[0], weighted, mask)


def _single(function: Callable[..., Any], x: Tensor, h: Tensor, weighted: list[Tensor], mask: Tensor | None) -> Run:
    """Return what a fused layer with one state gives."""
    given = x if mask is None else _in_front(x, mask)[0]
    found = function(given, _first(h), weighted, len(weighted) > 2, 1, 0.0, _saves(x), False, True)
    outputs, last = found[0], found[1][0]
    if mask is not None:
        outputs, last = _moved_back(outputs, mask, h)
    return outputs, [last]


def _natives(weights: Sequence[Weight | None]) -> tuple[Tensor, Tensor, Tensor | None]:
    kernel, recurrent, bias = weights
    if kernel is None or recurrent is None:
        raise ValueError("a recurrent layer has a kernel and a recurrent kernel")
    return native(kernel), native(recurrent), None if bias is None else native(bias)


def _first(state: Tensor) -> Tensor:
    return state.unsqueeze(0).contiguous()


def _saves(x: Tensor) -> bool:
    """Return whether what the backward pass needs is saved, which cuDNN calls training."""
    return isinstance(x, Proxy) or torch.is_grad_enabled()


def _with_r_first(weight: Tensor, units: int) -> Tensor:
    return torch.cat([weight[units : 2 * units], weight[:units], weight[2 * units :]])


def _in_front(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the steps of each row that count before the others, and which step is where."""
    order = torch.argsort(mask.to(torch.uint8), stable=True, dim=1, descending=True)
    return x.gather(1, order.unsqueeze(-1).expand_as(x)), order


def _moved_back(outputs: Tensor, mask: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Return at each step the output of the last step up to it that counts, 0 before the first; and that of all steps."""
    place = mask.cumsum(1) - 1
    found = outputs.gather(1, place.clamp(min=0).unsqueeze(-1).expand_as(outputs))
    outputs = torch.where(place.unsqueeze(-1) >= 0, found, 0.0)
    return outputs, torch.where(mask.any(1, keepdim=True), outputs[:, -1], initial)


def _holding(x: Tensor, mask: Tensor, kernel: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Return an input and a kernel by which an LSTM forgets nothing and takes nothing in where ``mask`` is false."""
    rows = kernel.new_full((units, 1), _SURE)
    column = torch.cat([-rows, rows, torch.zeros_like(rows), torch.zeros_like(rows)])
    rest = torch.logical_not(mask).unsqueeze(-1).to(x.dtype)
    return torch.cat([x, rest], -1), torch.cat([kernel, column], 1)


# Step by step


def over_steps(
    step: Step, x: _tree.Nest, states: _tree.Nest, mask: Tensor | None, length: int | None, *, every: bool, rank: int = 2
) -> tuple[Tensor, _tree.Nest]:
    """Return what ``step`` gives along axis 1 of ``x``, stacked, or the last alone unless ``every``; and the last states.

    Where ``mask`` (B, T) is false a step changes no state, and its output is the one before, at first 0. ``rank`` is that of
    traced outputs and states.
    """
    outputs: list[Tensor] = []
    masks = None if mask is None else _apart(mask.bool(), length)
    columns = [_apart(leaf, length) for leaf in _tree.leaves(x)]
    for index in range(len(columns[0])):
        output, new = step(_tree.fill(x, [column[index] for column in columns]), states)
        if masks is not None:
            before = outputs[-1] if outputs else torch.zeros_like(output)
            output = _chosen(masks[index], output, before, rank)
            pairs = zip(_tree.leaves(new), _tree.leaves(states), strict=True)
            new = _tree.fill(states, [_chosen(masks[index], now, then, rank) for now, then in pairs])
        states = new
        if not every:
            outputs.clear()
        outputs.append(output)
    return torch.stack(outputs, 1), states


def _chosen(mask: Tensor, value: Tensor, other: Tensor, rank: int) -> Tensor:
    """Return ``value`` in the rows where ``mask`` (B,) is true, else ``other``."""
    axes = rank if isinstance(value, Proxy) else value.dim()
    return torch.where(mask[(..., *[None] * (axes - 1))], value, other)


def _apart(x: Tensor, length: int | None) -> Sequence[Tensor]:
    """Return the steps of a sequence; a traced one of unknown or great length cannot be taken apart."""
    steps = x.unbind(1)
    if isinstance(x, Proxy) and length is not None and length <= MOST_STEPS:
        return [steps[index] for index in range(length)]
    return list(steps)


def zeroed(outputs: Tensor, mask: Tensor, every: bool, rank: int) -> Tensor:
    """Return (B, T, …), or the last step alone (B, 1, …) unless ``every``, with 0 where ``mask`` (B, T) is false."""
    counts = mask if every else mask[:, -1:]
    return torch.where(counts[(..., *[None] * (rank - 2))], outputs, 0.0)


def as_state(value: Tensor, x: Tensor, sizes: Sequence[int | None], dtype: str) -> Tensor:
    """Return a given state for each row of ``x``: a constant of another float type as ``dtype``, one row for all.

    Torch's fused functions trust their arguments and read what is beyond a smaller state.
    """
    wanted, shape = dtype_of(dtype), [x.shape[0], *(-1 if size is None else size for size in sizes)]
    if isinstance(value, Proxy):
        return value.expand(shape)
    known = value if value.dtype == wanted else value.to(wanted)
    return known + x.new_zeros(shape) if isinstance(x, Proxy) else known.expand(shape)


def copied(weight: Weight) -> Tensor:
    """Return the values of a weight, which an assignment to it leaves as they are."""
    return native(weight).clone()


def length_of(x: Tensor) -> int | None:
    """Return how many steps a sequence has, None where a traced one does not know it."""
    shape = known_shape(x)
    return None if shape is None else shape[1]


def dropout_factors(x: Tensor, rate: float, count: int, generator: torch.Generator | None) -> Tensor:
    """Return factors of dropout for values like ``x``: ``count`` of them, stacked along a new first axis."""
    return torch.stack([x] * count).bernoulli_(1 - rate, **drawn_from(generator)).div_(1 - rate)


def gate_products(
    x: Tensor, weight: Weight | Tensor, bias: Tensor | None = None, noise: Tensor | None = None, count: int = 1
) -> Tensor:
    """Return x · weight + bias for all gates; ``noise``: factors of ``x``, one for all gates or ``count`` for as many gates."""
    kernel = native(weight)
    if noise is None or count == 1:
        return F.linear(x if noise is None else x * noise[0], kernel, bias)
    gates = kernel.chunk(count)
    found = torch.cat([F.linear(x * noise[gate], gates[gate]) for gate in range(count)], -1)
    return found if bias is None else found + bias


def gate_convolutions(
    inputs: Sequence[Tensor], kernel: Weight, bias: Weight | None = None, *, strides: tuple[int, ...], padding: str,
    data_format: str, dilation_rate: tuple[int, ...],
) -> Tensor:  # fmt: skip
    """Return the convolutions of all gates along the axis of channels, of one input for all, or of one for each."""

    def convolved(x: Tensor, weight: Tensor, added: Weight | Tensor | None) -> Tensor:
        return convolve(x, weight, added, kernel.shape[: len(strides)], strides, padding, data_format, dilation_rate, 1)

    if len(inputs) == 1:
        return convolved(inputs[0], native(kernel), bias)
    weights = native(kernel).chunk(len(inputs))
    biases = [None] * len(inputs) if bias is None else native(bias).chunk(len(inputs))
    found = [convolved(x, weights[gate], biases[gate]) for gate, x in enumerate(inputs)]
    return torch.cat(found, 1 if data_format == "channels_first" else -1)


def lstm_step(
    gates: Tensor, c: Tensor, activation: Function, recurrent_activation: Function, axis: int = -1
) -> tuple[Tensor, Tensor]:
    """Return output and cell state: c' = σ(f) · c + σ(i) · tanh(g), h = σ(o) · tanh(c'), from the gates i, f, g, o."""
    parts = gates.chunk(4, axis)
    c = recurrent_activation(parts[1]) * c + recurrent_activation(parts[0]) * activation(parts[2])
    return recurrent_activation(parts[3]) * activation(c), c


def gru_step(x: Tensor, inner: Tensor, h: Tensor, activation: Function, recurrent_activation: Function) -> Tensor:
    """Return z · h + (1 - z) · n with n = tanh(x + r · inner): the reset gate acts on the product."""
    xs, inners = x.chunk(3, -1), inner.chunk(3, -1)
    z, r = recurrent_activation(xs[0] + inners[0]), recurrent_activation(xs[1] + inners[1])
    return z * h + (1 - z) * activation(xs[2] + r * inners[2])


def gru_step_before(
    x: Tensor, h: Tensor, weight: Weight, noise: Tensor | None, units: int, activation: Function, recurrent_activation: Function
) -> Tensor:
    """Return z · h + (1 - z) · n with n = tanh(x + (r · h) · weight): the reset gate acts on the state."""
    xs, kernel = x.chunk(3, -1), native(weight)
    inner = gate_products(h, kernel[: 2 * units], None, noise, 2).chunk(2, -1)
    z, r = recurrent_activation(xs[0] + inner[0]), recurrent_activation(xs[1] + inner[1])
    state = h if noise is None else h * noise[2]
    return z * h + (1 - z) * activation(xs[2] + F.linear(r * state, kernel[2 * units :]))

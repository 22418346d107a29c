"""The tensors of weights: made on first use from seed, owning model and path; on the current device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch.fx.proxy import Proxy

from anabranch import _process
from anabranch._asked import described, on_host
from anabranch._errors import ArgumentTypeError, DataError, EngineError
from anabranch.graph import Weight
from anabranch.graph.weight import NARROW, drawing_from
from anabranch.runtime import state
from anabranch.runtime.devices import device
from anabranch.runtime.layouts import remember
from anabranch.runtime.narrow import check_fits, from_array
from anabranch.runtime.neighbors import adjacent


def realize(weight: Weight) -> torch.Tensor:
    """Return the weight's tensor in torch's layout, a Parameter where it can be trained."""
    tensor = weight.tensor
    if tensor is None:
        with torch.inference_mode(False):
            weight.tensor = tensor = _initial_value(weight)
        if weight.axes is not None:
            remember(weight)
    elif tensor.device != device():
        tensor.data = tensor.data.to(device())
    return tensor


def realize_all(weights: Iterable[Weight]) -> None:
    """Make the tensors of weights that have none; small ones that train lie side by side, so that one call updates them."""
    new: dict[torch.dtype, list[Weight]] = {}
    for weight in weights:
        made = weight.tensor is None
        tensor = realize(weight)
        if made and tensor.requires_grad:
            new.setdefault(tensor.dtype, []).append(weight)
    for found in new.values():
        for weight, place in zip(found, adjacent([realize(weight) for weight in found]) or (), strict=False):
            realize(weight).data = place
            if weight.axes is not None:
                remember(weight)


def gets_gradient(value: torch.Tensor | Proxy) -> bool:
    """Return whether gradients flow into a value; into a traced one, if it is computed from a weight that trains."""
    if isinstance(value, torch.Tensor):
        return value.requires_grad or not torch.is_grad_enabled()
    root: torch.nn.Module = value.tracer.root  # type: ignore[attr-defined]  # the tracer that lowers has one
    stack, seen = [value.node], {value.node}
    while stack:
        node = stack.pop()
        if node.op == "get_attr" and attrgetter(str(node.target))(root).requires_grad:
            return True
        if node.op == "call_module" and any(each.requires_grad for each in root.get_submodule(str(node.target)).parameters()):
            return True
        new = set(node.all_input_nodes) - seen
        seen |= new
        stack.extend(new)
    return False


def _initial_value(weight: Weight) -> torch.Tensor:
    array = weight.to_native(torch.from_numpy(first_array(weight))).contiguous()
    try:
        tensor = array.to(device(), getattr(torch, weight.dtype))
    except torch.OutOfMemoryError as error:
        raise EngineError(f"No memory for weight {weight.path!r}.", got=f"shape {weight.shape}") from error
    if weight.axes is not None and tensor.dim() == 4 and tensor.shape[1] > 1:
        # Convolution over channels-last images would otherwise reorder its kernel at every step. Copied, as `contiguous`
        # would leave the strides of a 1 × 1 kernel as they are, which its gradient's are not.
        tensor = torch.empty_like(tensor, memory_format=torch.channels_last).copy_(tensor)
    if not (weight.trainable and tensor.is_floating_point()):
        return tensor
    weight.gradients = True
    return torch.nn.Parameter(tensor)


def first_array(weight: Weight) -> np.ndarray[Any, Any]:
    """Return the initial value in Keras's axis order, a function of seed, owning model and path."""
    kind = "float32" if weight.dtype in NARROW else weight.dtype
    home = weight.home
    if home.ordinal is None:
        home.take(home.path)
    key = f"{home.seeding.seed}/{home.ordinal}/{weight.path}"
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    with drawing_from(np.random.default_rng(int.from_bytes(digest, "little"))):
        made = weight.initializer(weight.shape, dtype=weight.dtype)
    try:
        made = on_host(made)
        if "int" in kind and made is not None:
            check_fits(from_array(np.array(made)), getattr(torch, kind), f"The initial value of weight {weight.path!r}")
        return np.array(np.broadcast_to(np.asarray([] if made is None else made, dtype=kind), weight.shape), order="C")
    except DataError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:  # the last of a tensor without values
        raise ArgumentTypeError(
            f"The initializer of weight {weight.path!r} must return an array of its shape.", expected=f"shape {weight.shape}",
            got=described(made),
        ) from error  # fmt: skip


def note_change() -> None:
    """Let compiled models look again before they run."""
    _process.note_change()


def native(weight: Weight | torch.Tensor) -> torch.Tensor:
    """Return the weight in torch's layout: a traced read while a model is lowered, else its tensor; a tensor is itself.

    A layer that computes in another float type than its weights are saved in gets it in that.
    """
    if not isinstance(weight, Weight):
        return weight
    value, low = _read(weight), state.precision()
    if low is None or low == weight.dtype or not weight.autocast or "float" not in weight.dtype:
        return value
    return value.to(getattr(torch, low))


def _read(weight: Weight) -> torch.Tensor:
    tracer = state.tracer()
    return realize(weight) if tracer is None else tracer.weight(weight)


def shown(weight: Weight) -> torch.Tensor:
    """Return the weight in Keras's axis order, without a copy."""
    return weight.from_native(native(weight))


def uncast(weight: Weight) -> torch.Tensor:
    """Return the weight in Keras's axis order and the type that it is saved in, whatever the layer computes in."""
    return weight.from_native(_read(weight))


def write(weight: Weight, value: object) -> None:
    """Replace the values in place; ``value`` is in Keras's axis order. While a model is traced, so is this."""
    if isinstance(value, (torch.Tensor, torch.fx.Proxy)):
        tensor: torch.Tensor = value.detach()  # type: ignore[assignment]  # a traced value is typed as a real one
    else:
        tensor = from_array(np.array(value, order="C"))
    tracer = state.tracer()
    if tracer is not None:
        tracer.write(weight, weight.to_native(tensor))
        return
    with torch.no_grad():
        check_fits(tensor, getattr(torch, weight.dtype), f"What weight {weight.path!r} is assigned")
        realize(weight).detach().copy_(weight.to_native(tensor))

"""What is read as ``weight.value`` has torch's layout; where it is assigned it is recognized, and its axes are turned."""

from __future__ import annotations

import weakref
from operator import attrgetter
from typing import Any

import torch
from torch.fx.proxy import Proxy

from anabranch._errors import DtypeError, ShapeError
from anabranch.graph import Weight
from anabranch.graph.weight import Unowned

_by_memory: dict[int, tuple[weakref.ref[torch.Tensor], Weight]] = {}  # tensors may outlive their weights


def remember(weight: Weight) -> None:
    """Note where the values of a weight lie whose layout in torch is not Keras's."""
    tensor = weight.tensor
    if tensor is None or type(tensor) not in _PLAIN or not (address := tensor.data_ptr()):
        return
    known = _by_memory.get(address)
    if known is not None and known[0]() is tensor:
        return

    def forget(gone: weakref.ref[torch.Tensor]) -> None:
        if address in _by_memory and _by_memory[address][0] is gone:
            del _by_memory[address]

    home = Unowned(weight.home.path)
    record = Weight(weight.name, weight.shape, weight.dtype, weight.options, home, weight.engine, weight.axes)
    _by_memory[address] = weakref.ref(tensor, forget), record


def in_keras_order(value: object, target: Weight) -> object:
    """Return what a weight is assigned in Keras's order of axes: what is a weight's tensor is turned, all else has that order.

    Raises:
        ShapeError: the value was computed from a weight's tensor element by element, so it has torch's layout.
    """
    tensor: Any = _read_from(value) if isinstance(value, Proxy) else value
    if type(tensor) not in _PLAIN:
        return value
    if tensor.layout != torch.strided:
        raise DtypeError(f"Weight {target.path!r} is assigned dense values.", got=str(tensor.layout), repair="to_dense()")
    source = _laid_out_by(tensor)
    if source is not None:
        return source.from_native(value)  # type: ignore[arg-type]  # a traced value is typed as a real one
    if target.axes is not None and tensor.grad_fn is not None and (source := _computed_from(tensor)) is not None:
        raise ShapeError(
            f"What weight {target.path!r} is assigned was computed from the value of {source.path!r}, in torch's layout.",
            expected=f"axes in Keras's order, {target.shape}", got=f"axes in torch's, {tuple(tensor.shape)}",
            repair="compute with the weight itself (weight * 0.9) or weight[...], in the place of weight.value",
        )  # fmt: skip
    return value


def _read_from(value: Proxy) -> object:
    """Return the tensor that a traced value is a read of, None of what is computed."""
    node: Any = value.node
    while node.op == "call_method" and node.target == "detach":
        node = node.args[0]
    return attrgetter(str(node.target))(value.tracer.root) if node.op == "get_attr" else None  # type: ignore[attr-defined]


def _laid_out_by(tensor: torch.Tensor) -> Weight | None:
    """Return the weight whose tensor this is, or shares memory and layout with (``detach()``, ``data``, a ``state_dict()``)."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return None
    known = _by_memory.get(tensor.data_ptr())
    own = None if known is None else known[0]()
    if known is None or own is None or tensor.data_ptr() != own.data_ptr():
        return None
    return known[1] if tensor.shape == own.shape and tensor.stride() == own.stride() else None


def _computed_from(tensor: torch.Tensor) -> Weight | None:
    """Return a weight from whose tensor a value was computed element by element, as far as autograd knows."""
    stack, seen = [tensor.grad_fn], set[Any]()
    while stack:
        step = stack.pop()
        if step is not None and "AccumulateGrad" in step.name():
            leaf: torch.Tensor = step.variable  # type: ignore[attr-defined]  # which this step has
            source = _laid_out_by(leaf) if leaf.shape == tensor.shape else None
            if source is not None:
                return source
        elif step is not None and step.name().rstrip("0123456789") in _POINTWISE:
            new = {each for each, _ in step.next_functions} - seen
            seen |= new
            stack.extend(new)
    return None


_PLAIN = (torch.Tensor, torch.nn.Parameter)
_POINTWISE = frozenset((
    "AddBackward", "SubBackward", "RsubBackward", "MulBackward", "DivBackward", "NegBackward", "CloneBackward",
    "ToCopyBackward", "LerpBackward", "ClampBackward", "PowBackward", "AliasBackward",
))  # fmt: skip

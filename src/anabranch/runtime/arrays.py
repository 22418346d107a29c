"""Between arrays and tensors: conversion, dtypes, shapes as far as they are known."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from anabranch import _tree
from anabranch._asked import on_host, shown
from anabranch._errors import ArgumentTypeError, DataError, DtypeError, ShapeError
from anabranch.graph import Graph, Operation, Shape, Tensor, Weight
from anabranch.graph.casting import is_cast
from anabranch.graph.rules import CASTS
from anabranch.graph.shapes import same_but_batch
from anabranch.runtime import state, weights
from anabranch.runtime.devices import device
from anabranch.runtime.masks import mask_of, traced, with_mask
from anabranch.runtime.narrow import check_fits, from_array, holds_numbers, signed

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool",
        "complex64", "complex128",
    )
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_of(name: str) -> torch.dtype:
    """Return torch's dtype of that name."""
    if not isinstance(name, str) or name not in DTYPES:
        raise DtypeError("Unknown dtype.", expected=", ".join(DTYPES), got=shown(name))
    return DTYPES[name]


def as_tensor(value: object, dtype: str | None = None, *, integers: bool = True) -> torch.Tensor:
    """Return an array, number, list or weight as a tensor on the device; floats become ``dtype``, ``integers`` stay."""
    if isinstance(value, Weight):
        return weights.shown(value)
    mask = None
    if isinstance(value, torch.Tensor):
        tensor, mask = value, mask_of(value)
    else:
        if isinstance(value, torch.fx.Proxy):
            raise not_followed(value)
        try:
            array = np.asarray(value)
        except ValueError as error:  # nested lists of unequal lengths
            raise DtypeError("These are not numbers.", expected="numbers", got=shown(value)) from error
        if not holds_numbers(array):
            raise DtypeError("These are not numbers.", expected="numbers", got=f"dtype {array.dtype}")
        tensor = from_array(np.require(signed(array), requirements=["C", "W"]))
    if dtype is not None and tensor.dtype != (wanted := dtype_of(dtype)) and not tensor.is_complex():
        tensor = tensor.to(wanted) if tensor.is_floating_point() or not integers else tensor
    if tensor.device != (place := device()):
        if type(tensor) is torch.Tensor and tensor.is_meta:
            raise DtypeError("A tensor on the device 'meta' has no values.", got=shown(value))
        tensor = tensor.to(place)
    return tensor if mask is None or tensor is value else with_mask(tensor, mask.to(tensor.device))


def not_followed(value: torch.fx.Proxy) -> ArgumentTypeError:
    """Return the error for what another tracer than ours gives a layer, such as ``torch.fx.symbolic_trace``."""
    return ArgumentTypeError(
        "torch.fx does not trace layers of anabranch.", expected="a tensor", got=repr(value),
        repair="torch.fx.symbolic_trace of a module that holds model.to_torch() in the layer's place; or torch.export.export",
    )  # fmt: skip


def as_constant(leaf: object) -> object:
    """Return an array, or a tensor that is no parameter, as a tensor on the device; a parameter moves as the weight it is."""
    if isinstance(leaf, torch.nn.Parameter) or not isinstance(leaf, (np.ndarray, torch.Tensor)):
        return leaf
    return as_tensor(leaf)


def on_one_device(nest: _tree.Nest) -> _tree.Nest:
    """Return the nest with its tensors on the device in use, None where all of them are there."""
    place = device()
    if all(leaf.device == place for leaf in _tree.leaves(nest) if isinstance(leaf, torch.Tensor)):
        return None
    return _tree.map_leaves(lambda leaf: as_tensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, nest)


def as_tensors(nest: _tree.Nest, dtype: str | None = None, *, integers: bool = True) -> _tree.Nest:
    """Return the nest with its arrays as tensors on the device; traced values, None and options pass unchanged."""
    if isinstance(nest, list) and nest and all(isinstance(item, (int, float)) for item in _tree.leaves(nest)):
        return as_tensor(nest, dtype, integers=integers)

    def converted(leaf: object) -> object:
        if _is_array(leaf):
            return as_tensor(leaf, dtype, integers=integers)
        if isinstance(leaf, torch.fx.Proxy) and not state.is_tracing():
            raise not_followed(leaf)
        if dtype is None or not isinstance(leaf, torch.fx.Proxy):
            return leaf
        if _may_be_integer(leaf.node):
            return leaf if integers else _traced_cast(leaf, dtype)
        return leaf if _float_type(leaf.node) in (None, dtype) else _traced_cast(leaf, dtype)

    return _tree.map_leaves(converted, nest)


def named_tensors(layer: Operation, kwargs: dict[str, Any], dtype: str | None) -> dict[str, Any]:
    """Return the arguments that a layer is given by name, with arrays as tensors; its inputs as those given by position."""
    found: dict[str, Any] = as_tensors(kwargs, dtype)
    for name in filter(layer._is_input_, kwargs):
        found[name] = as_tensors(kwargs[name], dtype, integers=layer._takes_integers_)
    return found


def _may_be_integer(node: torch.fx.Node) -> bool:
    """Return whether a traced value has integers or booleans; where its dtype is not known, whether it comes from some."""
    stack, seen = [node], {node}
    while stack:
        each = stack.pop()
        kind = each.meta.get("dtype")
        if kind is not None:
            if "float" not in kind and "complex" not in kind:
                return True
        elif each.target in _WITHOUT_FLOATS:
            return True
        elif (cast := _cast_to(each)) is not None:
            if "float" not in cast and "complex" not in cast:
                return True
        else:
            new = set(each.all_input_nodes) - seen
            seen |= new
            stack.extend(new)
    return False


def _float_type(node: torch.fx.Node) -> str | None:
    """Return the float type of a traced value that is no integer: the widest that it comes from; None where it is not known."""
    stack, seen, found = [node], {node}, set[str]()
    while stack:
        each = stack.pop()
        kind = each.meta.get("dtype") or _cast_to(each)
        if kind is None:
            new = set(each.all_input_nodes) - seen
            seen |= new
            stack.extend(new)
        elif "float" in kind:
            found.add(kind)
        else:
            return None
    if len(found) < 2:
        return next(iter(found), None)
    return "float64" if "float64" in found else "float32"


def _cast_to(node: torch.fx.Node) -> str | None:
    """Return the type that a traced cast casts to, None of what is no cast."""
    if node.op != "call_method":
        return None
    if node.target == "to":
        return next((str(arg)[6:] for arg in (*node.args, node.kwargs.get("dtype")) if isinstance(arg, torch.dtype)), None)
    return _CASTS.get(str(node.target))


_CASTS = {method: dtype for dtype, method in CASTS.items()}
_BY_NAME = (
    "lt", "le", "gt", "ge", "eq", "ne", "logical_and", "logical_or", "logical_not", "logical_xor", "isnan", "isinf", "isfinite",
    "any", "all", "argmax", "argmin", "argsort", "bucketize", "searchsorted",
)  # fmt: skip
_WITHOUT_FLOATS = frozenset((
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, *_BY_NAME,
    *(getattr(torch, name) for name in _BY_NAME),
))  # fmt: skip
"""What gives booleans or integers, of floats too."""


def _traced_cast(value: torch.fx.Proxy, dtype: str) -> torch.Tensor:
    """Trace that integers become floats before a layer that takes none, or floats those of its type."""
    found, shape = value.to(dtype_of(dtype)), value.node.meta.get("shape")
    found.node.meta["dtype"] = dtype
    if shape is not None:
        found.node.meta["shape"] = shape
    return with_mask(traced(found), mask_of(value))


def as_declared(value: torch.Tensor | torch.fx.Proxy | None, declared: Tensor, graph: Graph) -> object:
    """Return what is given to a model inside a layer's ``call`` in the dtype that the model's input declares."""
    if isinstance(value, torch.fx.Proxy):
        kind = value.node.meta.get("dtype") or ("int64" if _may_be_integer(value.node) else declared.dtype)
        return _traced_cast(value, declared.dtype) if is_cast(kind, declared, graph) else value
    if value is None or not is_cast(str(value.dtype).removeprefix("torch."), declared, graph):
        return value
    tensor = value if isinstance(value, torch.Tensor) else as_tensor(value)  # NumPy's, given to a model's own call
    return with_mask(tensor.to(dtype_of(declared.dtype)), mask_of(value))


def create(function: Callable[..., torch.Tensor], *args: object, **kwargs: object) -> torch.Tensor:
    """Call a function that makes a tensor of sizes; where one of these, the dtype or the device is traced, trace the call.

    Before torch 2.10 such a function refuses a traced device, later ones a tuple with a traced size.
    """
    for leaf in _tree.leaves((args, list(kwargs.values()))):
        if isinstance(leaf, torch.fx.Proxy):
            return traced(leaf.tracer.create_proxy("call_function", function, args, kwargs))
    return function(*args, **kwargs)


def masked_nest(values: _tree.Nest, masks: _tree.Nest) -> _tree.Nest:
    """Return a nest of values with a mask, or None, for each."""
    values = as_tensors(values)
    found = zip(_tree.leaves(values), _tree.leaves(as_tensors(masks)), strict=True)
    return _tree.fill(values, [with_mask(value, mask) for value, mask in found])


def _is_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, np.generic, torch.Tensor, Weight))


def numpy_of(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor's values as an array on the host."""
    if tensor.is_meta or tensor.layout != torch.strided:
        raise DtypeError("The values of this tensor cannot be read.", expected="a dense tensor with values", got=shown(tensor))
    return np.asarray(on_host(tensor))


def shape_of(value: object) -> Shape | None:
    """Return what is known of a shape before running; None where a traced value's shape is not known."""
    if isinstance(value, torch.fx.Proxy):
        shape: Shape | None = value.node.meta.get("shape")
        return shape
    return tuple(value.shape if isinstance(value, (torch.Tensor, np.ndarray, Weight)) else np.asarray(value).shape)


def rank_of(value: object) -> int:
    """Return the number of axes."""
    shape = shape_of(value)
    if shape is None:
        raise ShapeError("The rank of a value inside another layer's call is not known while a model is traced.")
    return len(shape)


def sizes(value: torch.Tensor, rank: int) -> tuple[int, ...]:
    """Return the sizes along each axis: integers where known, traced reads of ``value.shape`` elsewhere."""
    known = shape_of(value) or (None,) * rank
    return tuple(value.shape[axis] if size is None else size for axis, size in enumerate(known))


def complex_error(where: str, dtype: str) -> DtypeError:
    """Return the error for complex data, whose imaginary part no input of a model takes."""
    return DtypeError(
        f"{where} holds complex numbers.",
        expected="real numbers",
        got=f"dtype {dtype}",
        repair="np.stack([x.real, x.imag], axis=-1) gives both parts as real numbers",
    )


def as_input(value: object, declared: Tensor, model: str) -> torch.Tensor:
    """Return ``value`` as a tensor that fits a model's declared input, cast to its dtype; a missing last axis of 1 is added."""
    if value is None:
        raise DataError(f"Input {declared.name!r} of model {model!r} is None.", repair="Input(…, optional=True) may go without")
    tensor = as_tensor(value)
    if tensor.is_complex():
        raise complex_error(f"Input {declared.name!r} of model {model!r}", str(tensor.dtype).removeprefix("torch."))
    if tensor.dim() == len(declared.shape) - 1 and declared.shape[-1] == 1:
        tensor = tensor.unsqueeze(-1)
    if not same_but_batch(tuple(tensor.shape), declared.shape):
        raise ShapeError(
            f"Input {declared.name!r} of model {model!r} takes another shape.",
            expected=str(declared.shape), got=str(tuple(tensor.shape)),
        )  # fmt: skip
    check_fits(tensor, dtype := dtype_of(declared.dtype), f"Input {declared.name!r} of model {model!r}")
    return tensor.to(dtype)

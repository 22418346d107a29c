"""Torch's functions that files may name: a closed table, derived from what torch says of each.

A function is in it if it is public, takes tensors, gives tensors, and changes none in place, as the schemas of its operation
say. Those of quantized, packed and sparse tensors are not: some of them trust the memory that they are given.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import get_overridable_functions

from anabranch._asked import name_of
from anabranch.graph import Method

_CASTS = frozenset(("bfloat16", "bool", "byte", "char", "double", "float", "half", "int", "long", "short"))
_LEFT_OUT = (  # what begins so: of one backend, or of tensors that are no plain arrays
    "fbgemm_", "quantize", "mkldnn_", "miopen_", "cudnn_", "q_", "choose_", "fused_", "fake_quantize", "batch_norm_", "native_",
    "sparse", "to_sparse", "to_mkldnn", "dequantize", "cuda", "xpu", "hip", "empty", "hash_", "resize", "unsafe_",
    "pin_memory", "slice_inverse",
)  # fmt: skip
_TENSOR = "torch.Tensor."


@functools.cache
def _functions() -> Mapping[str, Callable[..., Any]]:
    """Return the table: functions of a module as they are, methods by name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in (torch.nn.functional, torch, torch.linalg, torch.special, torch.fft):
        last = module.__name__.rpartition(".")[2]
        for name in _listed(module, f"{last}_"):
            if module is torch.nn.functional or _is_pure(name if module is torch else f"{last}_{name}"):
                found[f"{module.__name__}.{name}"] = vars(module)[name]
    methods = {name_of(each) for each in get_overridable_functions()[torch.Tensor]}
    found.update((_TENSOR + name, Method(name)) for name in sorted(methods) if name in _CASTS or _is_pure(name))
    return types.MappingProxyType(found)


def _listed(module: types.ModuleType, prefix: str) -> Iterator[str]:
    """Yield the public names under which a module has functions of tensors, as torch lists them."""
    lists = get_overridable_functions()
    more = lists[torch.functional] if module is torch else []
    names = {name_of(each).removeprefix(prefix) for each in (*lists[module], *more)}
    return (name for name in sorted(names) if name in vars(module) and not name.startswith("_") and not name.endswith("_"))


def _is_pure(name: str) -> bool:
    """Return whether an operation takes tensors, gives tensors, and changes none of its arguments."""
    if name.startswith(("_", *_LEFT_OUT)) or name.endswith("_"):
        return False
    schemas = [each for each in torch._C._jit_get_schemas_for_operator(f"aten::{name}") if _takes_tensors(each)]
    written = [each for each in schemas if not any(argument.is_out for argument in each.arguments)]
    return bool(written) and all(not each.is_mutable and "Tensor" in str(each).rpartition("->")[2] for each in written)


def _takes_tensors(schema: Any) -> bool:
    return any("Tensor" in str(argument.type) for argument in schema.arguments)


@functools.cache
def _names() -> Mapping[int, str]:
    """Return the names by the functions' ``id``: of aliases the shortest."""
    shortest = sorted(_functions().items(), key=lambda pair: (-len(pair[0]), pair[0]))
    return {id(function): name for name, function in shortest}


def name_of_torch(function: object) -> str | None:
    """Return the name by which a file may mean one of torch's functions, None where there is none.

    >>> name_of_torch(torch.relu), name_of_torch(torch.load)
    ('torch.relu', None)
    """
    if isinstance(function, Method):
        name = _TENSOR + function.__name__
        return name if name in _functions() else None
    return _names().get(id(function))


def torch_by_name(name: str) -> Callable[..., Any] | None:
    """Return the function that a name of the table means, None for any other name.

    >>> torch_by_name("torch.nn.functional.gelu") is torch.nn.functional.gelu
    True
    """
    return _functions().get(name)


# Arguments that are torch's own


@functools.cache
def _constants() -> Mapping[str, object]:
    kinds = (torch.dtype, torch.memory_format)
    return {str(each): each for each in vars(torch).values() if isinstance(each, kinds)}


def name_of_constant(value: object) -> str | None:
    """Return the name of a dtype or a memory format of torch's, None of anything else.

    >>> name_of_constant(torch.float64)
    'torch.float64'
    """
    return str(value) if isinstance(value, (torch.dtype, torch.memory_format)) else None


def constant_by_name(name: str) -> object:
    """Return the dtype or memory format of that name, None for any other name."""
    return _constants().get(name)

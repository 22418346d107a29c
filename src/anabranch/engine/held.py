"""A user's ``call`` while it is traced: torch's contexts, and what is computed from torch's tensors that its layer holds."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import torch
from torch.fx import Proxy
from torch.overrides import TorchFunctionMode

from anabranch import _tree, runtime
from anabranch._asked import answers, name_of
from anabranch.runtime import torch_facts
from anabranch.runtime.state import Tracer

Context = tuple[bool, ...]
P = ParamSpec("P")
R = TypeVar("R")


def devices() -> tuple[str, ...]:
    """Return the kinds of device whose autocast may matter."""
    return tuple(kind for kind in dict.fromkeys(("cpu", runtime.device().type)) if torch.amp.is_autocast_available(kind))


def context(devices: tuple[str, ...]) -> Context:
    """Return how torch computes now: with gradients, in inference mode, under autocast."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *map(torch.is_autocast_enabled, devices)


class Holding(Tracer, Protocol):
    """A tracer that knows the tensors which the layer under way holds, by id."""

    held: frozenset[int]

    def constant(self, value: torch.Tensor | torch.Generator) -> Proxy:
        """Return the read of a tensor that a layer holds."""


@contextlib.contextmanager
def tracing(tracer: Holding) -> Iterator[None]:
    """Trace calls inside the block, as they are with gradients, in which code that runs without them is seen."""
    with torch.inference_mode(False), torch.enable_grad(), runtime.tracing(tracer), _Held(tracer):
        yield


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that computes with what a layer holds, without being traced."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch._C.DisableTorchFunction():
            return function(*args, **kwargs)

    return wrapper


class _Held(TorchFunctionMode):
    """Traces what is computed from torch's own parameters, buffers and tensors, such as ``x @ self.embedding.weight.T``.

    It would otherwise be computed while the call is traced, once for all: a constant, which does not train.
    """

    def __init__(self, tracer: Holding) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        """Run a function of torch's, on reads in the place of what is held."""
        kwargs = kwargs or {}
        layer = runtime.running()
        if layer is not None and _changes(function) and self._is_new(next(iter((*args, *kwargs.values())), None)):
            raise runtime.parameter_made_in_call(layer)
        if not any(map(self._is_held, _tree.leaves((args, kwargs)))) or _is_fact(function):
            return function(*args, **kwargs)
        if (_changes(function) and args and self._is_held(args[0])) or self._is_held(kwargs.get("out")):
            raise TypeError("what a module holds is changed in place: at each call, not when it is traced")
        args, kwargs = _tree.map_leaves(self._read, (args, kwargs))
        if name_of(function) == "__get__":
            return getattr(args[0], _property(function))
        if isinstance(function, _METHODS):  # they want a tensor
            return getattr(args[0], name_of(function))(*args[1:], **kwargs)
        return function(*args, **kwargs)

    def _is_held(self, leaf: object) -> bool:
        return isinstance(leaf, torch.Tensor) and (runtime.known_weight(leaf) is not None or id(leaf) in self._tracer.held)

    def _is_new(self, leaf: object) -> bool:
        """Return whether a value that a call fills is a parameter that it has just made."""
        return isinstance(leaf, torch.nn.Parameter) and not self._is_held(leaf)

    def _read(self, leaf: object) -> object:
        if not isinstance(leaf, torch.Tensor) or not self._is_held(leaf):
            return leaf
        known = runtime.known_weight(leaf)
        return self._tracer.constant(leaf) if known is None else self._tracer.weight(known)


_METHODS = (types.MethodDescriptorType, types.WrapperDescriptorType)
_VALUES = {"T", "mT", "H", "mH", "data", "real", "imag"}  # properties that are values; the others say what a tensor is
_FACTS = {
    "size", "dim", "numel", "nelement", "stride", "element_size", "ndimension", "is_floating_point", "is_complex",
    "is_contiguous", "get_device", "data_ptr", "__len__", "__hash__", "__repr__", "__format__",
}  # fmt: skip


def _is_fact(function: Callable[..., Any]) -> bool:
    """Return whether a function says of a tensor what its values have no part in: its sizes, dtype, device."""
    name = name_of(function)
    if name in ("__get__", "__set__", "__delete__"):
        return name != "__get__" or _property(function) not in _VALUES
    return name in _FACTS


def _property(getter: Callable[..., Any]) -> str:
    """Return the name of the property whose getter or setter a function is."""
    return name_of(cast(types.MethodWrapperType, getter).__self__)


def _changes(function: Callable[..., Any]) -> bool:
    """Return whether a function writes into its first argument."""
    name = name_of(function)
    written = name == "__setitem__" or (name.startswith("__i") and answers(torch.Tensor, f"__{name[3:]}"))
    return written or torch_facts.named_as_mutating(name)

"""Third-party modules and parameters of torch, as weights and calls of ours."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from anabranch import _tree
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError, NotReadyError
from anabranch.graph import Home, Weight, WeightOptions
from anabranch.graph.weight import WeightEngine
from anabranch.runtime import state
from anabranch.runtime.arrays import NAMES

_known: weakref.WeakValueDictionary[int, Weight] = weakref.WeakValueDictionary()  # a weight holds its tensor, so ids stay true


def weight_of(tensor: torch.Tensor, name: str, home: Home, engine: WeightEngine) -> Weight:
    """Return the weight of a tensor of torch's; the same one whenever the same tensor comes."""
    known = _known.get(id(tensor))
    if known is None:
        options = WeightOptions(functools.partial(_given, tensor), trainable=tensor.requires_grad)
        known = Weight(name, tuple(tensor.shape), NAMES[tensor.dtype], options, home, engine)
        known.tensor, known.assigned = tensor, True
        known.gradients = tensor.requires_grad if isinstance(tensor, torch.nn.Parameter) else None
        _known[id(tensor)] = known
    return known


def _given(tensor: torch.Tensor, shape: object, dtype: object = None) -> torch.Tensor:
    """Return the tensor that was there before its weight."""
    return tensor


def known_weight(tensor: torch.Tensor) -> Weight | None:
    """Return the weight of a tensor of torch's, None where there is none."""
    known = _known.get(id(tensor))
    return known if known is not None and known.tensor is tensor else None


def module_weights(module: torch.nn.Module, home: Home, engine: WeightEngine, prefix: str = "") -> list[Weight]:
    """Return a module's parameters and buffers as weights, in its own order and layout."""
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError("TorchModule wraps a torch.nn.Module.", got=f"{type(module).__name__}: {module!r}"[:200])
    named: list[tuple[str, torch.Tensor]] = [*module.named_parameters(), *module.named_buffers()]
    lazy = [name for name, tensor in named if torch.nn.parameter.is_lazy(tensor)]
    if lazy:
        raise NotReadyError(
            f"A {type(module).__name__} that a layer holds has no sizes yet.", expected="a module whose parameters have shapes",
            got=f"lazy: {', '.join(lazy)}", repair="call the module once on a tensor before it is held, or give it its sizes",
        )  # fmt: skip
    return [weight_of(tensor, prefix + name.replace(".", "/"), home, engine) for name, tensor in named]


def are_of(weights: Sequence[Weight], module: torch.nn.Module) -> bool:
    """Return whether weights are those of all parameters and buffers that a module has now."""
    if not isinstance(module, torch.nn.Module):
        return False
    tensors = [*module.parameters(), *module.buffers()]
    return len(tensors) == len(weights) and all(w.tensor is t for w, t in zip(weights, tensors, strict=True))


def held_weights(held: Mapping[str, Sequence[object]], home: Home, engine: WeightEngine) -> list[Weight]:
    """Return the weights of the modules, parameters and buffers among what a layer holds, by attribute."""
    found: list[Weight] = []
    for place, leaf in _places(held):
        if isinstance(leaf, torch.nn.Module):
            found += module_weights(leaf, home, engine, place + "/")
        elif isinstance(leaf, (torch.nn.Parameter, torch.nn.Buffer)):
            found.append(weight_of(leaf, place, home, engine))
    return found


def registered(value: object, kind: str) -> object:
    """Return what a layer holds in the place of what ``register_parameter`` or ``register_buffer`` is given; None is None."""
    wanted = torch.nn.Parameter if kind == "register_parameter" else torch.Tensor
    if value is not None and not isinstance(value, wanted):
        raise ArgumentTypeError(f"{kind} takes a {wanted.__name__}, or None.", got=shown(value))
    return torch.nn.Buffer(value) if kind == "register_buffer" and value is not None else value  # type: ignore[no-untyped-call]


def held_modules(held: Mapping[str, Sequence[object]]) -> dict[str, torch.nn.Module]:
    """Return the modules among what a layer holds, by their place in its paths of weights."""
    return {place: leaf for place, leaf in _places(held) if isinstance(leaf, torch.nn.Module)}


def _places(held: Mapping[str, Sequence[object]]) -> Iterator[tuple[str, object]]:
    for name, leaves in held.items():
        name, many = name.removeprefix(":"), len(leaves) > 1
        yield from ((f"{name}/{number}" if many else name, leaf) for number, leaf in enumerate(leaves))


def set_mode(held: Iterable[object], training: bool) -> None:
    """Bring the modules among what a layer holds into training mode or out of it."""
    for leaf in held:
        if isinstance(leaf, torch.nn.Module) and leaf.training != training:
            leaf.train(training)


@contextlib.contextmanager
def unchanged_buffers(weights: Iterable[Weight]) -> Iterator[None]:
    """Restore the buffers of torch modules among ``weights`` afterwards, which a module that runs may change."""
    held = [w.tensor for w in weights if isinstance(w.tensor, torch.Tensor) and known_weight(w.tensor) is w]
    before = [(buffer, buffer.clone()) for buffer in held if not buffer.requires_grad]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def run_module(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None) -> _tree.Nest:
    """Run a module in the mode asked for; while a model is traced, trace the call of the whole module."""
    tracer = state.tracer()
    if tracer is not None:
        return tracer.module(module, args, kwargs)
    if training is not None and module.training != training:
        module.train(training)
    return module(*args, **kwargs)

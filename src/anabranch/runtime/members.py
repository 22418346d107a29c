"""What torch's modules answer, for layers: torch's own functions over the tensors and layers inside."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from anabranch._errors import ArgumentError, EngineError
from anabranch.graph import Operation, Weight
from anabranch.runtime.arrays import NAMES
from anabranch.runtime.naming import target_of, torch_names
from anabranch.runtime.swapping import Tensors
from anabranch.runtime.weights import realize


def module_method(layer: Operation, name: str) -> Callable[..., Any]:
    """Return a method of ``torch.nn.Module`` that works on a layer, which has the attributes that it asks for."""
    return types.MethodType(getattr(torch.nn.Module, name), layer)


def named_targets(weights: Iterable[Weight]) -> dict[str, Weight]:
    """Return a layer's own weights under torch's names for them."""
    held = list(weights)
    return {target_of(name): weight for name, weight in zip(torch_names([w.name for w in held]), held, strict=True)}


def tensors_of(weights: Mapping[str, Weight], trains: bool, *, parameters: bool) -> Tensors:
    """Return the parameters among some weights, with gradients where the weight and its layer train, or the buffers."""
    found = {}
    for name, weight in weights.items():
        tensor = realize(weight)
        if isinstance(tensor, torch.nn.Parameter):
            let_train(weight, trains and weight.trainable)
        if isinstance(tensor, torch.nn.Parameter) is parameters:
            found[name] = weight
    return Tensors(found)


def let_train(weight: Weight, trains: bool) -> None:
    """Let gradients flow to a weight or not, and note it: what torch code sets later is the weight's from then on."""
    tensor = weight.tensor
    if isinstance(tensor, torch.nn.Parameter) and not _is_unfrozen(weight):
        for each in weight._held_():
            if each.requires_grad is not trains:  # torch.func refuses the call itself
                each.requires_grad_(trains)
        weight.gradients = trains


def refuse_unfrozen(weights: Iterable[Weight]) -> None:
    """Raise where torch code lets gradients flow to one of ``weights``, which do not train as their layers do not."""
    for weight in weights:
        if _is_unfrozen(weight):
            raise ArgumentError(
                f"requires_grad of weight {weight.path!r} was set, but its layer does not train.",
                repair="layer.trainable = True",
            )


def _is_unfrozen(weight: Weight) -> bool:
    return weight.gradients is False and isinstance(weight.tensor, torch.nn.Parameter) and weight.tensor.requires_grad


def converted(weights: Iterable[Weight], error: Exception) -> EngineError | None:
    """Return the error for the first of some weights whose tensor torch code has converted, None where there is none."""
    for weight in weights:
        found = weight.tensor
        if found is not None and NAMES.get(found.dtype) != weight.dtype:
            return EngineError.of(
                error, f"Torch code has converted the tensor of weight {weight.path!r}.",
                expected=weight.dtype, got=str(found.dtype).removeprefix("torch."),
                repair="convert a copy: copy.deepcopy(model.to_torch())",
            )  # fmt: skip
    return None


def convert(layer: Operation, tensors: Iterable[torch.Tensor], function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Call what ``module.to(…)`` and others call with each tensor; raise where it changes dtype or device."""
    held = list(tensors)
    with torch.no_grad():
        for tensor in {(each.dtype, each.device): each for each in held}.values():
            made = function(tensor)
            if made.device != tensor.device:
                empty = "torch.func.functional_call takes it as it is, with other values; or model.to_torch().to('meta')"
                moved = f"config.set_device({str(made.device)!r}), or model.to_torch() for a module that can be moved"
                raise ArgumentError(
                    f"{layer._error_label_()} cannot be moved alone: weights are on the device of the process.",
                    expected=str(tensor.device), got=str(made.device), repair=empty if made.is_meta else moved,
                )  # fmt: skip
            if made.dtype != tensor.dtype:
                dtype = str(made.dtype).removeprefix("torch.")
                raise ArgumentError(
                    f"{layer._error_label_()} cannot be converted: its dtype is part of its graph.",
                    expected=str(tensor.dtype), got=str(made.dtype),
                    repair=f"config.set_dtype_policy({dtype!r}) before layers are made, or model.to_torch().to({made.dtype})",
                )  # fmt: skip
        for tensor in held:
            function(tensor)


def rename_recurrent(state: dict[str, Any], theirs: str, ours: str, gru: bool) -> None:
    """Give the weights of one of torch's recurrent modules, at the prefix ``theirs``, the names of a cell at ``ours``."""
    names = {part: f"{theirs}{part}_l0" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    given = {part: state.pop(name) for part, name in names.items() if name in state}
    state.update({f"{ours}{role}": value for role, value in cell_weights(given, gru).items()})


def cell_weights(given: Mapping[str, torch.Tensor], gru: bool) -> dict[str, torch.Tensor]:
    """Return what torch's recurrent modules have for one layer, ``weight_ih`` and others, as a cell has it.

    Torch has two biases, of which Keras adds up all but a GRU's; a GRU's gates are r, z, n there and z, r, n here.
    """
    if gru:
        parts = {name: value.chunk(3) for name, value in given.items()}
        given = {name: torch.cat([z, r, n]) for name, (r, z, n) in parts.items()}
    roles = {"weight": "weight_ih", "recurrent_kernel": "weight_hh"}
    found = {role: given[name] for role, name in roles.items() if name in given}
    biases = [given[name] for name in ("bias_ih", "bias_hh") if name in given]
    if biases:
        found["bias"] = torch.stack(biases) if gru and len(biases) == 2 else sum(biases[1:], biases[0])
    return found

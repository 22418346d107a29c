"""Checkpoints of torch's libraries in networks of the same arithmetic: which library one is of, and its tensors by layer."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch._errors import ArgumentError
from anabranch.applications import _timm, _torchvision

if TYPE_CHECKING:
    from anabranch.applications._torchvision import Correspondence
    from anabranch.models.model import Model

CHECKPOINTS = (".pth", ".pt", ".safetensors")


def load_checkpoint(
    model: Model, file: str | os.PathLike[str], torchvision: Correspondence, timm: Correspondence
) -> None:  # fmt: skip
    """Load a checkpoint of torchvision or timm, or say why there is none that gives the same outputs.

    Args:
        model: the network.
        file: its path.
        torchvision: what corresponds to its layers in torchvision.
        timm: what corresponds to them in timm.
    """
    from anabranch.exchange.state_dicts import tensors_of
    from anabranch.exchange.weight_groups import groups_of

    tensors = tensors_of(file)
    of_timm = _timm.is_of_timm(tensors)
    known = timm if of_timm else torchvision
    if of_timm and not isinstance(known, str):
        known = _timm.reason_against(tensors, file) or known
    if isinstance(known, str):
        raise ArgumentError(
            f"No weights of {'timm' if of_timm else 'torchvision'} give {model.name} the same outputs. {known}",
            got=f"weights={str(file)!r}",
            repair='weights="imagenet" or a file of Keras; model.load_torch_weights(file) sets weights from any checkpoint',
        )  # fmt: skip
    if of_timm:
        like = next(iter(tensors.values())).float()
        tensors = {name: like.new_tensor(values) for name, values in _timm.PIXELS.items()} | tensors
    else:
        tensors = {re.sub(r"(norm|conv)\.(\d)\.", r"\1\2.", name): value for name, value in tensors.items()}
    modules = {name.rpartition(".")[0] for name in tensors}
    mapping: dict[str, str | None] = {}
    for group in groups_of(model):
        module = known(group.path.rpartition("/")[2])
        if module in tensors:  # a parameter of a block itself
            target = next(iter(group.targets.values()))
            mapping[module] = target.path
            tensors[module] = target.reshaped(tensors[module])
        elif module in modules:
            mapping[module] = group.path
            for role, target in group.targets.items():
                if (name := f"{module}.{role}") in tensors:
                    tensors[name] = target.reshaped(tensors[name])
    for name, path in mapping.items():
        if not of_timm and f"{name}.running_var" in tensors:  # the sum of both is what is divided by
            tensors[f"{name}.running_var"] = tensors[f"{name}.running_var"] + (_torchvision.EPSILON - _epsilon(model, path))
    ends = _timm.ENDS if of_timm else _torchvision.ENDS
    mapping |= {name: None for name in tensors if name.startswith(ends) and name.rpartition(".")[0] not in mapping}
    model.load_torch_weights(tensors, mapping)


def _epsilon(model: Model, name: str | None) -> float:
    layer = model.get_layer(name)
    return layer.epsilon if isinstance(layer, layers.BatchNormalization) else _torchvision.EPSILON

"""What weights and layers are called among torch's modules: ``conv2d/kernel`` is ``conv2d.weight``."""

from __future__ import annotations

import collections
import keyword
import re

import torch

from anabranch.graph import Operation, Weight

# what torch calls these weights; the others keep their names
TORCH_NAMES = {
    "kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def weight_places(layer: Operation, path: str) -> list[tuple[Weight, str]]:
    """Return each weight of a layer with its attribute path in the module, in torch's words where these are unique."""
    weights = layer.weights
    names = torch_names([w.path.removeprefix(layer.path + "/") for w in weights])
    return [(w, target_of(f"{path}/{name}")) for w, name in zip(weights, names, strict=True)]


def torch_names(paths: list[str]) -> list[str]:
    """Return torch's names for weights at ``paths``, unless two weights of one layer would have the same.

    >>> torch_names(["inner/kernel", "inner/bias", "kernel", "gamma"])
    ['inner/weight', 'inner/bias', 'kernel', 'gamma']
    """
    found = [_torch_name(path) for path in paths]
    counts = collections.Counter(found)
    ambiguous = {name.rpartition("/")[0] for name, count in counts.items() if count > 1}
    return [path if path.rpartition("/")[0] in ambiguous else name for path, name in zip(paths, found, strict=True)]


def _torch_name(path: str) -> str:
    owner, slash, name = path.rpartition("/")
    return owner + slash + TORCH_NAMES.get(name, name)


def target_of(path: str) -> str:
    """Return a layer's path as a dotted one of modules; numbers stay, as those of ``nn.Sequential``.

    >>> target_of("layer1/0/conv1"), target_of("conv-1/class")
    ('layer1.0.conv1', 'conv_1.class_')
    """
    return ".".join(part if part.isdecimal() else attribute_name(part) for part in path.split("/"))


def attribute_path(path: str) -> str:
    """Return a path as a dotted chain of identifiers.

    >>> attribute_path("backbone/conv-1/kernel")
    'backbone.conv_1.kernel'
    """
    return ".".join(map(attribute_name, path.split("/")))


def attribute_name(name: str) -> str:
    """Return a name as an identifier that is no word of Python and no attribute that every module has.

    >>> attribute_name("train"), attribute_name("1"), attribute_name("class")
    ('train_', '_1', 'class_')
    """
    name = re.sub(r"\W", "_", name)
    if name[:1].isdigit():
        return f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _OF_EVERY_MODULE else name


_OF_EVERY_MODULE = frozenset((*dir(torch.fx.GraphModule), *vars(torch.nn.Module()), "graph", "code"))

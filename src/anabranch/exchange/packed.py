"""The weights of torch's recurrent modules, which hold several layers and both ways in one, taken apart by layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch

from anabranch import runtime

_NAME = re.compile(r"(?P<module>.*?)\.?(?P<part>(?:weight|bias)_(?:ih|hh))(?:_(?P<layer>l\d+(?:_reverse)?))?")
_GATES = (1, 3, 4)  # of nn.RNN, nn.GRU, nn.LSTM
_SOURCES = {"weight": ("weight_ih",), "recurrent_kernel": ("weight_hh",), "bias": ("bias_ih", "bias_hh")}


class Part(NamedTuple):
    """A tensor as a layer has it.

    Args:
        module: the torch module that it is of.
        role: what it is there.
        tensor: its values.
    """

    module: str
    role: str
    tensor: torch.Tensor


def taken_apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, Part]:
    """Return tensors by name; those of recurrent modules as the cells here have them, under torch's names for them.

    A module of one layer that runs one way keeps its name; of others each layer and way is one: ``rnn.l0``, ``rnn.l0_reverse``.

    Args:
        tensors: the tensors by name.
    """
    packed: dict[str, dict[str, dict[str, str]]] = {}  # by module and layer, the names of the parts
    for name in tensors:
        if found := _NAME.fullmatch(name):
            packed.setdefault(found["module"], {}).setdefault(found["layer"] or "", {})[found["part"]] = name
    cells: dict[str, tuple[str, dict[str, str]]] = {}
    for module, by_layer in packed.items():
        for layer, names in by_layer.items():
            if _are_of_a_cell({part: tensors[name] for part, name in names.items()}):
                path = ".".join(filter(None, (module, layer))) if len(by_layer) > 1 else module
                cells |= dict.fromkeys(names.values(), (path, names))
    found_parts: dict[str, Part] = {}
    for name, tensor in tensors.items():
        if name not in cells:
            module, _, role = name.rpartition(".")
            found_parts[name] = Part(module, role, tensor)
            continue
        path, names = cells[name]
        given = {part: tensors[each] for part, each in names.items()}
        for role, value in runtime.cell_weights(given, gru=_gates(given["weight_hh"]) == 3).items():
            first, *others = (names[part] for part in _SOURCES[role] if part in names)
            shown = " + ".join([first, *(each.rpartition(".")[2] for each in others)])
            found_parts[shown] = Part(path, role, value)
    return found_parts


def _are_of_a_cell(given: Mapping[str, torch.Tensor]) -> bool:
    """Return whether some tensors are all that a cell has, and no others: an LSTM with ``proj_size`` is no layer here."""
    if not given.keys() >= {"weight_ih", "weight_hh"} or any(w.dim() != 2 for part, w in given.items() if "weight" in part):
        return False
    return len(given["weight_ih"]) == len(given["weight_hh"]) and _gates(given["weight_hh"]) in _GATES


def _gates(recurrent: torch.Tensor) -> float:
    return recurrent.shape[0] / max(recurrent.shape[1], 1)

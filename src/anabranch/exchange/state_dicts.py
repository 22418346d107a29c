"""Tensors by name from where torch people have them: a dict, a module, a ``.safetensors`` or a ``.pt`` file without code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch

from anabranch._asked import first_line, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, FileFormatError
from anabranch._files import reached

Source: TypeAlias = "Mapping[str, Any] | torch.nn.Module | str | os.PathLike[str]"
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys under which checkpoints have it


def tensors_of(source: Source) -> dict[str, torch.Tensor]:
    """Return the tensors of a source by name, in its order.

    Raises:
        FileFormatError: a file is damaged, or holds code or objects.
    """
    if isinstance(source, torch.nn.Module):
        found: Any = source.state_dict()
    elif isinstance(source, (str, os.PathLike)):
        found = _read(Path(source))
    else:
        found = source
    while isinstance(found, Mapping) and (inner := [key for key in _WRAPPERS if isinstance(found.get(key), Mapping)]):
        found = found[inner[0]]
    if not isinstance(found, Mapping):
        raise ArgumentTypeError("Expected tensors by name.", expected="a state dict, a module or a file", got=shown(found))
    tensors = {str(name): value.detach() for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ArgumentError("There are no tensors in what should be a state dict.", got=f"keys {list(found)[:8]}"[:200])
    return tensors


def _read(path: Path) -> object:
    if path.suffix not in (".safetensors", *PICKLED):
        raise ArgumentError(
            "The name of a file of torch weights says how they are saved.",
            expected=f"a name ending in .safetensors, {', '.join(PICKLED)}", got=str(path),
        )  # fmt: skip
    with reached("read", path), path.open("rb"):
        pass  # else torch and safetensors say less
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise FileFormatError(f"{path} is damaged or no safetensors file.", got=str(error)) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, EOFError, RuntimeError, UnicodeDecodeError, … for damage and for code
        raise FileFormatError(
            f"{path} is damaged, or holds more than tensors, which is not read.", got=first_line(error)[:200],
            repair="save the tensors alone where the file was made: torch.save(module.state_dict(), …)",
        ) from error  # fmt: skip

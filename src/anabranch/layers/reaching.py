"""What is inside a layer by torch's names, as ``module.get_submodule`` and ``functional_call`` walk down them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol


class Holder(Protocol):
    """A layer."""

    @property
    def _modules(self) -> Mapping[str, object]:
        """The layers and modules inside, by torch's names."""


class _Level:
    """The part of a layer's inner names before a dot, such as ``layer1`` of ``layer1.0.conv1``, as torch walks down them."""

    def __init__(self, layer: Holder, start: str) -> None:
        self._layer, self._start = layer, start

    def __getattr__(self, name: str) -> object:
        found = inside(self._layer, f"{self._start}.{name}")
        return object.__getattribute__(self, name) if found is None else found

    @property
    def __class__(self) -> type:  # type: ignore[override]  # of no narrower type
        asking = str(sys._getframe(1).f_globals.get("__name__"))
        found: type = sys.modules["torch.nn"].Module if asking.startswith("torch.nn.") else type(self)
        return found

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a part of names cannot be set")


def inside(layer: Holder, name: str) -> object:
    """Return the layer or module of that name inside another, or what is between where the name goes on; None for none."""
    if name[:1] == "_" or "_home_" not in vars(layer):  # as copies and unpickled layers lack at first
        return None
    inner = layer._modules
    found = inner.get(name)
    if found is None and any(path.startswith(f"{name}.") for path in inner):
        return _Level(layer, name)
    return found

"""What is inside a layer by torch's names, as ``module.get_submodule`` and ``functional_call`` walk down them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from anabranch.graph import Graph, Operation


class Holder(Protocol):
    """A layer."""

    @property
    def _modules(self) -> Mapping[str, object]:
        """The layers and modules inside, by torch's names."""

    @property
    def _graph_(self) -> Graph | None:
        """The graph inside."""

    def _sublayers_(self) -> Sequence[Operation]:
        """Return the layers held directly."""


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
    if "torch" not in sys.modules and not _may_hold(layer, name):
        return None
    inner = layer._modules
    found = inner.get(name)
    if found is None and any(path.startswith(f"{name}.") for path in inner):
        return _Level(layer, name)
    return found


def _may_hold(layer: Holder, name: str) -> bool:
    """Return whether a layer inside may have that name, or one that begins so, among torch's: asked before torch is loaded."""
    graph = layer._graph_
    names = [inner.name for inner in layer._sublayers_()] if graph is None else graph.names.values()
    start = name.rstrip("_").replace(".", "/")
    return any(re.sub(r"[^\w/]", "_", each).startswith(start) for each in names)

"""What torch's modules take for one of theirs: they register a layer, and reach what is inside it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from anabranch.layers.holding import Holding

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES = "torch.nn.modules.module"
_SWAPS = "torch.nn.utils._named_member_accessor"  # which puts values in the place of parameters, for functional_call and export
_SCRIPTS = ("torch.jit._recursive", "torch.jit._trace")  # which compile modules for TorchScript
_REGISTERS = frozenset(("__setattr__", "add_module"))


class Registered(Holding):
    """What torch's modules take for one of theirs when it is assigned to them. Abstract: the base of TorchMembers."""

    if TYPE_CHECKING:

        @property
        def _modules(self) -> Mapping[str, object]:
            """The layers and modules inside, by torch's names."""

    else:

        def __getattr__(self, name: str) -> Any:
            """Return the layer of that name inside, as torch's modules do; asked only for what no attribute is."""
            found = inside(self, name)
            return object.__getattribute__(self, name) if found is None else found

    @property
    def __class__(self) -> type:  # type: ignore[override]  # of no narrower type
        """The class; ``torch.nn.Module`` to torch's code that registers what is one or looks for one inside another.

        A module that registers the layer has its parameters among its own; the layer takes its mode.
        """
        asks = sys._getframe(1)
        asking = asks.f_globals.get("__name__")
        if asking in _SCRIPTS:
            from anabranch.layers.absent import not_scripted  # loaded for errors alone

            raise not_scripted(self)
        if asking not in (_MODULES, _SWAPS):
            return type(self)
        if asks.f_code.co_name in _REGISTERS:
            mode = bool(vars(asks.f_locals.get("self")).get("training", False))
            for layer in self._inner_layers_():
                layer.training = mode
        return _module_class()

    @__class__.setter
    def __class__(self, value: type) -> None:
        vars(object)["__class__"].__set__(self, value)


class _Level:
    """The part of a layer's inner names before a dot, such as ``layer1`` of ``layer1.0.conv1``, as torch walks down them."""

    def __init__(self, layer: Registered, start: str) -> None:
        self._layer, self._start = layer, start

    def __getattr__(self, name: str) -> object:
        found = inside(self._layer, f"{self._start}.{name}")
        return object.__getattribute__(self, name) if found is None else found

    @property
    def __class__(self) -> type:  # type: ignore[override]  # of no narrower type
        return _module_class() if sys._getframe(1).f_globals.get("__name__") in (_MODULES, _SWAPS) else type(self)

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a part of names cannot be set")


def inside(layer: Registered, name: str) -> object:
    """Return the layer or module of that name inside another, or what is between where the name goes on; None for none."""
    if name[:1] == "_" or "_home_" not in vars(layer):  # as copies and unpickled layers lack at first
        return None
    inner = layer._modules
    found = inner.get(name)
    if found is None and any(path.startswith(f"{name}.") for path in inner):
        return _Level(layer, name)
    return found


def _module_class() -> type:
    found: type = sys.modules[_MODULES].Module
    return found

"""What symbolic tensors ask of those above that know torch; these are loaded when they are first asked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from anabranch import _tree

if TYPE_CHECKING:
    from anabranch.graph.records import Operation, Tensor


class Port(Protocol):
    """What symbolic tensors ask of the package that knows torch."""

    def infer(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        """Return the specs of what ``operation.call`` gives."""

    def method(self, name: str, *args: object, **kwargs: object) -> _tree.Nest:
        """Return the symbolic tensors that one of the methods of torch's tensors gives, as a node."""

    def torch_function(
        self, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> _tree.Nest:
        """Return the symbolic tensors that one of torch's functions gives, as a node."""

    def no_attribute(self, tensor: Tensor, name: str) -> Exception:
        """Return the error for an attribute that symbolic tensors do not have."""


_loaders: list[Callable[[], Port]] = []


def connect(load: Callable[[], Port]) -> None:
    """Say who knows torch: ``load`` is called when this is first asked."""
    _loaders[:] = [functools.cache(load)]


def port() -> Port:
    """Return who knows torch."""
    return _loaders[0]()

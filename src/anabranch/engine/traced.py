"""What represents a value while a call is traced: to a user's code it answers as a tensor does, or the call is not traced."""

from __future__ import annotations

import sys
import types
from typing import NoReturn

import torch
from torch.fx.proxy import Attribute, GraphAppendingTracer, Proxy, TraceError

from anabranch import runtime
from anabranch._asked import answers
from anabranch.runtime.masks import traced


def _asking() -> types.FrameType:
    """Return the frame that asks something of a traced value."""
    frame = sys._getframe(2)
    while frame.f_back is not None and (frame.f_globals.get("__name__") in _BETWEEN or frame.f_code is _IS_TENSOR):
        frame = frame.f_back
    return frame


def _is_library(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_LIBRARIES)


class Traced(Proxy):
    """Represents a value while a call is traced."""

    tracer: NotingTracer

    @property
    def __class__(self) -> type:  # type: ignore[override]  # of no narrower type
        """The class; a user's code that asks whether it is a tensor cannot be traced.

        The answer is never ``torch.Tensor``: torch's code in C would take the value for one.
        """
        if sys._getframe(1).f_globals.get("__name__") in _ASKING:  # most often
            return type(self)
        asks = _asking()
        if not _TENSOR.isdisjoint(asks.f_code.co_names) and not _is_library(asks):
            self.tracer.refused = True
        return type(self)

    @__class__.setter
    def __class__(self, value: type) -> NoReturn:
        raise TypeError("a traced value stays one")

    def __getattr__(self, name: str) -> Attribute:
        """Return an attribute of a value; a tensor has those of torch's tensors alone."""
        if self.node.meta.keys() & {"shape", "dtype"} and not answers(torch.Tensor, name):
            raise AttributeError(f"'Tensor' object has no attribute {name!r}", name=name, obj=self)
        return super().__getattr__(name)

    def __int__(self) -> NoReturn:
        self.tracer.refuse("int()")

    def __float__(self) -> NoReturn:
        self.tracer.refuse("float()")

    def __len__(self) -> NoReturn:
        self.tracer.refuse("len()")

    @property
    def _keras_mask(self) -> torch.Tensor | None:
        """The value's mask, under Keras's name for it, which a user's ``call`` may read."""
        return runtime.mask_of(self)

    @_keras_mask.setter
    def _keras_mask(self, mask: torch.Tensor | None) -> None:
        runtime.note_mask(traced(self), mask)


class NotingTracer(GraphAppendingTracer):
    """Notes where a user's code asks for a value: it may go on by a ``try``, otherwise than with a tensor."""

    refused = False

    def refuse(self, what: str) -> NoReturn:
        """Raise, as a traced value has no number."""
        if not _is_library(_asking()):
            self.refused = True
        raise TraceError(f"{what} of a value that is traced")

    def to_bool(self, obj: Proxy) -> NoReturn:
        """Raise, as a traced value is not known to be true."""
        self.refuse("bool()")

    def iter(self, obj: Proxy) -> NoReturn:
        """Raise, as the length of a traced value is not known."""
        self.refuse("iter()")


_BETWEEN = (__name__, "torch.fx.proxy")
_ASKING = frozenset(("anabranch._tree", "anabranch.engine.held", "anabranch.engine.lower", "torch.fx.node", "torch.fx.proxy"))
_LIBRARIES = ("anabranch.", "torch.", "functools")
_TENSOR = frozenset(("Tensor", "is_tensor"))  # names by which it is asked
_IS_TENSOR = torch.is_tensor.__code__

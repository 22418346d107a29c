"""Graphs, nodes and symbolic tensors are copied, but not pickled by themselves: each holds all that leads to it."""

from __future__ import annotations

import copy
from typing import NoReturn, Self

from anabranch._errors import ArgumentTypeError


class OfGraph:
    """Base of what a graph consists of."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse: a graph leaves the process as a model, by its data."""
        raise ArgumentTypeError(
            f"A {type(self).__name__} cannot be pickled by itself: it is part of a graph.",
            got=repr(self)[:120],
            repair="pickle the model: pickle.dumps(Model(inputs, outputs))",
        )

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        for name, value in self._slots().items():
            setattr(twin, name, value)
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = memo[id(self)] = object.__new__(type(self))
        for name, value in self._slots().items():
            setattr(twin, name, copy.deepcopy(value, memo))
        return twin

    def _slots(self) -> dict[str, object]:
        names = [name for kind in type(self).__mro__ for name in vars(kind).get("__slots__", ())]
        return {name: getattr(self, name) for name in names if name != "__weakref__"}

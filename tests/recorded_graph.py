"""A graph of the CPU: what a CUDA graph does, operation by operation, without running any Python of the captured work again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anabranch.engine.captured import Held

# their schemas do not say that they change running statistics
CHANGING = {"aten::native_batch_norm": (3, 4), "aten::_native_batch_norm_legit": (3, 4)}
READINGS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}


def tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def changed(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """Return the tensors that an operation writes to."""
    places = CHANGING.get(func.name().split(".")[0], ())
    found = [args[place] for place in places]
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[place] if place < len(args) else kwargs.get(argument.name))
    return tensors(found)


class Recording(TorchDispatchMode):
    """Notes operations with the very tensors they work on, and what outer tensors held before."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.own: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.name().split(".")[0] in READINGS:
            raise RuntimeError("operation not permitted when stream is capturing")
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
        for tensor in changed(func, args, kwargs):
            place = tensor.untyped_storage().data_ptr()
            if place not in self.own and place not in self.before:
                storage = tensor.untyped_storage()
                self.before[place] = storage, storage.clone()
        results = func(*args, **kwargs)
        made = [r for r in tensors(results) if r.untyped_storage().data_ptr() not in given]
        self.own |= {tensor.untyped_storage().data_ptr() for tensor in made}
        self.calls.append((func, args, kwargs, tensors(results)))  # which keeps them, so that no address is another's
        return results


class RecordedGraph:
    """Records operations as they run, undoes what they changed, and does them again on the same memory."""

    made = 0

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        type(self).made += 1
        self.generators = generators
        self.calls: list[Any] = []
        self.unfit = ""
        self.results: Any = ()

    def capture(self, work: Callable[[Any], Any], inputs: Any) -> None:
        self.held = Held(inputs)
        before = [(each, each.get_state()) for each in (torch.default_generator, *self.generators)]
        recording = Recording()
        try:
            with recording:
                self.results = work(self.held.tensors)
        finally:
            for storage, value in recording.before.values():
                storage.copy_(value)
            for generator, state in before:
                generator.set_state(state)
        self.calls = recording.calls

    def replay(self, inputs: Any) -> Any:
        self.held.take(inputs)
        with torch.no_grad():
            for func, args, kwargs, outputs in self.calls:
                for held, new in zip(outputs, tensors(func(*args, **kwargs)), strict=True):
                    if held.data_ptr() != new.data_ptr():
                        held.copy_(new)
        return self.results


class FailingGraph(RecordedGraph):
    """Cannot capture; what ran until then is undone."""

    def capture(self, work: Callable[[Any], Any], inputs: Any) -> None:
        super().capture(work, inputs)
        raise RuntimeError("operation not permitted when stream is capturing\nin detail")

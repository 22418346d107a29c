"""What a captured step of training consists of: its operations, counted on the CPU as a GPU would launch them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from anabranch.optimizers import update


def is_light(func: Any) -> bool:
    """Return whether an operation launches nothing: it gives a view, or memory as it is."""
    if func.name().removeprefix("aten::") in ("new_empty", "new_empty_strided", "empty", "empty_like", "empty_strided"):
        return True
    return any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns)


class Counting(TorchDispatchMode):
    """Counts operations by their names, and holds none of their tensors, so that autograd copies none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not is_light(func):
            self.kinds[func.name().removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))


class CountedGraph:
    """Counts what would be captured, and then gives up, so that steps go on as usual."""

    kinds: Counter[str] = Counter()
    unfit = ""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        pass

    def capture(self, work: Any, inputs: Any) -> None:
        given = [None if x is None else x.clone() for x in inputs]
        with Counting() as counting:
            work(given)
        type(self).kinds = counting.kinds
        raise RuntimeError("counted")

    def replay(self, inputs: Any) -> Any:
        raise RuntimeError("nothing was captured")


def operations(model: Any, x: Any, y: Any, batch_size: int = 2) -> Counter[str]:
    """Return how often each operation is in a captured step of a compiled model; ``x`` has six batches at least."""
    model.jit_compile = "auto"
    model._compiled_.graph_maker = CountedGraph
    CountedGraph.kinds = Counter()
    # as on a GPU: all weights in one call, by the fused kernels that it has
    with mock.patch.object(update, "CHUNK", 1 << 60), mock.patch.dict(update.FUSED, adagrad=frozenset[str]()):
        model.fit(x, y, batch_size=batch_size, verbose=0)
    assert model._compiled_.replays.failure == "RuntimeError: counted"
    return CountedGraph.kinds


def listed(kinds: Counter[str]) -> str:
    """Return counts as lines, for the text of a failure."""
    return "\n".join(
        [f"{kinds.total()} operations besides views and allocations:", *(f"{n:4} {name}" for name, n in kinds.most_common())]
    )

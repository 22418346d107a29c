"""A model compiled by torch.compile: once for all batches above one, reported in a line, refused clearly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from anabranch._asked import is_from
from anabranch._errors import EngineError

Report = Callable[[str], None]


class Compiled:
    """An fx graph that torch.compile compiles when it first runs.

    The batch may have any size from two on: sizes zero and one, which torch would compile for themselves, run as they are.
    """

    def __init__(self, module: torch.nn.Module, inputs: int, report: Report) -> None:
        self._report = report
        self._module = module
        self._fast: Callable[..., Sequence[torch.Tensor]] = torch.compile(module)
        self._inputs = inputs
        self._began: float | None = None
        self._reported = False

    def __call__(self, *values: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return what the fx graph computes."""
        given = values[: self._inputs]
        if any(x.dim() == 0 or len(x) < 2 for x in given):
            result: Sequence[torch.Tensor] = self._module(*values)
            return result
        with torch.inference_mode(False):  # or the copies would be of another kind than other batches
            # a slice of a larger array would be compiled for its place in that
            given = tuple(x.clone() if x.storage_offset() else x for x in given)
        for x in given:
            torch._dynamo.maybe_mark_dynamic(x, 0)
        self._report_times()
        try:
            return self._fast(*given, *values[self._inputs :])
        except Exception as error:
            if found := refusal(error):
                raise found from error
            raise

    def _report_times(self) -> None:
        """Say that compiling begins, and at the next step how long it took, the backward pass included."""
        if self._began is None:
            self._began = time.perf_counter()
            self._report("torch.compile compiles the model at the first step; jit_compile=False goes without")
        elif not self._reported:
            self._reported = True
            self._report(f"torch.compile took {time.perf_counter() - self._began:.1f} s")


def refusal(error: Exception) -> EngineError | None:
    """Return torch.compile's own failures as an error of ours; None where it is another's."""
    if not is_from(type(error), "torch._dynamo", "torch._inductor"):
        return None
    lines = [line for line in str(error).splitlines() if line.strip()]
    return EngineError.of(
        error,
        "torch.compile could not compile the model.",
        got=f"{type(error).__name__}: {' '.join(lines[:2])}"[:300],
        repair="install a C++ compiler (g++) if there is none, or compile with jit_compile=False",
    )

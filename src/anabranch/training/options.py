"""How a model runs while it trains: what ``compile`` takes besides optimizer, losses and metrics."""

from __future__ import annotations

import dataclasses

from anabranch._asked import is_boolean, shown
from anabranch._errors import ArgumentError
from anabranch.graph import Graph
from anabranch.training.arguments import boolean, integer
from anabranch.training.checkpointing import Remat, remat_of


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of ``compile``, checked."""

    run_eagerly: bool = False
    steps_per_execution: int = 1
    jit_compile: bool | str = "auto"
    auto_scale_loss: bool = True
    remat: Remat = ()

    def replace(self, graph: Graph | None, **changed: object) -> Options:
        """Return these options with others in the place of some, checked."""
        given = {**vars(self), "remat": self.remat or None, **changed}
        return checked_options(graph, **given)


def checked_options(
    graph: Graph | None, run_eagerly: object, steps_per_execution: object, jit_compile: object, auto_scale_loss: object,
    remat: object,
) -> Options:  # fmt: skip
    """Return the options of a model with this graph, or raise where one is wrong or two exclude each other."""
    eagerly = boolean(run_eagerly, "run_eagerly")
    jit: bool | str = "auto"
    if not (isinstance(jit_compile, str) and jit_compile == "auto"):
        if not is_boolean(jit_compile):
            raise ArgumentError(
                "jit_compile must be True, False or 'auto'.", expected="True, False or 'auto'", got=shown(jit_compile)
            )  # fmt: skip
        jit = bool(jit_compile)
    if eagerly and remat is not None:
        raise ArgumentError(
            "A model that runs eagerly saves what its layers compute, so remat has no effect.",
            got=f"run_eagerly=True, remat={remat!r}", repair="leave one of them out",
        )  # fmt: skip
    if eagerly and jit is True:
        raise ArgumentError(
            "A model cannot both run eagerly and be compiled by torch.compile.", got="run_eagerly=True, jit_compile=True",
            repair="leave one of them out",
        )  # fmt: skip
    return Options(
        eagerly, integer(steps_per_execution, "steps_per_execution"), jit, boolean(auto_scale_loss, "auto_scale_loss"),
        remat_of(graph, remat),
    )  # fmt: skip

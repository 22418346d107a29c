"""The passes in the order they run in, and running them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.fx import Graph

from anabranch.engine.passes.base import Note, Pass, Settings
from anabranch.engine.passes.batch_norm import BATCH_NORM
from anabranch.engine.passes.duplicates import DUPLICATES
from anabranch.engine.passes.fusion import FUSION
from anabranch.engine.passes.identities import IDENTITIES
from anabranch.engine.passes.in_place import IN_PLACE
from anabranch.engine.passes.kernels import KERNELS
from anabranch.engine.passes.layout import LAYOUT
from anabranch.engine.passes.lookup import LOOKUP
from anabranch.engine.passes.remat import REMAT
from anabranch.engine.passes.returned import RETURNED
from anabranch.engine.passes.statistics import STATISTICS

# Layout before what looks at neighbours; what works in place when it is decided who reads what; views for gradients last.
PASSES: tuple[Pass, ...] = (
    IDENTITIES,
    LAYOUT,
    DUPLICATES,
    BATCH_NORM,
    FUSION,
    LOOKUP,
    KERNELS,
    REMAT,
    STATISTICS,
    IN_PLACE,
    RETURNED,
)
READABLE = (IDENTITIES, LAYOUT)  # for code that people take away


def apply(
    graph: Graph, root: torch.nn.Module, settings: Settings, chosen: Sequence[Pass] = PASSES
) -> list[tuple[Pass, list[Note]]]:
    """Rewrite ``graph``, whose weights are in ``root``, by each pass that fits the settings; return what each noted."""
    report: list[tuple[Pass, list[Note]]] = []
    for each in chosen:
        why = each.unfit(settings)
        report.append((each, [Note("", False, why)] if why else each.run(graph, root, settings)))
    return report

"""Rows of a table are selected in a way whose gradient is added up row by row as the rows come.

On a CPU the gradient of ``F.embedding`` goes through all ids in each thread; that of ``index_select`` goes through them once.
On two cores, 256 × 64 ids of a table of 10,000 × 64: 1.8 ms forward and back, and 1.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.fx import Graph

from anabranch.engine.passes.base import Call, Note, Pass, Settings
from anabranch.engine.passes.nodes import argument, is_call, like, path_of

_OPTIONS = ("padding_idx", None), ("max_norm", None), ("norm_type", 2.0), ("scale_grad_by_freq", False), ("sparse", False)


def rows(ids: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return the row of ``table`` (N, C) for each id: (…) -> (…, C)."""
    return table.index_select(0, ids.reshape(-1)).reshape(*ids.shape, table.shape[1])


def unfit(settings: Settings) -> str:
    """Return why rows are selected as traced with these settings, or ""."""
    if settings.no_grad:
        return "no gradient will be asked for"
    if settings.device != "cpu":
        return "the device has a kernel of its own for this gradient"
    return "torch.compile fuses by itself" if settings.compiled else ""


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note which tables are read so."""
    notes = []
    for node in list(graph.nodes):
        if not is_call(node, (F.embedding,)):
            continue
        plain = _is_plain(node)
        notes.append(Note(path_of(node), plain, "by index_select" if plain else "with options that only F.embedding has"))
        if plain:
            with graph.inserting_before(node):
                made = like(graph.call_function(rows, node.args[:2]), node)
            node.replace_all_uses_with(made)
            graph.erase_node(node)
    return notes


def _is_plain(node: Call) -> bool:
    given = [argument(node, place, name, usual) for place, (name, usual) in enumerate(_OPTIONS, 2)]
    return len(node.args) >= 2 and given == [usual for _, usual in _OPTIONS]


LOOKUP = Pass(
    "lookup",
    requires="gradients, on a CPU, for tables without padding_idx, max_norm and the like",
    ensures="the same values and gradients",
    unfit=unfit,
    run=run,
)

"""A model as a plain tree of torch modules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from anabranch._errors import ArgumentError
from anabranch.engine import place_weights
from anabranch.exchange.assembling import Assembly, input_names
from anabranch.exchange.live import live
from anabranch.exchange.source import write

Module = torch.nn.Module


def to_torch(model: Any, source: str | os.PathLike[str] | None = None) -> Module:
    """Return a model as a tree of torch modules that shares its weights.

    Args:
        model: the model; one without a graph must know what goes in.
        source: a file that the code is written to.
    """
    graph = model.need_running_graph()
    place_weights(model)
    plan = Assembly(graph, model.name, input_names(graph), {}).assemble()
    written = write(plan, f"The model {model.name!r} as torch modules.")
    if source is not None:
        if written.unwritten or written.functions:
            raise ArgumentError(
                "The model cannot be written as a file that needs torch alone.",
                expected="layers that can be traced, and torch's own modules",
                got=", ".join([*written.unwritten, *written.functions]),
                repair="to_torch() without source= gives the module, which torch.save saves",
            )
        Path(source).write_text(written.text, encoding="utf-8")
    return live(written, plan)
